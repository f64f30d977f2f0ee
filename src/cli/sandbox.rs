//! `cutover sandbox`: the embedded world alone.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use color_eyre::eyre::{Result, WrapErr as _};
use tokio::signal::unix::{SignalKind, signal};

use super::{FINE, args, process};
use crate::{
    clock::{Clock, monotonic},
    journal::SessionDir,
    sandbox::{self, Endpoints, Ports, SandboxConfig, scenario::Scenario},
    session::status,
};

/// How long a sandbox waits for its session's engine to come back, wall time.
const ABANDONED: Duration = Duration::from_secs(600);
/// How often it looks, wall time.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn serve(args: &args::Sandbox) -> Result<ExitCode> {
    let scenario = Scenario::load(&args.scenario).wrap_err("failed to load the scenario")?;
    let clock = if args.speed > 1.0 { Clock::scaled(args.speed) } else { Clock::real() };
    let state_dir = args.serve_into.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    if args.serve_into.is_some() {
        process::leave_terminal();
        process::log_to_stderr();
    }
    let config = SandboxConfig { clock, scenario, state_dir, ports: Ports::default() };
    let sandbox = sandbox::start(config).await.wrap_err("failed to start the sandbox")?;
    match &args.serve_into {
        Some(file) => {
            let _alive = hand_over(file, sandbox.endpoints())?;
            until_over(file.clone()).await?;
        }
        None => {
            print(sandbox.endpoints(), args.json)?;
            until_interrupted().await?;
        }
    }
    sandbox.shutdown().await;
    Ok(FINE)
}

/// Written beside and renamed: whoever finds the file finds all of it, and whoever finds it locked finds us alive.
fn hand_over(file: &Path, endpoints: &Endpoints) -> Result<File> {
    let draft = file.with_extension("tmp");
    let write = || {
        let mut written = File::create(&draft)?;
        written.lock()?;
        written.write_all(&serde_json::to_vec_pretty(endpoints)?)?;
        std::fs::rename(&draft, file)?;
        Ok::<_, std::io::Error>(written)
    };
    write().wrap_err_with(|| format!("failed to write {}", file.display()))
}

async fn until_interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// Serves while the session goes on, and for a while after its engine died: it may be started again.
async fn until_over(file: PathBuf) -> Result<()> {
    let dir = SessionDir::new(file.parent().unwrap_or(&file));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut seen = monotonic();
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        if dir.lives() {
            seen = monotonic();
            continue;
        }
        let over = status(&dir).await.is_ok_and(|status| status.state.ended);
        if over || seen.elapsed() > ABANDONED {
            return Ok(());
        }
    }
}

fn print(endpoints: &Endpoints, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, endpoints)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "The sandbox serves until Ctrl-C. Its endpoints, for the ordinary tools:\n")?;
    writeln!(out, "export AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox AWS_REGION=us-east-1")?;
    writeln!(out, "export AWS_ENDPOINT_URL={}", endpoints.aws_route53)?;
    writeln!(out, "export HEROKU_HOST={} HEROKU_API_KEY=sandbox", endpoints.heroku)?;
    writeln!(out, "export CURL_CA_BUNDLE={}", endpoints.ca_pem_path.display())?;
    writeln!(out, "\ndig @{} -p {} shop.example.test", endpoints.authority.ip(), endpoints.authority.port())?;
    for resolver in &endpoints.resolvers {
        let (ip, port) = (resolver.addr.ip(), resolver.addr.port());
        writeln!(out, "dig @{ip} -p {port} shop.example.test    # {}", resolver.name)?;
    }
    for (label, origin) in [("old side", endpoints.old_origin), ("new side", endpoints.new_origin)] {
        let (ip, port) = (origin.https.ip(), origin.https.port());
        writeln!(out, "curl --connect-to ::{ip}:{port} https://shop.example.test:{port}/health    # {label}")?;
    }
    for (label, database) in [("old side", &endpoints.old_database), ("new side", &endpoints.new_database)] {
        let (ip, port) = (database.address.ip(), database.address.port());
        writeln!(out, "psql 'host={ip} port={port} user={} dbname={}'    # {label}", database.user, database.database)?;
    }
    writeln!(out, "curl {}/sandbox/ledger    # what took effect, in order", endpoints.control)?;
    out.flush()?;
    Ok(())
}
