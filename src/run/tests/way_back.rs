use super::{
    at,
    decide::{self, Table, part, stages, switch_only},
    fresh, plan,
    price::done,
    price::lowered,
    price::switched,
    records, set,
};
use crate::{
    plan::Alias,
    run::{
        Change, Direction, Observation, Phase, Position, Preview, Report, Request, Session, State, by_hand,
        rollback_script, shell_command,
    },
};

fn session(state: &mut State) {
    state.seq = 42;
    state.at = Some(at(600));
    state.session = Some(Session {
        id: "20260101-000000-abcd".into(),
        plan: "acme".into(),
        environment: "sandbox".into(),
        plan_hash: "hash".into(),
        started_at: at(0),
        dwell: std::time::Duration::ZERO,
        patience: std::time::Duration::ZERO,
        engines: 1,
        engine: None,
    });
}

#[test]
fn the_way_back_reads_from_the_last_change_to_the_first() {
    let mut plan = plan();
    plan.aws.profile = Some("acme production".into());
    plan.aws.account = Some("123456789012".into());
    plan.steps[0].title = "Lower it\nrm -rf /".into();
    let mut state = fresh(&plan);
    session(&mut state);
    done(&mut state, "lower", &[(lowered(), 0)], 20);
    let scaled = Change::Service { cluster: "c".into(), service: "worker".into(), from: 1, to: 2 };
    done(&mut state, "scale", &[(scaled, 0)], 20);
    done(&mut state, "switch", &switched(), 90);
    insta::assert_snapshot!(rollback_script(&plan, &state));
}

#[test]
fn what_was_written_on_the_new_side_is_said_to_stay_there() {
    let plan = plan();
    let mut state = fresh(&plan);
    session(&mut state);
    done(&mut state, "lower", &[(lowered(), 0)], 20);
    assert!(!rollback_script(&plan, &state).contains("was opened at"));
    done(&mut state, "switch", &switched(), 90);
    let script = rollback_script(&plan, &state);
    assert!(script.contains("AWS was opened at") && script.contains("is not brought back"), "{script}");
}

#[test]
fn what_is_in_doubt_may_be_refused_and_only_what_is_seen_to_be_done_is_undone() {
    let plan = plan();
    let mut state = fresh(&plan);
    session(&mut state);
    let command = Change::Command {
        argv: vec!["touch".into(), "/tmp/a b".into()],
        observe: Some(vec!["test".into(), "-e".into(), "/tmp/a b".into()]),
        undo: Some(vec!["rm".into(), "/tmp/a b".into()]),
        undoing: false,
    };
    done(&mut state, "scale", &[(command, 0)], 20);
    done(&mut state, "switch", &switched(), 90);
    for step in &mut state.steps[1..3] {
        step.phase = Phase::InDoubt;
        step.reason = Some("its answer\nwas lost".into());
    }
    insta::assert_snapshot!(rollback_script(&plan, &state));
}

/// The assignment is run by bash, as whoever runs the script does it.
#[test]
fn a_password_arrives_as_it_is_whatever_it_contains() {
    let mut plan = plan();
    let database = |env: &str| crate::plan::Database {
        address: crate::plan::DatabaseAddress::Parts {
            host: "db.test".into(),
            port: 5432,
            name: "shop".into(),
            user: "o'hara".into(),
            password_env: Some(env.into()),
        },
        sslmode: crate::plan::SslMode::Require,
        ca_file: None,
        writers: Vec::new(),
    };
    plan.databases = Some(crate::plan::Databases {
        old: database("OLD_PASSWORD"),
        new: database("NEW_PASSWORD"),
        publication: "p".into(),
        slot: "s".into(),
        subscription: "s".into(),
        heartbeat: None,
    });
    let script = rollback_script(&plan, &fresh(&plan));
    let name = crate::run::by_hand::database_variable(crate::plan::Side::Old);
    let kept = |line: &&str| line.starts_with("quoted()") || line.starts_with(&format!("{name}="));
    let lines: Vec<_> = script.lines().filter(kept).collect();
    assert_eq!(lines.len(), 2, "{script}");
    for password in ["plain", "it's", r"back\slash", r"\'", "a b$HOME`id`\"", "'; rm -rf /; '"] {
        let shown = format!("set -eu\n{}\nprintf %s \"${name}\"", lines.join("\n"));
        let output = std::process::Command::new("bash").args(["-c", &shown]).env("OLD_PASSWORD", password).output();
        let output = output.unwrap();
        let wanted = password.replace('\\', r"\\").replace('\'', r"\'");
        let wanted =
            format!("host='db.test' port=5432 dbname='shop' user='o\\'hara' sslmode=require password='{wanted}'");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn nothing_to_put_back_is_said_and_the_point_of_no_return_bars_the_way() {
    let plan = plan();
    let mut state = fresh(&plan);
    assert!(rollback_script(&plan, &state).ends_with("there is nothing to put back'\n"));
    done(&mut state, "farewell", &[], 1);
    assert!(rollback_script(&plan, &state).contains("exit 1\nfi"));
}

#[test]
fn a_sequence_is_set_back_only_from_where_it_was_put() {
    let at = |value, called| [("public.o'rders_seq".to_owned(), Position { value, called })].into();
    let hand = by_hand(&Change::Sequences { from: at(600, true), to: at(1, false) }).unwrap();
    let words = r#"SELECT setval('"public"."o''rders_seq"', 1, false) FROM "public"."o'rders_seq" WHERE last_value = 600 AND is_called;"#;
    assert!(hand.act.contains(&shell_command(&[words])), "{}", hand.act);
    let plan = plan();
    let mut state = fresh(&plan);
    done(&mut state, "scale", &[(Change::Sequences { from: at(1, false), to: at(600, true) }, 0)], 5);
    let script = rollback_script(&plan, &state);
    assert!(script.contains(&hand.act) && script.contains("has given out values since then stays"), "{script}");
}

#[test]
fn an_alias_is_put_back_as_route_53_takes_it() {
    let alias = Alias { target: "alb.test.".into(), zone_id: "Z35".into(), evaluate_health: false };
    let moved = crate::plan::RecordSet { ttl: None, values: Vec::new(), alias: Some(alias), ..set(60, "x.") };
    let hand = by_hand(&records(&[set(60, "old.")], &[moved])).unwrap();
    assert!(
        hand.act.contains(r#""AliasTarget":{"DNSName":"alb.test.","EvaluateTargetHealth":false,"HostedZoneId":"Z35"}"#)
    );
    assert!(!hand.act.contains("TTL"), "{}", hand.act);
}

#[test]
fn rolled_back_nothing_begins_anew_until_somebody_turns_forward() {
    let mut table = Table::new(switch_only());
    table.start("switch", Direction::Forward, &stages()[1..]);
    table.end("switch", decide::done());
    table.observe("switch", 1, Observation::Done).unwrap();
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    table.start("switch", Direction::Back, &[part(records(&[set(60, "new.")], &[set(60, "old.")]), 0)]);
    table.end("switch", decide::done());
    table.observe("switch", 2, Observation::Done).unwrap();
    assert!(table.state.rolled_back);
    let preview = Preview { parts: stages()[1..].to_vec(), facts: Vec::new() };
    table.report(Report::Previewed { step: "switch".into(), direction: Direction::Forward, result: Ok(preview) });
    let seen = table.state.evidence(&"switch".into(), Direction::Forward).unwrap();
    let arm = || Request::Arm { step: "switch".into(), direction: Direction::Forward, seen: seen.clone() };
    let refusal = table.ask(arm()).unwrap_err();
    assert!(refusal.0.contains("F turns forward again"), "{}", refusal.0);
    table.ask(Request::EndRollback).unwrap();
    table.now += 100;
    table.ask(arm()).unwrap();
}
