//! The journal for people and for programs.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use super::reader::{ReadError, Reader};
use crate::run::{self, Direction, Event, What};

/// Why a journal could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// It is not believed from here on; what stands before was printed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The output is gone.
    #[error("failed to print the journal")]
    Write(#[from] io::Error),
}

/// One event as a line: session time (UTC), number, who, what. No control characters.
#[must_use]
pub fn line(event: &Event) -> String {
    told(event, false)
}

/// The same. `undone`: its attempt, if it tells of one, put something back.
fn told(event: &Event, undone: bool) -> String {
    let at = event.at.strftime("%Y-%m-%d %H:%M:%SZ");
    let (name, said) = (event.by.name(), run::describe(event));
    let said = if run::names_itself(event) { said.strip_prefix(name).unwrap_or(&said).trim_start() } else { &said };
    let undo = if undone { "undo of " } else { "" };
    let text = format!("{at} {:>5}  {name:<10} {undo}{said}", event.seq);
    text.replace(char::is_control, " ")
}

/// Prints every event as [`line`]; a torn tail is named at the end.
///
/// # Errors
/// [`PrintError`]; what was sound up to there has been printed.
pub fn print_for_people(mut reader: Reader, out: &mut impl Write) -> Result<(), PrintError> {
    let mut undone = BTreeSet::new();
    for event in reader.by_ref() {
        let event = event?;
        if let What::Intended { step, direction, .. } = &event.what {
            match direction {
                Direction::Back => undone.insert(step.clone()),
                Direction::Forward => undone.remove(step),
            };
        }
        let back = run::silent_of_direction(&event).is_some_and(|step| undone.contains(step));
        writeln!(out, "{}", told(&event, back))?;
    }
    if let Some(torn) = reader.torn() {
        writeln!(out, "({} bytes behind byte {} were never acknowledged and do not count)", torn.bytes, torn.offset)?;
    }
    Ok(())
}

/// Prints every event as one line of JSON.
///
/// # Errors
/// [`PrintError`]; what was sound up to there has been printed.
pub fn print_for_programs(reader: Reader, out: &mut impl Write) -> Result<(), PrintError> {
    for event in reader {
        serde_json::to_writer(&mut *out, &event?).map_err(io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}
