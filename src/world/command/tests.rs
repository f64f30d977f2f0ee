//! With real programs.

use super::*;
use crate::clock::monotonic;

async fn sh(script: &str, timeout: Duration, stop: impl Future<Output = ()>) -> (Exit, Vec<String>) {
    let argv = ["sh", "-c", script].map(str::to_owned);
    let environment = Environment::default().with("CUTOVER_TOKEN", "s/1.0");
    let mut heard = Vec::new();
    let job = Job { argv: &argv, environment: &environment, timeout };
    let exit = run(job, stop, |line| heard.push(line)).await.unwrap();
    (exit, heard)
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn output_comes_line_by_line_and_clean() {
    let script = r"printf 'one\n\033[31mtwo\033[0m\nthree'; cat; exit 3";
    let (exit, heard) = sh(script, LONG, std::future::pending()).await;
    assert_eq!((exit, heard), (Exit::Code(3), ["one", "two", "three"].map(str::to_owned).to_vec()));
    let (exit, heard) = sh("echo $CUTOVER_TOKEN >&2; kill -9 $$", LONG, std::future::pending()).await;
    assert_eq!((exit, heard), (Exit::Signal(9), vec!["s/1.0".to_owned()]));
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let argv = ["echo", "$HOME;", "`id`"].map(str::to_owned);
    let mut heard = Vec::new();
    let job = Job { argv: &argv, environment: &Environment::default(), timeout: LONG };
    let exit = run(job, std::future::pending(), |line| heard.push(line)).await.unwrap();
    assert_eq!((exit, heard), (Exit::Code(0), vec!["$HOME; `id`".to_owned()]));
}

#[tokio::test]
async fn a_line_without_end_is_cut() {
    let (exit, heard) = sh("head -c 100000 /dev/zero | tr '\\0' x", LONG, std::future::pending()).await;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(heard.iter().map(String::len).sum::<usize>(), 100_000);
    assert!(heard.iter().all(|line| line.len() <= MAX_LINE));
}

#[tokio::test]
async fn the_whole_group_ends_when_the_time_is_up_or_somebody_stops_it() {
    let script = "sleep 60 & echo $!; wait";
    let (exit, heard) = sh(script, Duration::from_millis(300), std::future::pending()).await;
    assert_eq!(exit, Exit::TimedOut);
    gone(&heard[0]).await;
    let soon = tokio::time::sleep(Duration::from_millis(200));
    let (exit, heard) = sh(script, LONG, soon).await;
    assert_eq!(exit, Exit::Stopped);
    gone(&heard[0]).await;
}

#[tokio::test]
async fn a_program_that_will_not_end_is_killed() {
    let started = monotonic();
    let script = "trap '' TERM; echo deaf; while :; do sleep 1; done";
    let (exit, heard) = sh(script, Duration::from_millis(200), std::future::pending()).await;
    assert_eq!((exit, heard), (Exit::TimedOut, vec!["deaf".to_owned()]));
    assert!(started.elapsed() < GRACE + Duration::from_secs(4));
}

#[tokio::test]
async fn a_grandchild_that_holds_the_output_does_not_hold_us() {
    let started = monotonic();
    let (exit, heard) = sh("sleep 60 & echo done", LONG, std::future::pending()).await;
    assert_eq!((exit, heard), (Exit::Code(0), vec!["done".to_owned()]));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_does_not_exist_did_not_run() {
    let argv = ["/nonexistent/\u{1b}[31mprogram".to_owned()];
    let environment = Environment::default();
    let job = Job { argv: &argv, environment: &environment, timeout: LONG };
    let error = run(job, std::future::pending(), |_| {}).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to start /nonexistent/program: "), "{error}");
    let empty = run(Job { argv: &[], ..job }, std::future::pending(), |_| {}).await;
    assert!(matches!(empty, Err(CommandError::Empty)));
}

#[test]
fn programs_are_found_as_the_system_would() {
    assert!(find("sh").is_some_and(|path| path.is_absolute()));
    assert_eq!(find("/bin/sh"), Some("/bin/sh".into()));
    assert_eq!((find("no-such-program-here"), find("/etc/passwd"), find("/bin")), (None, None, None));
}

/// The process is no more (or only waits to be reaped).
async fn gone(pid: &str) {
    for _ in 0..50 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{pid} still runs");
}
