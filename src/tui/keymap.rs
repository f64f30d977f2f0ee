//! The one table of keys. The loop looks commands up in it, the help and the line of hints are made from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The second key of a gate and of every question: nothing else is ever done by it, so no habit presses it. `y` is a
/// habit twice over, to copy and to answer yes, and consents to nothing.
pub const CONSENT: char = 'e';

/// What a key asks the cockpit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Arm,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    PreviousStep,
    NextStep,
    Follow,
    Tick,
    Look,
    Override,
    Skip,
    Stop,
    Resolve,
    Rollback,
    Forward,
    Hold,
    Note,
    Seat,
    Confirmer,
    People,
    Alarms,
    Wider,
    Closer,
    Whole,
    CrossBack,
    CrossOn,
    Search,
    Kinds,
    Jump,
    Guide,
    Copy,
    Plain,
    NextPane,
    PreviousPane,
    Zoom,
    Back,
    View(View),
    Help,
    Redraw,
    Suspend,
    Detach,
    End,
}

/// The views, in the order of their keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Cockpit,
    Graphs,
    Dns,
    Checks,
    Checklist,
    Timeline,
    Journal,
}

impl View {
    /// All views, by key `1` to `7`.
    pub(super) const ALL: [Self; 7] =
        [Self::Cockpit, Self::Graphs, Self::Dns, Self::Checks, Self::Checklist, Self::Timeline, Self::Journal];

    /// What it is called.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Cockpit => "cockpit",
            Self::Graphs => "graphs",
            Self::Dns => "DNS",
            Self::Checks => "checks",
            Self::Checklist => "checklist",
            Self::Timeline => "timeline",
            Self::Journal => "journal",
        }
    }
}

/// Where a key has its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// The steps and the pane of one step.
    Step,
    /// Graphs.
    Graphs,
    /// Anything that scrolls.
    List,
    /// The journal.
    Journal,
    /// Everywhere.
    Everywhere,
}

impl Context {
    /// What the help calls it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Step => "This step",
            Self::Graphs => "Graphs",
            Self::List => "Moving",
            Self::Journal => "Journal",
            Self::Everywhere => "Everywhere",
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Binding {
    /// What it does.
    pub(super) command: Command,
    /// Which keys do it; the first is the one that is shown.
    pub(super) keys: &'static [KeyCode],
    /// With Ctrl.
    pub(super) ctrl: bool,
    /// Where.
    pub(super) context: Context,
    /// A word for the line of hints; empty: not shown there.
    pub(super) hint: &'static str,
    /// A sentence for the help.
    pub(super) help: &'static str,
}

const fn bind(
    command: Command,
    keys: &'static [KeyCode],
    context: Context,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    Binding { command, keys, ctrl: false, context, hint, help }
}

const fn ctrl(command: Command, keys: &'static [KeyCode], help: &'static str) -> Binding {
    Binding { command, keys, ctrl: true, context: Context::Everywhere, hint: "", help }
}

use Command as C;
use Context::{Everywhere, Graphs, Journal, List, Step};
use KeyCode::{BackTab, Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up};

/// Every key of the cockpit, but for the explicit keys of an armed gate, which the gate names itself.
pub(super) const TABLE: &[Binding] = &[
    bind(
        C::Arm,
        &[Enter],
        Step,
        "arm",
        "arm its gate: look at the change, then press the key or type the words it asks for",
    ),
    bind(C::Tick, &[Char(' ')], Step, "tick", "tick the item of a manual step, or take the tick back"),
    bind(C::Look, &[Char('l')], Step, "", "read the exact change again; in doubt: read what the world shows"),
    bind(
        C::Override,
        &[Char('o')],
        Step,
        "",
        "go past a condition that does not hold: typed, with a reason, journaled",
    ),
    bind(C::Skip, &[Char('s')], Step, "", "go on without this step: `skip` and its id typed, with a reason, journaled"),
    bind(C::Stop, &[Char('x')], Step, "", "stop what is running, if it can be stopped"),
    bind(C::Resolve, &[Char('u')], Step, "", "decide what a step in doubt did: typed, with a reason, journaled"),
    bind(C::Up, &[Up, Char('k')], List, "", "up"),
    bind(C::Down, &[Down, Char('j')], List, "", "down"),
    bind(C::PageUp, &[PageUp], List, "", "a page up"),
    bind(C::PageDown, &[PageDown], List, "", "a page down"),
    bind(C::First, &[Home, Char('g')], List, "", "to the first line"),
    bind(C::Last, &[End, Char('G')], List, "", "to the last line, and follow"),
    bind(C::CrossBack, &[Left], Graphs, "read", "crosshair: read the values of all graphs at one moment, further back"),
    bind(C::CrossOn, &[Right], Graphs, "", "crosshair: later; Esc takes it away"),
    bind(C::Wider, &[Char('-')], Graphs, "longer", "show a longer time, from 5 minutes to all there is"),
    bind(C::Closer, &[Char('+'), Char('=')], Graphs, "shorter", "show a shorter time"),
    bind(C::Whole, &[Char('0')], Graphs, "", "show all the time there is"),
    bind(C::Search, &[Char('/')], Journal, "search", "show only lines with these words"),
    bind(C::Kinds, &[Char('v')], Journal, "kinds", "show everything, acts, people, trouble, watches"),
    bind(C::Jump, &[Enter], Journal, "graphs", "to this moment on the graphs: the crosshair stands there"),
    bind(C::Help, &[Char('?')], Everywhere, "help", "this help; it knows the pane you are in"),
    bind(C::NextPane, &[Tab], Everywhere, "pane", "to the next pane"),
    bind(C::PreviousPane, &[BackTab], Everywhere, "", "to the pane before"),
    bind(C::Zoom, &[Char('z')], Everywhere, "zoom", "the pane fills the screen, and back"),
    bind(C::View(View::Cockpit), &[Char('1')], Everywhere, "", "the cockpit"),
    bind(C::View(View::Graphs), &[Char('2')], Everywhere, "", "all graphs, aligned in time"),
    bind(C::View(View::Dns), &[Char('3')], Everywhere, "", "every resolver, every hop, every TTL"),
    bind(C::View(View::Checks), &[Char('4')], Everywhere, "", "every check on every side"),
    bind(C::View(View::Checklist), &[Char('5')], Everywhere, "", "what people tick off"),
    bind(C::View(View::Timeline), &[Char('6')], Everywhere, "", "planned against actual"),
    bind(C::View(View::Journal), &[Char('7')], Everywhere, "", "everything that happened"),
    bind(C::Rollback, &[Char('R')], Everywhere, "rollback", "the price of going back; a second key begins it"),
    bind(C::Forward, &[Char('F')], Everywhere, "", "leave the rollback and turn forward again"),
    bind(C::Hold, &[Char('h')], Everywhere, "hold", "hold the run, with a reason; again: release it"),
    bind(C::Note, &[Char('n')], Everywhere, "note", "write something into the journal"),
    bind(C::Seat, &[Char('t')], Everywhere, "", "take the driver's seat"),
    bind(C::Confirmer, &[Char('T')], Everywhere, "", "take a confirmer's seat"),
    bind(C::People, &[Char('w')], Everywhere, "", "who is attached, from where, and what they look at"),
    bind(C::Alarms, &[Char('!')], Everywhere, "", "everything that stands under the header, in full"),
    bind(C::PreviousStep, &[Char('[')], Everywhere, "", "look at the step before"),
    bind(C::NextStep, &[Char(']')], Everywhere, "", "look at the step after"),
    bind(C::Follow, &[Char('f')], Everywhere, "", "back to the step that the run is at"),
    bind(C::Guide, &[Char('i')], Everywhere, "", "the guide: what to do next, and why; again: without it"),
    bind(C::Copy, &[Char('y')], Everywhere, "", "copy what has the focus to the terminal's clipboard (OSC 52)"),
    bind(C::Plain, &[Char('Y')], Everywhere, "", "show what has the focus without borders, to be selected by mouse"),
    bind(C::Back, &[Esc], Everywhere, "", "back: crosshair, zoom, search, view"),
    bind(C::Detach, &[Char('q')], Everywhere, "detach", "leave the screen; the run goes on without it"),
    bind(C::End, &[Char('Q')], Everywhere, "end", "end the session: nothing more will happen in it"),
    ctrl(C::Redraw, &[Char('l')], "draw everything again"),
    ctrl(
        C::Suspend,
        &[Char('z')],
        "back to the shell for a while; `fg` comes back here, and the run goes on meanwhile",
    ),
    ctrl(C::Detach, &[Char('c')], "leave the screen, as q"),
];

/// The command of a key in these contexts.
pub(super) fn command(key: &KeyEvent, contexts: &[Context]) -> Option<Command> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let fits = |binding: &&Binding| {
        binding.ctrl == ctrl && contexts.contains(&binding.context) && binding.keys.contains(&key.code)
    };
    TABLE.iter().find(fits).map(|binding| binding.command)
}

impl Command {
    /// Is asked of the engine: it does nothing while there is none.
    pub(super) const fn asks(self) -> bool {
        use Command as C;
        matches!(
            self,
            C::Arm
                | C::Tick
                | C::Look
                | C::Override
                | C::Skip
                | C::Stop
                | C::Resolve
                | C::Rollback
                | C::Forward
                | C::Hold
                | C::Note
                | C::Seat
                | C::Confirmer
                | C::End
        )
    }

    /// Opens a box, sends something or leaves: a stroke alone does, and not one letter of something that is pasted.
    pub(super) const fn weighs(self) -> bool {
        use Command as C;
        !matches!(
            self,
            C::Up
                | C::Down
                | C::PageUp
                | C::PageDown
                | C::First
                | C::Last
                | C::PreviousStep
                | C::NextStep
                | C::Follow
                | C::Wider
                | C::Closer
                | C::Whole
                | C::CrossBack
                | C::CrossOn
                | C::NextPane
                | C::PreviousPane
                | C::Zoom
                | C::Back
                | C::View(_)
                | C::Redraw
                | C::Tick
                | C::Arm
        )
    }
}

/// Where a key has a meaning that it has not everywhere; None: nowhere.
pub(super) fn home_of(key: &KeyEvent) -> Option<Context> {
    let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
    let fits = |binding: &&Binding| plain && !binding.ctrl && binding.keys.contains(&key.code);
    TABLE.iter().find(fits).map(|binding| binding.context)
}

/// How the first key of a binding is written.
pub(super) fn label(binding: &Binding, ascii: bool) -> String {
    binding.keys.first().map_or_else(String::new, |key| name(binding, *key, ascii))
}

/// How all of them are.
pub(super) fn labels(binding: &Binding, ascii: bool) -> String {
    binding.keys.iter().map(|key| name(binding, *key, ascii)).collect::<Vec<_>>().join(" ")
}

fn name(binding: &Binding, key: KeyCode, ascii: bool) -> String {
    let name = match key {
        Char(' ') => "Space".to_owned(),
        Char(c) => c.to_string(),
        Up if !ascii => "↑".to_owned(),
        Down if !ascii => "↓".to_owned(),
        Left if !ascii => "←".to_owned(),
        Right if !ascii => "→".to_owned(),
        BackTab => "Shift-Tab".to_owned(),
        PageUp => "PgUp".to_owned(),
        PageDown => "PgDn".to_owned(),
        code => format!("{code:?}"),
    };
    if binding.ctrl { format!("Ctrl-{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contexts that are never looked up together may share keys.
    fn together(a: Context, b: Context) -> bool {
        let apart = |x, y| (a, b) == (x, y) || (a, b) == (y, x);
        !apart(Step, Graphs) && !apart(Step, Journal) && !apart(Graphs, Journal)
    }

    #[test]
    fn no_key_has_two_meanings_in_one_place() {
        for (index, one) in TABLE.iter().enumerate() {
            for other in &TABLE[index + 1..] {
                let shared = one.keys.iter().find(|key| other.keys.contains(key));
                let clash = one.ctrl == other.ctrl && together(one.context, other.context);
                assert!(shared.is_none() || !clash, "{shared:?}: {:?} and {:?}", one.command, other.command);
            }
        }
    }

    #[test]
    fn the_key_of_consent_means_nothing_else() {
        assert!(TABLE.iter().all(|binding| !binding.keys.contains(&Char(CONSENT))));
    }

    #[test]
    fn every_command_explains_itself() {
        assert!(TABLE.iter().all(|binding| !binding.help.is_empty() && !binding.keys.is_empty()));
    }

    #[test]
    fn control_and_plain_keys_are_told_apart() {
        let contexts = [Step, Everywhere];
        let with = |modifiers| command(&KeyEvent::new(Char('l'), modifiers), &contexts);
        assert_eq!(with(KeyModifiers::NONE), Some(Command::Look));
        assert_eq!(with(KeyModifiers::CONTROL), Some(Command::Redraw));
        assert_eq!(with(KeyModifiers::ALT), None);
    }
}
