//! A cockpit in a program of its own, in the only program there is, and beside one of another build: nobody sees a
//! difference.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use cutover::clock::monotonic;

use super::{
    endings::goes_on,
    home::{Home, PROGRAM},
    terminal::{PATIENCE, POLL},
};

const SCREEN: &str = env!("CARGO_BIN_EXE_cutover-screen");

/// A cockpit comes up in the expected program, starts an engine again that died, and is left.
fn comes_and_goes(home: &Home, expected: &Path) {
    let mut screen = home.rehearse(&["--guided"], (80, 24));
    screen.wait_for("GUIDE");
    assert_eq!(screen.program(), fs::canonicalize(expected).unwrap());
    let engine = home.engine().unwrap();
    assert!(home.kill_engine());
    home.wait("another engine", PATIENCE, |status| status.live && home.engine() != Some(engine));
    let left = PathBuf::from(format!("/proc/{}", engine.as_raw_nonzero()));
    let begun = monotonic();
    while left.exists() {
        assert!(begun.elapsed() < PATIENCE, "nobody took the exit status of the engine that died");
        thread::sleep(POLL);
    }
    screen.press("q");
    assert!(screen.exit().success());
    screen.assert_given_back();
    screen.wait_for("the run goes on");
    goes_on(home);
}

#[test]
fn a_screen_is_a_program_of_its_own() {
    comes_and_goes(&Home::new(), SCREEN.as_ref());
}

#[test]
fn one_program_alone_does_all() {
    let home = Home::with_program_of_its_own();
    comes_and_goes(&home, &home.program.clone());
}

#[test]
fn a_screen_of_another_build_leaves_it_to_the_program() {
    let home = Home::with_program_of_its_own();
    let script = format!("#!/bin/sh\nprogram=$2 opening=$3\nexec '{SCREEN}' older \"$program\" \"$opening\"\n");
    let other = home.file("bin/cutover-screen", &script);
    fs::set_permissions(other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    comes_and_goes(&home, &home.program.clone());
}

#[test]
fn a_screen_started_by_hand_says_how_one_is_opened() {
    let output = std::process::Command::new(SCREEN).arg("join").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("`cutover join` opens one"), "{output:?}");
    assert!(fs::canonicalize(PROGRAM).unwrap().parent() == fs::canonicalize(SCREEN).unwrap().parent());
}
