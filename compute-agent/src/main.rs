//! The `berth-agent` command.

#![forbid(unsafe_code)]

mod options;

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use anyhow::{Context, Result};
use berth_compute_agent::libvirt::Libvirt;
use berth_compute_agent::{agent, service};
use clap::Parser;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use options::Options;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .init();
    let settings = options.settings(seed())?;
    let channel = service::channel(&options.service, options.certificates()?).context("--service")?;
    let hypervisor = Arc::new(Libvirt::open(options.config())?);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending; guests go on");
    };
    agent::run(hypervisor, settings, channel, stop).await;
    Ok(())
}

fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "agents shall not all come back at the same moment")]
    ChaCha8Rng::from_os_rng().random()
}
