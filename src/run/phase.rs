//! Where a step stands, and the one table of legal transitions, used live and in replay.

use serde::{Deserialize, Serialize};

/// Where a step stands. `Ready`, `Armed` and `Accepted` are views of `Waiting` and its siblings: see
/// [`super::State::phase`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Steps that it needs are not done.
    Waiting,
    /// It may be armed.
    Ready,
    /// Its gate is open and waits for the second key.
    Armed,
    /// Its gate was passed: the world is read once more before anything is sent.
    Accepted,
    /// An attempt is under way.
    Running,
    /// The attempt ended; the world is being read.
    Verifying,
    /// The world is as the step wants it.
    Done,
    /// The last attempt did not take effect.
    Failed,
    /// Nobody knows yet whether the last attempt took effect.
    InDoubt,
    /// A person decided to go on without it.
    Skipped,
    /// An undo is under way.
    Undoing,
    /// The world is as it was before the step.
    Undone,
}

/// Forward, or back to where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Apply the step.
    Forward,
    /// Undo the step.
    Back,
}

/// What moves a step from one phase to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The intent to act is on disk.
    Intend(Direction),
    /// The next part of a staged attempt, or a read-only attempt taken up again by a new engine.
    GoOn,
    /// All parts were applied.
    Applied,
    /// The attempt did not succeed and is known to have left no effect beyond its finished parts.
    Fail,
    /// The answer was lost or the engine died.
    Doubt,
    /// The world shows that it is done.
    ObservedDone(Direction),
    /// The world shows that it is not done.
    ObservedNotDone,
    /// A person goes on without it.
    Skip,
    /// What had not taken effect did after all.
    Arrived,
    /// A step before it was undone: what it saw is no longer so.
    Rewind,
}

impl Phase {
    /// The table. None: that may not happen, and a journal in which it does is not believed.
    #[must_use]
    pub const fn after(self, trigger: Trigger) -> Option<Self> {
        use Direction::{Back, Forward};
        use Trigger as T;
        Some(match (self, trigger) {
            (Self::Waiting | Self::Failed | Self::Undone | Self::Skipped, T::Intend(Forward)) => Self::Running,
            (Self::Done | Self::Failed | Self::InDoubt, T::Intend(Back)) => Self::Undoing,
            (Self::Running, T::GoOn) => Self::Running,
            (Self::Running | Self::Undoing, T::Applied) => Self::Verifying,
            (Self::Failed | Self::Skipped, T::Arrived) => Self::Failed,
            (Self::Running | Self::Undoing, T::Fail) | (Self::Verifying | Self::InDoubt, T::ObservedNotDone) => {
                Self::Failed
            }
            (Self::Running | Self::Undoing | Self::Verifying | Self::InDoubt, T::Doubt) => Self::InDoubt,
            (Self::Verifying | Self::InDoubt, T::ObservedDone(Forward)) => Self::Done,
            (Self::Verifying | Self::InDoubt, T::ObservedDone(Back)) => Self::Undone,
            // A staged attempt whose part turned out to be done goes on with its next part.
            (Self::InDoubt, T::GoOn) => Self::Running,
            (Self::Waiting | Self::Failed | Self::Undone, T::Skip) => Self::Skipped,
            (Self::Done, T::Rewind) => Self::Waiting,
            _ => return None,
        })
    }

    /// Something of this step may be on its way to the world.
    #[must_use]
    pub const fn in_flight(self) -> bool {
        matches!(self, Self::Running | Self::Verifying | Self::Undoing | Self::InDoubt)
    }

    /// Steps that need this one may go on.
    #[must_use]
    pub const fn settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }

    /// How people call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Armed => "ARMED",
            Self::Accepted => "ACCEPTED",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::InDoubt => "IN DOUBT",
            Self::Skipped => "skipped",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
        }
    }
}
