//! The mouse chooses what is looked at, and decides nothing.

use crossterm::event::{KeyCode, MouseButton, MouseEventKind};
use jiff::tz::TimeZone;
use ratatui::layout::{Position, Rect};

use super::desk::Desk;
use crate::tui::{
    fixture::text_of,
    keymap::View,
    model::Scene,
    pane::{self, Pane, Spot},
    theme::{Depth, Theme},
    ui::Overlay,
};

const PRESS: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

/// What is at the first place of the screen that shows a text.
fn spot(desk: &Desk, (width, height): (u16, u16), text: &str) -> Option<Spot> {
    let theme = Theme::new(Depth::Mono, false);
    let screen = text_of(&desk.fixture.draw(theme, (width, height)).0);
    let lines = screen.lines().zip(0..);
    let place = lines.filter_map(|(line, y)| Some((line[..line.find(text)?].chars().count(), y))).next();
    let (x, y) = place.unwrap_or_else(|| panic!("no {text:?} in\n{screen}"));
    let tz = TimeZone::UTC;
    let times = (desk.fixture.now, desk.at);
    let scene = Scene::new(desk.snapshot(), &desk.fixture.ui, (theme, &tz), times, None);
    pane::at(&scene, Rect::new(0, 0, width, height), Position::new(u16::try_from(x).unwrap(), y))
}

fn point(desk: &mut Desk, spot: Option<Spot>, kind: MouseEventKind) {
    let Desk { fixture, .. } = desk;
    let intents = fixture.ui.pointed(&fixture.snapshot, spot, kind);
    desk.act(intents);
}

#[test]
fn a_press_looks_at_the_pane_or_the_step_under_it() {
    for (size, words) in [((160, 48), "api-orders"), ((120, 40), "api-orders"), ((80, 24), "12/12 pass")] {
        let mut desk = Desk::new("switch-api");
        let checks = spot(&desk, size, words);
        assert_eq!(checks, Some(Spot::Pane(Pane::Checks)), "{size:?}");
        point(&mut desk, checks, PRESS);
        assert_eq!(desk.fixture.ui.focus, Pane::Checks);
    }
    let mut desk = Desk::new("switch-api");
    let step = spot(&desk, (160, 48), "22 Watch");
    assert_eq!(step, Some(Spot::Step(21)));
    point(&mut desk, step, PRESS);
    assert_eq!((desk.fixture.ui.focus, desk.fixture.ui.pinned), (Pane::Steps, Some(21)));
    // At 120x40 the list does not fit: the line that says so is no step.
    assert_eq!(spot(&desk, (120, 40), "2 more below"), Some(Spot::Pane(Pane::Steps)));
    assert_eq!(spot(&desk, (120, 40), "23 Raise"), Some(Spot::Step(22)));
    assert_eq!(spot(&desk, (120, 40), "? help"), None, "the last line");
}

#[test]
fn the_wheel_scrolls_what_is_under_it() {
    let mut desk = Desk::new("switch-api");
    let log = spot(&desk, (160, 48), "Log ");
    point(&mut desk, log, MouseEventKind::ScrollUp);
    assert_eq!((desk.fixture.ui.focus, desk.fixture.ui.scroll), (Pane::Log, 3), "back in time");
    point(&mut desk, log, MouseEventKind::ScrollDown);
    assert_eq!(desk.fixture.ui.scroll, 0);
    let here = spot(&desk, (160, 48), "20 Maintenance");
    point(&mut desk, here, MouseEventKind::ScrollDown);
    assert_eq!((desk.fixture.ui.focus, desk.fixture.ui.pinned), (Pane::Steps, Some(21)), "one step a turn");
    desk.press(KeyCode::Char('3'));
    desk.rest(100);
    assert_eq!(spot(&desk, (160, 48), "authority"), Some(Spot::View));
    point(&mut desk, Some(Spot::View), MouseEventKind::ScrollDown);
    assert_eq!((desk.fixture.ui.view, desk.fixture.ui.scroll), (View::Dns, 3));
    desk.press(KeyCode::Char('?'));
    point(&mut desk, None, MouseEventKind::ScrollDown);
    assert!(matches!(desk.fixture.ui.overlay, Some(Overlay::Help(3))));
}

#[test]
fn the_mouse_opens_and_passes_no_gate_and_closes_none() {
    let mut desk = Desk::new("switch-api");
    desk.arm();
    let sent = desk.sent.len();
    for kind in [PRESS, MouseEventKind::ScrollDown] {
        for spot in [Spot::Pane(Pane::Step), Spot::Pane(Pane::Log), Spot::Step(3), Spot::View] {
            point(&mut desk, Some(spot), kind);
        }
    }
    desk.rest(2_000);
    assert!(desk.armed() && !desk.passed());
    assert_eq!((desk.sent.len(), desk.fixture.ui.focus), (sent, Pane::Step));
}

#[test]
fn a_key_that_waits_for_quiet_is_disturbed_by_the_mouse() {
    let mut desk = Desk::new("switch-api");
    desk.press(KeyCode::Enter);
    point(&mut desk, Some(Spot::Pane(Pane::Log)), PRESS);
    desk.rest(1_000);
    assert!(!desk.armed());
}
