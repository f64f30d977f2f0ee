//! The program. Everything is in the library; `cli` wires it together.

fn main() -> std::process::ExitCode {
    cutover::cli::main()
}
