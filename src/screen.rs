//! The program that is nothing but a screen; see `cli/screen.rs`.

fn main() -> std::process::ExitCode {
    cutover::cli::screen_main()
}
