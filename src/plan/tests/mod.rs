//! Tests of the loader.

mod sample;

use std::collections::BTreeMap;

use super::{Plan, PlanErrors, load, sandbox_placeholders};

const SAMPLE: &str = include_str!("../../../config/acme-shop.toml");
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "sandbox"];

fn given() -> BTreeMap<String, String> {
    sandbox_placeholders()
}

fn sample(environment: &str) -> Result<Plan, PlanErrors> {
    load(SAMPLE, "acme-shop.toml", environment, &given())
}
