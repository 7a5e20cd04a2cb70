//! `berth doctor` and `berth upgrade check`: what is wrong with an installation, before users
//! notice.

mod certificates;
mod clock;
mod disk;
mod endpoints;
mod upgrade;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::config::{AuthChoice, Settings, Sources};
use crate::document::DocumentOptions;
use crate::table::Grid;
use crate::{Ending, output, serve};

pub(crate) use upgrade::Upgrade;

/// Check configuration, endpoints, certificates, clock and disk of a service on this machine
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth doctor
  berth doctor --config /etc/berth/berth.toml --json

Run it as the user of the service or as root. It reads and asks, and changes nothing. Exit code 4 if it finds something.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    format: DocumentOptions,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CheckState {
    Ok,
    /// It works, and will not for long, or not as expected.
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    /// The name, which does not change between releases.
    name: &'static str,
    state: CheckState,
    /// What was found, and what to do about it.
    detail: String,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: CheckState::Ok, detail: detail.into() }
    }

    fn warning(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: CheckState::Warning, detail: detail.into() }
    }

    fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: CheckState::Failed, detail: detail.into() }
    }
}

impl Doctor {
    pub(crate) fn run(self) -> Result<Ending> {
        report(&checks(self.sources), self.format)
    }
}

fn checks(sources: Sources) -> Vec<Check> {
    let (configuration, settings) = configuration(sources);
    let mut checks = vec![configuration];
    let Some(Settings { serve, .. }) = settings else { return checks };
    checks.push(endpoints::placement(&serve));
    checks.push(endpoints::grpc(&serve));
    let keystone = (serve.auth == AuthChoice::Keystone).then(|| endpoints::keystone(&serve.keystone));
    let date = keystone.as_ref().and_then(|(_, date)| *date);
    checks.extend(keystone.map(|(check, _)| check));
    checks.extend(certificates::checks(&serve.tls));
    checks.push(clock::check(date));
    checks.extend(disk::checks(&serve));
    checks
}

/// The settings, unless they cannot be read.
fn configuration(sources: Sources) -> (Check, Option<Settings>) {
    const NAME: &str = "configuration";
    let settings = match sources.settings(Vec::new()) {
        Ok(settings) => settings,
        Err(error) => return (Check::failed(NAME, format!("{error:#}")), None),
    };
    let problems = serve::problems(&settings);
    let check = match problems.is_empty() {
        true => Check::ok(NAME, "valid; `berth config check` shows the settings"),
        false => Check::failed(NAME, problems.join("\n")),
    };
    (check, Some(settings))
}

/// Prints the checks.
fn report(checks: &[Check], format: DocumentOptions) -> Result<Ending> {
    if format.is_document() {
        format.print(&checks)?;
    } else {
        let mut table = Grid::new(["check", "state", "detail"]);
        for Check { name, state, detail } in checks {
            let state = match state {
                CheckState::Ok => "ok",
                CheckState::Warning => "warning",
                CheckState::Failed => "FAILED",
            };
            table.row([(*name).into(), state.into(), crate::table::Cell::lines(detail.lines())]);
        }
        output::print(&table.text())?;
    }
    let is_fine = checks.iter().all(|check| check.state == CheckState::Ok);
    Ok(if is_fine { Ending::Complete } else { Ending::Found })
}
