//! `berth service`: the agents on the hosts.

use anyhow::Result;
use berth_api::v1::Host;
use clap::{Args, Subcommand};

use super::host::{hosts, state, status};
use super::record::{Record, print_list};
use super::{Common, run};
use crate::Ending;

/// List the agents of the hosts and whether they are up
#[derive(Args)]
#[command(after_help = "Example: berth service list")]
pub(crate) struct Agents {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the agents of all hosts
    List,
}

impl Agents {
    pub(crate) fn run(self) -> Result<Ending> {
        let format = &self.common.output;
        run(&self.common.connection, async |client| match self.action {
            Action::List => {
                let records: Vec<_> = hosts(&client).await?.into_iter().map(record).collect();
                print_list(format, &COLUMNS, &records)
            }
        })
    }
}

const COLUMNS: [&str; 8] =
    ["binary", "host", "availability_zone", "status", "state", "updated_at", "version", "reason"];

fn record(host: Host) -> Record {
    let (status, state) = (status(&host), state(&host));
    Record::new()
        .with("binary", "berth-agent")
        .with("host", host.name)
        .with("availability_zone", host.availability_zone)
        .with("status", status)
        .with("state", state)
        .time("updated_at", host.last_seen)
        .time("since", host.since)
        .text("version", host.hypervisor.map(|known| known.agent_version).unwrap_or_default())
        .text("reason", host.reason)
}
