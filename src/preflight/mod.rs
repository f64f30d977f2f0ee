//! Before the window: what the plan needs of AWS, and whether the world is as the plan expects it.
//!
//! | file | what it holds |
//! |---|---|
//! | `needs` | every permission that the plan's calls need, and what for |
//! | `policy` | the smallest policy that grants them, and a viewer's |
//! | `gather`, `facts` | one look at the world, which only reads; what it found, as plain data |
//! | `judge/` | from facts to findings: pure |

mod facts;
mod gather;
mod judge;
mod needs;
mod policy;
#[cfg(test)]
mod tests;

pub use facts::{Answer, Facts, HerokuFacts, Permission, ServerFacts, ServiceFacts};
pub use gather::{Look, Progress, gather};
pub use judge::judge;
pub use needs::{Condition, Need, Way, needs};
pub use policy::{JournalPlace, Policy, driver, viewer};
