//! How the programs are linked, and what tells that two of them are of one build.
//!
//! Every process of ours pays for what the program links, used or not: a position-independent one is relocated by the
//! loader when it starts, which reads a table of some megabytes and writes to each page that holds a pointer. With the SDKs
//! that was 7 of the 22 MiB of a cockpit. At a fixed address there is nothing to relocate, and pages come in when they are
//! used. The libraries, heap and stacks stay where chance puts them.
//!
//! `cargo run` makes one program and leaves an older one beside it. `CUTOVER_BUILD`, a hash of what both are made from,
//! keeps them apart (`src/cli/screen.rs`).

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

/// What the programs are made from.
const SOURCES: [&str; 5] = ["src", "config", "build.rs", "Cargo.toml", "Cargo.lock"];

fn main() -> io::Result<()> {
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        for file in files(Path::new(source))? {
            (&file, fs::read(&file)?).hash(&mut hasher);
        }
    }
    println!("cargo::rustc-env=CUTOVER_BUILD={:016x}", hasher.finish());
    Ok(())
}

/// The file, or every file below the folder, always in the same order.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: io::Result<Vec<_>> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let below: io::Result<Vec<_>> = entries.iter().map(|entry| files(entry)).collect();
    Ok(below?.concat())
}
