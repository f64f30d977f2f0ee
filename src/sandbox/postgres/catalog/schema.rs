//! The catalogue of what exists: relations, columns, indexes, sequences, publications.

use super::{
    FIRST_TABLE_OID, HEARTBEAT_COLUMNS, INDEX, Listed, OID_STEP, OWNER_OID, PG_CLASS_OID, PUBLIC_OID, SEQUENCE, View,
    access_list,
};
use crate::sandbox::{
    faults::Side,
    postgres::{
        OPERATOR,
        database::HEARTBEAT,
        link::SLOT,
        shape,
        table::TABLES,
        value::{Kind, Value},
    },
};

use Kind::{Bool, Float8, Int4, Int8, Name, Oid, Text, TextArray};

/// The relations of this file.
pub(super) const RELATIONS: &[Listed] = &[
    ("pg_namespace", &[("oid", Oid), ("nspname", Name), ("nspowner", Oid)], namespaces),
    ("pg_class", CLASS, classes),
    ("pg_attribute", ATTRIBUTE, attributes),
    ("pg_attrdef", &[("adrelid", Oid), ("adnum", Int4), ("adbin", Text)], defaults),
    ("pg_index", INDEXED, indexes),
    ("pg_constraint", CONSTRAINT, constraints),
    ("pg_depend", DEPEND, dependencies),
    ("pg_sequence", SEQUENCE_COLUMNS, sequences),
    ("pg_sequences", SEQUENCES, sequence_view),
    ("pg_indexes", &[("schemaname", Name), ("tablename", Name), ("indexname", Name), ("indexdef", Text)], index_view),
    ("pg_tables", &[("schemaname", Name), ("tablename", Name), ("tableowner", Name), ("hasindexes", Bool)], tables),
    ("pg_publication", &[("oid", Oid), ("pubname", Name), ("puballtables", Bool)], publications),
    ("pg_publication_tables", &[("pubname", Name), ("schemaname", Name), ("tablename", Name)], published),
    ("pg_extension", &[("oid", Oid), ("extname", Name), ("extversion", Text)], extensions),
    ("pg_available_extensions", &[("name", Name), ("default_version", Text), ("installed_version", Text)], available),
    ("pg_am", &[("oid", Oid), ("amname", Name)], access_methods),
    ("pg_type", &[("oid", Oid), ("typname", Name), ("typcollation", Oid)], nothing),
    ("pg_collation", &[("oid", Oid), ("collname", Name)], nothing),
    ("pg_inherits", &[("inhrelid", Oid), ("inhparent", Oid), ("inhseqno", Int4)], nothing),
    ("pg_trigger", &[("oid", Oid), ("tgrelid", Oid), ("tgname", Name)], nothing),
    (
        "pg_policy",
        &[
            ("polrelid", Oid),
            ("polname", Name),
            ("polpermissive", Bool),
            ("polroles", TextArray),
            ("polcmd", Text),
            ("polqual", Text),
            ("polwithcheck", Text),
        ],
        nothing,
    ),
    (
        "pg_statistic_ext",
        &[
            ("oid", Oid),
            ("stxrelid", Oid),
            ("stxnamespace", Oid),
            ("stxname", Name),
            ("stxkind", TextArray),
            ("stxstattarget", Int4),
            ("stxkeys", TextArray),
        ],
        nothing,
    ),
    ("pg_publication_rel", &[("prpubid", Oid), ("prrelid", Oid), ("prqual", Text), ("prattrs", TextArray)], nothing),
    ("pg_publication_namespace", &[("pnpubid", Oid), ("pnnspid", Oid)], nothing),
    ("pg_largeobject_metadata", &[("oid", Oid), ("lomowner", Oid)], large_objects),
];

const CLASS: &[(&str, Kind)] = &[
    ("oid", Oid),
    ("relname", Name),
    ("relnamespace", Oid),
    ("relowner", Oid),
    ("relkind", Text),
    ("relpersistence", Text),
    ("reltuples", Float8),
    ("relreplident", Text),
    ("relacl", TextArray),
    ("relam", Oid),
    ("relispartition", Bool),
    ("reltoastrelid", Oid),
    ("reltablespace", Oid),
    ("reloftype", Oid),
    ("relchecks", Int4),
    ("relhasindex", Bool),
    ("relhasrules", Bool),
    ("relhastriggers", Bool),
    ("relrowsecurity", Bool),
    ("relforcerowsecurity", Bool),
];
const ATTRIBUTE: &[(&str, Kind)] = &[
    ("attrelid", Oid),
    ("attname", Name),
    ("atttypid", Oid),
    ("atttypmod", Int4),
    ("attnum", Int4),
    ("attnotnull", Bool),
    ("atthasdef", Bool),
    ("attidentity", Text),
    ("attgenerated", Text),
    ("attisdropped", Bool),
    ("attcollation", Oid),
    ("attacl", TextArray),
];
const INDEXED: &[(&str, Kind)] = &[
    ("indexrelid", Oid),
    ("indrelid", Oid),
    ("indisprimary", Bool),
    ("indisunique", Bool),
    ("indisvalid", Bool),
    ("indisreplident", Bool),
    ("indisclustered", Bool),
    ("indnkeyatts", Int4),
    ("indkey", TextArray),
];
const CONSTRAINT: &[(&str, Kind)] = &[
    ("oid", Oid),
    ("conname", Name),
    ("connamespace", Oid),
    ("contype", Text),
    ("conrelid", Oid),
    ("conindid", Oid),
    ("condeferrable", Bool),
    ("condeferred", Bool),
    ("conparentid", Oid),
    ("confrelid", Oid),
];
const DEPEND: &[(&str, Kind)] = &[
    ("classid", Oid),
    ("objid", Oid),
    ("objsubid", Int4),
    ("refclassid", Oid),
    ("refobjid", Oid),
    ("refobjsubid", Int4),
    ("deptype", Text),
];
const SEQUENCE_COLUMNS: &[(&str, Kind)] = &[
    ("seqrelid", Oid),
    ("seqstart", Int8),
    ("seqincrement", Int8),
    ("seqmax", Int8),
    ("seqmin", Int8),
    ("seqcache", Int8),
    ("seqcycle", Bool),
];
const SEQUENCES: &[(&str, Kind)] = &[
    ("schemaname", Name),
    ("sequencename", Name),
    ("sequenceowner", Name),
    ("start_value", Int8),
    ("min_value", Int8),
    ("max_value", Int8),
    ("increment_by", Int8),
    ("cycle", Bool),
    ("cache_size", Int8),
    ("last_value", Int8),
];

/// One relation: number, name, `r` a table, `S` a sequence, `i` an index, and the position of its table.
type Numbered = (i64, String, &'static str, usize);

impl View {
    /// Tables (the heartbeat's last), their sequences and their indexes.
    pub(super) fn relations(&self) -> Vec<Numbered> {
        let mut all = Vec::new();
        for (at, name) in table_names().enumerate() {
            let oid = FIRST_TABLE_OID + at as i64 * OID_STEP;
            all.push((oid, name.to_owned(), "r", at));
            if at < TABLES.len() {
                all.push((oid + SEQUENCE, format!("{name}_id_seq"), "S", at));
            }
            all.push((oid + INDEX, format!("{name}_pkey"), "i", at));
        }
        all
    }

    /// What a default, a constraint or an index says, by its text or its number.
    pub(in super::super) fn definition(&self, function: &str, what: &Value) -> Value {
        match function {
            "pg_get_expr" => what.clone(),
            "pg_get_constraintdef" => Value::text("PRIMARY KEY (id)"),
            _ => {
                let index = self.relation_name(what.int().unwrap_or_default());
                Value::Text(index_definition(index.trim_end_matches("_pkey")))
            }
        }
    }
}

fn table_names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(name, _)| *name).chain([HEARTBEAT])
}

/// (table number, its columns as (name, type)).
fn table_columns() -> impl Iterator<Item = (i64, Vec<(&'static str, Kind)>)> {
    let of_app = TABLES.iter().map(|(_, columns)| columns.iter().map(|(name, kind, _)| (*name, *kind)).collect());
    let all = of_app.chain([HEARTBEAT_COLUMNS.to_vec()]);
    all.enumerate().map(|(at, columns)| (FIRST_TABLE_OID + at as i64 * OID_STEP, columns))
}

fn index_definition(table: &str) -> String {
    format!("CREATE UNIQUE INDEX {table}_pkey ON public.{table} USING btree (id)")
}

fn nothing(_: &View) -> Vec<Vec<Value>> {
    Vec::new()
}

fn namespaces(_: &View) -> Vec<Vec<Value>> {
    let rows = [(11, "pg_catalog"), (PUBLIC_OID, "public"), (13_000, "information_schema")];
    rows.map(|(oid, name)| vec![Value::Int(oid), Value::text(name), Value::Int(OWNER_OID)]).to_vec()
}

fn classes(view: &View) -> Vec<Vec<Value>> {
    let shape = &view.database().shape;
    let row = |(oid, name, kind, at): Numbered| {
        let is_table = kind == "r";
        let rows = view.database().tables.get(at).map_or(view.database().beats.len(), |table| table.rows().len());
        let mut row = vec![
            Value::Int(oid),
            Value::text(&*name),
            Value::Int(PUBLIC_OID),
            Value::Int(OWNER_OID),
            Value::text(kind),
            Value::text(if is_table && shape.unlogged.contains(&name) { "u" } else { "p" }),
            Value::Float(if kind == "S" { 1.0 } else { rows as f64 }),
            Value::text(if is_table {
                shape.identities.get(&name).unwrap_or(&'d').to_string()
            } else {
                "n".to_owned()
            }),
            if is_table { access_list(view.database(), &name) } else { Value::Null },
            Value::Int(match kind {
                "r" => 2,
                "i" => 403,
                _ => 0,
            }),
            Value::Bool(false),
        ];
        row.extend([0; 4].map(Value::Int));
        row.extend([is_table, false, false, false, false].map(Value::Bool));
        row
    };
    view.relations().into_iter().map(row).collect()
}

fn attributes(view: &View) -> Vec<Vec<Value>> {
    let _ = view;
    let row = |table: i64, at: usize, (name, kind): (&str, Kind)| {
        let owns_sequence = at == 0 && table < FIRST_TABLE_OID + TABLES.len() as i64 * OID_STEP;
        vec![
            Value::Int(table),
            Value::text(name),
            Value::Int(i64::from(kind.wire().oid())),
            Value::Int(-1),
            Value::Int(at as i64 + 1),
            Value::Bool(true),
            Value::Bool(owns_sequence),
            Value::text(""),
            Value::text(""),
            Value::Bool(false),
            Value::Int(0),
            Value::Null,
        ]
    };
    let of_table = |(oid, columns): (i64, Vec<(&'static str, Kind)>)| {
        columns.into_iter().enumerate().map(move |(at, column)| row(oid, at, column)).collect::<Vec<_>>()
    };
    table_columns().flat_map(of_table).collect()
}

fn defaults(view: &View) -> Vec<Vec<Value>> {
    let sequences = view.relations().into_iter().filter(|(_, _, kind, _)| *kind == "S");
    let row = |(oid, name, ..): Numbered| {
        vec![Value::Int(oid - SEQUENCE), Value::Int(1), Value::Text(format!("nextval('{name}'::regclass)"))]
    };
    sequences.map(row).collect()
}

fn indexes(view: &View) -> Vec<Vec<Value>> {
    let indexes = view.relations().into_iter().filter(|(_, _, kind, _)| *kind == "i");
    let row = |(oid, ..): Numbered| {
        let mut row = vec![Value::Int(oid), Value::Int(oid - INDEX)];
        row.extend([true, true, true, false, false].map(Value::Bool));
        row.extend([Value::Int(1), Value::List(vec!["1".to_owned()])]);
        row
    };
    indexes.map(row).collect()
}

fn constraints(view: &View) -> Vec<Vec<Value>> {
    let indexes = view.relations().into_iter().filter(|(_, _, kind, _)| *kind == "i");
    let row = |(oid, name, ..): Numbered| {
        vec![
            Value::Int(oid + 1),
            Value::Text(name),
            Value::Int(PUBLIC_OID),
            Value::text("p"),
            Value::Int(oid - INDEX),
            Value::Int(oid),
            Value::Bool(false),
            Value::Bool(false),
            Value::Int(0),
            Value::Int(0),
        ]
    };
    indexes.map(row).collect()
}

fn dependencies(view: &View) -> Vec<Vec<Value>> {
    let sequences = view.relations().into_iter().filter(|(_, _, kind, _)| *kind == "S");
    let row = |(oid, ..): Numbered| {
        let mut row: Vec<_> = [PG_CLASS_OID, oid, 0, PG_CLASS_OID, oid - SEQUENCE, 1].map(Value::Int).into();
        row.push(Value::text("a"));
        row
    };
    sequences.map(row).collect()
}

fn sequences(view: &View) -> Vec<Vec<Value>> {
    let sequences = view.relations().into_iter().filter(|(_, _, kind, _)| *kind == "S");
    let row = |(oid, ..): Numbered| {
        let mut row: Vec<_> = [oid, 1, 1, i64::MAX, 1, 1].map(Value::Int).into();
        row.push(Value::Bool(false));
        row
    };
    sequences.map(row).collect()
}

fn sequence_view(view: &View) -> Vec<Vec<Value>> {
    let row = |table: &crate::sandbox::postgres::table::Table| {
        let mut row = vec![Value::text("public"), Value::Text(table.sequence_name()), Value::text(OPERATOR)];
        row.extend([1, 1, i64::MAX, 1].map(Value::Int));
        row.extend([Value::Bool(false), Value::Int(1)]);
        row.push(if table.sequence.called { Value::Int(table.sequence.last) } else { Value::Null });
        row
    };
    view.database().tables.iter().map(row).collect()
}

fn large_objects(view: &View) -> Vec<Vec<Value>> {
    let row = |number: &i64| vec![Value::Int(*number), Value::Int(OWNER_OID)];
    view.database().shape.large_objects.iter().map(row).collect()
}

fn index_view(view: &View) -> Vec<Vec<Value>> {
    let row = |table: &'static str| {
        let index = Value::Text(format!("{table}_pkey"));
        vec![Value::text("public"), Value::text(table), index, Value::Text(index_definition(table))]
    };
    let added = view.database().shape.indexes.iter().map(|(name, (table, column))| {
        let definition = format!("CREATE INDEX {name} ON public.{table} USING btree ({column})");
        vec![Value::text("public"), Value::text(&**table), Value::text(&**name), Value::Text(definition)]
    });
    table_names().map(row).chain(added).collect()
}

fn tables(_: &View) -> Vec<Vec<Value>> {
    let row = |table| vec![Value::text("public"), Value::text(table), Value::text(OPERATOR), Value::Bool(true)];
    table_names().map(row).collect()
}

fn publications(view: &View) -> Vec<Vec<Value>> {
    let row = || vec![Value::Int(24_570), Value::text(SLOT), Value::Bool(true)];
    (view.side == Side::Old).then(row).into_iter().collect()
}

fn published(view: &View) -> Vec<Vec<Value>> {
    let row = |table| vec![Value::text(SLOT), Value::text("public"), Value::text(table)];
    if view.side == Side::Old { table_names().map(row).collect() } else { Vec::new() }
}

fn extensions(view: &View) -> Vec<Vec<Value>> {
    let row = |(at, (name, version)): (usize, (&&str, &&str))| {
        vec![Value::Int(13_500 + at as i64), Value::text(*name), Value::text(*version)]
    };
    view.database().shape.extensions.iter().enumerate().map(row).collect()
}

fn available(view: &View) -> Vec<Vec<Value>> {
    let installed =
        |name: &str| view.database().shape.extensions.get(name).map_or(Value::Null, |known| Value::text(*known));
    shape::extensions().map(|(name, version)| vec![Value::text(name), Value::text(version), installed(name)]).collect()
}

fn access_methods(_: &View) -> Vec<Vec<Value>> {
    vec![vec![Value::Int(2), Value::text("heap")], vec![Value::Int(403), Value::text("btree")]]
}
