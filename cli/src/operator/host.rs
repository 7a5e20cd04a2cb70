//! `berth host`.

mod evacuation;

use anyhow::Result;
use berth_api::v1::host::Status;
use berth_api::v1::{
    ApproveHostRequest, DeleteHostRequest, FenceHostRequest, GetHostRequest, Host, Inventory,
    ListHostsRequest, SetHostRequest,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::connection::{Client, PAGE, all, request};
use super::record::{Record, print_list};
use super::refusal::Answer;
use super::{Common, run};
use crate::Ending;

/// Manage compute hosts
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth host list
  berth host approve compute-7 --uuid 5ff31a3c-7f0f-4c2e-9a39-8c1b0f8a2d11
  berth host show compute-7 -f json
  berth host set compute-7 --disable --reason 'memory errors'     it keeps its servers and gets no new ones
  berth host set compute-7 --maintenance --reason 'new kernel'    its agent may go away, too
  berth host set compute-7 --enable
  berth host fence compute-7                                      run the fencing command of a host that is down
  berth host evacuate compute-7 --fenced --wait                   it has no power: all its servers, or none
  berth host evacuate compute-7 --live --wait                     it is up: its servers run on meanwhile
  berth host evacuation compute-7                                 how far that is")]
pub(crate) struct Hosts {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List all hosts
    List,
    /// Show a host
    Show {
        /// The name of the host
        name: String,
    },
    /// Approve a host, so that its agent may join
    Approve {
        /// The name of the host
        name: String,
        /// The host's UUID, as in its agent's log
        #[arg(long, value_name = "UUID")]
        uuid: Uuid,
    },
    /// Enable or disable a host for new servers, or set it to maintenance
    Set(Set),
    /// Record that nothing runs on a host that is down: run the fencing command of the service, or
    /// state it with --fenced
    Fence {
        /// The name of the host
        name: String,
        /// You state that nothing runs on the host any longer: it has no power, or no access to the
        /// storage
        #[arg(long)]
        fenced: bool,
    },
    /// Evacuate all servers of a host that is down and fenced, or that is up (--live); if one gets
    /// no other host, none leaves
    Evacuate(evacuation::Evacuate),
    /// Show the latest evacuation of a host
    Evacuation {
        /// The name of the host
        name: String,
    },
    /// Delete a host that has no agent and no servers
    Delete {
        /// The name of the host
        name: String,
    },
}

#[derive(Args)]
struct Set {
    /// The name of the host
    name: String,
    #[command(flatten)]
    status: Wanted,
    /// The reason, for other people
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "enable")]
    reason: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Wanted {
    /// Schedule new servers to the host
    #[arg(long)]
    enable: bool,
    /// Keep its servers, and schedule no new ones to it
    #[arg(long)]
    disable: bool,
    /// As --disable; its agent may be disconnected without being reported down
    #[arg(long)]
    maintenance: bool,
}

impl Wanted {
    const fn status(&self) -> Status {
        match (self.disable, self.maintenance) {
            (true, _) => Status::Disabled,
            (_, true) => Status::Maintenance,
            _ => Status::Enabled,
        }
    }
}

impl Hosts {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { common, action } = self;
        let format = &common.output;
        run(&common.connection, async |client| {
            let mut fleet = client.fleet();
            match action {
                Action::List => print_list(format, &COLUMNS, &records(hosts(&client).await?)),
                Action::Show { name } => {
                    record(fleet.get_host(request(GetHostRequest { name })).await.answer()?).print(format)
                }
                Action::Approve { name, uuid } => {
                    let wanted = ApproveHostRequest { name, host_uuid: uuid.to_string() };
                    record(fleet.approve_host(request(wanted)).await.answer()?).print(format)
                }
                Action::Set(Set { name, status, reason }) => {
                    let wanted = SetHostRequest { name, status: status.status().into(), reason };
                    record(fleet.set_host(request(wanted)).await.answer()?).print(format)
                }
                Action::Fence { name, fenced } => {
                    let wanted = FenceHostRequest { name, fenced };
                    record(fleet.fence_host(request(wanted)).await.answer()?).print(format)
                }
                Action::Evacuate(evacuate) => evacuate.run(&client, format).await,
                Action::Evacuation { name } => evacuation::show(&client, name, format).await,
                Action::Delete { name } => {
                    fleet.delete_host(request(DeleteHostRequest { name })).await.answer()?;
                    Ok(())
                }
            }
        })
    }
}

const COLUMNS: [&str; 7] =
    ["name", "status", "state", "availability_zone", "aggregates", "instances", "reason"];

/// All hosts.
pub(crate) async fn hosts(client: &Client) -> Result<Vec<Host>> {
    all(async |page_token| {
        let wanted = ListHostsRequest { page_size: PAGE, page_token };
        let page = client.fleet().list_hosts(request(wanted)).await.answer()?;
        Ok((page.hosts, page.next_page_token))
    })
    .await
}

/// Whether its agent sends heartbeats.
pub(super) const fn state(host: &Host) -> &'static str {
    if host.is_up { "up" } else { "down" }
}

/// Whether it accepts new instances.
pub(super) fn status(host: &Host) -> &'static str {
    match host.status() {
        Status::Enabled => "enabled",
        Status::Disabled => "disabled",
        Status::Maintenance => "maintenance",
        Status::Unspecified => "unknown",
    }
}

fn records(hosts: Vec<Host>) -> Vec<Record> {
    hosts.into_iter().map(record).collect()
}

fn record(host: Host) -> Record {
    let (status, state) = (status(&host), state(&host));
    let facts = host.hypervisor.as_ref().map(super::hypervisor::facts);
    Record::new()
        .with("name", host.name)
        .with("provider", host.provider)
        .with("status", status)
        .text("reason", host.reason)
        .with("state", state)
        .time("last_seen", host.last_seen)
        .time("since", host.since)
        .time("fenced_at", host.fenced_at)
        .text("fenced_by", host.fenced_by)
        .with("availability_zone", host.availability_zone)
        .with("aggregates", host.aggregates)
        .with("instances", host.instances)
        .with("hypervisor", facts)
        .map("inventories", host.inventories.into_iter().map(|(class, of)| (class, inventory(&of))))
        .map("usages", host.usages)
}

fn inventory(of: &Inventory) -> Value {
    let Inventory { total, reserved, min_unit, max_unit, step_size, allocation_ratio } = of;
    json!({
        "total": total, "reserved": reserved, "min_unit": min_unit, "max_unit": max_unit, "step_size": step_size,
        "allocation_ratio": allocation_ratio,
    })
}
