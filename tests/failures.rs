//! What goes wrong in real cutovers, what the cockpit shows of it, and which tests stage it: against the sandbox by the
//! real clients, or against servers that nobody here wrote (`tests/peers`). Every test named here is looked for, so that
//! the list cannot rot.

use std::fs;

/// What goes wrong; what shows it; the tests that stage it, as `FILE::FUNCTION`.
type Failure = (&'static str, &'static str, &'static [&'static str]);

const FAILURES: &[Failure] = &[
    (
        "the TTL is lowered too late",
        "a countdown from INSYNC, and a switch that is locked until it ends; a plan without a drain is refused",
        &[
            "tests/cockpit/failures.rs::a_ttl_lowered_too_late_locks_the_switch",
            "tests/cockpit/failures.rs::route_53_is_busy_and_slow",
            "src/steps/tests/readers.rs::a_drain_waits_out_the_ttl_and_then_for_the_resolvers",
            "tests/crash/troubles.rs::a_clock_set_back_by_an_hour_neither_stops_a_drain_nor_shortens_it",
        ],
    ),
    (
        "resolvers stretch a TTL, or serve what is stale",
        "answer and remaining TTL of each resolver; a switch that is locked; requests that still reach the old side",
        &[
            "tests/cockpit/failures.rs::resolvers_stretch_the_ttl",
            "tests/cockpit/failures.rs::resolvers_serve_stale_answers",
            "tests/watch.rs::a_calm_world_is_seen_as_it_is_and_a_switch_where_it_is_served",
            "tests/peers/cutover/main.rs::a_cutover_on_foreign_servers_loses_no_row_doubles_none_and_goes_back_to_the_letter",
        ],
    ),
    (
        "a resolver never answers, or half of them do not, or one answers for a record and not for another",
        "silent, and told how many answer for which record; half of them silent is blind, before the window and within it",
        &[
            "src/preflight/tests/stage.rs::the_sandbox_passes_in_all_findings_and_a_quiet_look_in_those_that_stay",
            "src/preflight/tests/stage.rs::each_finding_can_fail_and_says_why_and_what_to_do",
            "src/steps/tests/readers.rs::resolvers_that_nobody_asked_do_not_agree",
        ],
    ),
    (
        "a chain of names is as slow as its longest TTL",
        "the TTL of every hop, and the longest",
        &[
            "tests/cockpit/failures.rs::a_chain_is_as_slow_as_its_longest_ttl",
            "src/world/dns/tests.rs::every_hop_of_the_chain_keeps_its_ttl_and_strangers_are_left_out",
        ],
    ),
    (
        "that a name is missing is remembered",
        "a negative answer and for how long it is remembered; a name is changed in one batch and never gone",
        &[
            "tests/cockpit/failures.rs::a_missing_name_is_remembered",
            "src/world/dns/tests.rs::a_negative_answer_tells_how_long_it_is_remembered",
            "src/sandbox/aws/tests.rs::a_batch_is_atomic_and_a_simple_set_can_become_weighted_in_one",
        ],
    ),
    (
        "the apex has no way back, an alias no TTL, weighted siblings two TTLs",
        "the plan is refused with its place; a zone that differs from the plan is a finding of the preflight",
        &[
            "src/plan/tests/bad.rs::all_errors_are_told_at_once_and_in_the_order_of_the_file",
            "src/preflight/tests/stage.rs::each_finding_can_fail_and_says_why_and_what_to_do",
        ],
    ),
    (
        "an address of the other family stays beside the one that moves",
        "neither side at the authority; a finding of the preflight",
        &[
            "tests/cockpit/failures.rs::a_stray_address_of_the_other_family",
            "src/preflight/tests/stage.rs::each_finding_can_fail_and_says_why_and_what_to_do",
        ],
    ),
    (
        "connections and late answers stay on the old side",
        "requests of both sides beside each other; the old web is not stopped before it is silent",
        &[
            "tests/cockpit/failures.rs::connections_stay_on_the_old_side",
            "src/run/tests/lasting.rs::the_old_side_is_scaled_down_only_after_its_silence",
        ],
    ),
    (
        "maintenance mode leaves workers and Scheduler running",
        "web off and worker on in the matrix; Scheduler is a finding until a person ticks it off",
        &[
            "tests/cockpit/failures.rs::maintenance_mode_leaves_workers_running",
            "src/preflight/tests/stage.rs::each_finding_can_fail_and_says_why_and_what_to_do",
        ],
    ),
    (
        "both sides run one queue, or cron twice, or nobody runs them",
        "TWO RUNNERS, NO RUNNER, STRAY at once; what would lead there is locked by the interlock",
        &[
            "tests/cockpit/failures.rs::both_sides_would_run_one_queue",
            "tests/cockpit/outside.rs::a_runner_that_somebody_starts_again_holds_the_run_at_once",
        ],
    ),
    (
        "sequences are not carried along",
        "writes are not opened while a sequence is behind its table",
        &[
            "tests/cockpit/failures.rs::sequences_were_forgotten",
            "tests/peers/postgres/main.rs::a_cutover_under_load_loses_no_row_doubles_none_and_goes_back_to_the_letter",
        ],
    ),
    (
        "a lag of nothing while replication is dead",
        "the subscription's trouble, and a lag that is blind",
        &[
            "tests/cockpit/bad_input.rs::what_tells_nothing_any_more_is_blind_and_replication_that_stands_still_is_trouble",
            "tests/peers/postgres/faults.rs::a_lag_of_nothing_turns_blind_when_replication_dies_quietly",
            "tests/peers/postgres/faults.rs::a_stalled_apply_is_told_from_a_lag_and_passes_when_it_is_mended",
        ],
    ),
    (
        "DDL is not replicated",
        "the schemas' differences, before the window and in the comparison",
        &[
            "tests/peers/postgres/main.rs::facts_tell_what_a_preflight_must_know",
            "tests/peers/postgres/main.rs::a_comparison_tells_what_differs",
        ],
    ),
    (
        "the freeze leaks",
        "who writes on, and where; nothing goes forward",
        &[
            "tests/cockpit/outside.rs::a_runner_that_somebody_starts_again_holds_the_run_at_once",
            "tests/watch.rs::who_writes_on_after_a_freeze_of_others_is_named",
            "tests/peers/postgres/faults.rs::a_freeze_that_leaks_names_who_still_writes_and_where",
        ],
    ),
    (
        "the old database refuses logical replication, has tables without keys, or extensions that RDS lacks",
        "findings of the preflight",
        &[
            "tests/peers/postgres/main.rs::facts_tell_what_a_preflight_must_know",
            "src/preflight/tests/stage.rs::each_finding_can_fail_and_says_why_and_what_to_do",
        ],
    ),
    (
        "`DATABASE_URL` changes by itself",
        "a finding that names it, an event; never the value",
        &[
            "src/preflight/tests/session.rs::whatever_somebody_changes_during_the_session_becomes_an_event_and_so_does_its_end",
            "tests/cockpit/outside.rs::a_finding_that_changes_is_an_event_on_the_screen_and_a_session_that_was_cut_is_found_out",
        ],
    ),
    (
        "somebody deploys on Heroku, or changes anything else that was found right, during the window",
        "CHANGED with the release that it was and is; an event for each finding, and another when it is put right",
        &[
            "src/preflight/tests/session.rs::whatever_somebody_changes_during_the_session_becomes_an_event_and_so_does_its_end",
            "tests/cockpit/outside.rs::a_finding_that_changes_is_an_event_on_the_screen_and_a_session_that_was_cut_is_found_out",
        ],
    ),
    (
        "large objects and unlogged tables are not replicated",
        "a finding of the preflight with their number or their names, unless a person moves them by a step of the plan",
        &[
            "tests/peers/postgres/main.rs::facts_tell_what_a_preflight_must_know",
            "src/preflight/tests/stage.rs::each_finding_can_fail_and_says_why_and_what_to_do",
        ],
    ),
    (
        "Route 53 throttles, is still busy with another change, or takes minutes",
        "the refusal by its name, nothing sent again by itself; PENDING until it is INSYNC",
        &[
            "tests/cockpit/failures.rs::route_53_is_busy_and_slow",
            "src/steps/tests/doubt.rs::a_throttled_change_had_no_effect",
            "tests/cockpit/bad_input.rs::an_act_that_is_turned_away_is_not_repeated_by_itself_and_is_done_once",
        ],
    ),
    (
        "credentials end inside the window",
        "EXPIRES, a finding of the preflight, and always their end against that of the window and the way back",
        &["tests/cockpit/failures.rs::credentials_end_inside_the_window"],
    ),
    (
        "CloudWatch is late, or says nothing",
        "the age of the newest datum; blind, and not green",
        &[
            "tests/cockpit/bad_input.rs::what_tells_nothing_any_more_is_blind_and_replication_that_stands_still_is_trouble",
            "tests/watch.rs::what_cannot_be_read_turns_blind_and_unknown_and_comes_back",
        ],
    ),
    (
        "the old side's certificate ends",
        "EXPIRES, its date beside the price of going back, and on the checks view the end of every host's on both sides",
        &["tests/cockpit/failures.rs::the_old_certificate_ends_before_the_window"],
    ),
    (
        "a failed switch leaves the old database read-only",
        "no writer on either side in the matrix, and the undo of the freeze two keys away",
        &[
            "tests/cockpit/failures.rs::a_failed_switch_leaves_the_old_database_frozen",
            "tests/peers/postgres/main.rs::the_undo_of_a_read_only_database_works_for_a_role_that_is_read_only_itself",
        ],
    ),
    (
        "the connection is lost in the middle of a freeze or of a switchover",
        "in doubt, observed, and not repeated",
        &[
            "tests/peers/postgres/faults.rs::a_connection_lost_in_a_freeze_is_in_doubt_observed_and_not_repeated",
            "src/steps/tests/rds.rs::lost_answers_are_observed_to_their_end_and_nothing_is_sent_twice",
            "tests/crash/everywhere.rs::cut_at_every_event_and_around_every_call_each_act_happens_once",
        ],
    ),
];

#[test]
fn every_failure_is_staged_by_tests_that_exist() {
    let named = || FAILURES.iter().flat_map(|(_, _, tests)| *tests);
    let missing: Vec<_> = named().filter(|test| !is_there(test)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    let untold = FAILURES.iter().filter(|(what, shown, tests)| what.is_empty() || shown.is_empty() || tests.is_empty());
    assert_eq!(untold.count(), 0);
}

/// A test, or a part of one that is called in its file.
fn is_there(test: &str) -> bool {
    let Some((file, function)) = test.split_once("::") else { return false };
    let Ok(text) = fs::read_to_string(file) else { return false };
    let Some(before) = text.split(&format!("fn {function}(")).next().filter(|before| before.len() < text.len()) else {
        return false;
    };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    let called = text.matches(&format!("{function}(")).count() > 1;
    attributes.contains("#[test]") || attributes.contains("#[tokio::test") || called
}
