//! Which events are told, and in which words.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    clock::wall_now,
    plan::{Notify, NotifyFormat, Plan, Topic},
    run::{Event, Outcome, Seat, State, VerdictKind, What, describe},
    world::clean_to,
};

/// Longest text of a message, characters.
const LONGEST: usize = 600;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Plan name.
    pub plan: String,
    /// Environment name.
    pub environment: String,
    /// Session id.
    pub session: String,
    /// What it is about.
    pub topic: Topic,
    /// What happened, one line, cleaned.
    pub text: String,
    /// Who caused it.
    pub by: String,
    /// When, session time, RFC 3339.
    pub time: String,
    /// How many messages before it did not fit the queue.
    pub missed: u64,
}

/// Puts events into messages.
#[derive(Debug)]
pub struct Teller {
    plan: String,
    environment: String,
    /// Guardrails in breach: only the end of a breach is news.
    breached: BTreeSet<String>,
}

impl Teller {
    /// One for a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self { plan: plan.name.clone(), environment: plan.environment.name.clone(), breached: BTreeSet::new() }
    }

    /// The message for an event; None: nobody is told of such. `state` has it folded already.
    pub fn message(&mut self, state: &State, event: &Event) -> Option<Message> {
        let topic = self.topic(state, &event.what)?;
        let session = state.session.as_ref().map_or("", |session| session.id.as_str());
        Some(self.filled(session, topic, &words(state, event), event.by.name(), event.at.to_string()))
    }

    /// What a test says.
    #[must_use]
    pub fn test_message(&self) -> Message {
        let text = "a test: notifications of this plan arrive here";
        self.filled("", Topic::Steps, text, "cutover", wall_now().to_string())
    }

    fn filled(&self, session: &str, topic: Topic, text: &str, by: &str, time: String) -> Message {
        Message {
            plan: self.plan.clone(),
            environment: self.environment.clone(),
            session: session.to_owned(),
            topic,
            text: clean_to(text, LONGEST),
            by: clean_to(by, LONGEST),
            time,
            missed: 0,
        }
    }

    fn topic(&mut self, state: &State, what: &What) -> Option<Topic> {
        Some(match what {
            What::Intended { .. }
            | What::Observed { .. }
            | What::Resolved { .. }
            | What::Skipped { .. }
            | What::Ended { outcome: Outcome::Failed { .. } | Outcome::InDoubt { .. } | Outcome::Stopped, .. } => {
                Topic::Steps
            }
            What::Typed | What::Disarmed { .. } | What::Consented { second: Some(_) } | What::Overridden { .. } => {
                Topic::Gates
            }
            What::HoldRaised { .. } | What::HoldReleased => Topic::Holds,
            What::VerdictChanged { guardrail, verdict: VerdictKind::Breach, .. } => {
                self.breached.insert(guardrail.clone());
                Topic::Breaches
            }
            What::VerdictChanged { guardrail, .. } => self.breached.remove(guardrail).then_some(Topic::Breaches)?,
            What::RollbackStarted { .. } | What::RollbackEnded { .. } => Topic::Rollback,
            What::SeatTaken { seat: Seat::Driver } | What::SessionEnded => Topic::People,
            What::EngineStarted { .. } if state.session.as_ref().is_some_and(|session| session.engines > 1) => {
                Topic::People
            }
            _ => return None,
        })
    }
}

/// The words of the log, and what it leaves to the lines around it: which gate, and what finishes a failed undo.
fn words(state: &State, event: &Event) -> String {
    match (&event.what, &state.gate) {
        (What::Typed, Some(gate)) => {
            format!("{} waits for the second person: both read `{}`", gate.step, gate.evidence.words())
        }
        (What::Disarmed { reason }, _) => {
            let step = state.disarmed.as_ref().map_or("gate", |disarmed| disarmed.step.0.as_str());
            format!("{step}: disarmed: {reason}")
        }
        (What::Ended { step, .. }, _) => {
            let plight = state.step(step).and_then(crate::run::StepState::plight);
            let plight = plight.map_or_else(String::new, |plight| format!("; {}", plight.world));
            format!("{}{plight}", describe(event))
        }
        _ => describe(event),
    }
}

/// What is posted.
pub(super) fn body(notify: &Notify, message: &Message) -> Value {
    let word = Topic::ALL.iter().find(|(_, topic)| *topic == message.topic).map_or("", |(word, _)| word);
    let missed =
        if message.missed == 0 { String::new() } else { format!(" ({} before it were dropped)", message.missed) };
    let text = format!("{}{missed}", message.text);
    let fields = [
        ("plan", message.plan.as_str()),
        ("environment", &message.environment),
        ("session", &message.session),
        ("topic", word),
        ("text", &text),
        ("by", &message.by),
        ("time", &message.time),
    ];
    let filled = fill(&notify.template, &fields);
    match notify.format {
        NotifyFormat::Slack => json!({ "text": escaped(&filled) }),
        NotifyFormat::Json => {
            let mut all: serde_json::Map<_, _> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            all.insert("message".to_owned(), json!(filled));
            Value::Object(all)
        }
    }
}

/// One pass over the template: what a field holds is not looked at for fields again.
fn fill(template: &str, fields: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let field = after
            .split_once('}')
            .and_then(|(name, tail)| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, tail)));
        filled.push_str(before);
        match field {
            Some((value, tail)) => {
                filled.push_str(value);
                rest = tail;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// Slack's three control characters: without this a reason could call the whole channel (`<!channel>`).
///
/// Source: Slack's reference, "Formatting text for app surfaces", escaping text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
