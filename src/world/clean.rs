//! Makes text from outside fit for a terminal and for a log.
//!
//! HTTP bodies, DNS answers, command output and error messages are written by others. A terminal obeys what it is sent:
//! an escape sequence can recolour the screen, set its title or type into it, and a bidirectional override can make a
//! name read as another. So the text is taken apart the way a terminal would (ECMA-48, xterm's `ctlseqs`), and only
//! what is meant to be read is kept.

/// What [`clean`] keeps, in characters: a reason is a line or two.
pub const MAX_REASON: usize = 400;

/// One line without control sequences, control characters or invisible direction marks, at most [`MAX_REASON`]
/// characters long. Line breaks and tabs become single spaces.
#[must_use]
pub fn clean(text: &str) -> String {
    clean_to(text, MAX_REASON)
}

/// As [`clean`], with another limit in characters; longer text ends in `…`.
#[must_use]
pub fn clean_to(text: &str, limit: usize) -> String {
    let mut kept = Kept { text: String::with_capacity(text.len().min(limit)), count: 0, limit, gap: false };
    let mut state = State::Text;
    for c in text.chars() {
        state = state.after(c, &mut kept);
        if kept.count > limit {
            break;
        }
    }
    kept.finish()
}

/// Where a terminal would be in its reading of the text.
#[derive(Clone, Copy)]
enum State {
    Text,
    /// After ESC, and after the intermediate bytes of an escape sequence.
    Escape,
    /// Inside a control sequence (CSI): ends with a byte from `@` to `~`.
    Sequence,
    /// Inside a control string (OSC, DCS, SOS, PM, APC): ends with BEL or ST.
    Control,
    /// After an ESC inside a control string.
    ControlEscape,
}

impl State {
    fn after(self, c: char, kept: &mut Kept) -> Self {
        match (self, c) {
            // CAN and SUB abort any sequence; so does a line break here, lest one open string swallow all that follows.
            (Self::Text | Self::Escape | Self::Sequence | Self::Control | Self::ControlEscape, '\n' | '\r') => {
                kept.space();
                Self::Text
            }
            (_, '\u{18}' | '\u{1a}') | (Self::Control, '\u{7}' | '\u{9c}') | (Self::ControlEscape, '\\') => Self::Text,
            (Self::Control, '\u{1b}') => Self::ControlEscape,
            (_, '\u{1b}') => Self::Escape,
            (Self::Control, _) => Self::Control,
            // An ESC that does not end the string begins another sequence.
            (Self::Escape | Self::ControlEscape, c) => escape(c),
            (Self::Sequence, '\u{40}'..='\u{7e}') => Self::Text,
            (Self::Sequence, '\u{0}'..='\u{3f}') => Self::Sequence,
            (Self::Text | Self::Sequence, c) => printed(c, kept),
        }
    }
}

/// What follows an ESC.
const fn escape(c: char) -> State {
    match c {
        '[' => State::Sequence,
        ']' | 'P' | 'X' | '^' | '_' => State::Control,
        ' '..='/' => State::Escape,
        _ => State::Text,
    }
}

/// A character outside any sequence.
fn printed(c: char, kept: &mut Kept) -> State {
    match c {
        '\u{9b}' => return State::Sequence,
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => return State::Control,
        c if c.is_whitespace() => kept.space(),
        c if c.is_control() || invisible(c) => {}
        c => kept.push(c),
    }
    State::Text
}

/// Characters without a glyph that reorder, hide or tag others (Unicode UAX #9, and what is used to spoof names).
const fn invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

struct Kept {
    text: String,
    count: usize,
    limit: usize,
    gap: bool,
}

impl Kept {
    fn space(&mut self) {
        self.gap = self.count > 0;
    }

    fn push(&mut self, c: char) {
        for c in std::mem::take(&mut self.gap).then_some(' ').into_iter().chain([c]) {
            self.count += 1;
            if self.count <= self.limit {
                self.text.push(c);
            }
        }
    }

    fn finish(mut self) -> String {
        if self.count > self.limit {
            self.text.pop();
            self.text.push('…');
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_meant_to_be_read_stays() {
        for text in ["plain", "naïve café — 日本語", "emoji 🚀 ok", "a [bracket] and \\ back"] {
            assert_eq!(clean(text), text);
        }
        assert_eq!(clean("  two\n lines\tand\r\n more "), "two lines and more");
    }

    #[test]
    fn sequences_that_a_terminal_would_obey_are_gone() {
        let cases = [
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[?1049l\x1b[2J\x1b[Hgone", "gone"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://evil.test\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]52;c;cm0gLXJm\x1b\\x", "x"),
            ("\x1bP1$qm\x1b\\dcs", "dcs"),
            ("\x1b(0line\x1b(B", "line"),
            ("\x1b#8fill", "fill"),
            ("\u{9b}31mc1\u{9d}0;t\u{9c}!", "c1!"),
            ("a\u{8}b\u{7f}c\u{0}d\u{85}e", "abcd e"),
            ("\x1b[3\x181m", "1m"),
            ("\x1b]0;open\nnext line", "next line"),
            ("\x1b]0;a\x1b[31mb", "b"),
            ("\x1b", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_cannot_be_turned_around_or_hidden() {
        assert_eq!(clean("shop\u{202e}moc.live\u{202c}"), "shopmoc.live");
        assert_eq!(clean("a\u{200b}b\u{2066}c\u{2069}d\u{feff}e\u{200f}"), "abcde");
        assert_eq!(clean("tag\u{e0041}ged\u{2028}line"), "tagged line");
    }

    #[test]
    fn length_is_bounded_in_characters() {
        assert_eq!(clean_to("äöüß", 4), "äöüß");
        assert_eq!(clean_to("äöüßa", 4), "äöü…");
        assert_eq!(clean(&"x".repeat(5000)).chars().count(), MAX_REASON);
    }

    proptest! {
        #[test]
        fn nothing_that_controls_survives(text in any::<String>(), limit in 1usize..80) {
            let kept = clean_to(&text, limit);
            prop_assert!(kept.chars().count() <= limit);
            prop_assert!(!kept.chars().any(|c| c.is_control() || invisible(c)));
            prop_assert_eq!(clean_to(&kept, limit), kept);
        }

        #[test]
        fn sequences_never_leak_their_text(codes in "[0-9;?]{0,12}", end in "[@-~]", word in "[a-z ]{0,9}[a-z]") {
            let text = format!("\x1b[{codes}{end}{word}");
            prop_assert_eq!(clean(&text), word.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "));
        }
    }
}
