//! The program. Everything is in the library; `cli` wires it together.

use std::process::ExitCode;

fn main() -> color_eyre::Result<ExitCode> {
    color_eyre::config::HookBuilder::default().display_location_section(false).display_env_section(false).install()?;
    cutover::cli::main()
}
