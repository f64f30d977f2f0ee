//! How the program is linked.
//!
//! Every process of ours pays for what the program links, used or not: a position-independent one is relocated by the
//! loader when it starts, which reads a table of some megabytes and writes to each page that holds a pointer. With the SDKs
//! that was 7 of the 22 MiB of a cockpit. At a fixed address there is nothing to relocate, and pages come in when they are
//! used. The libraries, heap and stacks stay where chance puts them.
//!
//! Rejected for now: a second program for the screen, without the SDKs. It would save another 8 MiB of the program's own
//! pages, which engine and screen share, but `cargo run` would leave an older one beside a newer first program.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
