//! One story: what happens next, and what must hold after it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use cutover::{
    plan::Plan,
    run::{Actor, Ask, Command, Report, Request, Seat, What},
};

use super::{
    cockpit::Cockpit,
    disk::Luck,
    engine::{Acting, Engines},
    sim::Sim,
    tracker::count,
    ways,
};

/// Numbers that follow from a seed alone (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// One of `0..limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

pub(crate) struct Story {
    sim: Sim,
    engines: Rc<RefCell<Engines>>,
    cockpits: [Cockpit; 2],
    dice: Dice,
    /// How many events the cockpits were sent, and engines that started.
    sent: usize,
    steps: u64,
}

impl Story {
    pub(crate) fn begin(plan: Plan, seed: u64) -> Self {
        let engines = Rc::new(RefCell::new(Engines::begin(&plan)));
        let mut sim = Sim::new(plan, Box::new(Acting(Rc::clone(&engines))));
        let mut seated = |uid, seat| Cockpit::new(sim.attach(uid, seat));
        let cockpits = [seated(1000, Seat::Viewer), seated(1001, Seat::Viewer)];
        let sent = sim.events.len();
        Self { sim, engines, cockpits, dice: Dice(seed), sent, steps: 0 }
    }

    pub(crate) fn ended(&self) -> bool {
        self.sim.state.ended
    }

    /// Something happens, the cockpits are told, and everything is checked.
    pub(crate) fn step(&mut self, chance: impl FnOnce(&mut Sim)) {
        self.steps += 1;
        let luck = match self.dice.below(400) {
            0..=3 => Luck::Full(self.share()),
            4..=5 => Luck::Torn(self.share()),
            6 => Luck::Unheard,
            _ => Luck::Well,
        };
        if matches!(luck, Luck::Torn(_)) {
            self.count("torn");
        }
        self.engines.borrow().disk.set_luck(luck);
        match self.dice.below(100) {
            0..=59 => chance(&mut self.sim),
            60..=69 => self.somebody_acts(),
            70..=95 => self.link(),
            96 => self.link_breaks(),
            97..=98 => self.loser_tries(),
            _ => self.take_over(),
        }
        self.tell();
        self.check();
    }

    fn share(&mut self) -> u8 {
        u8::try_from(self.dice.below(256)).unwrap()
    }

    fn count(&mut self, what: &'static str) {
        count(&mut self.engines.borrow_mut().counts, what);
    }

    fn which(&mut self) -> usize {
        usize::try_from(self.dice.below(2)).unwrap()
    }

    /// A person goes by a screen that may be old.
    fn somebody_acts(&mut self) {
        let which = self.which();
        let wanted = self.cockpits[which].wants(self.sim.at);
        if let Some(request) = wanted {
            let you = self.cockpits[which].you.clone();
            self.sim.ask(&you, request);
        }
    }

    /// A message arrives, or a cockpit that asks for everything is heard.
    fn link(&mut self) {
        let which = self.which();
        let missed = self.cockpits[which].hear();
        if missed {
            self.count("messages missed");
        }
        if self.cockpits[which].asks && self.dice.below(3) > 0 {
            self.cockpits[which].send_snapshot(&self.sim.plan, &self.sim.state);
        }
    }

    fn link_breaks(&mut self) {
        let which = self.which();
        let gone = self.cockpits[which].you.clone();
        self.cockpits[which].lose_link();
        self.sim.submit(Actor::Operator(gone), Ask::Report(Report::Detached));
        let uid = 1000 + u32::try_from(which).unwrap();
        let seat = [Seat::Viewer, Seat::Driver, Seat::Confirmer][usize::try_from(self.dice.below(3)).unwrap()];
        self.cockpits[which].you = self.sim.attach(uid, seat);
    }

    fn loser_tries(&mut self) {
        let which = self.which();
        let (by, note) = (self.cockpits[which].you.clone(), Request::Note { text: "is anybody there?".into() });
        let asks =
            [Ask::Person(note), Ask::Report(Report::Passed), Ask::Person(Request::Hold { reason: "wait".into() })];
        for ask in asks {
            let command = Command { at: self.sim.at, by: Actor::Operator(by.clone()), ask };
            self.engines.borrow_mut().loser_tries(&command);
        }
    }

    fn take_over(&mut self) {
        if self.dice.below(5) == 0 {
            self.engines.borrow().disk.set_luck(Luck::Well);
            self.engines.borrow_mut().take_over();
            let arrived = self.dice.below(2) == 0;
            self.sim.restart(arrived);
        }
    }

    /// Every new event goes to every cockpit; one that is not attached any more has lost its link.
    fn tell(&mut self) {
        let new = &self.sim.events[self.sent..];
        let mut lost = 0;
        for event in new {
            let restarted = matches!(event.what, What::EngineStarted { .. });
            for cockpit in &mut self.cockpits {
                if restarted {
                    cockpit.lose_link();
                } else {
                    lost += u64::from(cockpit.send(event, &mut self.dice));
                }
            }
        }
        self.sent = self.sim.events.len();
        (0..lost).for_each(|_| self.count("messages lost"));
        for which in 0..2 {
            let conn = self.cockpits[which].you.conn;
            if !self.sim.state.operators.iter().any(|(known, _)| known.conn == conn) && self.dice.below(20) == 0 {
                self.cockpits[which].lose_link();
                self.cockpits[which].you = self.sim.attach(1000 + u32::try_from(which).unwrap(), Seat::Viewer);
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(self.engines.borrow().state().seq, self.sim.state.seq, "the engine and its log part ways");
        for cockpit in &self.cockpits {
            let Some(state) = cockpit.state() else { continue };
            assert!(state.seq <= self.sim.state.seq, "a cockpit shows what has not happened");
            if state.seq == self.sim.state.seq {
                assert!(*state == self.sim.state, "a cockpit that heard everything shows something else");
            }
        }
        if self.steps.is_multiple_of(500) {
            self.replay();
        }
    }

    /// What is on disk folds to what was lived.
    fn replay(&self) {
        let (events, _) = self.engines.borrow().read();
        assert_eq!(events, self.sim.events, "the log tells another story");
        let mut state = cutover::run::State::default();
        events.iter().for_each(|event| state.apply(event).unwrap());
        assert!(
            state == self.sim.state && state == *self.engines.borrow().state(),
            "a replay differs from what was lived"
        );
    }

    /// Disk and links get well. From where it stands there is a way back and a way to the end, and in a moment both
    /// cockpits see what the engine sees.
    pub(crate) fn converge(&mut self) {
        self.engines.borrow().disk.set_luck(Luck::Well);
        if !self.sim.state.ended {
            ways::back(&mut self.sim);
            ways::to_the_end(&mut self.sim);
        }
        self.sim.replay();
        self.tell();
        let state = &self.sim.state;
        for cockpit in &mut self.cockpits {
            while cockpit.waits() {
                cockpit.hear();
            }
            let behind = cockpit.state().is_none_or(|theirs| theirs.seq < state.seq);
            if cockpit.asks || behind {
                cockpit.send_snapshot(&self.sim.plan, state);
                cockpit.hear();
            }
            assert!(cockpit.state() == Some(state), "a cockpit never sees the truth again");
        }
        self.count("convergences");
        self.replay();
    }

    /// How often things happened; returns the steps.
    pub(crate) fn count_into(self, total: &mut BTreeMap<&'static str, u64>) -> u64 {
        let engines = self.engines.borrow();
        for (what, count) in self.sim.tracker.counts.iter().chain(&engines.counts) {
            *total.entry(*what).or_default() += count;
        }
        self.steps
    }
}
