//! `berth hypervisor`.

use anyhow::Result;
use berth_api::v1::{GetStatisticsRequest, Host, Hypervisor, Statistics};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connection::request;
use super::host::{hosts, state};
use super::record::{Record, print_list};
use super::refusal::Answer;
use super::{Common, run};
use crate::Ending;

/// Show hypervisors, their capacity and usage
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth hypervisor list
  berth hypervisor stats -f json")]
pub(crate) struct Hypervisors {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the hypervisors of all hosts
    List,
    /// Show sums over all hosts
    Stats,
}

impl Hypervisors {
    pub(crate) fn run(self) -> Result<Ending> {
        let format = &self.common.output;
        run(&self.common.connection, async |client| match self.action {
            Action::List => {
                let records: Vec<_> = hosts(&client).await?.iter().map(record).collect();
                print_list(format, &COLUMNS, &records)
            }
            Action::Stats => {
                let sums = client.fleet().get_statistics(request(GetStatisticsRequest {})).await.answer()?;
                statistics(sums).print(format)
            }
        })
    }
}

const COLUMNS: [&str; 12] = [
    "host",
    "state",
    "kind",
    "version",
    "accelerated",
    "vcpus_used",
    "vcpus",
    "memory_used_mb",
    "memory_mb",
    "disk_used_gb",
    "disk_gb",
    "instances",
];

fn record(host: &Host) -> Record {
    let state = state(host);
    let total = |class: &str| host.inventories.get(class).map(|inventory| inventory.total);
    let used = |class: &str| host.usages.get(class).copied();
    let facts = host.hypervisor.clone().unwrap_or_default();
    Record::new()
        .with("host", host.name.clone())
        .with("state", state)
        .text("kind", facts.kind)
        .with("version", version(facts.version))
        .with("libvirt_version", version(facts.libvirt_version))
        .with("accelerated", facts.is_accelerated)
        .text("architecture", facts.architecture)
        .text("cpu_model", facts.cpu_model)
        .text("address", facts.address)
        .text("agent_version", facts.agent_version)
        .with("vcpus_used", used("VCPU"))
        .with("vcpus", total("VCPU"))
        .with("memory_used_mb", used("MEMORY_MB"))
        .with("memory_mb", total("MEMORY_MB"))
        .with("disk_used_gb", used("DISK_GB"))
        .with("disk_gb", total("DISK_GB"))
        .with("instances", host.instances)
}

fn statistics(sums: Statistics) -> Record {
    Record::new()
        .with("hosts", sums.hosts)
        .with("hosts_up", sums.hosts_up)
        .with("hosts_enabled", sums.hosts_enabled)
        .with("instances", sums.instances)
        .map("capacity", sums.capacity)
        .map("used", sums.used)
}

/// The hypervisor as its agent reports it.
pub(super) fn facts(facts: &Hypervisor) -> Value {
    json!({
        "kind": facts.kind,
        "version": version(facts.version),
        "libvirt_version": version(facts.libvirt_version),
        "accelerated": facts.is_accelerated,
        "architecture": facts.architecture,
        "cpu_model": facts.cpu_model,
        "address": facts.address,
        "agent_version": facts.agent_version,
        "storage": facts.storage,
    })
}

/// 7002001 is 7.2.1, as libvirt counts; 0 is none.
fn version(number: u32) -> Option<String> {
    let (major, minor, micro) = (number / 1_000_000, number / 1_000 % 1_000, number % 1_000);
    (number > 0).then(|| format!("{major}.{minor}.{micro}"))
}
