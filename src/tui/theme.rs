//! Roles, not colours: every pane says what a thing means, and the theme says how that looks on this terminal.
//!
//! Four depths (no colour, 16, 256, true colour) and two sets of glyphs (Unicode, ASCII). A role always differs from its
//! opposite in a word, a symbol or a modifier as well, so that nothing is told by colour alone.

mod file;

use std::sync::LazyLock;

use ratatui::{style::Style, symbols::border};
use serde::Deserialize;

use self::file::Styles;
pub use self::file::{Palette, ThemeError};
use crate::plan::EnvironmentKind;

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// Ordinary text.
    Text,
    /// What matters most in its line.
    Strong,
    /// Beside the point: units, labels, what is over.
    Dim,
    /// Borders and axes.
    Line,
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
    /// Where the reader is: focus, current step.
    Focus,
    /// A key to press.
    Key,
    /// The old side.
    Old,
    /// The new side.
    New,
    /// A part that differs between before and after.
    Changed,
    /// A banner that must not be overlooked.
    BadFill,
    /// A banner that asks for attention.
    WarnFill,
    /// A banner that tells.
    InfoFill,
    /// The name of a production environment.
    Production,
    /// The name of a staging environment.
    Staging,
    /// The name of a sandbox.
    Sandbox,
    /// Frames of a production environment.
    ProductionLine,
    /// Frames of a staging environment.
    StagingLine,
}

impl Role {
    /// All roles, in the order of [`Role::index`].
    const ALL: [Self; 20] = [
        Self::Text,
        Self::Strong,
        Self::Dim,
        Self::Line,
        Self::Good,
        Self::Warn,
        Self::Bad,
        Self::Focus,
        Self::Key,
        Self::Old,
        Self::New,
        Self::Changed,
        Self::BadFill,
        Self::WarnFill,
        Self::InfoFill,
        Self::Production,
        Self::Staging,
        Self::Sandbox,
        Self::ProductionLine,
        Self::StagingLine,
    ];

    const fn index(self) -> usize {
        self as usize
    }
}

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// None: modifiers only.
    Mono,
    /// The sixteen of every terminal.
    Ansi16,
    /// The palette of 256.
    Ansi256,
    /// 24 bits.
    True,
}

impl Depth {
    const ALL: [Self; 4] = [Self::Mono, Self::Ansi16, Self::Ansi256, Self::True];
}

/// The default theme at each depth.
static DARK: LazyLock<[Styles; 4]> = LazyLock::new(|| {
    let dark = Palette::load("dark").expect("the built-in themes are whole: a test reads them");
    Depth::ALL.map(|depth| dark.styles(depth))
});

/// How roles look on this terminal.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    styles: &'static Styles,
    #[cfg(test)]
    depth: Depth,
    /// The symbols.
    pub(super) glyphs: &'static Glyphs,
}

impl Theme {
    /// The default theme at this depth; `ascii`: nothing beyond ASCII is sent.
    #[must_use]
    pub fn new(depth: Depth, ascii: bool) -> Self {
        Self::with(&DARK[depth as usize], depth, ascii)
    }

    /// Another theme. It lives as long as the program: there is one screen, and one theme on it.
    #[must_use]
    pub fn of(palette: &Palette, depth: Depth, ascii: bool) -> Self {
        Self::with(Box::leak(Box::new(palette.styles(depth))), depth, ascii)
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "tests ask how deep the theme was found to be"))]
    fn with(styles: &'static Styles, depth: Depth, ascii: bool) -> Self {
        Self {
            styles,
            #[cfg(test)]
            depth,
            glyphs: if ascii { &ASCII } else { &UNICODE },
        }
    }

    /// What the environment's variables say about the terminal (`NO_COLOR`, `COLORTERM`, `TERM`, the locale).
    #[must_use]
    pub fn detect(palette: &Palette, ascii: bool, var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let depth = if set("NO_COLOR").is_some() || term == "dumb" || term.starts_with("vt") {
            Depth::Mono
        } else if set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit") {
            Depth::True
        } else if term.contains("256color") || term.contains("direct") {
            Depth::Ansi256
        } else {
            Depth::Ansi16
        };
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let utf8 = locale.to_ascii_lowercase().replace('-', "").contains("utf8");
        Self::of(palette, depth, ascii || !utf8)
    }

    /// The style of a role.
    pub(super) const fn style(&self, role: Role) -> Style {
        self.styles[role.index()]
    }

    /// Whether nothing beyond ASCII may be sent.
    pub(super) fn ascii(&self) -> bool {
        std::ptr::eq(self.glyphs, &raw const ASCII)
    }

    /// Frames of an environment: production double, staging thick, sandbox light. Told apart in black and white too.
    pub(super) fn frame(&self, kind: EnvironmentKind) -> (border::Set<'static>, Role) {
        let (set, role) = match kind {
            EnvironmentKind::Production => (border::DOUBLE, Role::ProductionLine),
            EnvironmentKind::Staging => (border::THICK, Role::StagingLine),
            EnvironmentKind::Sandbox => (border::PLAIN, Role::Line),
        };
        if !self.ascii() {
            return (set, role);
        }
        let (horizontal, vertical) = match kind {
            EnvironmentKind::Production => ("=", "#"),
            EnvironmentKind::Staging => ("=", "|"),
            EnvironmentKind::Sandbox => ("-", "|"),
        };
        let corners = border::Set { top_left: "+", top_right: "+", bottom_left: "+", bottom_right: "+", ..set };
        let sides = border::Set { vertical_left: vertical, vertical_right: vertical, ..corners };
        (border::Set { horizontal_top: horizontal, horizontal_bottom: horizontal, ..sides }, role)
    }
}

/// The symbols of the screen; each one column wide.
#[derive(Debug)]
pub(super) struct Glyphs {
    pub(super) done: &'static str,
    pub(super) fail: &'static str,
    pub(super) unknown: &'static str,
    pub(super) waiting: &'static str,
    pub(super) ready: &'static str,
    pub(super) armed: &'static str,
    pub(super) running: &'static str,
    pub(super) verifying: &'static str,
    pub(super) skipped: &'static str,
    pub(super) undoing: &'static str,
    pub(super) undone: &'static str,
    pub(super) on: &'static str,
    pub(super) off: &'static str,
    pub(super) full: &'static str,
    pub(super) empty: &'static str,
    pub(super) heavy: &'static str,
    pub(super) light: &'static str,
    pub(super) arrow: &'static str,
    pub(super) ellipsis: &'static str,
    pub(super) dot: &'static str,
    pub(super) dash: &'static str,
    pub(super) mark: &'static str,
    pub(super) dotted: &'static str,
    pub(super) solid: &'static str,
    pub(super) limit: &'static str,
    pub(super) base: &'static str,
    pub(super) tick: &'static str,
    pub(super) axis: &'static str,
    pub(super) caret: &'static str,
    pub(super) focus: &'static str,
    pub(super) warn: &'static str,
    pub(super) up: &'static str,
    pub(super) spark: [&'static str; 8],
}

static UNICODE: Glyphs = Glyphs {
    done: "✔",
    fail: "✘",
    unknown: "?",
    waiting: "·",
    ready: "▷",
    armed: "◆",
    running: "▶",
    verifying: "◌",
    skipped: "»",
    undoing: "◀",
    undone: "○",
    on: "●",
    off: "○",
    full: "▓",
    empty: "░",
    heavy: "━",
    light: "╌",
    arrow: "→",
    ellipsis: "…",
    dot: "·",
    dash: "–",
    mark: "┊",
    dotted: "┈",
    solid: "━",
    limit: "╌",
    base: "┈",
    tick: "┤",
    axis: "│",
    caret: "▏",
    focus: "▸",
    warn: "▲",
    up: "↑",
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

static ASCII: Glyphs = Glyphs {
    done: "+",
    fail: "x",
    unknown: "?",
    waiting: ".",
    ready: ">",
    armed: "*",
    running: "@",
    verifying: "~",
    skipped: "/",
    undoing: "<",
    undone: "o",
    on: "@",
    off: "o",
    full: "#",
    empty: ".",
    heavy: "=",
    light: ".",
    arrow: ">",
    ellipsis: "~",
    dot: "-",
    dash: "-",
    mark: ":",
    dotted: ".",
    solid: "*",
    limit: "=",
    base: "-",
    tick: "|",
    axis: "|",
    caret: "_",
    focus: ">",
    warn: "!",
    up: "^",
    spark: ["_", "_", ".", ".", "-", "-", "=", "#"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_differ_without_colour() {
        for ascii in [false, true] {
            let theme = Theme::new(Depth::Mono, ascii);
            let kinds = [EnvironmentKind::Production, EnvironmentKind::Staging, EnvironmentKind::Sandbox];
            let frames = kinds.map(|kind| theme.frame(kind).0);
            assert!(frames[0] != frames[1] && frames[1] != frames[2] && frames[0] != frames[2]);
        }
    }

    #[test]
    fn the_terminal_is_told_from_its_variables() {
        let detect = |vars: &[(&str, &str)]| {
            let dark = Palette::load("dark").unwrap();
            Theme::detect(&dark, false, |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        let utf8 = ("LANG", "en_US.UTF-8");
        assert_eq!(detect(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), utf8]).depth, Depth::True);
        assert_eq!(detect(&[("TERM", "screen-256color"), utf8]).depth, Depth::Ansi256);
        assert_eq!(detect(&[("TERM", "xterm"), utf8]).depth, Depth::Ansi16);
        assert_eq!(detect(&[("TERM", "xterm"), ("NO_COLOR", "1"), utf8]).depth, Depth::Mono);
        assert!(detect(&[("TERM", "xterm"), ("LANG", "C")]).ascii());
        assert!(!detect(&[("LC_ALL", "C.UTF-8"), ("LANG", "C")]).ascii());
    }

    #[test]
    fn ascii_glyphs_are_ascii() {
        let all = format!("{ASCII:?}");
        assert!(all.is_ascii(), "{all}");
    }
}
