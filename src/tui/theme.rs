//! Roles, not colours: every pane says what a thing means, and the theme says how that looks on this terminal.
//!
//! Four depths (no colour, 16, 256, true colour) and two sets of glyphs (Unicode, ASCII). A role always differs from its
//! opposite in a word, a symbol or a modifier as well, so that nothing is told by colour alone.

use ratatui::{
    style::{Color, Modifier, Style},
    symbols::border,
};

use crate::plan::EnvironmentKind;

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Foreground or background in three depths: 24 bits, palette index, named.
type Paint = (u32, u8, Color);

struct Look {
    fg: Option<Paint>,
    bg: Option<Paint>,
    /// In every depth.
    modifier: Modifier,
    /// Instead of colours, where there are none.
    mono: Modifier,
}

const PLAIN: Modifier = Modifier::empty();
const BOLD: Modifier = Modifier::BOLD;
const BLACK: Paint = (0x000d_1117, 16, Color::Black);
const WHITE: Paint = (0x00ff_ffff, 231, Color::White);

const fn ink(fg: Paint, modifier: Modifier, mono: Modifier) -> Look {
    Look { fg: Some(fg), bg: None, modifier, mono }
}

const fn fill(fg: Paint, bg: Paint, mono: Modifier) -> Look {
    Look { fg: Some(fg), bg: Some(bg), modifier: BOLD, mono }
}

impl Role {
    const fn look(self) -> Look {
        const UNDERLINED_BOLD: Modifier = BOLD.union(Modifier::UNDERLINED);
        const REVERSED_BOLD: Modifier = BOLD.union(Modifier::REVERSED);
        match self {
            Self::Text => Look { fg: None, bg: None, modifier: PLAIN, mono: PLAIN },
            Self::Strong => Look { fg: None, bg: None, modifier: BOLD, mono: PLAIN },
            Self::Dim => ink((0x008b_949e, 246, Color::DarkGray), PLAIN, Modifier::DIM),
            Self::Line => ink((0x0048_505b, 240, Color::DarkGray), PLAIN, Modifier::DIM),
            Self::Good => ink((0x0056_d364, 78, Color::Green), PLAIN, PLAIN),
            Self::Warn => ink((0x00e8_b93f, 179, Color::Yellow), PLAIN, BOLD),
            Self::Bad => ink((0x00ff_6b64, 203, Color::LightRed), BOLD, BOLD),
            Self::Focus => ink((0x006c_b6ff, 75, Color::LightBlue), BOLD, PLAIN),
            Self::Key => ink((0x0096_d0ff, 117, Color::LightCyan), BOLD, PLAIN),
            Self::Old => ink((0x00c2_97ff, 141, Color::Magenta), PLAIN, PLAIN),
            Self::New => ink((0x00ff_a657, 215, Color::Cyan), PLAIN, PLAIN),
            Self::Changed => ink(WHITE, UNDERLINED_BOLD, PLAIN),
            Self::BadFill | Self::Production => fill(WHITE, (0x00c6_283a, 160, Color::Red), REVERSED_BOLD),
            Self::WarnFill | Self::Staging => fill(BLACK, (0x00e3_a008, 178, Color::Yellow), REVERSED_BOLD),
            Self::InfoFill => fill(WHITE, (0x001f_5fb8, 25, Color::Blue), REVERSED_BOLD),
            Self::Sandbox => fill(BLACK, (0x003f_b9a8, 73, Color::Cyan), REVERSED_BOLD),
            Self::ProductionLine => ink((0x00a0_3a48, 131, Color::Red), PLAIN, PLAIN),
            Self::StagingLine => ink((0x008a_6d1d, 136, Color::Yellow), PLAIN, PLAIN),
        }
    }
}

/// How roles look on this terminal.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    depth: Depth,
    /// The symbols.
    pub(super) glyphs: &'static Glyphs,
}

impl Theme {
    /// A theme of this depth; `ascii`: nothing beyond ASCII is sent.
    #[must_use]
    pub const fn new(depth: Depth, ascii: bool) -> Self {
        Self { depth, glyphs: if ascii { &ASCII } else { &UNICODE } }
    }

    /// What the environment's variables say about the terminal (`NO_COLOR`, `COLORTERM`, `TERM`, the locale).
    #[must_use]
    pub fn detect(ascii: bool, var: impl Fn(&str) -> Option<String>) -> Self {
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
        Self::new(depth, ascii || !utf8)
    }

    /// The style of a role.
    pub(super) fn style(&self, role: Role) -> Style {
        let look = role.look();
        if self.depth == Depth::Mono {
            return Style::new().add_modifier(look.modifier | look.mono);
        }
        let style = Style::new().add_modifier(look.modifier);
        let style = look.fg.map_or(style, |paint| style.fg(self.color(paint)));
        look.bg.map_or(style, |paint| style.bg(self.color(paint)))
    }

    const fn color(&self, (rgb, index, named): Paint) -> Color {
        match self.depth {
            Depth::True => Color::from_u32(rgb),
            Depth::Ansi256 => Color::Indexed(index),
            Depth::Ansi16 | Depth::Mono => named,
        }
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

    const ROLES: [Role; 20] = [
        Role::Text,
        Role::Strong,
        Role::Dim,
        Role::Line,
        Role::Good,
        Role::Warn,
        Role::Bad,
        Role::Focus,
        Role::Key,
        Role::Old,
        Role::New,
        Role::Changed,
        Role::BadFill,
        Role::WarnFill,
        Role::InfoFill,
        Role::Production,
        Role::Staging,
        Role::Sandbox,
        Role::ProductionLine,
        Role::StagingLine,
    ];

    #[test]
    fn the_mono_theme_has_no_colours() {
        let theme = Theme::new(Depth::Mono, false);
        for role in ROLES {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn sixteen_colours_send_no_others() {
        let theme = Theme::new(Depth::Ansi16, false);
        for role in ROLES {
            let style = theme.style(role);
            for color in [style.fg, style.bg].into_iter().flatten() {
                assert!(!matches!(color, Color::Rgb(..) | Color::Indexed(_)), "{role:?} {color:?}");
            }
        }
    }

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
            Theme::detect(false, |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
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
