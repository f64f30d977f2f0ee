//! What [`super::truth`] compares.

use cutover::{journal::SessionDir, sandbox::ledger::Entry};

/// A session and what took effect in its world.
pub(crate) struct Home {
    pub(crate) dir: SessionDir,
    pub(crate) ledger: Vec<Entry>,
}

impl Home {
    pub(crate) fn session(&self) -> SessionDir {
        self.dir.clone()
    }

    pub(crate) fn ledger(&self) -> Vec<Entry> {
        self.ledger.clone()
    }
}
