//! Every statement that is sent to PostgreSQL, in one place: what stands here is all that is ever asked or changed.
//!
//! How they are sent:
//! - a `SET` list, a change of access and nothing else: by the simple protocol, several statements in one message;
//! - every `SELECT` and the heartbeat's `INSERT`: by the extended protocol on the unnamed statement, the types of the
//!   parameters given by us (`text`, `int8`, `bool`), the results in binary.
//!
//! Results hold `text`, `int8`, `float8` and `bool` only, every cast is written out, and columns are read by their
//! place. LSNs travel as text (`16/B374D848`). User tables are ordinary and partitioned tables outside of `pg_catalog`
//! and `information_schema`.
//!
//! Source: PostgreSQL 15 documentation, chapters 28 (statistics), 31 (logical replication) and 54 (system views).

pub use crate::run::{access_sql, qualified, quoted};

/// How we are called in `pg_stat_activity`. Sessions of this name are ours and never count as leftovers.
pub const APPLICATION: &str = "cutover";

/// The first message of a session that reads: it cannot write, and text looks the same on both sides.
pub const SESSION_READ: &str = "SET default_transaction_read_only = on; SET lock_timeout = 5000; SET statement_timeout = 15000; \
     SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex'";

/// The first message of a session that counts and sums whole tables: as [`SESSION_READ`], with half an hour a statement.
pub const SESSION_COMPARE: &str = "SET default_transaction_read_only = on; SET lock_timeout = 5000; SET statement_timeout = 1800000; \
     SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex'";

/// The first message of a session that changes something: it may write although the database is read-only by default,
/// or the undo of a freeze would be refused by the freeze.
pub const SESSION_ACT: &str =
    "SET default_transaction_read_only = off; SET lock_timeout = 5000; SET statement_timeout = 15000";

/// What a server is. One row: `version int8` (e.g. 150008), `wal_level text`, `max_replication_slots int8`,
/// `max_wal_senders int8`, `standby bool`, `role text` (whom we are), `replication bool`, `superuser bool`,
/// `database text`, `bytes int8`. `replication`: by attribute, as a superuser, or by membership in `rds_replication` and `rds_superuser`, which stand
/// for the attribute on RDS.
pub const SERVER: &str = "SELECT current_setting('server_version_num')::int8 AS version, current_setting('wal_level')::text AS wal_level, \
     current_setting('max_replication_slots')::int8 AS slots, current_setting('max_wal_senders')::int8 AS senders, \
     pg_is_in_recovery() AS standby, r.rolname::text AS role, \
     r.rolsuper OR r.rolreplication OR EXISTS (SELECT 1 FROM pg_roles g WHERE g.rolname IN ('rds_replication', 'rds_superuser') \
     AND pg_has_role(r.oid, g.oid, 'MEMBER')) AS replication, r.rolsuper AS superuser, \
     current_database()::text AS database, pg_database_size(current_database())::int8 AS bytes \
     FROM pg_roles r WHERE r.rolname = current_user";

/// Installed extensions: `name text`, `version text`.
pub const EXTENSIONS: &str = "SELECT extname::text AS name, extversion::text AS version FROM pg_extension ORDER BY 1";

/// Extensions that could be installed: `name text`, `version text`.
pub const AVAILABLE_EXTENSIONS: &str =
    "SELECT name::text AS name, COALESCE(default_version, '')::text AS version FROM pg_available_extensions ORDER BY 1";

/// User tables: `schema text`, `table text`, `rows int8` (an estimate, -1: never analysed), `bytes int8`,
/// `primary_key bool`, `identity text` (`d` the primary key, `i` an index, `f` all columns, `n` nothing), `key text` (the
/// column of a primary key of one integer column, else empty).
pub const TABLES: &str = "SELECT n.nspname::text AS schema, c.relname::text AS \"table\", c.reltuples::int8 AS rows, \
     pg_total_relation_size(c.oid)::int8 AS bytes, p.indexrelid IS NOT NULL AS primary_key, c.relreplident::text AS identity, \
     COALESCE(a.attname::text, '') AS key \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_index p ON p.indrelid = c.oid AND p.indisprimary \
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND p.indnkeyatts = 1 AND a.attnum = p.indkey[0] \
     AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) \
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2";

/// What logical replication does not carry: `large_objects int8`, `sequences int8`, both counts. One row.
///
/// Source: PostgreSQL documentation, "Logical Replication: Restrictions"; anybody may read `pg_largeobject_metadata`.
pub const NOT_CARRIED: &str = "SELECT (SELECT count(*)::int8 FROM pg_largeobject_metadata) AS large_objects, \
     (SELECT count(*)::int8 FROM pg_sequence) AS sequences";

/// User tables that are not in the write-ahead log, which cannot be published: `schema text`, `table text`.
///
/// Source: PostgreSQL documentation, `CREATE PUBLICATION`.
pub const UNLOGGED: &str = "SELECT n.nspname::text AS schema, c.relname::text AS \"table\" \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2";

/// Columns of user tables: `schema text`, `table text`, `column text`, `definition text` (type, `not null`, `generated`,
/// default).
pub const COLUMNS: &str = "SELECT n.nspname::text AS schema, c.relname::text AS \"table\", a.attname::text AS \"column\", \
     format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END \
     || CASE WHEN a.attidentity <> '' THEN ' identity' WHEN a.attgenerated <> '' THEN ' generated' ELSE '' END \
     || COALESCE(' default ' || pg_get_expr(d.adbin, d.adrelid), '') AS definition \
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND a.attnum > 0 AND NOT a.attisdropped \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3";

/// Indexes and constraints of user tables: `schema text`, `table text`, `name text`, `definition text`.
pub const INDEXES_AND_CONSTRAINTS: &str = "SELECT schemaname::text AS schema, tablename::text AS \"table\", indexname::text AS name, \
     indexdef::text AS definition FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema') \
     UNION ALL SELECT n.nspname::text, c.relname::text, k.conname::text, pg_get_constraintdef(k.oid) \
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3, 4";

/// Where the write-ahead log stands, and what has been written: `lsn text`, `next_xid int8` (moves by one with every
/// transaction of the whole cluster that writes), `rows int8` (inserted, updated and deleted in user tables of this
/// database since its statistics were reset; some seconds behind).
pub const MOTION: &str = "SELECT pg_current_wal_lsn()::text AS lsn, txid_snapshot_xmax(txid_current_snapshot())::int8 AS next_xid, \
     (SELECT COALESCE(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int8 FROM pg_stat_user_tables) AS rows";

/// The server's clock: `now float8`, seconds since 1970.
pub const NOW: &str = "SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8 AS now";

/// Rows written by table: `table text` (`schema.table`), `rows int8`, counted as in [`MOTION`].
pub const TABLE_WRITES: &str = "SELECT (schemaname || '.' || relname)::text AS \"table\", (n_tup_ins + n_tup_upd + n_tup_del)::int8 AS rows \
     FROM pg_stat_user_tables ORDER BY 1";

/// The replication slot `$1 text` on the publisher; no row: there is none. `active bool`, `confirmed text` (LSN that the
/// subscriber has confirmed, `0/0` when it never did), `now text` (LSN of the publisher), `behind int8` (bytes between
/// them), `wal_status text` (`reserved`, `extended`, `unreserved`, `lost`).
pub const SLOT: &str = "SELECT active, COALESCE(confirmed_flush_lsn::text, '0/0') AS confirmed, pg_current_wal_lsn()::text AS now, \
     (pg_current_wal_lsn() - COALESCE(confirmed_flush_lsn, '0/0'::pg_lsn))::int8 AS behind, \
     COALESCE(wal_status, '')::text AS wal_status FROM pg_replication_slots WHERE slot_name = $1";

/// The subscription `$1 text` on the subscriber; no row: there is none. `enabled bool`, `working bool` (its apply worker
/// lives), `silent float8` (seconds since the worker heard from the publisher, -1: never), `errors int8` (apply and
/// synchronisation errors since the statistics were reset). PostgreSQL 15 and later.
pub const SUBSCRIPTION: &str = "SELECT s.subenabled AS enabled, w.pid IS NOT NULL AS working, \
     COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - w.last_msg_receipt_time), -1)::float8 AS silent, \
     (COALESCE(e.apply_error_count, 0) + COALESCE(e.sync_error_count, 0))::int8 AS errors \
     FROM pg_subscription s LEFT JOIN pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL \
     LEFT JOIN pg_stat_subscription_stats e ON e.subid = s.oid WHERE s.subname = $1 ORDER BY 2 DESC LIMIT 1";

/// As [`SUBSCRIPTION`], before PostgreSQL 15, which does not count errors: `errors` is -1.
pub const SUBSCRIPTION_BEFORE_15: &str = "SELECT s.subenabled AS enabled, w.pid IS NOT NULL AS working, \
     COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - w.last_msg_receipt_time), -1)::float8 AS silent, (-1)::int8 AS errors \
     FROM pg_subscription s LEFT JOIN pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL \
     WHERE s.subname = $1 ORDER BY 2 DESC LIMIT 1";

/// Tables of the subscription `$1 text`: `table text` (`schema.table`), `state text` (`i` initialise, `d` data is copied,
/// `f` copied, `s` synchronised, `r` ready).
pub const SUBSCRIBED_TABLES: &str = "SELECT (n.nspname || '.' || c.relname)::text AS \"table\", r.srsubstate::text AS state \
     FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid JOIN pg_class c ON c.oid = r.srrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace WHERE s.subname = $1 ORDER BY 1";

/// Tables of the publication `$1 text`: `table text` (`schema.table`).
pub const PUBLISHED_TABLES: &str = "SELECT (schemaname || '.' || tablename)::text AS \"table\" FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1";

/// Sequences: `schema text`, `sequence text`, `increment int8`, `max int8`, and the column that owns it, or three empty
/// texts: `owner_schema text`, `owner_table text`, `owner_column text`.
pub const SEQUENCES: &str = "SELECT n.nspname::text AS schema, c.relname::text AS sequence, q.seqincrement::int8 AS increment, \
     q.seqmax::int8 AS max, COALESCE(tn.nspname::text, '') AS owner_schema, COALESCE(t.relname::text, '') AS owner_table, \
     COALESCE(a.attname::text, '') AS owner_column \
     FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass \
     AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
     LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace \
     LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid \
     WHERE c.relpersistence <> 't' ORDER BY 1, 2";

/// Sets the sequence `$1 text` (a quoted name) to `$2 int8`; `$3 bool`: that value was already given out. One row:
/// `value int8`.
pub const SET_SEQUENCE: &str = "SELECT setval(($1::text)::regclass, $2, $3)::int8 AS value";

/// What the role `$1 text` may do; no row: there is no such role. `login bool` (the role and the database let it in),
/// `limit int8` (its connection limit, -1: none), `database_limit int8`, `superuser bool`, `writable int8` (user tables
/// but `$2 text`, as `schema.table`, in which it may insert, update, delete or truncate, by whatever way), `read_only
/// text` (`default_transaction_read_only` of its next session), `sessions int8` (client sessions that are not ours),
/// `writing int8` (those that have written in the transaction under way), `standby bool`, `older int8` (those that began at
/// `$3 float8` or before, seconds since 1970), `now float8` (as [`NOW`]).
pub const ABILITIES: &str = "SELECT r.rolcanlogin AND d.datallowconn AND has_database_privilege(r.oid, d.oid, 'CONNECT') AS login, \
     r.rolconnlimit::int8 AS \"limit\", d.datconnlimit::int8 AS database_limit, r.rolsuper AS superuser, \
     (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname || '.' || c.relname <> $2 \
     AND (has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE') OR has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE')))::int8 AS writable, \
     COALESCE((SELECT split_part(o, '=', 2) FROM pg_db_role_setting s, unnest(s.setconfig) o \
     WHERE o LIKE 'default_transaction_read_only=%' AND s.setdatabase IN (0, d.oid) AND s.setrole IN (0, r.oid) \
     ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1), \
     (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only'))::text AS read_only, \
     (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.datid = d.oid AND a.backend_type = 'client backend' \
     AND a.application_name <> 'cutover')::int8 AS sessions, \
     (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.datid = d.oid AND a.backend_type = 'client backend' \
     AND a.application_name <> 'cutover' AND a.backend_xid IS NOT NULL)::int8 AS writing, pg_is_in_recovery() AS standby, \
     (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.datid = d.oid AND a.backend_type = 'client backend' \
     AND a.application_name <> 'cutover' AND EXTRACT(EPOCH FROM a.backend_start)::float8 <= $3)::int8 AS older, \
     EXTRACT(EPOCH FROM clock_timestamp())::float8 AS now \
     FROM pg_roles r, pg_database d WHERE r.rolname = $1 AND d.datname = current_database()";

/// Client sessions of this database that are not ours, by role and application: `role text`, `application text`,
/// `sessions int8`, `writing int8` (have written in the transaction under way), `newest float8` (when the last of them began
/// a statement, as [`NOW`]; 0: never).
pub const SESSIONS: &str = "SELECT COALESCE(usename::text, '') AS role, COALESCE(application_name, '')::text AS application, \
     count(*)::int8 AS sessions, count(backend_xid)::int8 AS writing, \
     COALESCE(max(EXTRACT(EPOCH FROM query_start)), 0)::float8 AS newest FROM pg_stat_activity \
     WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'cutover' \
     GROUP BY 1, 2 ORDER BY 1, 2";

/// Ends the client sessions of role `$1 text` that are not ours; `$2 bool`: only those that have written in the
/// transaction under way. One row: `ended int8`.
pub const TERMINATE: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))::int8 AS ended FROM pg_stat_activity \
     WHERE datname = current_database() AND usename = $1 AND backend_type = 'client backend' AND application_name <> 'cutover' \
     AND (NOT $2 OR backend_xid IS NOT NULL)";

/// What role `$1 text` (or `public`) was granted on user tables and on their columns, of what writes: `schema text`,
/// `table text`, `column text` (empty: the whole table), `privilege text` (`INSERT`, `UPDATE`, `DELETE`, `TRUNCATE`),
/// `grantable bool`. A table without a list of grants has the default one: everything for its owner.
pub const GRANTS: &str = "SELECT schema, \"table\", \"column\", privilege, bool_or(grantable) AS grantable FROM ( \
     SELECT n.nspname::text AS schema, c.relname::text AS \"table\", ''::text AS \"column\", x.privilege_type::text AS privilege, \
     x.is_grantable AS grantable, x.grantee FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     CROSS JOIN LATERAL aclexplode(COALESCE(c.relacl, acldefault('r', c.relowner))) x WHERE c.relkind IN ('r', 'p') \
     UNION ALL SELECT n.nspname::text, c.relname::text, a.attname::text, x.privilege_type::text, x.is_grantable, x.grantee \
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     CROSS JOIN LATERAL aclexplode(a.attacl) x WHERE c.relkind IN ('r', 'p') AND NOT a.attisdropped) g \
     LEFT JOIN pg_roles r ON r.oid = g.grantee WHERE COALESCE(r.rolname::text, 'public') = $1 \
     AND privilege IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') AND schema NOT IN ('pg_catalog', 'information_schema') \
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";

/// The connection limit of role `$1 text`: `limit int8`, -1 for none; no row: there is no such role.
pub const LIMIT: &str = "SELECT rolconnlimit::int8 AS \"limit\" FROM pg_roles WHERE rolname = $1";

/// The default of `default_transaction_read_only` that is set for role `$1 text` in this database, or for the whole
/// database when `$1` is empty: `value text`; no row: none is set.
pub const READ_ONLY: &str = "SELECT split_part(o, '=', 2)::text AS value FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase \
     LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) o WHERE d.datname = current_database() \
     AND o LIKE 'default_transaction_read_only=%' AND COALESCE(r.rolname::text, '') = $1";

/// Where a sequence stands: `last_value int8`, `is_called bool` (false: `last_value` itself comes next).
#[must_use]
pub fn sequence(schema: &str, name: &str) -> String {
    format!("SELECT last_value::int8, is_called FROM {}", qualified(schema, name))
}

/// The greatest value of an integer column: `max int8`, null when the table is empty.
#[must_use]
pub fn max_value(schema: &str, table: &str, column: &str) -> String {
    format!("SELECT max({})::int8 AS max FROM {}", quoted(column), qualified(schema, table))
}

/// How many rows a table has: `rows int8`.
#[must_use]
pub fn count(schema: &str, table: &str) -> String {
    format!("SELECT count(*)::int8 AS rows FROM {}", qualified(schema, table))
}

/// Rows and checksum of a table: `rows int8`, `checksum text` (a decimal number). With a `key`, only of the rows whose
/// key is from `$1 int8` up to and without `$2 int8`.
///
/// The checksum is the sum of 60 bits of the MD5 of each row's text: the order of rows does not matter, and neither do
/// hash functions that differ between versions. The columns are named, so their order does not matter either.
#[must_use]
pub fn checksum(schema: &str, table: &str, columns: &[String], key: Option<&str>) -> String {
    let columns: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
    let range = key.map(|key| format!(" WHERE {0} >= $1 AND {0} < $2", quoted(key))).unwrap_or_default();
    format!(
        "SELECT count(*)::int8 AS rows, COALESCE(sum(('x' || substr(md5(ROW({})::text), 1, 15))::bit(60)::int8), 0)::text \
         AS checksum FROM {}{range}",
        columns.join(", "),
        qualified(schema, table)
    )
}

/// Writes the heartbeat `$1 text` into its table (`id int primary key, token text, written_at timestamptz`), of which it
/// is the only row.
#[must_use]
pub fn heartbeat_write(schema: &str, table: &str) -> String {
    format!(
        "INSERT INTO {} (id, token, written_at) VALUES (1, $1, now()) \
         ON CONFLICT (id) DO UPDATE SET token = EXCLUDED.token, written_at = EXCLUDED.written_at",
        qualified(schema, table)
    )
}

/// The heartbeat that has arrived: `token text`, or no row.
#[must_use]
pub fn heartbeat_read(schema: &str, table: &str) -> String {
    format!("SELECT token::text FROM {} WHERE id = 1", qualified(schema, table))
}
