//! What a tired person at 3 a.m. must not be told wrongly, and must be able to see whole.

use std::time::Duration;

use crossterm::event::KeyCode;
use jiff::SignedDuration;

use super::desk::Desk;
use crate::{
    plan::Side,
    run::{
        Access, Answer, Change, Datum, Direction, HoldKind, Operator, Part, Preview, Request, Sample, Seat, Trouble,
        TroubleKind, What, holds, misplaced,
    },
    tui::{
        fixture::Fixture,
        form::Decision,
        guide::Guide,
        keymap::{CONSENT, View},
        pane::Pane,
        ui::{Overlay, Painted},
    },
};

/// What the screen shows after its painting has told how far it can be scrolled.
fn shown(desk: &mut Desk, size: (u16, u16)) -> String {
    let (_, painted) = desk.fixture.draw(crate::tui::theme::Theme::new(crate::tui::theme::Depth::Mono, false), size);
    desk.fixture.ui.painted(painted, desk.at);
    desk.fixture.text(size)
}

#[test]
fn a_freeze_that_leaks_is_never_said_to_hold() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("start-workers");
    assert_eq!(misplaced(&fixture.snapshot.plan, &fixture.snapshot.state, fixture.now), []);
    assert!(fixture.text((160, 48)).contains("✔ in order"));
    let who = Some("reports (metabase) writes to public.orders".to_owned());
    fixture.engine(What::LeakChanged { side: Side::Old, who });
    for size in [(160, 48), (120, 40), (80, 24)] {
        let screen = fixture.text(size);
        assert!(!screen.contains("holds"), "{screen}");
        assert!(screen.contains("Heroku LEAKS"), "{screen}");
        assert!(screen.contains("STRAY") && screen.contains("reports (metabase)"), "{screen}");
    }
    (fixture.ui.focus, fixture.ui.zoom) = (Pane::Interlock, true);
    assert!(fixture.text((80, 24)).contains("reports (metabase) writes to public.orders on Heroku"));
    fixture.engine(What::LeakChanged { side: Side::Old, who: None });
    assert!(fixture.text((160, 48)).contains("✔ in order"));
}

#[test]
fn a_zoomed_step_says_how_much_is_below_and_scrolls_to_its_end() {
    let mut desk = Desk::new("switch-api");
    desk.fixture.ui.zoom = true;
    let size = (80, 20);
    let above = shown(&mut desk, size);
    assert!(above.contains("more below: ↑ ↓ PgDn"), "{above}");
    let here = desk.fixture.ui.pinned;
    desk.press(KeyCode::Down);
    assert!(shown(&mut desk, size).contains("1 above"));
    desk.press(KeyCode::End);
    let below = shown(&mut desk, size);
    assert!(below.contains("more above") && !below.contains("more below"), "{below}");
    assert!(below.contains("no return from step"), "{below}");
    assert_eq!(desk.fixture.ui.pinned, here, "arrows scroll: the step stays");
    desk.press(KeyCode::Home);
    assert_eq!(shown(&mut desk, size), above);
    desk.press(KeyCode::Char(']'));
    assert_ne!(desk.fixture.ui.pinned, here);
}

#[test]
fn a_change_that_is_scrolled_away_is_not_seen() {
    let mut desk = Desk::new("switch-api");
    desk.fixture.ui.zoom = true;
    let theme = crate::tui::theme::Theme::new(crate::tui::theme::Depth::Mono, false);
    let painted = |desk: &Desk, height| desk.fixture.draw(theme, (80, height)).1;
    let whole = |painted: &Painted| painted.step.as_ref().unwrap().whole;
    // All of the change, and not all of what follows.
    let height = (20..48).find(|height| whole(&painted(&desk, *height))).unwrap();
    assert!(painted(&desk, height).reach > Some(1));
    desk.fixture.ui.scroll = 1;
    assert!(!whole(&painted(&desk, height)), "its first line is not on the screen");
}

#[test]
fn what_going_back_loses_is_a_sentence_at_every_size_and_stays_while_it_is_rolled_back() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-api");
    fixture.pass(240);
    fixture.measure();
    for size in [(160, 48), (120, 40), (80, 24)] {
        let screen = fixture.text(size);
        assert!(screen.contains("loses ") && screen.contains(" rows written on"), "{screen}");
    }
    let told = |fixture: &Fixture| {
        let screen = fixture.text((160, 48));
        let at = screen.find("loses ").unwrap_or_else(|| panic!("{screen}"));
        screen[at..].split('│').next().unwrap().trim().to_owned()
    };
    let before = told(&fixture);
    assert!(before.ends_with("since 02:51") && before.starts_with("loses "), "{before}");
    fixture.person(What::RollbackStarted { reason: "why".into() });
    assert_eq!(told(&fixture), before, "beginning it loses none of it");
    fixture.pass(600);
    assert!(told(&fixture).contains(", counted 1"), "an old count says how old it is: {}", told(&fixture));
}

#[test]
fn the_way_back_is_scrolled_and_says_whether_the_run_goes_on() {
    let mut desk = Desk::new("watch");
    desk.press(KeyCode::Char('R'));
    assert!(
        matches!(&desk.fixture.ui.overlay, Some(Overlay::Question(question)) if matches!(question.about, Decision::Rollback(_)))
    );
    let first = shown(&mut desk, (80, 24));
    assert!(first.contains("more below: ↑ ↓ PgDn") && first.contains("[e] begin to roll back"), "{first}");
    assert!(first.contains("Nothing runs while you read"), "{first}");
    desk.press(KeyCode::End);
    let last = shown(&mut desk, (80, 24));
    assert!(last.contains("more above") && last.contains("[e] begin to roll back"), "{last}");
    assert!(last.contains(" 1. ") != first.contains(" 1. ") || last != first);
    desk.press(KeyCode::Esc);
    desk.fixture.begin("watch");
    desk.rest(60);
    desk.press(KeyCode::Char('R'));
    let running = shown(&mut desk, (120, 40));
    assert!(running.contains("The run goes on while you read: watch only reads, and e stops it"), "{running}");
    desk.press(KeyCode::Char('j'));
    assert!(desk.fixture.ui.overlay.is_none(), "letters answer, they do not scroll");
}

#[test]
fn the_help_scrolls_to_its_ends() {
    let mut desk = Desk::new("watch");
    desk.press(KeyCode::Char('?'));
    let first = shown(&mut desk, (80, 24));
    assert!(first.contains("more below"), "{first}");
    desk.press(KeyCode::End);
    let last = shown(&mut desk, (80, 24));
    assert!(last.contains("Gates") && last.contains("more above") && !last.contains("more below"), "{last}");
    desk.press(KeyCode::Up);
    assert!(shown(&mut desk, (80, 24)).contains("1 more below"), "nothing is scrolled in vain");
    desk.press(KeyCode::Home);
    assert_eq!(shown(&mut desk, (80, 24)), first);
}

fn trouble() -> Trouble {
    Trouble {
        call: "route53:ListResourceRecordSets".into(),
        reason: "the record is not as the plan expects".into(),
        kind: TroubleKind::Unexpected,
        next_try: None,
    }
}

#[test]
fn a_step_whose_turn_has_not_come_raises_no_alarm() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("lower-ttl");
    let failed =
        |step: &str| What::PreviewFailed { step: step.into(), direction: Direction::Forward, trouble: trouble() };
    let alarms = |fixture: &Fixture| {
        let all = holds(&fixture.snapshot.plan, &fixture.snapshot.state, fixture.now);
        all.into_iter().filter(|hold| hold.kind == HoldKind::Preview).count()
    };
    fixture.engine(failed("raise-ttl"));
    assert_eq!(alarms(&fixture), 0);
    fixture.ui.pinned = fixture.snapshot.plan.position(&"raise-ttl".into());
    let screen = fixture.text((120, 40));
    assert!(screen.contains("not to be read before its turn") && !screen.contains("UNREADABLE"), "{screen}");
    fixture.ui.pinned = None;
    fixture.engine(failed("lower-ttl"));
    assert_eq!(alarms(&fixture), 1, "its turn has come");
    assert!(fixture.text((120, 40)).contains("UNREADABLE"));
    fixture.person(What::RollbackStarted { reason: "why".into() });
    assert_eq!(alarms(&fixture), 0, "only undos run, and this one has nothing to undo");
}

#[test]
fn what_is_next_while_it_is_rolled_back_is_the_next_undo() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-shop");
    fixture.person(What::RollbackStarted { reason: "why".into() });
    let screen = fixture.text((80, 24));
    let steps = screen.lines().find(|line| line.starts_with(" Steps")).unwrap();
    let undos = crate::run::price(&fixture.snapshot.plan, &fixture.snapshot.state, None).undos;
    let title = &fixture.snapshot.plan.step(&undos[1]).unwrap().title;
    assert!(steps.contains(&format!("then undo {}", title.split(' ').next().unwrap())), "{steps}");
    assert_eq!(fixture.snapshot.state.here().map(|step| &step.id), undos.first());
}

#[test]
fn a_change_that_is_being_read_is_no_lock_to_skip_and_one_that_cannot_be_says_why() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("lower-ttl");
    let id = crate::plan::StepId::from("lower-ttl");
    let step = fixture.snapshot.state.steps.iter_mut().find(|step| step.id == id).unwrap();
    step.forward = None;
    let screen = fixture.text((120, 40));
    assert!(screen.contains("Its exact change is being read"), "{screen}");
    assert!(!screen.contains("LOCKED") && !screen.contains("[s]"), "{screen}");
    fixture.engine(What::PreviewFailed { step: id, direction: Direction::Forward, trouble: trouble() });
    let screen = fixture.text((120, 40));
    assert!(screen.contains("LOCKED: its change cannot be read") && screen.contains("[l] read it now"), "{screen}");
}

#[test]
fn every_banner_can_be_read_in_full() {
    let mut desk = Desk::new("lower-ttl");
    for source in ["heroku", "cloudwatch", "route53", "postgres"] {
        desk.fixture.engine(What::SourceChanged { source: source.into(), trouble: Some(trouble()) });
    }
    let screen = shown(&mut desk, (80, 24));
    assert!(screen.contains("+3 more: !"), "{screen}");
    desk.press(KeyCode::Char('!'));
    let all = shown(&mut desk, (80, 24));
    assert!(all.contains("4 alarms") && all.contains("route53:ListResourceRecordSets: the record is not"), "{all}");
    desk.press(KeyCode::End);
    let end = shown(&mut desk, (80, 24));
    assert!(end.contains("any other key goes back"), "{end}");
    desk.press(KeyCode::Esc);
    assert!(desk.fixture.ui.overlay.is_none());
}

#[test]
fn who_only_looks_is_told_how_to_drive_and_no_keys_that_are_the_drivers() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("lower-ttl");
    assert!(fixture.text((120, 40)).contains("[Enter] arm"));
    let bob = Operator::new(7, "bob", 1001);
    fixture.apply(crate::run::Actor::Operator(bob.clone()), What::Attached { seat: Seat::Viewer });
    fixture.snapshot.you = bob;
    for size in [(160, 48), (120, 40), (80, 24)] {
        let screen = fixture.text(size);
        assert!(!screen.contains("[Enter]") && !screen.contains("Enter arm"), "{screen}");
        assert!(screen.contains("[t] take the driver's seat"), "{screen}");
    }
    fixture.begin("lower-ttl");
    let screen = fixture.text((120, 40));
    assert!(!screen.contains("[x]") && screen.contains("[t] take the driver's seat"), "{screen}");
}

#[test]
fn the_sides_of_graphs_are_named() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("watch");
    for size in [(160, 48), (120, 40)] {
        assert!(fixture.text(size).contains("┈ Heroku  ━ AWS"), "{}", fixture.text(size));
    }
    let screen = fixture.text((80, 24));
    assert!(screen.lines().any(|line| line.starts_with(" Graphs    AWS ")), "{screen}");
}

#[test]
fn a_resolver_that_flips_does_not_drown_the_log() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("watch");
    fixture.person(What::Noted { text: "support says all is well".into() });
    for turn in 0..12 {
        fixture.pass(3);
        let answer = if turn % 2 == 0 { Answer::OldStretched } else { Answer::OldStale };
        fixture.engine(What::ResolverChanged { record: "shop".into(), resolver: "stubborn".into(), answer });
    }
    let screen = fixture.text((80, 24));
    let log = screen.lines().find(|line| line.starts_with(" Log")).unwrap();
    assert!(log.contains("support says all is well"), "{log}");
    let screen = fixture.text((160, 48));
    assert!(screen.contains("support"), "{screen}");
    assert!(screen.matches("stubborn answers").count() <= 2, "the newest for each record: {screen}");
    assert!(
        fixture.snapshot.state.log.iter().filter(|event| matches!(event.what, What::ResolverChanged { .. })).count()
            >= 12
    );
}

#[test]
fn space_goes_from_open_item_to_open_item_and_takes_nothing_back_by_itself() {
    let mut desk = Desk::new("aws-ready");
    desk.fixture.begin("aws-ready");
    desk.fixture.ui.guide = desk.fixture.ui.guide.toggled();
    desk.fixture.ui.item = 2;
    assert!(desk.fixture.text((120, 40)).contains("under the cursor (6 left)"));
    for _ in 0..5 {
        desk.press(KeyCode::Char(' '));
        desk.rest(200);
    }
    let ticks = desk.sent.iter().filter_map(|request| match request {
        Request::Tick { item, done, .. } => Some((*item, *done)),
        _ => None,
    });
    let ticks: Vec<_> = ticks.collect();
    assert_eq!(ticks, [(2, true), (3, true), (4, true), (5, true), (0, true)]);
    assert_eq!(desk.fixture.ui.item, 1, "the one that is open");
    desk.press(KeyCode::Up);
    assert!(desk.fixture.text((120, 40)).contains("Space unticks this one"));
}

#[test]
fn the_guide_stops_before_the_point_of_no_return() {
    let mut fixture = Fixture::new("sandbox");
    let last = fixture.snapshot.plan.steps.iter().find(|step| step.point_of_no_return).unwrap().id.clone();
    fixture.to(&last.0);
    fixture.snapshot.state.silence = Some(std::time::Duration::from_secs(3_600));
    fixture.ui.guide = fixture.ui.guide.toggled();
    let screen = fixture.text((160, 48));
    assert!(screen.contains("GUIDE  NO WAY BACK AFTER THIS"), "{screen}");
}

#[test]
fn enter_is_not_offered_where_it_would_be_refused() {
    let mut fixture = Desk::new("switch-api").fixture;
    fixture.ui.guide = fixture.ui.guide.toggled();
    let theme = crate::tui::theme::Theme::new(crate::tui::theme::Depth::Mono, false);
    let mut seen = [false, false];
    for height in 20..48 {
        let whole = fixture.draw(theme, (80, height)).1.step.is_some_and(|step| step.whole);
        let screen = fixture.text((80, height));
        seen[usize::from(whole)] = true;
        assert_eq!(screen.contains("[Enter] arm"), whole, "{screen}");
        assert_eq!(screen.contains("[z] see all of the change"), !whole, "{screen}");
    }
    assert_eq!(seen, [true, true], "both were looked at");
}

#[test]
fn the_guide_asks_for_enter_only_where_all_of_the_change_is_seen() {
    let mut desk = Desk::new("switch-api");
    desk.fixture.ui.guide = Guide::Off.toggled();
    let mut seen = [false, false];
    for height in 24..48 {
        shown(&mut desk, (80, height));
        let (screen, cramped) = (desk.fixture.text((80, height)), desk.fixture.ui.gate.cramped());
        seen[usize::from(cramped)] = true;
        assert_eq!(screen.contains("Enter arms the gate"), !cramped, "{screen}");
        assert_eq!(screen.contains("Press z: all of the change must be on the screen"), cramped, "{screen}");
    }
    assert_eq!(seen, [true, true], "both were looked at");
}

#[test]
fn the_last_line_knows_what_lies_above_it_and_that_the_run_is_held() {
    let mut desk = Desk::new("lower-ttl");
    let last = |desk: &mut Desk| shown(desk, (120, 40)).lines().last().unwrap().trim().to_owned();
    assert!(last(&mut desk).contains("h hold"));
    desk.fixture.person(What::HoldRaised { reason: "lunch".into() });
    assert!(last(&mut desk).contains("h release"), "{}", last(&mut desk));
    desk.press(KeyCode::Char('h'));
    assert!(last(&mut desk).starts_with("e does it"), "{}", last(&mut desk));
    desk.rest(1_000);
    desk.press(KeyCode::Esc);
    desk.fixture.ui.toast = None;
    desk.rest(1_000);
    desk.press(KeyCode::Char('n'));
    let form = last(&mut desk);
    assert!(form.starts_with("Enter done") && !form.contains("Tab"), "{form}");
}

#[test]
fn who_cannot_begin_to_roll_back_is_told_why_and_not_that_it_was_too_early() {
    let told = |desk: &mut Desk| {
        desk.press(KeyCode::Char('R'));
        desk.rest(1_000);
        desk.press(KeyCode::Char(CONSENT));
        desk.rest(100);
        desk.fixture.ui.toast.as_ref().map(|toast| toast.text.clone()).unwrap_or_default()
    };
    let mut desk = Desk::new("watch");
    desk.fixture.person(What::RollbackStarted { reason: "why".into() });
    assert!(told(&mut desk).contains("it is rolled back already"), "{}", told(&mut desk));
    let mut desk = Desk::new("watch");
    let bob = Operator::new(7, "bob", 1001);
    desk.fixture.apply(crate::run::Actor::Operator(bob.clone()), What::Attached { seat: Seat::Viewer });
    desk.fixture.snapshot.you = bob;
    assert!(told(&mut desk).contains("ann drives: t takes the seat"), "{}", told(&mut desk));
    assert!(!desk.sent.iter().any(|request| matches!(request, Request::BeginRollback { .. })));
}

#[test]
fn traffic_that_nobody_measures_any_more_is_no_bar() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("watch");
    fixture.measure();
    let traffic = |fixture: &Fixture, size| {
        let screen = fixture.text(size);
        screen.lines().find(|line| line.contains("Traffic")).unwrap_or_else(|| panic!("{screen}")).to_owned()
    };
    assert!(!traffic(&fixture, (80, 24)).contains("blind"));
    fixture.pass(5_400);
    for size in [(160, 48), (120, 40), (80, 24)] {
        assert!(traffic(&fixture, size).contains("blind 9"), "{}", traffic(&fixture, size));
    }
}

#[test]
fn a_side_that_fell_silent_does_not_make_the_other_old() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("watch");
    fixture.measure();
    let of = fixture.snapshot.plan.traffic.clone().unwrap();
    fixture.pass(4_200);
    let newest = fixture.snapshot.telemetry.metrics[&of.new].last().copied().unwrap();
    let data = vec![Datum { at: newest.at + SignedDuration::from_secs(4_200), ..newest }];
    fixture.snapshot.telemetry.take(Sample::Metric { metric: of.new, data });
    for size in [(160, 48), (120, 40), (80, 24)] {
        let screen = fixture.text(size);
        let traffic = screen.lines().find(|line| line.contains("Traffic")).unwrap();
        assert!(traffic.contains("2 m old, Heroku 72 m"), "{traffic}");
        assert!(!traffic.contains("blind"), "{traffic}");
    }
    let graph = fixture.text((160, 48));
    let title = graph.lines().find(|line| line.contains(" requests ")).unwrap();
    assert!(title.contains(" 69s "), "{title}");
    fixture.ui.view = View::Graphs;
    let title = fixture.text((160, 48)).lines().find(|line| line.contains(" requests ")).unwrap().to_owned();
    assert!(title.contains(" 69s ") && title.contains("(71m)"), "{title}");
}

#[test]
fn the_way_back_says_where_it_would_stop() {
    let mut desk = Desk::new("watch");
    desk.press(KeyCode::Char('R'));
    assert!(!shown(&mut desk, (120, 40)).contains("stops at undo"));
    let reason = "ExpiredToken: the security token is expired".to_owned();
    let ended =
        Trouble { call: "cloudwatch:GetMetricData".into(), reason, kind: TroubleKind::Credentials, next_try: None };
    desk.fixture.engine(What::SourceChanged { source: "cloudwatch".into(), trouble: Some(ended) });
    for size in [(160, 48), (120, 40), (80, 24)] {
        let screen = shown(&mut desk, size);
        let undos = crate::run::price(&desk.fixture.snapshot.plan, &desk.fixture.snapshot.state, None).undos;
        let first = undos.iter().position(|id| id.0 == "switch-api").unwrap() + 1;
        let told = format!("stops at undo {first}, switch-api: the AWS credentials have ended");
        assert!(screen.contains(&told), "{told}: {screen}");
    }
}

#[test]
fn no_key_is_offered_that_the_way_back_does_not_take() {
    let mut desk = Desk::new("watch");
    desk.fixture.person(What::RollbackStarted { reason: "why".into() });
    desk.press(KeyCode::Char('R'));
    let last = shown(&mut desk, (120, 40)).lines().last().unwrap().trim().to_owned();
    assert_eq!(last, "Esc leave it");
}

#[test]
fn a_question_goes_with_what_it_is_about() {
    let mut desk = Desk::new("watch");
    let bob = crate::run::Actor::Operator(Operator::new(7, "bob", 1001));
    desk.apply(&bob, vec![What::HoldRaised { reason: "wait".into() }]);
    desk.press(KeyCode::Char('h'));
    assert!(matches!(&desk.fixture.ui.overlay, Some(Overlay::Question(asked)) if asked.about == Decision::Release));
    desk.apply(&bob, vec![What::HoldReleased]);
    desk.fixture.ui.follow(&desk.fixture.snapshot, desk.at);
    assert!(desk.fixture.ui.overlay.is_none());
    let told = desk.fixture.ui.toast.as_ref().map(|toast| toast.text.clone());
    assert_eq!(told.as_deref(), Some("nothing was done: the hold is released already"));
    desk.rest(1_000);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(1_000);
    assert!(!desk.sent.contains(&Request::Release));
}

#[test]
fn what_is_lost_already_stays_lost_when_the_new_side_is_opened_again() {
    let mut desk = Desk::new("open-writes");
    let screen = |desk: &Desk| desk.fixture.text((160, 48));
    let limits = |limit| Access::Limits { limits: [("shop".to_owned(), limit)].into() };
    let (database, from, to) = ("shop".to_owned(), limits(0), limits(-1));
    let opening = Part { change: Change::WriteAccess { side: Side::New, database, from, to }, bake: Duration::ZERO };
    let preview = Preview { parts: vec![opening], facts: Vec::new() };
    let (step, direction) = ("open-writes".into(), Direction::Forward);
    desk.apply(&crate::run::Actor::Engine, vec![What::Previewed { step, direction, preview }]);
    assert!(screen(&desk).contains("from then on"), "{}", screen(&desk));
    assert!(!screen(&desk).contains("from then on too"));
    desk.apply(&crate::run::Actor::Engine, vec![What::OpeningCounted { metric: "rows-written".into(), value: 0.0 }]);
    assert!(screen(&desk).contains("from then on too"), "{}", screen(&desk));
}
