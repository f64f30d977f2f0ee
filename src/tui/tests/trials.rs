//! What people stumbled over in trials, a new one and a tired one.

use std::collections::BTreeMap;

use crossterm::event::KeyCode;

use super::desk::Desk;
use crate::{
    plan::StepId,
    run::{
        Direction, Finding, Observation, Outcome, Phase, Request, Standing, Trouble, TroubleKind, What, typed_words,
    },
    tui::{
        fixture::Fixture,
        form::{About, Form},
        guide::Guide,
        keymap::{CONSENT, View},
        pane::Pane,
        ui::Overlay,
    },
};

/// Every size that screens are held at.
const SIZES: [(u16, u16); 3] = [(160, 48), (120, 40), (80, 24)];

#[test]
fn what_a_gate_asks_for_skips_nothing_when_it_is_typed_before_the_gate_is_open() {
    let steps = Fixture::new("sandbox").snapshot.plan.steps.clone();
    let mut opened = 0;
    for step in &steps {
        let mut desk = Desk::new("switch-shop");
        // The step's own id is what gates ask for that have no better name.
        for word in [typed_words(&desk.fixture.snapshot.plan, step, Direction::Forward), step.id.0.clone()] {
            desk.write(&word, 90);
            opened += usize::from(desk.fixture.ui.overlay.is_some());
            for word in ["", "because", ""] {
                desk.write(word, 90);
                desk.press(KeyCode::Enter);
                desk.rest(90);
            }
            desk.press(KeyCode::Esc);
            desk.rest(3_000);
        }
        assert!(!desk.sent.iter().any(|request| matches!(request, Request::Skip { .. })), "{}", step.id);
    }
    assert!(opened > 0, "some of them open a box by one of their letters");
}

#[test]
fn what_an_undo_costs_is_seen_before_it_is_armed() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-shop");
    fixture.person(What::RollbackStarted { reason: "why".into() });
    let undo = fixture.snapshot.state.next_undo().unwrap().id.clone();
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("being read from the world"), "{screen}");
        assert!(!screen.contains("this step reads only"), "{screen}");
    }
    let mut preview = fixture.undo_of(&undo);
    let words = "public.orders_id_seq is at 40: first run on the old side: SELECT setval('public.orders_id_seq', 52)";
    preview.facts.push(("ids".into(), words.into()));
    fixture.engine(What::Previewed { step: undo, direction: Direction::Back, preview });
    let theme = crate::tui::theme::Theme::new(crate::tui::theme::Depth::Mono, false);
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(fixture.draw(theme, size).1.step.unwrap().whole, "it can always be armed");
        assert!(screen.contains("orders_id_seq', 52)"), "{screen}");
    }
    // Under way it stands as it was sent.
    let id = fixture.snapshot.state.next_undo().unwrap().id.clone();
    fixture.snapshot.state.steps.iter_mut().find(|step| step.id == id).unwrap().phase = Phase::Undoing;
    assert!(!fixture.text((160, 48)).contains("orders_id_seq', 52)"));
}

fn refused(call: &str, reason: &str) -> Trouble {
    Trouble { call: call.into(), reason: reason.into(), kind: TroubleKind::Credentials, next_try: None }
}

#[test]
fn a_config_var_that_has_changed_stands_under_the_header() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-shop");
    let finding = Finding {
        id: "config-values".into(),
        title: "Values of Heroku's config vars".into(),
        standing: Standing::ActionRequired,
        reason: "DATABASE_URL has another value since the session's first look".into(),
        remedy: Some("find out who changed it".into()),
        fingerprints: BTreeMap::from([("DATABASE_URL".into(), "0a1b".into())]),
    };
    fixture.engine(What::FindingChanged { finding, was: Some(Standing::Passed) });
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("CHANGED  DATABASE_URL has another value"), "{screen}");
    }
}

#[test]
fn credentials_that_have_ended_are_one_alarm_that_says_what_renews_them() {
    let mut fixture = Fixture::new("production");
    fixture.to("switch-shop");
    fixture.snapshot.plan.aws.profile = Some("acme".into());
    let ended = "no credentials: the SSO session has expired";
    for (source, call) in [
        ("aws", "aws:credentials"),
        ("cloudwatch", "cloudwatch:GetMetricData"),
        ("ecs", "ecs:DescribeServices"),
        ("route53", "route53:GetHostedZone"),
    ] {
        fixture.engine(What::SourceChanged { source: source.into(), trouble: Some(refused(call, ended)) });
    }
    let (step, trouble) = (StepId::from("switch-shop"), refused("route53:ListResourceRecordSets", ended));
    fixture.engine(What::PreviewFailed { step, direction: Direction::Forward, trouble });
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("CREDENTIALS  ended (no credentials): `aws sso login --profile"), "{screen}");
        assert!(!screen.contains("TROUBLE") && !screen.contains("UNREADABLE"), "{screen}");
    }
    fixture.ui.overlay = Some(Overlay::Alarms(0));
    let all = fixture.text((160, 48));
    assert!(all.contains("cloudwatch:GetMetricData") && all.contains("ecs:DescribeServices"), "{all}");
    // Something else that is refused is an alarm of its own.
    fixture.ui.overlay = None;
    let trouble = Some(refused("heroku:app", "status 401"));
    fixture.engine(What::SourceChanged { source: "heroku".into(), trouble });
    assert!(fixture.text((160, 48)).contains("TROUBLE  heroku:app: status 401"));
}

#[test]
fn text_is_pasted_into_what_takes_any_text() {
    let mut desk = Desk::new("unfreeze");
    desk.press(KeyCode::Char('n'));
    desk.rest(50);
    desk.paste("support says:\n  all is well\n");
    desk.rest(50);
    desk.press(KeyCode::Enter);
    let note = Request::Note { text: "support says: all is well".into() };
    assert!(desk.sent.contains(&note), "{:?}", desk.sent);
}

/// Everything that was changed is undone, last change first.
fn rolled_back() -> Fixture {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-shop");
    fixture.person(What::RollbackStarted { reason: "why".into() });
    while let Some(undo) = fixture.snapshot.state.next_undo().map(|step| step.id.clone()) {
        let (preview, direction) = (fixture.undo_of(&undo), Direction::Back);
        let part = preview.parts[0].clone();
        fixture.engine(What::Previewed { step: undo.clone(), direction, preview });
        let evidence = fixture.snapshot.state.evidence(&undo, direction).unwrap();
        let (gate, level) = (fixture.snapshot.state.gates + 1, crate::plan::GateLevel::Confirm);
        fixture.person(What::Armed { step: undo.clone(), direction, gate, level, evidence });
        fixture.person(What::Consented { second: None });
        fixture.engine(What::Intended {
            step: undo.clone(),
            direction,
            attempt: u32::try_from(fixture.snapshot.state.step(&undo).unwrap().attempts.len()).unwrap() + 1,
            part: 0,
            parts: 1,
            bake: part.bake,
            token: "back".into(),
            change: part.change,
        });
        fixture.end(&undo.0, Outcome::Done { in_sync: Some(fixture.now), summary: "undone".into() });
        fixture.engine(What::Observed { step: undo, observation: Observation::Done });
    }
    fixture.engine(What::RollbackEnded { complete: true });
    fixture
}

#[test]
fn rolled_back_the_next_thing_is_to_end_the_session() {
    let mut fixture = rolled_back();
    let here = fixture.snapshot.state.here().unwrap().id.clone();
    fixture.look(&here.0);
    // Before the run has come here again nothing about the way forward is an alarm.
    let trouble = Trouble { kind: TroubleKind::Unexpected, ..refused("postgres:access", "run sync-sequences first") };
    fixture.engine(What::PreviewFailed { step: here, direction: Direction::Forward, trouble });
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("ROLLED BACK") && !screen.contains("PASSED"), "{screen}");
        assert!(screen.contains("rolled back   [Q] end the session"), "{screen}");
        assert!(screen.lines().last().unwrap().contains("Q end"), "{screen}");
        assert!(!screen.contains("UNREADABLE"), "{screen}");
    }
}

#[test]
fn that_it_is_too_late_for_the_window_stands_in_the_header_at_every_size() {
    let mut fixture = Fixture::new("production");
    fixture.runners(false);
    fixture.look("aws-ready");
    let header = |fixture: &Fixture, size| fixture.text(size).lines().next().unwrap().to_owned();
    assert!(!header(&fixture, (160, 48)).contains("PASSED"));
    fixture.pass(3_600);
    for size in SIZES {
        assert!(header(&fixture, size).contains("latest start") && header(&fixture, size).contains("PASSED"));
    }
    // Once it is over that is what matters, and who drives is there as well.
    fixture.pass(3_600);
    for size in SIZES {
        assert!(header(&fixture, size).contains("window over by"), "{}", header(&fixture, size));
        assert!(header(&fixture, size).contains("you drive"), "{}", header(&fixture, size));
    }
}

#[test]
fn the_help_hides_neither_the_keys_nor_the_guide() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("lower-ttl");
    fixture.ui.guide = Guide::Off.toggled();
    let last = |fixture: &Fixture, size| {
        let screen = fixture.text(size);
        screen.lines().rev().take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    for size in SIZES {
        fixture.ui.overlay = Some(Overlay::Help(0));
        let [why, guide, keys] = last(&fixture, size).try_into().unwrap();
        assert!(
            why.starts_with(" why") && guide.starts_with(" GUIDE") && keys.contains("any other key closes it"),
            "{why} {guide} {keys}"
        );
    }
}

#[test]
fn the_guide_is_told_whole_on_the_narrowest_screen() {
    let plan = Fixture::new("sandbox").snapshot.plan;
    for step in &plan.steps {
        for view in View::ALL {
            let mut fixture = Fixture::new("sandbox");
            fixture.to(&step.id.0);
            fixture.ui.view = view;
            fixture.ui.guide = Guide::Off.toggled();
            let screen = fixture.text((80, 24));
            let lines: Vec<_> = screen.lines().rev().take(2).collect();
            assert!(lines[1].starts_with(" GUIDE  ") && !lines[1].contains('…'), "{screen}");
            // What does not hold says what it has to say.
            let waits = view == View::Cockpit && ["Wait", "Not"].iter().any(|word| lines[1].contains(word));
            assert!(waits || !lines[0].contains('…'), "{screen}");
        }
    }
}

#[test]
fn the_guide_says_what_fits_a_finished_step_a_hold_and_a_drain() {
    let mut fixture = Fixture::new("sandbox");
    fixture.up_to_drain();
    fixture.ui.guide = Guide::Off.toggled();
    [View::Graphs, View::Journal].into_iter().for_each(|view| fixture.ui.guide.saw(view));
    fixture.ui.guide.saw_rollback();
    let guide = |fixture: &Fixture| fixture.text((120, 40)).lines().nth(38).unwrap().trim().to_owned();
    assert!(guide(&fixture).starts_with("GUIDE  Nothing to press: the old answer is forgotten"), "{}", guide(&fixture));
    fixture.ui.pinned = Some(0);
    assert_eq!(guide(&fixture), "GUIDE  f goes to the step that the run is at");
    let mut fixture = Fixture::new("sandbox");
    fixture.to("lower-ttl");
    fixture.ui.guide = Guide::Off.toggled();
    fixture.person(What::HoldRaised { reason: "lunch".into() });
    assert_eq!(guide(&fixture), "GUIDE  The run is held: h releases it");
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("HELD") && !screen.contains("▷ ready"), "{screen}");
        assert!(screen.contains("[h] release it"), "{screen}");
    }
}

#[test]
fn an_armed_gate_says_what_going_back_costs() {
    for (environment, step) in [("sandbox", "switch-shop"), ("sandbox", "unfreeze"), ("production", "switch-shop")] {
        let fixture = super::screens::armed(environment, step);
        for size in SIZES {
            let screen = fixture.text(size);
            let back = screen.lines().any(|line| line.contains("back ") && line.contains(" to Heroku"));
            assert!(back && screen.contains("ARMED"), "{screen}");
        }
    }
}

#[test]
fn graphs_that_do_not_fit_are_counted() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("watch");
    let all = crate::tui::model::graphs(&fixture.snapshot.plan).len();
    for size in SIZES {
        for view in [View::Cockpit, View::Graphs] {
            (fixture.ui.view, fixture.ui.focus) = (view, Pane::Graphs);
            let screen = fixture.text(size);
            let shown = screen.matches("now│").count() + screen.matches("now┤").count();
            let told = (1..all).find(|hidden| screen.contains(&format!("+{hidden} more: ")));
            assert!(told.is_some() || shown == 0 || shown >= all, "{shown} of {all}: {screen}");
        }
    }
}

#[test]
fn a_condition_is_not_offered_to_be_gone_past_where_another_stands() {
    use crate::{
        plan::{Role, Side},
        run::Cell,
    };
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-api");
    fixture.engine(What::ResolverChanged {
        record: "api".into(),
        resolver: "office".into(),
        answer: crate::run::Answer::OldStretched,
    });
    assert!(fixture.text((120, 40)).contains("[o] go past it"));
    for side in [Side::Old, Side::New] {
        fixture.engine(What::RunnerChanged { side, role: Role::Cron, cell: Cell::On });
    }
    let screen = fixture.text((120, 40));
    assert!(screen.contains("TWO RUNNERS") && !screen.contains("[o]"), "{screen}");
}

#[test]
fn a_held_run_and_one_that_is_rolled_back_skip_nothing() {
    let mut desk = Desk::new("switch-api");
    let id: StepId = "switch-api".into();
    let skip = Request::Skip { step: id.clone(), reason: "why not".into() };
    desk.ask(Request::Hold { reason: "phone".into() });
    desk.ask(skip.clone());
    assert_ne!(desk.snapshot().state.step(&id).unwrap().phase, Phase::Skipped);
    desk.press(KeyCode::Char('s'));
    let said = |desk: &Desk| desk.fixture.ui.toast.as_ref().map_or_else(String::new, |toast| toast.text.clone());
    assert!(desk.fixture.ui.overlay.is_none() && said(&desk).contains("h releases it"), "{}", said(&desk));
    desk.ask(Request::Release);
    desk.ask(Request::BeginRollback { reason: "enough".into() });
    desk.rest(1_000);
    desk.press(KeyCode::Char('s'));
    assert!(desk.fixture.ui.overlay.is_none() && said(&desk).contains("rolled back"), "{}", said(&desk));
}

#[test]
fn nobody_types_words_to_end_what_cannot_end_yet() {
    let mut desk = Desk::new("switch-api");
    desk.press(KeyCode::Char('Q'));
    assert!(desk.fixture.ui.overlay.is_some(), "it asks for words");
    desk.press(KeyCode::Esc);
    desk.fixture.begin("switch-api");
    desk.rest(1_000);
    desk.press(KeyCode::Char('Q'));
    let said = desk.fixture.ui.toast.as_ref().map_or_else(String::new, |toast| toast.text.clone());
    assert!(desk.fixture.ui.overlay.is_none(), "{said}");
    assert_eq!(said, "the session cannot end: switch-api is under way; x there stops it");
}

#[test]
fn a_crosshair_stays_with_the_graphs() {
    let mut desk = Desk::new("switch-api");
    desk.press(KeyCode::Char('2'));
    desk.press(KeyCode::Left);
    desk.press(KeyCode::Char('7'));
    assert!(desk.fixture.ui.cross.is_some(), "the journal is read beside them");
    desk.press(KeyCode::Char('1'));
    assert_eq!(desk.fixture.ui.cross, None, "the cockpit shows what is so now");
}

#[test]
fn a_name_that_is_typed_behind_a_refused_enter_is_no_command() {
    // The switch is locked as long as the step before it has not been done.
    let mut desk = Desk::new("lower-ttl");
    let index = desk.snapshot().plan.position(&"switch-shop".into()).unwrap();
    desk.fixture.ui.pinned = Some(index);
    desk.rest(1_000);
    desk.press(KeyCode::Enter);
    desk.rest(200);
    assert!(!desk.armed());
    desk.write("switch shop.example.test", 150);
    assert!(desk.fixture.ui.overlay.is_none(), "a letter of it opened something");
    // Who has paused is heard again.
    desk.rest(2_500);
    desk.press(KeyCode::Char('s'));
    assert!(desk.fixture.ui.overlay.is_some());
}

#[test]
fn a_rollback_begins_where_its_first_undo_is_armed() {
    let mut desk = Desk::new("unfreeze");
    desk.fixture.ui.focus = Pane::Graphs;
    desk.rest(1_000);
    desk.press(KeyCode::Char('R'));
    desk.rest(3_000);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(200);
    assert!(desk.snapshot().state.rollback.is_some());
    assert_eq!(desk.fixture.ui.focus, Pane::Step);
}

#[test]
fn whoever_ends_a_session_is_told_what_stays_as_it_is() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("unfreeze");
    fixture.ui.overlay = Some(Overlay::Form(Form::new(About::End, "acme-shop")));
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("put back") && screen.contains("THE MAINTENANCE"), "{screen}");
    }
}

#[test]
fn an_outage_is_told_in_the_first_line_of_every_screen() {
    let mut fixture = Fixture::new("production");
    fixture.to("unfreeze");
    for size in SIZES {
        let screen = fixture.text(size);
        let header = screen.lines().next().unwrap();
        assert!(header.contains("down ") && header.contains("PRODUCTION"), "{header}");
    }
}

#[test]
fn what_does_not_fit_the_window_any_more_is_said_before_it_is_over() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("lower-ttl");
    assert!(!fixture.text((80, 24)).contains("LATE"));
    fixture.snapshot.plan.window = Some(std::time::Duration::from_secs(1_800));
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("LATE  what is left ends at "), "{screen}");
    }
    fixture.pass(7_200);
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("LATE  the window ended at "), "it does not get better: {screen}");
    }
}

#[test]
fn an_undo_is_never_told_as_what_it_puts_back() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("unfreeze");
    let step = fixture.snapshot.state.steps.iter().find(|step| step.phase == Phase::Done).unwrap().id.clone();
    let verified = format!("undo of {step}:");
    fixture.snapshot.state.log.back_mut().unwrap().what =
        What::Observed { step: step.clone(), observation: Observation::Done };
    assert!(!fixture.text((160, 48)).contains(&verified));
    let at = fixture.now;
    fixture.snapshot.state.log.back_mut().unwrap().at = at;
    let steps = &mut fixture.snapshot.state.steps;
    let attempt = steps.iter_mut().find(|known| known.id == step).unwrap().attempts.last_mut().unwrap();
    (attempt.direction, attempt.started_at) = (Direction::Back, at);
    assert!(fixture.text((160, 48)).contains(&verified), "{}", fixture.text((160, 48)));
}
