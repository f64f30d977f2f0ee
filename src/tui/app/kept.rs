//! What of the last frame need not be drawn again.
//!
//! - In the journal nothing goes on with time but the clocks above and below it: a second of it draws those lines alone.
//! - A key that opens or closes a box over the cockpit changes nothing below it but the last line: what is there is copied,
//!   clocks as of this second and all, and what it showed of a gate is what it shows.
//!
//! Anything that happens, was measured and is to be drawn, or is asked of the engine ends both; a key may change what is
//! below in ways of its own, and a gate that waits for a key is always drawn anew.

use std::time::Instant;

use jiff::Timestamp;
use ratatui::layout::Rect;

use super::{App, Follower, Options, Scene, pane};
use crate::{
    clock::wall_now,
    tui::{
        gate::Gatekeeper,
        screen::Screen,
        ui::{Overlay, Painted, Ui},
    },
};

/// What the last frame leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The lines that go on with time, where nothing else has happened.
    ticking: Option<Vec<Rect>>,
    /// What lies below a box, and what it showed, where nothing but keys has come.
    ground: Option<(Ground, Painted)>,
}

/// All that what is below a box is drawn from, but for what is drawn once a second.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ground {
    seq: u64,
    pinned: Option<usize>,
    place: (pane::Pane, bool, usize, usize),
    graphs: (usize, usize, Option<Timestamp>),
    disarmed: Option<String>,
}

impl Ground {
    /// None: it is to be drawn anew in any case.
    fn of(scene: &Scene<'_>, screen: Rect) -> Option<Self> {
        let Ui { pinned, focus, zoom, item, scroll, range, graph, cross, disarmed, .. } = scene.ui;
        let gate = &scene.ui.gate;
        let quiet = scene.state().gate.is_none() && gate.latch().is_none();
        let quiet = quiet && ![Gatekeeper::asking, Gatekeeper::passing].iter().any(|stands| stands(gate));
        (quiet && !gate.cramped() && pane::lasts(scene, screen)).then(|| Self {
            seq: scene.state().seq,
            pinned: *pinned,
            place: (*focus, *zoom, *item, *scroll),
            graphs: (*range, *graph, *cross),
            disarmed: disarmed.clone(),
        })
    }
}

impl App {
    /// Something has changed, or may have: a frame is due.
    pub(super) fn soon(&mut self, at: Instant) {
        self.kept = Kept::default();
        self.due_at(at);
    }

    /// A key was pressed, which may change anything that this screen alone knows.
    pub(super) fn soon_of_key(&mut self, at: Instant) {
        self.kept.ticking = None;
        self.due_at(at);
    }

    /// The second hand has moved, and nothing else.
    pub(super) fn soon_of_time(&mut self, at: Instant) {
        self.kept.ground = None;
        self.due_at(at);
    }

    fn due_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// A frame has not been sent whole: what the terminal shows is not what was drawn.
    pub(super) fn keep_nothing(&mut self) {
        self.kept = Kept::default();
    }

    /// Draws what is so now.
    pub(super) fn draw(&mut self, now: Instant) -> Painted {
        let Options { theme, tz, .. } = &self.options;
        let Some(snapshot) = self.follower.as_ref().map(Follower::snapshot) else {
            self.kept = Kept::default();
            pane::waiting(*theme, self.lost.as_ref().map(|lost| lost.reason.as_str()), self.screen.blank());
            return Painted::default();
        };
        let times = (snapshot.clock.at_wall(wall_now()), now);
        let scene = Scene::new(snapshot, &self.ui, (*theme, tz), times, self.lost.as_ref());
        self.kept.draw(&scene, &mut self.screen)
    }
}

impl Kept {
    /// Draws a frame, going on from the last one as far as that can be kept.
    fn draw(&mut self, scene: &Scene<'_>, screen: &mut Screen) -> Painted {
        let kept = std::mem::take(self);
        self.ticking = pane::ticking(scene, screen.area());
        if let Some(lines) = kept.ticking.filter(|lines| self.ticking.as_ref() == Some(lines)) {
            pane::tick(scene, screen.lines(lines));
            return Painted::default();
        }
        let ground = Ground::of(scene, screen.area());
        let covered = scene.ui.overlay.is_some();
        let asked = matches!(scene.ui.overlay, Some(Overlay::Question(_)));
        let below = kept.ground.filter(|(below, _)| ground.as_ref() == Some(below) && !asked);
        let (showed, painted) = if let Some((_, showed)) = below {
            screen.again(covered);
            let mut painted = showed.clone();
            pane::over(scene, screen.drawing(), &mut painted);
            (showed, painted)
        } else {
            let showed = pane::ground(scene, screen.blank());
            if covered {
                screen.cover();
            }
            let mut painted = showed.clone();
            pane::cover(scene, screen.drawing(), &mut painted);
            (showed, painted)
        };
        self.ground = ground.map(|ground| (ground, showed));
        painted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;
    use ratatui::buffer::Buffer;

    use super::*;
    use crate::{
        clock::monotonic,
        tui::{fixture::Fixture, gate::Stroke, theme::Depth, theme::Theme},
    };

    const AREA: Rect = Rect::new(0, 0, 120, 40);
    const KEYS: &[u8] = b"????ww!!CC\x1b\x1b\tz12735[]fkj+-/nhRoi";

    /// A person's screen, and what it is held against: the same drawn anew.
    struct Twice {
        fixture: Fixture,
        kept: Kept,
        screen: Screen,
        terminal: vt100::Parser,
        at: Instant,
    }

    impl Twice {
        fn new(step: &str) -> Self {
            let mut fixture = Fixture::new("sandbox");
            fixture.to(step);
            let terminal = vt100::Parser::new(40.try_into().unwrap(), 120.try_into().unwrap(), 0);
            Self { fixture, kept: Kept::default(), screen: Screen::new(AREA), terminal, at: monotonic() }
        }

        fn press(&mut self, key: u8) {
            self.at += Duration::from_millis(400);
            let code = match key {
                0x1b => KeyCode::Esc,
                b'\t' => KeyCode::Tab,
                key => KeyCode::Char(char::from(key)),
            };
            let key = KeyEvent::new(code, KeyModifiers::NONE);
            self.fixture.ui.toast = None;
            let stroke = Stroke { key, at: self.at, alone: true };
            let intents = self.fixture.ui.stroke(Some(&self.fixture.snapshot), &stroke);
            self.kept.ticking = None;
            if !intents.is_empty() {
                self.kept = Kept::default();
            }
        }

        fn tick(&mut self) {
            self.at += Duration::from_secs(1);
            self.fixture.pass(1);
            self.fixture.ui.fade(self.at);
            self.kept.ground = None;
        }

        /// Draws both; the terminals show the same, and of a gate the same was seen.
        fn look(&mut self) {
            let (theme, tz) = (Theme::new(Depth::Ansi256, false), TimeZone::UTC);
            let Fixture { snapshot, ui, now, .. } = &self.fixture;
            let scene = Scene::new(snapshot, ui, (theme, &tz), (*now, self.at), None);
            let mut anew = Buffer::empty(AREA);
            let wanted = pane::draw(&scene, &mut anew);
            let painted = self.kept.draw(&scene, &mut self.screen);
            assert_eq!(format!("{painted:?}"), format!("{wanted:?}"));
            self.terminal.process(&self.screen.encode());
            let mut other = Screen::new(AREA);
            *other.blank() = anew;
            let mut fresh = vt100::Parser::new(40.try_into().unwrap(), 120.try_into().unwrap(), 0);
            fresh.process(&other.encode());
            let rows = |parser: &vt100::Parser| {
                let rows = parser.screen().rows(0, AREA.width);
                // A blank that was written and one that was never touched look the same.
                rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
            };
            assert_eq!(rows(&self.terminal), rows(&fresh));
            self.fixture.ui.painted(painted, self.at);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_kept_is_what_would_be_drawn(
            keys in prop::collection::vec((0..KEYS.len(), any::<bool>()), 1..24),
            step in prop::sample::select(vec!["drain", "switch-api", "freeze"]),
        ) {
            let mut twice = Twice::new(step);
            twice.look();
            for (key, passes) in keys {
                if passes {
                    twice.tick();
                } else {
                    twice.press(KEYS[key]);
                }
                twice.look();
            }
        }
    }

    #[test]
    fn a_box_is_opened_and_closed_over_what_is_there_and_a_second_of_the_journal_is_its_clocks() {
        let mut twice = Twice::new("drain");
        twice.look();
        for _ in 0..2 {
            assert!(twice.kept.ground.is_some());
            twice.press(b'?');
            twice.look();
        }
        twice.press(b'7');
        twice.look();
        twice.tick();
        assert!(twice.kept.ticking.is_some());
        twice.look();
    }
}
