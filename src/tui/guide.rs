//! The guide of a first rehearsal: what to do next, and why, worked out anew from what is true.

use crate::{
    plan::{GateLevel, Kind},
    run::{ConditionId, Direction, Gate, Phase, Seat, StepState},
    tui::{
        form::{About, Decision},
        gate::Wants,
        keymap::{CONSENT, View},
        model::{Scene, seat, second_persons},
        pane::Pane,
        ui::Overlay,
    },
};

/// Lines that it takes at the bottom of the screen.
pub(super) const LINES: u16 = 2;

/// Whether the person is guided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Guide {
    /// No.
    #[default]
    Off,
    /// Not yet, and it has been offered: nothing has ever run on this machine.
    Offered,
    /// Yes; what has been shown already.
    On(Seen),
}

/// What a guided person has looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The graphs.
    pub(super) graphs: bool,
    /// The price of going back.
    pub(super) rollback: bool,
    /// The journal.
    pub(super) journal: bool,
}

impl Guide {
    /// Takes or leaves it.
    pub(super) const fn toggled(self) -> Self {
        match self {
            Self::Off | Self::Offered => Self::On(Seen { graphs: false, rollback: false, journal: false }),
            Self::On(_) => Self::Off,
        }
    }

    /// Remembers that something was looked at.
    pub(super) const fn saw(&mut self, view: View) {
        if let Self::On(seen) = self {
            match view {
                View::Graphs => seen.graphs = true,
                View::Journal => seen.journal = true,
                _ => {}
            }
        }
    }

    /// Remembers that the price of going back was looked at.
    pub(super) const fn saw_rollback(&mut self) {
        if let Self::On(seen) = self {
            seen.rollback = true;
        }
    }
}

/// What to do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) next: String,
    pub(super) why: String,
}

fn advice(next: impl Into<String>, why: impl Into<String>) -> Advice {
    Advice { next: next.into(), why: why.into() }
}

/// What the guide says now; None: it is silent.
pub(super) fn advise(scene: &Scene<'_>) -> Option<Advice> {
    match scene.ui.guide {
        Guide::Off => None,
        // The offer goes away once the person has begun without it.
        Guide::Offered if scene.state().steps.iter().any(|step| !step.attempts.is_empty()) => None,
        Guide::Offered => Some(advice(
            "First time here? i guides you through a rehearsal in some minutes",
            "nothing real is touched; this line goes away when you begin a step",
        )),
        Guide::On(seen) => Some(guided(scene, seen)),
    }
}

fn guided(scene: &Scene<'_>, seen: Seen) -> Advice {
    if let Some(lost) = scene.lost {
        let next = lost.restart.as_ref().map_or_else(
            || "Wait: the engine is looked for; keys act again once it is heard".to_owned(),
            |restart| format!("q leaves; then `{restart}` starts the engine again"),
        );
        return advice(next, "what you see is as it was when the engine was heard last");
    }
    if scene.state().complete() || scene.state().ended {
        return advice("That is all. Q ends the session", "the next one shows what this one took, as rehearsed");
    }
    if let Some(said) = over(scene).or_else(|| gate(scene)) {
        return said;
    }
    if scene.state().rolled_back {
        return advice(
            "Everything is undone. Q ends the session; F turns forward again",
            "the world is as it was before",
        );
    }
    if scene.ui.view != View::Cockpit {
        return elsewhere(scene);
    }
    if seat(scene.snapshot) != Seat::Driver {
        return advice(
            format!("t, then {CONSENT}: take the driver's seat"),
            "one person drives; everybody else sees the same screen",
        );
    }
    let Some(step) = scene.state().step(&scene.target.step) else {
        return advice("f goes to the step that the run is at", "the plan has nothing to look at here");
    };
    if step.phase.settled() && scene.target.direction == Direction::Forward {
        return advice("f goes to the step that the run is at", format!("this one is {}", step.phase.word()));
    }
    if let Some(hold) = scene.state().hold.as_ref().filter(|_| scene.state().rollback.is_none()) {
        let why = format!("{} holds it: {}; what runs goes on, and nothing else begins", hold.by, hold.reason);
        return advice("The run is held: h releases it", why);
    }
    if step.phase.in_flight() { running(scene, step, seen) } else { ready(scene, step) }
}

/// Something lies over the screen.
fn over(scene: &Scene<'_>) -> Option<Advice> {
    Some(match scene.ui.overlay.as_ref()? {
        Overlay::Help(_) | Overlay::Plain(_) | Overlay::Alarms(_) => advice("Esc goes back", "arrows scroll"),
        Overlay::People => advice("any key goes back", "names in brackets are claimed, uids are proven"),
        Overlay::Form(form) if matches!(form.about, About::End) => {
            advice("Type the words and Enter to end it; or Esc leaves it", "the world stays as it is then")
        }
        Overlay::Form(_) => advice("fill it in, Enter; or Esc leaves it", "reasons go into the journal"),
        Overlay::Question(question) => match question.about {
            Decision::Rollback(_) if scene.price().passed.is_some() => {
                advice("Esc leaves it: R begins nothing any more", "the point of no return is passed")
            }
            Decision::Rollback(_) => advice(
                "Look at what would be undone, and how long it takes; then Esc leaves it",
                "the way back is two keys away on every screen, its price told before",
            ),
            _ => advice(format!("{CONSENT} decides, Esc leaves it"), "it is asked because it matters to others"),
        },
    })
}

fn gate(scene: &Scene<'_>) -> Option<Advice> {
    let why = "nothing is sent before your key, and then the world is read once more";
    let gate = scene.state().gate.as_ref();
    if scene.ui.gate.asking() {
        return Some(advice(
            "Enter is taken: wait until the gate is on the screen",
            "a key before that closes it again",
        ));
    }
    let Some(latch) = scene.ui.gate.latch() else { return passed(scene, gate?) };
    Some(match latch.wants() {
        Wants::Key(key) => advice(format!("Look at the change, then press {key}"), why),
        Wants::Word(word) if gate.is_some_and(|gate| final_step(scene, gate)) => {
            advice(format!("NO WAY BACK AFTER THIS: {word}, typed, and Enter; or Esc"), why)
        }
        Wants::Word(word) => advice(format!("Look at the change, then type {word} and Enter"), why),
    })
}

/// Whether it is the gate of a point of no return.
fn final_step(scene: &Scene<'_>, gate: &Gate) -> bool {
    gate.direction == Direction::Forward && scene.plan().step(&gate.step).is_some_and(|step| step.point_of_no_return)
}

/// A gate that asks this person for nothing: what it waits for.
fn passed(scene: &Scene<'_>, gate: &Gate) -> Option<Advice> {
    let own = gate.by.conn == scene.snapshot.you.conn;
    Some(match (gate.consented, gate.typed) {
        (true, _) => advice(
            "Accepted, nothing more to press: the world is read again, then it begins",
            "if anything is not as shown, nothing is sent, and you are told",
        ),
        _ if scene.ui.gate.passing() => {
            advice("Your key is taken: the engine is being told", "nothing has been sent to the world yet")
        }
        (false, true) if own => advice(
            format!("Typed: {}. Esc withdraws it", second_persons(scene.snapshot, gate)),
            "two people look at the same change before it is sent",
        ),
        (false, _) => {
            advice(format!("Wait: {} has the gate of {} open", gate.by.name, gate.step), "one gate at a time")
        }
    })
}

fn elsewhere(scene: &Scene<'_>) -> Advice {
    match scene.ui.view {
        View::Graphs => advice(
            "Left, Right: read one moment; - and +: the range; 1 goes back",
            "numbers on top: steps that acted; dotted: old side; dim: blind, no green",
        ),
        View::Journal => advice(
            "Arrows choose an event, Enter shows it on the graphs; 1 goes back",
            "all of it is on disk: engine, report and you read the same list",
        ),
        _ => advice("1 goes back to the cockpit", "2 to 7 are views of the same truth"),
    }
}

fn running(scene: &Scene<'_>, step: &StepState, seen: Seen) -> Advice {
    let kind = scene.plan().step(&step.id).map(|step| &step.kind);
    match kind {
        Some(Kind::Manual { items }) => ticking(scene, step, items.len()),
        _ if step.phase == Phase::InDoubt => {
            advice("l looks at the world again", "nobody knows whether it took effect: it is never repeated blindly")
        }
        _ if !seen.graphs => advice("While it runs: 2 shows the graphs", "they tell whether customers notice"),
        _ if !seen.rollback => advice("R shows what going back would cost", "looking changes nothing: Esc leaves it"),
        _ if !seen.journal => advice("7 shows the journal", "everything that happened, and who did it"),
        Some(Kind::DnsDrain { .. }) => advice(
            "Nothing to press: the old answer is forgotten by itself; 3 shows it",
            "whoever was told the old address may keep it for as long as its TTL",
        ),
        _ => advice(
            "Wait, or q: the run goes on; `cutover join --role driver` comes back",
            "the engine outlives every screen",
        ),
    }
}

/// Where the cursor stands decides what Space does.
fn ticking(scene: &Scene<'_>, step: &StepState, items: usize) -> Advice {
    let here = scene.ui.item.min(items.saturating_sub(1));
    let open = items.saturating_sub(step.ticked.len());
    let why = "what no program can see, a person vouches for by name";
    if u32::try_from(here).is_ok_and(|here| step.ticked.contains(&here)) && open > 0 {
        return advice(format!("Up and Down go to an open item ({open} left); Space unticks this one"), why);
    }
    advice(format!("Space ticks the item under the cursor ({open} left)"), why)
}

/// What is waited for, in people's words; the numbers are told beside it.
fn wait_for(scene: &Scene<'_>, id: ConditionId) -> String {
    let (old, new) = (&scene.plan().sides.old.label, &scene.plan().sides.new.label);
    match id {
        ConditionId::Needs => "Not yet: other steps come before this one; f goes to the one it is at".to_owned(),
        ConditionId::Hold => "Wait: something holds the whole run; ! says all of it".to_owned(),
        ConditionId::Alone => "Wait until the step that is under way has ended".to_owned(),
        ConditionId::Preview => "Wait: what it would change cannot be read yet".to_owned(),
        ConditionId::Drain => "Wait: name servers may still remember the old answer".to_owned(),
        ConditionId::Resolvers => "Wait until all name servers give the same answer; 3 shows them".to_owned(),
        ConditionId::Checks => format!("Wait until the checks pass on {new}; 4 shows them"),
        ConditionId::Guardrails => "Wait: a measured value is over its limit, or cannot be seen; 2 shows it".to_owned(),
        ConditionId::Silence => format!("Wait until no customer comes to {old} any more"),
        ConditionId::Runners => "Wait: something runs where it was ended, or nowhere; ! says what to do".to_owned(),
        ConditionId::Leak => format!("Wait: somebody still writes on {old}; stop them first"),
        ConditionId::Interlock => "Not now: two of a kind would run, or none".to_owned(),
        ConditionId::Order => "Not this one yet: something else is undone first".to_owned(),
    }
}

fn ready(scene: &Scene<'_>, step: &StepState) -> Advice {
    if scene.ui.focus != Pane::Step && scene.ui.focus != Pane::Steps {
        return advice("Tab to the pane of the step", "Enter arms what is on the screen, and only there");
    }
    if let Some(open) = scene.conditions().iter().find(|condition| !condition.holds) {
        return advice(wait_for(scene, open.id), open.detail.clone());
    }
    if step.preview(scene.target.direction).is_none() {
        return advice("Wait a moment: the exact change is being read", "a gate opens for that very change, or not");
    }
    if scene.ui.gate.cramped() {
        let what = if scene.ui.zoom { "Make the terminal taller" } else { "Press z" };
        return advice(
            format!("{what}: all of the change must be on the screen"),
            "Enter arms only what is seen whole",
        );
    }
    let last = scene.plan().step(&step.id).is_some_and(|step| step.point_of_no_return);
    if last && scene.target.direction == Direction::Forward {
        return advice(
            if scene.price().passed.is_some() {
                "Nothing puts this back either; Enter arms it"
            } else {
                "NO WAY BACK AFTER THIS: R shows what can be undone; Enter arms it"
            },
            "in a real night: is the new side well, and does everybody agree?",
        );
    }
    let Some(planned) = scene.plan().step(&step.id) else { return advice("f goes to the step that the run is at", "") };
    match scene.gate_level(planned) {
        GateLevel::Start if matches!(planned.kind, Kind::Manual { .. }) => advice(
            "Enter begins it: you do it, and tick it off",
            hurry(scene).unwrap_or("the program itself changes nothing by it"),
        ),
        GateLevel::Start => advice("Enter begins it", hurry(scene).unwrap_or("this step changes nothing in the world")),
        GateLevel::Confirm => {
            advice("Enter arms the gate: nothing is sent by it", "first the change is shown, then a second key decides")
        }
        GateLevel::Type | GateLevel::Two => {
            advice("Enter arms the gate: nothing is sent by it", "then what it does is typed: customers would notice")
        }
    }
}

/// Said before anything has begun where time runs ahead of the person who reads.
fn hurry(scene: &Scene<'_>) -> Option<&'static str> {
    let begun = scene.state().steps.iter().any(|step| !step.attempts.is_empty());
    let fast = scene.snapshot.clock.speed() > 1.0 && !begun;
    fast.then_some("it changes nothing in the world; time runs fast, also while you read")
}
