//! What befalls a session, from one seed: engines and screens die, links are cut or hang, the other machine takes over.

use std::time::Duration;

use cutover::clock::monotonic;
use rustix::process::Signal;

use super::{stage::Stage, wire::Line};

/// How long a machine must have been cut off before the other takes over while its engine may still live, wall time:
/// without the bucket it can begin nothing new, and what it had begun is over by then.
const CUT_OFF: Duration = Duration::from_secs(15);

/// Numbers that are the same in every run of one seed (xorshift64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `0..limit`.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}

/// How often what happened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) engines_killed: usize,
    pub(crate) screens_killed: usize,
    pub(crate) links_cut: usize,
    pub(crate) links_hung: usize,
    pub(crate) takeovers: usize,
    /// From a machine whose engine still lived.
    pub(crate) from_the_living: usize,
}

pub(crate) struct Weather {
    dice: Dice,
    pub(crate) counts: Counts,
    /// Bytes of the journals when an engine or its link to the bucket was last struck.
    struck: u64,
}

impl Weather {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), counts: Counts::default(), struck: 0 }
    }

    /// Until the session ends, or for so long.
    pub(crate) async fn rage(&mut self, stage: &mut Stage, lasting: Duration) {
        let begun = monotonic();
        while begun.elapsed() < lasting {
            // Now and then it is quiet for longer: the look whether a freeze holds takes seconds, and engines that never
            // live so long would never get past it.
            let quiet = if self.dice.below(6) == 0 { 9000 } else { 1000 + self.dice.below(3000) };
            self.wait(stage, Duration::from_millis(quiet).min(lasting.saturating_sub(begun.elapsed()))).await;
            if stage.is_over() {
                return;
            }
            self.strike(stage).await;
        }
    }

    /// Whoever is missing comes back within half a second: a person who logs in again, a cockpit that starts an engine.
    async fn wait(&mut self, stage: &mut Stage, lasting: Duration) {
        let begun = monotonic();
        while begun.elapsed() < lasting {
            stage.raise();
            tokio::time::sleep(Duration::from_millis(500).min(lasting)).await;
        }
    }

    async fn strike(&mut self, stage: &mut Stage) {
        let acting = stage.acting;
        let (dice, written) = (self.dice.below(12), stage.written());
        // An engine that has not written a word yet is let be: where processors are scarce none would ever come up.
        let dice = if written == self.struck { 4 + dice % 4 } else { dice };
        if !(4..8).contains(&dice) {
            self.struck = written;
        }
        match dice {
            0..4 => self.counts.engines_killed += usize::from(stage.machines[acting].kill_engine()),
            4..7 => {
                let (machine, place) = self.screen(stage);
                stage.machines[machine].kill_screen(&place);
                self.counts.screens_killed += 1;
            }
            7 => self.hang_a_screen(stage).await,
            8..11 => self.cut(stage).await,
            _ => self.take_over(stage).await,
        }
    }

    fn screen(&mut self, stage: &Stage) -> (usize, String) {
        let machine = usize::from(self.dice.below(2) == 1);
        let places = &stage.machines[machine].places;
        let place = usize::try_from(self.dice.below(places.len() as u64)).unwrap();
        (machine, places[place].name.clone())
    }

    async fn hang_a_screen(&mut self, stage: &mut Stage) {
        let (machine, place) = self.screen(stage);
        stage.machines[machine].signal_screen(&place, Signal::STOP);
        self.counts.links_hung += 1;
        let lasting = 500 + self.dice.below(3000);
        self.wait(stage, Duration::from_millis(lasting)).await;
        stage.machines[machine].signal_screen(&place, Signal::CONT);
    }

    /// A machine's link to the bucket.
    async fn cut(&mut self, stage: &mut Stage) {
        let machine = usize::from(self.dice.below(2) == 1);
        let hangs = self.dice.below(3) == 0;
        stage.machines[machine].wire.set(if hangs { Line::Hangs } else { Line::Cut });
        if hangs {
            self.counts.links_hung += 1;
        } else {
            self.counts.links_cut += 1;
        }
        let lasting = 500 + self.dice.below(4000);
        self.wait(stage, Duration::from_millis(lasting)).await;
        stage.machines[machine].wire.set(Line::Up);
    }

    /// From a machine that died, or from one that is cut off and does not know.
    async fn take_over(&mut self, stage: &mut Stage) {
        let from = stage.acting;
        let lives = self.dice.below(2) == 0;
        if lives {
            stage.machines[from].wire.set(Line::Cut);
            self.counts.links_cut += 1;
            self.wait(stage, CUT_OFF).await;
        } else {
            self.counts.engines_killed += usize::from(stage.machines[from].kill_engine());
        }
        if stage.take_over().await {
            self.counts.takeovers += 1;
            self.counts.from_the_living += usize::from(stage.machines[from].engine_lives());
        }
        // It comes back when the other has begun, and finds that it has lost.
        self.wait(stage, Duration::from_secs(3)).await;
        stage.machines[from].wire.set(Line::Up);
    }
}
