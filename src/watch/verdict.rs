//! The pure half of the verdicts: what is told as a change and what is only noise.

use std::collections::BTreeMap;

/// Failures in a row that make a check fail, and unreadable rounds in a row that make a runner unknown. One is a lost
/// packet; two are an observation.
pub(super) const FAILURES: u32 = 2;

/// Remembers what was told last of each thing.
#[derive(Debug)]
pub(super) struct Told<K, V>(BTreeMap<K, V>);

impl<K, V> Default for Told<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: PartialEq> Told<K, V> {
    /// Whether this is news; remembers it.
    pub(super) fn news(&mut self, key: K, value: V) -> bool {
        if self.0.get(&key) == Some(&value) {
            return false;
        }
        self.0.insert(key, value);
        true
    }
}

/// The verdict of one check on one target: failing after [`FAILURES`] failures in a row, passing after one pass.
///
/// Bad news needs a second witness because one lost packet is none; good news needs none, because a check that passes
/// has proved that the whole path works. The first failure after nothing was known leaves it unknown.
#[derive(Debug, Default)]
pub(super) struct CheckVerdict {
    passing: Option<bool>,
    told: bool,
    failures: u32,
}

impl CheckVerdict {
    /// One run; None: it gave no answer about the check at all, and nothing is known any more. Some is news.
    pub(super) fn see(&mut self, run: Option<bool>) -> Option<Option<bool>> {
        let next = match run {
            Some(true) => Some(true),
            None => None,
            Some(false) if self.failures + 1 >= FAILURES => Some(false),
            Some(false) => self.passing,
        };
        self.failures = if run == Some(false) { self.failures.saturating_add(1) } else { 0 };
        let news = !self.told && (next.is_some() || run.is_none()) || next != self.passing;
        self.passing = next;
        self.told |= news;
        news.then_some(next)
    }

    /// A failure that needs no second witness: the server itself says that it turns us away.
    pub(super) fn refused(&mut self) -> Option<Option<bool>> {
        self.failures = self.failures.max(FAILURES - 1);
        self.see(Some(false))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One letter a run (p, f, or ? for no answer) against one letter a verdict told (P, F, ?) or a dot.
    fn told(runs: &str) -> String {
        let mut verdict = CheckVerdict::default();
        let run = |letter| match letter {
            'p' => Some(true),
            'f' => Some(false),
            _ => None,
        };
        let letter = |news| match news {
            None => '.',
            Some(Some(true)) => 'P',
            Some(Some(false)) => 'F',
            Some(None) => '?',
        };
        runs.chars().map(|c| letter(verdict.see(run(c)))).collect()
    }

    #[test]
    fn who_is_turned_away_needs_no_second_witness() {
        for before in [None, Some(true), Some(false)] {
            let mut verdict = CheckVerdict::default();
            verdict.see(before);
            assert_ne!(verdict.refused(), None, "{before:?}");
            assert_eq!((verdict.passing, verdict.refused()), (Some(false), None), "told once");
            assert_eq!(verdict.see(Some(true)), Some(Some(true)), "one pass is enough");
        }
    }

    #[test]
    fn two_failures_fail_and_one_pass_passes() {
        for (runs, expected) in [
            ("ppp", "P.."),
            ("fff", ".F."),
            ("pfpfp", "P...."),
            ("pffpff", "P.FP.F"),
            ("p?p", "P?P"),
            ("p?ff", "P?.F"),
            ("??", "?."),
            ("f?f?", ".?.."),
            ("fp", ".P"),
        ] {
            assert_eq!(told(runs), expected, "{runs}");
        }
    }

    #[test]
    fn only_changes_are_news() {
        let mut seen = Told::default();
        let news: Vec<_> = [1, 1, 2, 1].into_iter().map(|value| seen.news("cell", value)).collect();
        assert_eq!(news, [true, false, true, true]);
    }

    proptest! {
        #[test]
        fn news_is_never_repeated_and_a_failing_verdict_has_two_witnesses(runs in "[pf?]{0,60}") {
            let told = told(&runs);
            let news: Vec<char> = told.chars().filter(|c| *c != '.').collect();
            prop_assert!(news.windows(2).all(|pair| pair[0] != pair[1]));
            for (place, _) in told.match_indices('F') {
                prop_assert!(runs[..=place].ends_with("ff"));
            }
            // After a pass nothing but passing is known.
            for (place, _) in runs.match_indices('p') {
                prop_assert_eq!(told[..=place].rfind(['P', 'F', '?']), told[..=place].rfind('P'));
            }
        }
    }
}
