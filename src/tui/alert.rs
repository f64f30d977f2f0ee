//! What calls for attention beside the screen: told once, when it begins.

use super::{Alert, model};
use crate::{
    run::{HoldKind, alarms},
    session::message::Snapshot,
};

/// What is worth a bell now, one line each.
pub(super) fn worth(snapshot: &Snapshot) -> Vec<String> {
    let gate = model::asks(snapshot).map(|gate| format!("the gate of {} waits for you", gate.step));
    let grave = |kind: &HoldKind| !matches!(kind, HoldKind::Preview | HoldKind::Source | HoldKind::Blind);
    let all = alarms(&snapshot.plan, &snapshot.state, snapshot.clock.now());
    let held = all.into_iter().filter(|hold| grave(&hold.kind)).map(|hold| hold.text);
    gate.into_iter().chain(held).collect()
}

/// The bytes for what is new since it was asked last; `known` is what was told then.
pub(super) fn call(alert: Alert, known: &mut Vec<String>, now: Vec<String>) -> Vec<u8> {
    let new: Vec<&String> = now.iter().filter(|one| !known.contains(one)).collect();
    let mut bytes = Vec::new();
    if let Some(first) = new.first() {
        if alert.bell {
            bytes.push(0x07);
        }
        if alert.osc9 {
            bytes.extend(format!("\x1b]9;cutover: {}\x1b\\", super::text::clean(first)).into_bytes());
        }
    }
    *known = now;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_calls_once_and_with_clean_words() {
        let alert = Alert { bell: true, osc9: true };
        let mut known = Vec::new();
        let bytes = call(alert, &mut known, vec!["held by a\x1b]0;x\x07".into()]);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("\x07\x1b]9;cutover: held by a") && text.ends_with("\x1b\\"), "{text:?}");
        assert_eq!(text.matches(['\x07', '\x1b']).count(), 3, "{text:?}");
        let same = known.clone();
        assert!(call(alert, &mut known, same).is_empty());
        assert!(call(Alert::default(), &mut known, vec!["other".into()]).is_empty());
    }
}
