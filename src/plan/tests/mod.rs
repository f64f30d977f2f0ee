//! Tests of the loader.

mod bad;
mod mangled;
mod sample;
mod scalars;
mod steps;

use std::collections::BTreeMap;

use super::{Checked, Plan, PlanErrors, check, load, sandbox_placeholders};

const SAMPLE: &str = include_str!("../../../config/acme-shop.toml");
/// What a plan with databases adds to the sample.
const DATABASE: &str = include_str!("../../../config/database.toml");
/// A small plan without a warning, for tests that break one thing.
const BASE: &str = include_str!("base.toml");
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "sandbox"];

fn given() -> BTreeMap<String, String> {
    sandbox_placeholders()
}

fn sample(environment: &str) -> Result<Plan, PlanErrors> {
    load(SAMPLE, "acme-shop.toml", environment, &given())
}

/// The base plan with some texts replaced, each of which must occur in it.
fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(BASE.to_owned(), |text, (find, replace)| {
        assert!(text.contains(find), "the base plan has no {find:?}");
        text.replacen(find, replace, 1)
    })
}

fn try_base(edits: &[(&str, &str)], environment: &str) -> Result<Checked, PlanErrors> {
    check(&edited(edits), "base.toml", environment, &BTreeMap::new())
}
