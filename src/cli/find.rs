//! Which session is meant: one of this user's own, or one of another user who lets this one in.

use std::path::Path;

use color_eyre::eyre::Result;
use serde::{Deserialize, Serialize};

use super::process::layout;
use crate::{
    journal::{LayoutError, SessionDir},
    session::{Client, Shared, shared_sessions},
};

/// Where a session was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Place {
    /// In this user's own state.
    Own(SessionDir),
    /// Behind another user's socket.
    Theirs(Shared),
}

/// Finds a session by its id or a unique part of it; without one, the newest that runs, this user's own first.
pub(super) async fn find(session: Option<&str>, socket: Option<&Path>) -> Result<Place> {
    if let Some(path) = socket {
        let session = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Place::Theirs(Shared { path: path.to_owned(), session, owner: "another user".to_owned() }));
    }
    let own = layout()?.find(session);
    match &own {
        Ok(dir) if session.is_some() || dir.lives() => return Ok(Place::Own(own?)),
        Ok(_) | Err(LayoutError::None(_) | LayoutError::Unknown { .. }) => {}
        Err(_) => return Ok(Place::Own(own?)),
    }
    for theirs in theirs() {
        let meant = session.is_none_or(|id| theirs.session.contains(id));
        if !meant {
            continue;
        }
        // Who is not let in is hung up on; one that stands still or is of another version is there.
        let peeked = Client::peek(&theirs.path).await;
        if peeked.map_or_else(|error| error.stands(), |_| true) {
            return Ok(Place::Theirs(theirs));
        }
    }
    Ok(Place::Own(own?))
}

/// Sockets in the shared places that are not this user's own.
pub(super) fn theirs() -> Vec<Shared> {
    let own = layout().and_then(|layout| Ok(layout.list()?)).unwrap_or_default();
    let known = |theirs: &Shared| own.iter().any(|dir| dir.id() == theirs.session);
    shared_sessions().into_iter().filter(|theirs| !known(theirs)).collect()
}
