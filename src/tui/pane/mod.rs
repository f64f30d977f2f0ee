//! The screen, one file a pane, each with one `render`.
//!
//! ```text
//!  acme-shop  PRODUCTION   Heroku → AWS us-east-1      02:44:07 EST  T+0:44:07  window 45:53  finish ~03:21      ann drives
//!  ▲ BREACH  5xx on AWS 3.1 %, limit 2 %, for 2:10                                                    R rolls back in 1:15
//! ┌ Steps ──────── 5/16 ┬▸ 6 Switch the API ──────────────────────── ready ┬ DNS / TTL ──────── 0/14 on AWS ┐
//! │ ✔  1 AWS ready 3:12 │ what it does, and why                            │            shop       api       │
//! │ ✔  2 Checks    1:05 │ will change   before → after                     │ authority  Heroku 60  Heroku 60 │
//! │ ▷  6 Switch   ~3:00 │ holds         ✔ drain  ✔ resolvers  ✔ checks     ├ Traffic ────────────────────────┤
//! │ ·  7 Freeze   ~1:00 │ way back      ~1:15                              ├ Interlock ──────────────────────┤
//! ├ Rollback ───────────┤ [Enter] arm                                      │         web worker cron writer  │
//! │ [R] 1:15 to Heroku  ├ 5xx % ──────┬ p95 ─────────┬ queue ──────────────┤ Heroku   ●    ●     ●      –    │
//! ├ Log ────────────────┤ line graph  │ limit, marks │ baseline            ├ Checks ─────────────────────────┤
//! │ 02:43:51 ann …      ├ CPU % ──────┼ memory % ────┼ DB connections      │ ✔ home     91 ms  74 ms  ▁▂▁▂   │
//! └─────────────────────┴─────────────┴──────────────┴─────────────────────┴─────────────────────────────────┘
//!  Enter arm  ? help  Tab pane  z zoom  R rollback  h hold  n note  q detach                        1 cockpit
//! ```
//!
//! Drawing reads a [`Scene`] and writes into a buffer; it tells what of a gate it really showed, and nothing else.

mod banner;
mod checklist;
mod checks;
mod dns;
mod endings;
mod footer;
mod graphs;
mod guide;
mod header;
mod help;
mod interlock;
mod journal;
mod log;
mod outline;
mod overlay;
mod partly;
mod people;
mod plain;
mod press;
mod reading;
mod rollback;
mod step;
mod steps;
mod timeline;
mod too_small;
mod traffic;

use ratatui::{
    buffer::Buffer,
    layout::{Margin, Position, Rect},
    style::Style,
    symbols::merge::MergeStrategy,
};

use super::{
    keymap::View,
    layout::{Layout, Wishes, fits, layout, middle},
    model::Scene,
    pen::Pen,
    text,
    theme::{Role, Theme},
    ui::{Overlay, Painted},
};

/// The panes of the cockpit, in the order in which Tab visits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Steps,
    Step,
    Graphs,
    Dns,
    Traffic,
    Interlock,
    Checks,
    Rollback,
    Log,
}

impl Pane {
    /// All panes.
    pub(super) const ALL: [Self; 9] = [
        Self::Steps,
        Self::Step,
        Self::Graphs,
        Self::Dns,
        Self::Traffic,
        Self::Interlock,
        Self::Checks,
        Self::Rollback,
        Self::Log,
    ];

    fn at(self, offset: usize) -> Self {
        let here = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        Self::ALL[(here + offset) % Self::ALL.len()]
    }

    /// The next pane.
    pub(super) fn after(self) -> Self {
        self.at(1)
    }

    /// The pane before.
    pub(super) fn before(self) -> Self {
        self.at(Self::ALL.len() - 1)
    }

    /// What it is called.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Steps => "Steps",
            Self::Step => "Step",
            Self::Graphs => "Graphs",
            Self::Dns => "DNS / TTL",
            Self::Traffic => "Traffic",
            Self::Interlock => "Interlock",
            Self::Checks => "Checks",
            Self::Rollback => "Rollback",
            Self::Log => "Log",
        }
    }
}

pub(super) use partly::{lasts, over, tick, ticking};
pub(super) use plain::value;

/// What is at one place of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// A line of the list of steps; its index.
    Step(usize),
    /// A pane of the cockpit, or its line.
    Pane(Pane),
    /// A view that fills the screen.
    View,
}

/// What a frame of this area has at a place; None: nothing that has the focus.
pub(super) fn at(scene: &Scene<'_>, area: Rect, place: Position) -> Option<Spot> {
    let layout = laid_out(scene, banner::banners(scene).len(), above(scene, area))?;
    // The last one lies on top.
    let pane = layout.panes.iter().rev().chain(&layout.strips).find(|(_, area)| area.contains(place));
    match pane {
        Some((Pane::Steps, area)) if area.height > 1 => {
            Some(steps::at(scene, *area, place.y).map_or(Spot::Pane(Pane::Steps), Spot::Step))
        }
        Some((pane, _)) => Some(Spot::Pane(*pane)),
        None => layout.view.filter(|area| area.contains(place)).map(|_| Spot::View),
    }
}

fn laid_out(scene: &Scene<'_>, banners: usize, area: Rect) -> Option<Layout> {
    let wishes = || Wishes {
        steps: scene.plan().steps.len(),
        step: step::lines(scene, middle(area.width)),
        dns: dns::lines(scene),
        checks: scene.plan().checks.len() + 1,
    };
    layout(area, scene.ui, banners, wishes)
}

/// Draws a whole frame.
pub(super) fn draw(scene: &Scene<'_>, buf: &mut Buffer) -> Painted {
    let mut painted = ground(scene, buf);
    cover(scene, buf, &mut painted);
    painted
}

/// Draws everything but what lies over it.
pub(super) fn ground(scene: &Scene<'_>, buf: &mut Buffer) -> Painted {
    let banners = banner::banners(scene);
    let guide = guide::area(scene, buf.area);
    let area = above(scene, buf.area);
    let Some(layout) = laid_out(scene, banners.len(), area) else {
        too_small::render(scene, &banners, buf);
        return Painted::default();
    };
    let mut painted = Painted::default();
    header::render(scene, layout.header, buf);
    banner::render(scene, &banners, layout.banners, buf);
    for (pane, area) in &layout.panes {
        outlines(scene, *pane, *area, buf);
    }
    for (pane, area) in &layout.panes {
        render(scene, *pane, *area, buf, &mut painted);
    }
    for (pane, area) in &layout.strips {
        strip(scene, *pane, *area, buf);
    }
    if let Some(area) = layout.view {
        painted.reach = view(scene, area, buf);
    }
    if scene.lost.is_some() {
        let top = layout.banners.bottom();
        fade(scene.theme, Rect { y: top, height: layout.footer.y.saturating_sub(top), ..area }, buf);
    }
    footer::render(scene, layout.footer, buf);
    if let Some((area, advice)) = &guide {
        guide::render(scene, *area, advice, buf);
    }
    painted
}

/// What is old says so by its colour.
fn fade(theme: Theme, area: Rect, buf: &mut Buffer) {
    buf.set_style(area, Style::reset());
    buf.set_style(area, theme.style(Role::Dim));
}

/// What lies over the screen; it hides what a gate shows, so that nothing below it counts as seen.
pub(super) fn cover(scene: &Scene<'_>, buf: &mut Buffer, painted: &mut Painted) {
    match &scene.ui.overlay {
        None => return,
        // There is but a sentence.
        Some(_) if !fits(above(scene, buf.area)) => return,
        Some(Overlay::Help(at)) => painted.reach = Some(help::render(scene, *at, buf).most()),
        Some(Overlay::Alarms(at)) => painted.reach = Some(banner::all(scene, *at, buf).most()),
        Some(Overlay::People) => people::render(scene, buf),
        Some(Overlay::Plain(at)) => painted.reach = Some(plain::render(scene, *at, buf).most()),
        Some(Overlay::Form(form)) => overlay::form(scene, form, buf),
        Some(Overlay::Question(question)) => overlay::question(scene, question, buf, painted),
    }
    painted.step = None;
    painted.gate = None;
}

/// Before the first snapshot.
pub(super) fn waiting(theme: Theme, trouble: Option<&str>, buf: &mut Buffer) {
    let area = buf.area;
    let mut pen = Pen::new(buf, theme, Rect { x: 2, y: area.height / 3, ..area }.intersection(area));
    pen.put(Role::Strong, "attaching to the engine").put(Role::Dim, theme.glyphs.ellipsis).line().line();
    if let Some(trouble) = trouble {
        pen.wrapped(Role::Warn, trouble).line();
        pen.put(Role::Text, "It is tried again by itself. ");
    }
    pen.put(Role::Key, "q").put(Role::Text, " leaves.");
}

fn render(scene: &Scene<'_>, pane: Pane, area: Rect, buf: &mut Buffer, painted: &mut Painted) {
    let rolled = match pane {
        Pane::Step => Some(step::render(scene, area, buf, painted)),
        Pane::Interlock => Some(interlock::render(scene, area, buf)),
        Pane::Rollback => Some(rollback::render(scene, area, buf)),
        Pane::Dns => Some(dns::render(scene, area, buf)),
        Pane::Checks => Some(checks::render(scene, area, buf)),
        Pane::Steps => {
            steps::render(scene, area, buf);
            None
        }
        Pane::Graphs => {
            graphs::render(scene, area, buf);
            None
        }
        Pane::Traffic => {
            traffic::render(scene, area, buf);
            None
        }
        Pane::Log => {
            log::render(scene, area, buf);
            None
        }
    };
    if let Some(rolled) = rolled {
        // Among others the lower border is the title of the pane below.
        if area.width == buf.area.width {
            more(scene, area, rolled, pane_keys(scene), buf);
        }
        if focused(scene, pane) {
            painted.reach = Some(rolled.most());
        }
    }
}

/// One view on all of the screen; how far it can be scrolled, if it does not see to that itself.
fn view(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Option<usize> {
    let rolled = match scene.ui.view {
        View::Dns => dns::render_all(scene, area, buf),
        View::Checks => checks::render_all(scene, area, buf),
        View::Checklist => checklist::render(scene, area, buf),
        View::Timeline => timeline::render(scene, area, buf),
        View::Cockpit => return None,
        View::Graphs => {
            graphs::render_all(scene, area, buf);
            return None;
        }
        View::Journal => {
            journal::render(scene, area, buf);
            return None;
        }
    };
    more(scene, area, rolled, scroll_keys(scene.theme), buf);
    Some(rolled.most())
}

/// A pane in one line.
fn strip(scene: &Scene<'_>, pane: Pane, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, scene.theme, area);
    pen.gap(1).cell(Role::Dim, pane.title(), 10);
    match pane {
        Pane::Steps => steps::strip(scene, &mut pen),
        Pane::Step => step::strip(scene, &mut pen),
        Pane::Graphs => graphs::strip(scene, &mut pen),
        Pane::Dns => dns::strip(scene, &mut pen),
        Pane::Traffic => traffic::strip(scene, &mut pen),
        Pane::Interlock => interlock::strip(scene, &mut pen),
        Pane::Checks => checks::strip(scene, &mut pen),
        Pane::Rollback => rollback::strip(scene, &mut pen),
        Pane::Log => log::strip(scene, &mut pen),
    }
}

/// A piece of a title.
type Word = (Role, String);

/// A word of a title.
fn word(role: Role, text: impl Into<String>) -> Word {
    (role, text.into())
}

/// The borders of a pane, all panes before any title, because neighbours share them.
fn outlines(scene: &Scene<'_>, pane: Pane, area: Rect, buf: &mut Buffer) {
    let focused = focused(scene, pane);
    match pane {
        Pane::Graphs => graphs::outlines(scene, area, focused, buf),
        _ => outline(scene, area, focused, buf),
    }
}

fn focused(scene: &Scene<'_>, pane: Pane) -> bool {
    scene.ui.focus == pane && scene.ui.view == View::Cockpit
}

/// The titles of a pane of the cockpit: its name on the left, what is most important of it on the right. Returns what is
/// inside the borders.
fn frame(scene: &Scene<'_>, pane: Pane, area: Rect, left: &[Word], right: &[Word], buf: &mut Buffer) -> Rect {
    titles(scene.theme, area, focused(scene, pane), left, right, buf);
    area.inner(Margin::new(1, 1))
}

/// Borders and titles at once, for what has no neighbours.
fn framed(scene: &Scene<'_>, area: Rect, left: &[Word], right: &[Word], buf: &mut Buffer) -> Rect {
    outline(scene, area, true, buf);
    titles(scene.theme, area, true, left, right, buf);
    area.inner(Margin::new(1, 1))
}

/// Borders in the manner of the environment; where they meet others they are joined.
fn outline(scene: &Scene<'_>, area: Rect, focused: bool, buf: &mut Buffer) {
    let (set, line) = scene.theme.frame(scene.plan().environment.kind);
    let role = if focused { Role::Focus } else { line };
    let strategy = if scene.theme.ascii() { MergeStrategy::Replace } else { MergeStrategy::Exact };
    outline::borders(&set, scene.theme.style(role), strategy, area, buf);
}

fn titles(theme: Theme, area: Rect, focused: bool, left: &[Word], right: &[Word], buf: &mut Buffer) {
    let line = Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: 1, ..area };
    let columns = usize::from(line.width);
    let length = |words: &[Word]| words.iter().map(|(_, text)| text::width(text)).sum::<usize>();
    // The last words of the right side give way first.
    let least = length(left).min(8) + 3;
    let fitting = (0..=right.len()).rev().find(|count| length(&right[..*count]) + 2 + least <= columns).unwrap_or(0);
    let right = &right[..fitting];
    let taken = if right.is_empty() { 0 } else { length(right) + 2 };
    let left_width = u16::try_from(columns.saturating_sub(taken)).unwrap_or(0);
    let mut pen = Pen::new(buf, theme, Rect { width: left_width, ..line });
    pen.put(Role::Focus, if focused { theme.glyphs.focus } else { " " });
    for (role, text) in left {
        pen.put(if focused && *role == Role::Text { Role::Focus } else { *role }, text);
    }
    pen.put(Role::Text, " ");
    if right.is_empty() {
        return;
    }
    let mut pen = Pen::new(buf, theme, line);
    pen.column(columns - taken).put(Role::Text, " ");
    for (role, text) in right {
        pen.put(*role, text);
    }
    pen.put(Role::Text, " ");
}

/// What was drawn of something that may be longer than its place.
#[derive(Debug, Clone, Copy, Default)]
struct Rolled {
    /// Lines above and below what is to be seen.
    above: usize,
    below: usize,
}

impl Rolled {
    /// How far it can be scrolled.
    const fn most(self) -> usize {
        self.above + self.below
    }
}

/// Draws what may be longer than its place from the line on that somebody has scrolled to, and no further than its end.
fn rolled(scene: &Scene<'_>, area: Rect, at: usize, buf: &mut Buffer, draw: impl Fn(&mut Pen<'_>)) -> Rolled {
    let most = |pen: &Pen<'_>| pen.reach().saturating_sub(usize::from(area.height));
    if at == 0 {
        let mut pen = Pen::new(buf, scene.theme, area);
        draw(&mut pen);
        return Rolled { above: 0, below: most(&pen) };
    }
    let mut all = Pen::reaching(scene.theme, area);
    draw(&mut all);
    let above = at.min(most(&all));
    draw(&mut Pen::scrolled(buf, scene.theme, area, above));
    Rolled { above, below: most(&all) - above }
}

/// Says on the lower border of a frame how much is not to be seen, and how it comes to be seen.
fn more(scene: &Scene<'_>, frame: Rect, rolled: Rolled, keys: &str, buf: &mut Buffer) {
    let Rolled { above, below } = rolled;
    let words = match (above, below) {
        (0, 0) => return,
        (0, below) => format!(" {below} more below: {keys} "),
        (above, 0) => format!(" {above} more above: {keys} "),
        (above, below) => format!(" {above} above, {below} more below: {keys} "),
    };
    let line = Rect { x: frame.x + 1, y: frame.bottom() - 1, width: frame.width.saturating_sub(2), height: 1 };
    Pen::new(buf, scene.theme, line).right(Role::Warn, &words);
}

/// The keys that scroll.
fn scroll_keys(theme: Theme) -> &'static str {
    if theme.ascii() { "Up Down PgDn" } else { "↑ ↓ PgDn" }
}

/// The keys that show what a pane of the cockpit has no room for.
fn pane_keys(scene: &Scene<'_>) -> &'static str {
    if scene.ui.zoom { scroll_keys(scene.theme) } else { "z" }
}

/// How far a pane is scrolled: only the one that has the focus is.
fn scrolled_by(scene: &Scene<'_>, pane: Pane) -> usize {
    if focused(scene, pane) { scene.ui.scroll } else { 0 }
}

/// The screen above the guide's lines.
fn above(scene: &Scene<'_>, area: Rect) -> Rect {
    let lines = guide::area(scene, area).map_or(0, |(area, _)| area.height);
    Rect { height: area.height - lines, ..area }
}

/// A box in the middle of the screen, over everything but the guide; returns what is inside.
fn dialog(scene: &Scene<'_>, (width, height): (u16, u16), title: &[Word], buf: &mut Buffer) -> Rect {
    let screen = above(scene, buf.area);
    // Two columns of what lies behind it tell nobody anything.
    let width = if width + 8 > screen.width { screen.width } else { width };
    let height = height.min(screen.height);
    let area =
        Rect { x: screen.x + (screen.width - width) / 2, y: screen.y + (screen.height - height) / 2, width, height };
    outline::clear(area, buf);
    let inside = framed(scene, area, title, &[], buf);
    Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside }
}

/// Columns inside a frame with a blank on both sides.
fn padded(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }
}
