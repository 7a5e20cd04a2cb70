//! The `berth-agent` command.

#![forbid(unsafe_code)]

mod environment;
mod health_listener;
mod options;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use berth_compute_agent::libvirt::Libvirt;
use berth_compute_agent::{AgentHealth, agent, service};
use berth_process::log::{self, LogFilter, Terminal};
use berth_process::{command_line, listener, printable, supervisor};
use clap::{CommandFactory, Parser};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use options::Options;

fn main() -> ExitCode {
    let parsed = Options::try_parse();
    if let Err(text) = &parsed
        && !text.use_stderr()
    {
        return command_line::print_answer("berth-agent", text);
    }
    let done = environment::check().and_then(|()| match parsed {
        Ok(Options { manual: Some(directory), .. }) => {
            let written = command_line::write_manual(Options::command(), &directory);
            written
                .map(|()| ExitCode::SUCCESS)
                .with_context(|| format!("cannot write to {}", directory.display()))
        }
        Ok(options) => serve(&options).map(|()| ExitCode::SUCCESS),
        Err(usage) => Ok(command_line::refuse(&usage)),
    });
    done.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "berth-agent: {}", printable::lines(&format!("{error:#}")));
        ExitCode::FAILURE
    })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn serve(options: &Options) -> Result<()> {
    let _ = log::start(filter()?, log::LogFormat::Text, &Terminal::of_environment());
    let settings = options.settings(seed())?;
    let channel = service::channel(&options.service, options.certificates()?).context("--service")?;
    let url = options.service.clone();
    std::thread::spawn(move || {
        if let Some(advice) = listener::grpc_advice(&url) {
            tracing::error!("--service: {url}: {advice}");
        }
    });
    let hypervisor = Arc::new(Libvirt::open(options.config())?);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down; guests continue");
        supervisor::stopping("finishing the running step");
    };
    let (health, observed) = watch::channel(AgentHealth::default());
    if let Some(address) = options.health_listen {
        let listener = health_listener::bind(address).await;
        let listener = listener.with_context(|| format!("--health-listen: cannot listen on {address}"))?;
        tokio::spawn(health_listener::serve(listener, observed.clone()));
    }
    supervisor::ready("running");
    let alive = tokio::spawn(report_alive(observed));
    agent::run_observed(hypervisor, settings, channel, stop, health).await;
    alive.abort();
    Ok(())
}

/// Reports to the service manager, if it waits for it, that the agent's threads run, and what it
/// waits for.
async fn report_alive(observed: watch::Receiver<AgentHealth>) {
    let Some(interval) = supervisor::alive_interval() else { return };
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let status = observed.borrow().to_string();
        supervisor::alive(&status);
    }
}

fn filter() -> Result<LogFilter> {
    #[expect(clippy::disallowed_methods, reason = "the log is set up before anything else")]
    let text = std::env::var(environment::LOG).unwrap_or_else(|_| "info".to_owned()); // it is UTF-8: environment::check
    text.parse().context(environment::LOG)
}

fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "agents must not all reconnect at the same moment")]
    ChaCha8Rng::from_os_rng().random()
}
