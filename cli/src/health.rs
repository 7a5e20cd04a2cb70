//! `berth health`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use berth_process::listener;
use berth_server::{Health, HealthCheck};
use clap::Args;
use ureq::Agent;

use crate::document::DocumentOptions;
use crate::table::Grid;
use crate::{Ending, output};

/// How long the service may take to answer. It answers from memory.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Ask a service whether it can do all of its work. Exit code 1 if it cannot.
#[derive(Args)]
#[command(after_help = "Example: berth health --url http://127.0.0.1:8778")]
pub(crate) struct HealthQuestion {
    /// The address of the Placement API
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8778")]
    url: String,
    #[command(flatten)]
    format: DocumentOptions,
}

impl HealthQuestion {
    pub(crate) fn run(self) -> Result<Ending> {
        let health = ask(&self.url).with_context(|| format!("--url: {}", self.url))?;
        if self.format.is_document() {
            self.format.print(&health)?;
        } else {
            let mut checks = Grid::new(["Check", "State", "Reason"]);
            for HealthCheck { name, is_ok, reason } in &health.checks {
                checks.row([name.as_str(), if *is_ok { "ok" } else { "failed" }, reason]);
            }
            output::print(&checks.text())?;
        }
        if health.is_ready { Ok(Ending::Complete) } else { bail!("the service cannot do all of its work") }
    }
}

/// What the service at a URL reports of itself.
///
/// # Errors
/// Nothing answers there, or something else; what, if that can be found out.
pub(crate) fn ask(url: &str) -> Result<Health> {
    let url = format!("{}/readyz", url.trim_end_matches('/'));
    answer(&url).map_err(|error| match listener::placement_advice(&url) {
        Some(advice) => error.context(advice),
        None => error,
    })
}

/// What the service reports of itself. It does so with status 503, too.
fn answer(url: &str) -> Result<Health> {
    let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
    let mut response = Agent::new_with_config(config).get(url).call()?;
    let text = response.body_mut().read_to_string()?;
    serde_json::from_str(&text).with_context(|| match response.status().as_u16() {
        404 => "this service has no /readyz: it is not Berth, or an earlier version".to_owned(),
        status => format!("status {status}, and not the health of a service"),
    })
}
