//! Whatever stands in the file, loading it ends with a plan or with errors that have a place.

use proptest::prelude::*;

use super::{ENVIRONMENTS, SAMPLE, given};
use crate::plan::check;

/// What a mangled file is likely to trip over.
const BITS: [&str; 16] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "${",
    "}",
    "\n",
    "[[step]]\n",
    "kind = \"exec\"\n",
    "\u{e9}",
    "\u{1f600}",
    "0",
    "-1",
];

fn tried(text: &str, environment: &str) -> Result<(), TestCaseError> {
    let problems = match check(text, "mangled.toml", environment, &given()) {
        Ok(checked) => checked.warnings,
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            errors
        }
    };
    for problem in problems.problems() {
        prop_assert!(text.get(problem.span.clone()).is_some(), "{:?}", problem.span);
        prop_assert!(problem.line >= 1 && problem.column >= 1);
    }
    prop_assert_eq!(problems.render(false).is_empty(), problems.is_empty());
    prop_assert!(serde_json::to_string(&problems).is_ok());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_sample_with_pieces_cut_and_put_in(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, prop::sample::select(BITS.to_vec())), 1..6),
        environment in prop::sample::select(ENVIRONMENTS.to_vec()),
    ) {
        let mut chars: Vec<char> = SAMPLE.chars().collect();
        for (at, cut, put) in edits {
            let at = at.index(chars.len());
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, put.chars());
        }
        tried(&chars.into_iter().collect::<String>(), environment)?;
    }

    #[test]
    fn the_sample_with_lines_lost_and_doubled(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 1..12),
        environment in prop::sample::select(ENVIRONMENTS.to_vec()),
    ) {
        let mut lines: Vec<&str> = SAMPLE.lines().collect();
        for (from, to, lost) in edits {
            let from = from.index(lines.len());
            let line = if lost { lines.remove(from) } else { lines[from] };
            let to = to.index(lines.len() + 1);
            lines.insert(to, line);
            if lost {
                lines.remove(to);
            }
        }
        tried(&lines.join("\n"), environment)?;
    }

    #[test]
    fn the_sample_with_values_exchanged(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
        environment in prop::sample::select(ENVIRONMENTS.to_vec()),
    ) {
        let mut lines: Vec<String> = SAMPLE.lines().map(str::to_owned).collect();
        let with_value: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(" = ")).collect();
        for (from, to) in edits {
            let value = lines[*from.get(&with_value)].split_once(" = ").map(|(_, value)| value.to_owned());
            let target = &mut lines[*to.get(&with_value)];
            if let (Some((key, _)), Some(value)) = (target.clone().split_once(" = "), value) {
                *target = format!("{key} = {value}");
            }
        }
        tried(&lines.join("\n"), environment)?;
    }
}
