//! `berth serve`: the Placement API over HTTP.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use berth_server::{Auth, Cors, Limits, Options, Policy, Server, Service};
use clap::{Args, ValueEnum};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::Ending;

/// Serves the OpenStack Placement API, microversions 1.0 to 1.39. State is held in memory and ends with the process.
#[derive(Args)]
pub(crate) struct Serve {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8778")]
    listen: SocketAddr,
    /// How to find out who is asking; noauth2 believes what requests say, for development and tests
    #[arg(long, value_enum, default_value_t = AuthChoice::Noauth2)]
    auth: AuthChoice,
    /// Who may do what: the defaults `legacy` or `secure`, or a policy file that overrides rules of `legacy`
    #[arg(long, value_name = "legacy|secure|FILE", default_value = "legacy")]
    policy: PathBuf,
    /// Another origin whose pages may call, such as https://dashboard.example.com (may be repeated)
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Print the rules of the policy as a policy file and stop
    #[arg(long)]
    print_policy: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AuthChoice {
    Noauth2,
}

impl Serve {
    pub(crate) fn run(self) -> Result<Ending> {
        let policy = policy(&self.policy)?;
        if self.print_policy {
            return print(&policy);
        }
        let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        let options = Options {
            auth: match self.auth {
                AuthChoice::Noauth2 => Auth::Noauth2,
            },
            policy,
            cors: Cors { allowed_origins: self.cors_origin },
            limits: Limits::default(),
        };
        let service = Service::new(options);
        let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start the threads")?;
        runtime.block_on(serve(self.listen, service))?;
        Ok(Ending::Complete)
    }
}

fn policy(choice: &PathBuf) -> Result<Policy> {
    match choice.to_str() {
        Some("legacy") => Ok(Policy::legacy()),
        Some("secure") => Ok(Policy::secure()),
        _ => {
            let text = fs::read_to_string(choice)
                .with_context(|| format!("cannot read the policy {}", choice.display()))?;
            Policy::legacy().overridden(&text).with_context(|| format!("in the policy {}", choice.display()))
        }
    }
}

fn print(policy: &Policy) -> Result<Ending> {
    let mut out = std::io::stdout().lock();
    for (rule, check) in policy.rules() {
        writeln!(out, "\"{rule}\": \"{check}\"")?;
    }
    Ok(Ending::Complete)
}

async fn serve(address: SocketAddr, service: Service) -> Result<()> {
    let server =
        Server::bind(address, service).await.with_context(|| format!("cannot listen on {address}"))?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tracing::info!(address = %server.address()?, "serving the Placement API");
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("finishing the requests that have begun");
    };
    server.run(stop).await;
    Ok(())
}
