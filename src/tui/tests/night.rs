//! What an operator stumbles over in a night: keys that do nothing, values that are old, rows that are not shown.

use crossterm::event::KeyCode;

use super::desk::Desk;
use crate::{
    run::{Answer, CheckSample, Sample, Target, What},
    tui::{
        fixture::{Fixture, text_of},
        guide::Guide,
        model::Lost,
        pane::Pane,
        ui::Overlay,
    },
};

/// Every size that screens are held at.
const SIZES: [(u16, u16); 3] = [(160, 48), (120, 40), (80, 24)];

#[test]
fn a_dead_engine_is_shown_as_of_when_it_was_heard_and_offers_only_what_starts_it() {
    let mut fixture = Fixture::new("sandbox");
    fixture.up_to_drain();
    let restart = "cutover join 20260308-020000-abcd --role driver";
    let lost = Lost { reason: "no engine runs it".into(), since: fixture.now, restart: Some(restart.into()) };
    let heard = crate::tui::text::time(fixture.now, &jiff::tz::TimeZone::UTC);
    let theme = crate::tui::theme::Theme::new(crate::tui::theme::Depth::Mono, false);
    fixture.ui.guide = fixture.ui.guide.toggled();
    let drawn =
        |fixture: &Fixture, size| text_of(&fixture.draw_at(theme, size, Some(&lost), crate::clock::monotonic()).0);
    for size in SIZES {
        let screen = drawn(&fixture, size);
        assert!(screen.contains(&format!("as of {heard}")) && screen.contains("NO ENGINE"), "{screen}");
        assert!(screen.contains(restart), "{screen}");
        for offered in ["[t]", "[x]", "[R]", "Enter arm", "Enter start ", "h hold", "n note", "R rollback"] {
            assert!(!screen.contains(offered), "{offered}: {screen}");
        }
        assert!(screen.contains("q detach") || screen.contains("q leaves"), "{screen}");
    }
    let before = drawn(&fixture, (120, 40));
    fixture.pass(300);
    assert_eq!(drawn(&fixture, (120, 40)), before, "nothing counts on that nobody has heard of");
}

#[test]
fn keys_for_the_engine_say_that_there_is_none() {
    let mut desk = Desk::new("unfreeze");
    desk.fixture.ui.lost("no engine hears it: `cutover join X --role driver` starts one".into());
    let sent = desk.sent.len();
    for key in ['R', 'h', 'n', 't', 'Q', 's', 'o', 'l', 'u', 'x', ' '] {
        desk.press(KeyCode::Char(key));
        desk.rest(100);
        assert!(desk.fixture.ui.overlay.is_none() && desk.sent.len() == sent, "{key}");
        let said = desk.fixture.ui.toast.take().unwrap().text;
        assert!(said.contains("cutover join X --role driver"), "{key}: {said}");
    }
    desk.fixture.ui.heard();
    desk.press(KeyCode::Char('h'));
    assert!(matches!(desk.fixture.ui.overlay, Some(Overlay::Form(_))));
}

#[test]
fn a_key_that_does_nothing_says_why_and_where_it_would() {
    let mut desk = Desk::new("watch");
    let says = |desk: &mut Desk, key: KeyCode, words: &str| {
        desk.rest(100);
        desk.fixture.ui.toast = None;
        desk.press(key);
        let said = desk.fixture.ui.toast.as_ref().map(|toast| toast.text.clone()).unwrap_or_default();
        assert!(said.contains(words), "{key:?}: {said}");
        for size in SIZES {
            assert!(desk.fixture.text(size).contains(words), "{key:?}: {}", desk.fixture.text(size));
        }
    };
    says(&mut desk, KeyCode::Char('u'), "watch is not; no step is");
    says(&mut desk, KeyCode::Char('l'), "reading the exact change of watch again");
    says(&mut desk, KeyCode::Char(' '), "this step has nothing to tick");
    says(&mut desk, KeyCode::Char('f'), "this is the step that the run is at");
    says(&mut desk, KeyCode::Char('['), "");
    says(&mut desk, KeyCode::Char('l'), "is done: there is no change to read");
    desk.fixture.ui.focus = Pane::Dns;
    says(&mut desk, KeyCode::Char('u'), "u does nothing here, but on a step: Tab leads to it");
    says(&mut desk, KeyCode::Char('-'), "but on graphs: 2 shows them");
    says(&mut desk, KeyCode::Char('/'), "but in the journal: 7 shows it");
    says(&mut desk, KeyCode::Char('Z'), "Z means nothing here: ? shows the keys");
    desk.press(KeyCode::Char('7'));
    says(&mut desk, KeyCode::Char('u'), "1 shows the cockpit, Tab leads to it");
}

#[test]
fn the_footer_offers_only_what_acts() {
    let last = |fixture: &Fixture, size| fixture.text(size).lines().last().unwrap().to_owned();
    for size in SIZES {
        let mut fixture = Fixture::new("sandbox");
        fixture.to("aws-ready");
        assert!(last(&fixture, size).contains("Enter start") && !last(&fixture, size).contains("Space tick"));
        fixture.begin("aws-ready");
        let running = last(&fixture, size);
        assert!(!running.contains("Enter ") && running.contains("Space tick"), "{running}");
        let mut fixture = Fixture::new("sandbox");
        fixture.up_to_drain();
        let running = last(&fixture, size);
        assert!(!running.contains("Enter ") && !running.contains("Space tick"), "{running}");
        fixture.person(What::RollbackStarted { reason: "why".into() });
        assert!(!last(&fixture, size).contains("R rollback"), "it is rolled back already");
    }
}

#[test]
fn steps_that_do_not_fit_are_counted() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-api");
    let total = fixture.snapshot.plan.steps.len();
    for size in [(120, 40), (110, 32), (80, 24)] {
        fixture.ui.focus = Pane::Steps;
        let screen = fixture.text(size);
        let count = |side: &str| {
            let line = screen.lines().find(|line| line.contains(side))?;
            line[..line.find(side)?].split_whitespace().last()?.parse::<usize>().ok()
        };
        let shown = (1..=total).filter(|number| screen.contains(&format!("{number:>3} "))).count();
        let hidden = count(" more above").unwrap_or(0) + count(" more below").unwrap_or(0);
        assert!(shown + hidden >= total && hidden < total, "{hidden} {shown} {screen}");
    }
}

#[test]
fn the_guide_says_in_plain_words_what_is_waited_for() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-api");
    fixture.ui.guide = Guide::Off.toggled();
    for record in ["shop", "api"] {
        fixture.engine(What::ResolverChanged {
            record: record.into(),
            resolver: "office".into(),
            answer: Answer::OldStretched,
        });
    }
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("Wait until all name servers give the same answer; 3 shows them"), "{screen}");
        assert!(!screen.contains("does not hold yet"), "{screen}");
    }
}

#[test]
fn the_header_tells_the_end_of_the_way_back_while_it_is_gone() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("watch");
    assert!(fixture.text((160, 48)).contains("finish ~"));
    fixture.person(What::RollbackStarted { reason: "why".into() });
    for size in SIZES {
        let screen = fixture.text(size);
        let header = screen.lines().next().unwrap();
        assert!(!header.contains("finish") && !header.contains("latest abort"), "{header}");
        assert!(size.0 < 120 || header.contains("back ~"), "{header}");
    }
}

#[test]
fn a_maintenance_that_a_step_has_turned_on_is_no_disaster() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("freeze-writes");
    let checks: Vec<_> = fixture.snapshot.plan.checks.iter().map(|check| check.id.clone()).collect();
    for check in checks {
        for target in [Target::Old, Target::Live] {
            let reason = Some("status 503, wanted 200".to_owned());
            let (id, passing) = (check.clone(), Some(false));
            fixture.engine(What::CheckChanged { check: id, target, passing, reason: reason.clone() });
            fixture.snapshot.telemetry.take(Sample::Check(CheckSample {
                check: check.clone(),
                target,
                at: fixture.now,
                passing: false,
                status: Some(503),
                latency: std::time::Duration::from_millis(40),
                reason,
                certificate_until: None,
                served_by: None,
                wait: None,
            }));
        }
    }
    for size in SIZES {
        let screen = fixture.text(size);
        assert!(screen.contains("12 planned") && screen.contains("maintenance as planned"), "{screen}");
        assert!(!screen.contains("FAILS") && !screen.contains("✘ 503"), "{screen}");
    }
    fixture.ui.view = crate::tui::keymap::View::Checks;
    assert!(fixture.text((120, 40)).contains("old: 503, maintenance as planned"));
    // Nobody turned it on: it is what it looks like.
    let mut fixture = Fixture::new("sandbox");
    fixture.to("drain");
    fixture.checks(Some("home"));
    assert!(!fixture.text((160, 48)).contains("as planned"));
}
