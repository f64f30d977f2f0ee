//! Every screen at every size, with a fixed clock.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    plan::StepId,
    run::{Answer, Direction, Finding, Standing, What},
    tui::{
        fixture::{Fixture, text_of},
        form::{About, Decision, Form, Question},
        gate::{Latch, Wants},
        guide::Guide,
        keymap::{CONSENT, View},
        model::{Lost, Scene},
        pane::{self, Pane},
        sift::Kinds,
        theme::{Depth, Theme},
        ui::Overlay,
    },
};

const SIZES: [(u16, u16); 3] = [(160, 48), (120, 40), (80, 24)];

pub(super) fn snapshot(name: &str, fixture: &Fixture) {
    for size in SIZES {
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), fixture.text(size));
    }
}

fn draining() -> Fixture {
    let mut fixture = Fixture::new("sandbox");
    fixture.up_to_drain();
    fixture.pass(600);
    fixture.answers(Answer::Old);
    fixture.measure();
    fixture
}

fn breached() -> Fixture {
    let mut fixture = Fixture::new("staging");
    fixture.to("watch");
    fixture.answers(Answer::New);
    fixture.measure();
    fixture.breach();
    fixture.checks(Some("cart"));
    fixture
}

pub(super) fn armed(environment: &str, step: &str) -> Fixture {
    let mut fixture = Fixture::new(environment);
    fixture.to(step);
    fixture.agree();
    fixture.arm(step);
    let snapshot = &fixture.snapshot;
    fixture.ui.gate.follow(&snapshot.plan, &snapshot.state, &snapshot.you, Duration::ZERO);
    fixture
}

#[test]
fn the_start_says_what_to_do() {
    let mut fixture = Fixture::new("sandbox");
    fixture.runners(false);
    fixture.look("aws-ready");
    snapshot("start", &fixture);
}

#[test]
fn items_of_a_manual_step_are_ticked_in_its_pane() {
    let mut fixture = Fixture::new("production");
    fixture.look("aws-ready");
    fixture.begin("aws-ready");
    fixture.person(What::Ticked { step: "aws-ready".into(), item: 0, done: true });
    fixture.ui.item = 1;
    snapshot("manual", &fixture);
}

#[test]
fn a_drain_counts_down() {
    snapshot("drain", &draining());
}

#[test]
fn every_view_has_its_screen() {
    let mut fixture = draining();
    for view in &View::ALL[1..] {
        fixture.ui.view = *view;
        snapshot(&format!("view_{}", view.title()), &fixture);
    }
}

#[test]
fn what_the_preflight_finds_fault_with_stands_above_the_checklist() {
    let mut fixture = draining();
    let finding = |id: &str, title: &str, standing, reason: &str| Finding {
        id: id.into(),
        title: title.into(),
        standing,
        reason: reason.into(),
        remedy: Some("log in anew, or take a role with longer sessions".into()),
        fingerprints: BTreeMap::new(),
    };
    let early = "they expire at 2026-03-08 03:10Z, before the window and the way back are over";
    let mut findings = vec![
        finding("identity", "AWS identity", Standing::Passed, "arn:aws:iam::123456789012:user/ann"),
        finding("credentials", "AWS credentials last", Standing::Passed, "until 2026-03-08 11:00Z"),
        finding("logs:/ecs/acme-web", "Log group /ecs/acme-web", Standing::Unknown, "no answer in 20 s"),
    ];
    fixture.engine(What::PreflightTaken { findings: findings.clone() });
    findings[1] = finding("credentials", "AWS credentials last", Standing::ActionRequired, early);
    fixture.engine(What::FindingChanged { finding: findings[1].clone(), was: Some(Standing::Passed) });
    fixture.ui.view = View::Checklist;
    snapshot("preflight", &fixture);
}

#[test]
fn graphs_are_read_along_one_line() {
    let mut fixture = breached();
    fixture.ui.view = View::Graphs;
    fixture.ui.range = 1;
    fixture.ui.cross = Some("2026-03-08T02:41:00Z".parse().unwrap());
    fixture.ui.graph = 4;
    snapshot("crosshair", &fixture);
    fixture.ui.zoom = true;
    fixture.ui.graph = 0;
    snapshot("one_graph", &fixture);
}

#[test]
fn the_timeline_lays_the_rehearsal_beside_the_plan() {
    let mut fixture = Fixture::rehearsed("production");
    fixture.to("switch-shop");
    fixture.answers(Answer::Old);
    fixture.pass(240);
    fixture.ui.view = View::Timeline;
    snapshot("timeline_rehearsed", &fixture);
}

#[test]
fn the_journal_is_sifted_by_kind_and_words() {
    let mut fixture = breached();
    fixture.ui.view = View::Journal;
    fixture.ui.kinds = Kinds::Trouble;
    fixture.ui.scroll = 1;
    snapshot("journal_trouble", &fixture);
    fixture.ui.kinds = Kinds::Acts;
    fixture.ui.search = "no such words".into();
    snapshot("journal_nothing", &fixture);
}

#[test]
fn what_has_the_focus_is_shown_without_borders() {
    let mut fixture = armed("production", "switch-shop");
    fixture.ui.overlay = Some(Overlay::Plain(0));
    snapshot("plain_step", &fixture);
    let tz = jiff::tz::TimeZone::UTC;
    let text = |fixture: &Fixture| {
        let times = (fixture.now, crate::clock::monotonic());
        let theme = Theme::new(Depth::True, false);
        pane::value(&Scene::new(&fixture.snapshot, &fixture.ui, (theme, &tz), times, None))
    };
    let step = text(&fixture);
    assert!(step.contains("ALIAS alb-1") && !step.contains('║') && !step.contains("[Enter]"), "{step}");
    fixture.ui.focus = Pane::Graphs;
    fixture.measure();
    assert!(text(&fixture).lines().any(|line| line.contains("ms")), "{}", text(&fixture));
    fixture.ui.view = View::Journal;
    assert_eq!(text(&fixture).lines().count(), 1);
}

#[test]
fn the_guide_says_what_to_do_next_and_why() {
    let mut fixture = Fixture::new("sandbox");
    fixture.runners(false);
    fixture.look("aws-ready");
    fixture.ui.guide = Guide::Offered;
    snapshot("guide_offered", &fixture);
    let mut fixture = draining();
    fixture.ui.guide = Guide::Off.toggled();
    snapshot("guide_running", &fixture);
    let mut fixture = armed("sandbox", "switch-shop");
    fixture.ui.guide = Guide::Off.toggled();
    let text = fixture.text((120, 40));
    assert!(text.contains("GUIDE  Look at the change, then type switch shop.example.test and Enter"), "{text}");
    let (_, painted) = fixture.draw(Theme::new(Depth::Mono, false), (80, 24));
    assert!(painted.gate.is_some(), "the guide leaves room for the gate");
    // With too little room it is silent rather than in the way.
    assert!(!fixture.text((80, 21)).contains("GUIDE"));
}

#[test]
fn an_armed_gate_shows_what_it_wants() {
    snapshot("armed_type", &armed("sandbox", "switch-shop"));
    snapshot("armed_confirm", &armed("sandbox", "unfreeze"));
    snapshot("armed_two", &armed("production", "switch-shop"));
}

#[test]
fn a_staged_switch_shows_all_its_parts() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-api");
    snapshot("staged", &fixture);
    let (_, painted) = fixture.draw(Theme::new(Depth::Mono, false), (120, 40));
    assert!(painted.step.unwrap().whole);
}

#[test]
fn going_back_says_that_it_ends_what_only_reads() {
    let mut fixture = draining();
    let latch = Latch::new(Wants::Key(CONSENT), Duration::ZERO);
    let about = Decision::Rollback("decided by ann".into());
    fixture.ui.overlay = Some(Overlay::Question(Question { about, latch, scroll: 0 }));
    for size in [(160, 48), (120, 40), (80, 24)] {
        let (buffer, _) = fixture.draw(Theme::new(Depth::Mono, false), size);
        let text = text_of(&buffer);
        assert!(text.contains("drain only reads, and e stops it"), "{text}");
    }
}

#[test]
fn a_breach_proposes_the_way_back_with_its_price() {
    let mut fixture = breached();
    snapshot("breach", &fixture);
    let latch = Latch::new(Wants::Key(CONSENT), Duration::ZERO);
    let about = Decision::Rollback("guardrail breach: 5xx on AWS".into());
    fixture.ui.overlay = Some(Overlay::Question(Question { about, latch, scroll: 0 }));
    snapshot("rollback_asked", &fixture);
    fixture.ui.overlay = None;
    fixture.person(What::RollbackStarted { reason: "guardrail breach: 5xx on AWS".into() });
    let undo = fixture.snapshot.state.next_undo().unwrap().id.clone();
    let parts = fixture.undo_of(&undo);
    fixture.engine(What::Previewed { step: undo, direction: Direction::Back, preview: parts });
    snapshot("rolling_back", &fixture);
}

#[test]
fn doubt_says_what_is_not_known() {
    let mut fixture = Fixture::new("sandbox");
    fixture.doubt();
    snapshot("doubt", &fixture);
}

#[test]
fn a_lost_engine_and_stale_data_are_not_green() {
    let mut fixture = draining();
    fixture.pass(1_000);
    for size in SIZES {
        let lost = &Lost { reason: "the engine closed the connection".into(), since: fixture.now, restart: None };
        let (buf, _) = fixture.draw_at(Theme::new(Depth::Mono, false), size, Some(lost), crate::clock::monotonic());
        insta::assert_snapshot!(format!("lost_{}x{}", size.0, size.1), text_of(&buf));
    }
}

#[test]
fn help_and_forms_lie_over_the_screen() {
    let mut fixture = draining();
    fixture.ui.focus = Pane::Dns;
    fixture.ui.overlay = Some(Overlay::Help(0));
    snapshot("help", &fixture);
    let step = StepId::from("drain");
    fixture.ui.overlay = Some(Overlay::Form(Form::new(About::Skip(step), "")));
    snapshot("skip_asked", &fixture);
}

#[test]
fn each_pane_fills_the_screen_when_zoomed() {
    let mut fixture = breached();
    fixture.ui.zoom = true;
    for pane in Pane::ALL {
        fixture.ui.focus = pane;
        let name = format!("zoom_{pane:?}").to_lowercase();
        insta::assert_snapshot!(name, fixture.text((100, 30)));
    }
}

#[test]
fn a_small_terminal_gets_what_nobody_may_overlook_and_a_sentence() {
    let (fixture, breached) = (draining(), breached());
    for size in [(60, 15), (20, 5)] {
        insta::assert_snapshot!(format!("small_{}x{}", size.0, size.1), fixture.text(size));
        insta::assert_snapshot!(format!("small_breach_{}x{}", size.0, size.1), breached.text(size));
    }
}

#[test]
fn ascii_screens_are_ascii_and_every_size_is_drawn() {
    let mut fixture = breached();
    for view in View::ALL {
        fixture.ui.view = view;
        for size in [(160, 48), (120, 40), (80, 24), (300, 100), (72, 20), (60, 15), (20, 5), (1, 1)] {
            let (buf, _) = fixture.draw(Theme::new(Depth::Ansi16, true), size);
            let text = text_of(&buf);
            assert!(text.is_ascii(), "{view:?} at {size:?}:\n{text}");
        }
    }
    fixture.ui.view = View::Cockpit;
    let (buf, _) = fixture.draw(Theme::new(Depth::Ansi16, true), (120, 40));
    insta::assert_snapshot!("ascii_120x40", text_of(&buf));
}

#[test]
fn what_comes_from_outside_cannot_move_the_cursor() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-shop");
    fixture.person(What::Noted { text: "\u{1b}[2J\u{202e}evil\u{9b}31m".into() });
    let (buf, _) = fixture.draw(Theme::new(Depth::True, false), (160, 48));
    let hostile = |c: char| c.is_control() || c == '\u{202e}';
    assert!(buf.content().iter().all(|cell| !cell.symbol().chars().any(hostile)));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Resized at any time: whatever is shown, at any size, nothing panics and nothing is written outside.
    #[test]
    fn any_screen_is_drawn_at_any_size(
        width in 1u16..=300, height in 1u16..=100, view in 0usize..7, focus in 0usize..9,
        zoom: bool, over in 0usize..5, scroll in 0usize..400, range in 0usize..7, ascii: bool, note in "\\PC{0,40}",
    ) {
        let mut fixture = breached();
        fixture.person(What::Noted { text: note });
        let ui = &mut fixture.ui;
        (ui.view, ui.focus, ui.zoom) = (View::ALL[view], Pane::ALL[focus], zoom);
        (ui.scroll, ui.graph, ui.range) = (scroll, scroll % 11, range);
        ui.cross = (scroll % 2 == 0).then_some(fixture.now);
        ui.overlay = match over {
            1 => Some(Overlay::Help(scroll)),
            2 => Some(Overlay::Plain(scroll)),
            3 => Some(Overlay::Form(Form::new(About::Note, ""))),
            4 => {
                let latch = Latch::new(Wants::Key(CONSENT), Duration::ZERO);
                Some(Overlay::Question(Question { about: Decision::Rollback("because".into()), latch, scroll: 0 }))
            }
            _ => None,
        };
        let (buf, _) = fixture.draw(Theme::new(Depth::Ansi256, ascii), (width, height));
        proptest::prop_assert_eq!((buf.area.width, buf.area.height), (width, height));
    }
}
