//! `berth fleet`: the live fleet as files for simulations.

mod live;
mod nova;
mod records;
mod service;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use berth_traces::neutral;
use clap::{ArgGroup, Args, Subcommand};

use self::live::Live;
use crate::operator::connection::Connection;
use crate::{Ending, output};

/// The files of a snapshot.
pub(crate) const HOSTS: &str = "hosts.csv";
pub(crate) const VMS: &str = "vms.csv";

/// Take the live fleet, with its VMs, as the start of simulations
#[derive(Args)]
pub(crate) struct FleetCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write the hosts and the VMs of a service, a data directory or a Placement database as files
    Snapshot(Snapshot),
}

#[derive(Args)]
#[command(group(ArgGroup::new("source").args(["data", "placement_dump"])), after_help = "\
DIR gets hosts.csv (capacities, zones, aggregates, traits, ratios) and vms.csv (the VMs, each with its host and age).
A scenario with `fleet.snapshot = \"DIR\"` starts from there; see docs/scenarios.md.

Examples:
  berth fleet snapshot --service http://berth:8779 --out today
  berth fleet snapshot --data /var/lib/berth --out today                      a service that does not run
  berth import-placement --print-query mysql > placement.sql
  mysql --batch --raw --skip-column-names placement < placement.sql > placement.jsonl
  berth fleet snapshot --placement-dump placement.jsonl --nova-database mysql://nova@db/nova_api --out today")]
struct Snapshot {
    #[command(flatten)]
    connection: Connection,
    /// The data directory of a service that does not run (berth serve --data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The output of `berth import-placement --print-query`
    #[arg(long, value_name = "FILE")]
    placement_dump: Option<PathBuf>,
    /// Nova's API database: zones and aggregates of hosts, names, flavors and ages of VMs. A
    /// password is better left out of the URL and given in the environment
    #[arg(long, value_name = "URL", env = "BERTH_NOVA_DATABASE", hide_env_values = true)]
    nova_database: Option<String>,
    /// The directory to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl FleetCommand {
    pub(crate) fn run(self) -> Result<Ending> {
        let Action::Snapshot(snapshot) = self.action;
        snapshot.run()
    }
}

impl Snapshot {
    fn run(self) -> Result<Ending> {
        let mut live = match (&self.data, &self.placement_dump) {
            (Some(data), _) => records::of_directory(data)?,
            (None, Some(dump)) => records::of_dump(dump)?,
            (None, None) => service::read(&self.connection)?,
        };
        if let Some(url) = &self.nova_database {
            nova::add(&mut live, url)?;
        }
        write(&self.out, &live)?;
        Ok(Ending::Complete)
    }
}

fn write(out: &Path, live: &Live) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let taken = live.taken(u64::try_from(now.as_micros()).context("the clock is too far ahead")?)?;
    if taken.hosts.is_empty() {
        bail!("there are no hosts: no resource provider has an inventory of VCPU or PCPU");
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    neutral::write_fleet(out.join(HOSTS), &taken.hosts)?;
    neutral::write_all(out.join(VMS), &taken.vms)?;
    let [hosts, vms] = [taken.hosts.len(), taken.vms.len()];
    output::print(&format!("{hosts} hosts and {vms} VMs are in {}\n", out.display()))?;
    if taken.elsewhere > 0 {
        output::note(&format!(
            "{} consumers were left out: they hold neither CPUs nor memory of any host\n",
            taken.elsewhere
        ))?;
    }
    Ok(())
}
