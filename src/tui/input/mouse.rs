//! The mouse as terminals report it in SGR mode: `ESC [ < button ; column ; line M`.
//!
//! Source: xterm's control sequences, "Mouse Tracking", modes 1000 and 1006.

use crossterm::event::{Event, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// Presses of the left button and turns of the wheel; whatever else is reported is of no interest.
pub(super) fn event(report: &str, last: u8) -> Option<Event> {
    let mut numbers = report.split(';').map(|number| number.parse::<u16>().ok());
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let kind = match (button, last) {
        (0, b'M') => MouseEventKind::Down(MouseButton::Left),
        (64, b'M') => MouseEventKind::ScrollUp,
        (65, b'M') => MouseEventKind::ScrollDown,
        _ => return None,
    };
    // Counted from 1.
    let (column, row) = (column.checked_sub(1)?, row.checked_sub(1)?);
    Some(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presses_and_turns_are_told_and_the_rest_is_not() {
        let told = |report, last| match event(report, last) {
            Some(Event::Mouse(MouseEvent { kind, column, row, .. })) => Some((kind, column, row)),
            _ => None,
        };
        assert_eq!(told("0;1;1", b'M'), Some((MouseEventKind::Down(MouseButton::Left), 0, 0)));
        assert_eq!(told("64;300;100", b'M'), Some((MouseEventKind::ScrollUp, 299, 99)));
        assert_eq!(told("65;7;3", b'M'), Some((MouseEventKind::ScrollDown, 6, 2)));
        for (report, last) in
            [("0;1;1", b'm'), ("2;1;1", b'M'), ("32;5;5", b'M'), ("0;0;1", b'M'), ("0;1", b'M'), ("0;;1", b'M')]
        {
            assert_eq!(told(report, last), None, "{report}");
        }
    }
}
