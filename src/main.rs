//! The program. Everything is in the library; `cli` wires it together.

use std::process::ExitCode;

fn main() -> ExitCode {
    let hooks = color_eyre::config::HookBuilder::default().display_location_section(false).display_env_section(false);
    let plain = color_eyre::config::Theme::new();
    if let Err(error) = (if cutover::cli::colour() { hooks } else { hooks.theme(plain) }).install() {
        return cutover::cli::failed(&error);
    }
    cutover::cli::main().unwrap_or_else(|error| cutover::cli::failed(&error))
}
