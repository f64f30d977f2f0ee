use proptest::prelude::*;

use super::*;

const EVERY: i64 = 5;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn authority(old_ttl: u32) -> Authority {
    Authority::new(Some(old_ttl), SignedDuration::from_secs(EVERY), at(0))
}

/// An authority that is asked every [`EVERY`] seconds from `from` to `to` and shows this.
fn asked(authority: &mut Authority, from: i64, to: i64, side: Side, ttl: u32) {
    (from..=to).step_by(5).for_each(|second| authority.see(side, Some(ttl), at(second)));
}

#[test]
fn the_old_ttl_that_still_drains_is_honest_and_what_is_left_afterwards_is_not() {
    let mut authority = authority(1800);
    asked(&mut authority, 0, 1000, Side::Old, 1800);
    asked(&mut authority, 1005, 1300, Side::Old, 60);
    for (ttl, expected) in [
        (60, Answer::Old),
        // 300 s after the lowering.
        (1500, Answer::Old),
        (1520, Answer::OldStretched),
        (1800, Answer::OldStretched),
    ] {
        assert_eq!(Habit::default().old(Some(ttl), &authority, at(1300)), expected, "{ttl}");
    }
    asked(&mut authority, 1305, 4000, Side::Old, 60);
    for (ttl, expected) in [(60, Answer::Old), (66, Answer::Old), (90, Answer::OldStretched)] {
        assert_eq!(Habit::default().old(Some(ttl), &authority, at(4000)), expected, "{ttl}");
    }
}

#[test]
fn after_the_switch_the_ceiling_sinks_to_the_present_ttl() {
    let mut authority = authority(300);
    asked(&mut authority, 0, 1000, Side::Old, 300);
    asked(&mut authority, 1005, 1030, Side::New, 60);
    assert_eq!(Habit::default().old(Some(270), &authority, at(1030)), Answer::Old);
    assert_eq!(Habit::default().old(Some(290), &authority, at(1030)), Answer::OldStretched);
    asked(&mut authority, 1035, 1300, Side::New, 60);
    assert_eq!(Habit::default().old(Some(55), &authority, at(1300)), Answer::Old);
    assert_eq!(Habit::default().old(Some(90), &authority, at(1300)), Answer::OldStretched);
}

#[test]
fn a_stretched_copy_stays_stretched_while_it_lives() {
    let mut authority = authority(60);
    let mut habit = Habit::default();
    asked(&mut authority, 0, 1000, Side::Old, 60);
    assert_eq!(habit.old(Some(300), &authority, at(1000)), Answer::OldStretched);
    asked(&mut authority, 1005, 1300, Side::Old, 60);
    assert_eq!(habit.old(Some(40), &authority, at(1260)), Answer::OldStretched);
    assert_eq!(habit.old(Some(55), &authority, at(1310)), Answer::Old);
    habit.old(Some(300), &authority, at(1310));
    habit.other();
    assert_eq!(habit.old(Some(40), &authority, at(1315)), Answer::Old);
}

#[test]
fn a_copy_that_is_served_expired_once_is_gone_with_the_fresh_one() {
    let mut authority = authority(20);
    let mut habit = Habit::default();
    asked(&mut authority, 0, 1000, Side::Old, 12);
    let answers = [(1000, 30), (1000, 12), (1005, 7), (1010, 2), (1013, 30), (1013, 12), (1018, 7)];
    let told = answers.map(|(second, ttl)| habit.old(Some(ttl), &authority, at(second)) == Answer::OldStretched);
    assert_eq!(told, [true, false, false, false, true, false, false]);
}

#[test]
fn who_heard_first_of_a_raised_ttl_is_not_accused_for_long() {
    let mut authority = authority(60);
    asked(&mut authority, 0, 1000, Side::Old, 60);
    let mut habit = Habit::default();
    assert_eq!(habit.old(Some(1800), &authority, at(1003)), Answer::OldStretched);
    asked(&mut authority, 1005, 1010, Side::Old, 1800);
    assert_eq!(habit.old(Some(1795), &authority, at(1008)), Answer::Old);
}

#[test]
fn zero_twice_in_a_row_is_stale_unless_the_authority_gives_zero() {
    let mut authority = authority(60);
    asked(&mut authority, 0, 100, Side::Old, 60);
    let answers = |ttls: &[u32], authority: &Authority| {
        let mut habit = Habit::default();
        ttls.iter().map(|ttl| habit.old(Some(*ttl), authority, at(100))).collect::<Vec<_>>()
    };
    assert_eq!(answers(&[0, 59, 0], &authority), [Answer::Old; 3]);
    assert_eq!(answers(&[0, 0, 0, 9], &authority), [Answer::Old, Answer::OldStale, Answer::OldStale, Answer::Old]);
    asked(&mut authority, 105, 200, Side::Old, 0);
    assert_eq!(answers(&[0, 0, 0], &authority), [Answer::Old; 3]);
}

#[test]
fn nobody_is_accused_while_the_authority_is_not_heard() {
    let mut authority = authority(60);
    assert_eq!(Habit::default().old(Some(3600), &authority, at(1)), Answer::Old);
    asked(&mut authority, 0, 100, Side::Old, 60);
    assert_eq!(Habit::default().old(Some(3600), &authority, at(120)), Answer::OldStretched);
    assert_eq!(Habit::default().old(Some(3600), &authority, at(130)), Answer::Old);
}

#[test]
fn dubious_answers() {
    let mut authority = authority(60);
    asked(&mut authority, 0, 100, Side::Old, 60);
    for (ttl, dubious) in [(0, true), (30, false), (300, true)] {
        let mut habit = Habit::default();
        let answer = habit.old(Some(ttl), &authority, at(100));
        assert_eq!(habit.dubious(answer), dubious, "{ttl}");
    }
}

/// One letter an answer (o old, s stretched, n new, - silence), one letter a piece of news or a dot.
fn told(teller: &mut Teller, authority: &Authority, answers: &str) -> String {
    let answer = |letter| match letter {
        'o' => Answer::Old,
        's' => Answer::OldStretched,
        'n' => Answer::New,
        _ => Answer::Silent,
    };
    let letter = |news| match news {
        None => '.',
        Some(Answer::Old) => 'o',
        Some(Answer::OldStretched) => 's',
        Some(Answer::New) => 'n',
        Some(_) => '-',
    };
    answers.chars().map(|c| letter(teller.see(answer(c), authority))).collect()
}

#[test]
fn two_probes_must_agree() {
    let mut authority = authority(60);
    asked(&mut authority, 0, 1000, Side::Old, 60);
    for (answers, expected) in
        [("oono", "o..."), ("onn", "o.n"), ("-o", ".o"), ("--oo", ".-.o"), ("o-o--o", "o...-."), ("osso", "o.s.")]
    {
        assert_eq!(told(&mut Teller::default(), &authority, answers), expected, "{answers}");
    }
}

#[test]
fn while_the_authority_alternates_only_its_settled_side_is_told() {
    let mut authority = authority(60);
    asked(&mut authority, 0, 500, Side::Old, 60);
    for (second, side) in [(505, Side::New), (510, Side::Old), (515, Side::New)] {
        authority.see(side, Some(60), at(second));
    }
    let mut teller = Teller::default();
    assert_eq!(told(&mut teller, &authority, "oonnnnnnoonn"), "o...........");
    // Silence and what comes after it are told in any case; nothing else could be.
    assert_eq!(told(&mut teller, &authority, "--nn"), ".-.n");
    assert_eq!(told(&mut teller, &authority, "oooo"), "....");
    asked(&mut authority, 520, 575, Side::Old, 60);
    assert_eq!(told(&mut teller, &authority, "oo"), "o.");
    assert_eq!(told(&mut teller, &authority, "nnnn"), "....");
    asked(&mut authority, 580, 900, Side::Old, 60);
    assert_eq!(told(&mut teller, &authority, "nnnn"), "n...");
}

#[test]
fn one_turn_is_a_switch_and_a_late_second_one_a_rollback() {
    let mut authority = authority(60);
    asked(&mut authority, 0, 100, Side::Old, 60);
    asked(&mut authority, 105, 600, Side::New, 60);
    assert_eq!(told(&mut Teller::default(), &authority, "onnoo"), "o.n.o");
    asked(&mut authority, 605, 610, Side::Old, 60);
    assert_eq!(told(&mut Teller::default(), &authority, "noo"), "n.o");
}

/// What a cache that is told the truth holds: asks anew when its copy has run out, and never before.
#[derive(Clone, Copy)]
struct Cache {
    side: Side,
    until: i64,
    least: i64,
}

impl Cache {
    fn ask(&mut self, now: i64, served: (Side, u32)) -> (Side, u32) {
        if now >= self.until {
            *self = Self { side: served.0, until: now + i64::from(served.1).max(self.least), ..*self };
        }
        (self.side, u32::try_from(self.until - now).unwrap())
    }
}

/// Small, deterministic, good enough to draw a side.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

proptest! {
    /// Whatever the operator does and whenever the cache fetched: an honest resolver is never told to be anything else.
    #[test]
    fn an_honest_resolver_is_never_accused(
        ttls in prop::collection::vec(1u32..4000, 1..4), lengths in prop::collection::vec(1i64..3000, 4..5),
        phase in 0i64..5, share in 0u64..100, mut seed in 1u64..,
    ) {
        let mut authority = authority(ttls[0]);
        let mut habit = Habit::default();
        let mut teller = Teller::default();
        let mut cache = Cache { side: Side::Old, until: 0, least: 0 };
        let mut ends = 0;
        let stages: Vec<(i64, u32, u64)> = (0..4).map(|i| {
            ends += lengths[i];
            // Some TTLs, then a weighted stage, then the new side alone.
            let ttl = ttls[i.min(ttls.len() - 1)];
            (ends, ttl, [0, 0, share, 100][i])
        }).collect();
        for second in 0..ends {
            let (_, ttl, new) = *stages.iter().find(|(end, ..)| second < *end).unwrap();
            let mut serve = || if random(&mut seed) % 100 < new { (Side::New, ttl) } else { (Side::Old, ttl) };
            if second % EVERY == 0 {
                let (side, ttl) = serve();
                authority.see(side, Some(ttl), at(second));
            }
            let (side, left) = cache.ask(second, serve());
            if second % EVERY == phase {
                let answer = match side {
                    Side::Old => habit.old(Some(left), &authority, at(second)),
                    Side::New => Answer::New,
                };
                let told = teller.see(answer, &authority);
                prop_assert!(!matches!(told, Some(Answer::OldStretched | Answer::OldStale)), "{told:?} at {second}");
            }
        }
    }

    /// A resolver with a minimum TTL well above the authority's is found out within one of its copies' lives.
    #[test]
    fn a_stretching_resolver_is_found_out(least in 100i64..3000, phase in 0i64..5) {
        let mut authority = authority(60);
        let mut habit = Habit::default();
        let mut cache = Cache { side: Side::Old, until: 0, least };
        let mut found = false;
        for second in 0..2 * least {
            if second % EVERY == 0 {
                authority.see(Side::Old, Some(60), at(second));
            }
            if second % EVERY == phase && second >= EVERY {
                let (_, left) = cache.ask(second, (Side::Old, 60));
                found |= habit.old(Some(left), &authority, at(second)) == Answer::OldStretched;
            }
        }
        prop_assert!(found);
    }

    /// Half an hour in a weighted stage: a line or two in the journal, not a line a minute.
    #[test]
    fn a_weighted_stage_does_not_flood_the_journal(
        share in prop::sample::select(vec![1u64, 10, 25, 50, 75, 90, 99]), mut seed in 1u64..,
    ) {
        let mut authority = authority(60);
        asked(&mut authority, 0, 600, Side::Old, 60);
        let mut teller = Teller::default();
        let mut cache = Cache { side: Side::Old, until: 0, least: 0 };
        let mut news = 0;
        for second in (605i64..605 + 1800).step_by(5) {
            let mut serve = || if random(&mut seed) % 100 < share { (Side::New, 60) } else { (Side::Old, 60) };
            let (side, ttl) = serve();
            authority.see(side, Some(ttl), at(second));
            let answer = if cache.ask(second, serve()).0 == Side::New { Answer::New } else { Answer::Old };
            news += usize::from(teller.see(answer, &authority).is_some());
        }
        prop_assert!(news <= 8, "{news} lines");
        // The end of the switch is told within a minute and the life of a copy.
        for second in (2405i64..2405 + 130).step_by(5) {
            authority.see(Side::New, Some(60), at(second));
            cache.ask(second, (Side::New, 60));
            teller.see(if cache.side == Side::New { Answer::New } else { Answer::Old }, &authority);
        }
        prop_assert_eq!(teller.told, Some(Answer::New));
    }
}
