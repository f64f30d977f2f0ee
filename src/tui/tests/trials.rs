//! What people stumbled over in trials, a new one and a tired one.

use std::collections::BTreeMap;

use crossterm::event::KeyCode;

use super::desk::Desk;
use crate::{
    plan::StepId,
    run::{Direction, Finding, Request, Standing, Trouble, TroubleKind, What},
    tui::fixture::Fixture,
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
        for word in [step.typed_name(&desk.fixture.snapshot.plan), step.id.0.clone()] {
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
        let whole = fixture.draw(theme, size).1.step.unwrap().whole;
        assert!(screen.contains("orders_id_seq', 52)") || !whole, "it can be armed and is not seen: {screen}");
        assert!(size.0 < 120 || whole, "{screen}");
    }
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
    fixture.ui.overlay = Some(crate::tui::ui::Overlay::Alarms(0));
    let all = fixture.text((160, 48));
    assert!(all.contains("cloudwatch:GetMetricData") && all.contains("ecs:DescribeServices"), "{all}");
    // Something else that is refused is an alarm of its own.
    fixture.ui.overlay = None;
    let trouble = Some(refused("heroku:app", "status 401"));
    fixture.engine(What::SourceChanged { source: "heroku".into(), trouble });
    assert!(fixture.text((160, 48)).contains("TROUBLE  heroku:app: status 401"));
}
