//! `berth replay`.

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use berth_placement::GroupPolicy;
use berth_scheduler::Preference;
use berth_scheduler::{Policy, Search};
use berth_simulator::{NovaOptions, Observer, SimulationOptions, report, simulate, simulate_nova};
use berth_traces::{Extent, Format, Generator, HostShapes, Micros, Trace, TraceHost, Vm, neutral, reference};
use clap::{Args, ValueEnum};

use crate::interrupt::Interrupt;
use crate::placements::Placements;
use crate::progress::Bar;
use crate::{Ending, VERSION, config, invocation, output, summary};

/// VMs of the sample trace: two days of the synthetic cloud.
const SAMPLE_VMS: u64 = 150_000;
/// Where the sample run writes its results.
const SAMPLE_OUT: &str = "berth-out";
const DEFAULT_SHAPE: &str = "64x256x3840:1000";
/// Fits the sample cloud with some VMs rejected at the peaks, so that every chart shows something.
const SAMPLE_SHAPE: &str = "64x256x3840:440";

/// Replay a trace of VMs on a fleet of hosts and show how well they fit.
#[derive(Args)]
#[command(after_help = "\
Without a trace and hosts, a sample fleet and trace are generated and the results go to berth-out/.

Examples:
  berth replay
  berth replay --trace azure.csv.gz --host-shape 64x256x3840:1000 --out results
  berth replay --hosts wl/s1k.hosts.csv --trace wl/s1k.vms.csv --policy bestfit --placements out.csv
  berth replay --reference s10k --policy worstfit --json
  berth replay --hosts hosts.csv --trace vms.csv --scheduler nova --nova-conf /etc/nova/nova.conf")]
pub(crate) struct Replay {
    /// A trace file, plain or gzip
    #[arg(long, value_name = "PATH", conflicts_with = "reference")]
    trace: Option<PathBuf>,
    /// The format of the trace, of those that docs/traces.md lists [default: detected from its
    /// first bytes]
    #[arg(long, value_name = "F", requires = "trace")]
    format: Option<Format>,
    /// Read the whole trace first, and sort its VMs by arrival: for files whose rows are in any
    /// order
    #[arg(long, requires = "trace")]
    sort: bool,
    /// A reference workload with its own hosts, instead of a trace file
    #[arg(long, value_name = "NAME", value_parser = reference::NAMES)]
    reference: Option<String>,
    /// A hosts file in the neutral format
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host_shape", "reference"])]
    hosts: Option<PathBuf>,
    /// Hosts as vCPUs x GiB of memory x GB of disk : count, more shapes after commas [default:
    /// 64x256x3840:1000]
    #[arg(long, value_name = "SHAPE", conflicts_with = "reference")]
    host_shape: Option<HostShapes>,
    /// The scheduler: a placement policy, which considers amounts only, or Nova's filters and
    /// weighers
    #[arg(long, value_name = "S", value_enum, default_value_t = Scheduler::Policy)]
    scheduler: Scheduler,
    /// The nova.conf with the scheduler's options [default: Nova's own defaults]
    #[arg(long, value_name = "FILE")]
    nova_conf: Option<PathBuf>,
    /// Make each batch of the trace a server group: affinity, anti-affinity, soft-affinity or
    /// soft-anti-affinity
    #[arg(long, value_name = "P", value_parser = group_policy)]
    batch_policy: Option<GroupPolicy>,
    /// The placement policy: bestfit, bestfit-cpu, firstfit or worstfit [default: bestfit, or
    /// Nova's weighers]
    #[arg(long, value_name = "P")]
    policy: Option<Policy>,
    /// Evaluate every host for every decision (slow; the result is the same)
    #[arg(long)]
    exhaustive: bool,
    /// The seed of the sample trace, or of the reference workload instead of its own
    #[arg(long, value_name = "N", conflicts_with = "trace")]
    seed: Option<u64>,
    /// Write placements.csv, summary.json and report.html to this directory (the placements to
    /// --placements, if given)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the placements (vm_id,host_id) to this file
    #[arg(long, value_name = "FILE")]
    placements: Option<PathBuf>,
    /// Print the summary as JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The scheduler of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scheduler {
    Policy,
    Nova,
}

fn group_policy(name: &str) -> Result<GroupPolicy, String> {
    match name {
        "affinity" => Ok(GroupPolicy::Affinity),
        "anti-affinity" => Ok(GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::MIN }),
        "soft-affinity" => Ok(GroupPolicy::SoftAffinity),
        "soft-anti-affinity" => Ok(GroupPolicy::SoftAntiAffinity),
        _ => Err("it is one of affinity, anti-affinity, soft-affinity, soft-anti-affinity".to_owned()),
    }
}

/// The trace and the fleet, with their names.
struct Workload {
    trace: Trace,
    trace_name: String,
    hosts: Vec<TraceHost>,
    fleet_name: String,
}

impl Replay {
    pub(crate) fn run(self) -> Result<Ending> {
        let nova = self.nova()?;
        let workload = self.workload()?;
        let out = self.out.clone().or_else(|| self.is_sample().then(|| SAMPLE_OUT.into()));
        let placements_path =
            self.placements.clone().or_else(|| out.as_ref().map(|out| out.join("placements.csv")));
        let file = placements_path.as_deref().map(output::create).transpose()?;
        let Workload { trace, trace_name, hosts, fleet_name } = workload;
        let bar = Bar::new(trace.progress());
        let mut watch = Watch { placements: Placements::new(file), bar, interrupt: Interrupt::listen()? };
        let started = Instant::now();
        let outcome = match nova {
            Some(options) => simulate_nova(&hosts, trace, options, &mut watch),
            None => {
                let search = if self.exhaustive { Search::Exhaustive } else { Search::Ranked };
                simulate(
                    &hosts,
                    trace,
                    SimulationOptions { policy: self.policy.unwrap_or_default(), search },
                    &mut watch,
                )
            }
        };
        watch.bar.finish();
        let mut outcome = outcome.with_context(|| match &placements_path {
            Some(path) => format!("the replay failed; {} is incomplete", path.display()),
            None => "the replay failed".to_owned(),
        })?;
        let took = started.elapsed();
        let sha256 = watch.placements.finish().with_context(|| match &placements_path {
            Some(path) => format!("cannot write {}", path.display()),
            None => "cannot write the placements".to_owned(),
        })?;

        outcome.placements_sha256 = Some(sha256);

        let command = invocation::shown(std::env::args());
        let provenance = report::ReplayProvenance {
            version: env!("CARGO_PKG_VERSION"),
            trace: &trace_name,
            fleet: &fleet_name,
            command: &command,
            seed: self.seed,
        };
        let summary = report::json(&outcome, &provenance);
        if let Some(out) = &out {
            output::write_file(&out.join("summary.json"), &summary)?;
            let heading = report::Heading {
                title: "Berth replay",
                trace: &trace_name,
                fleet: &fleet_name,
                version: VERSION,
                command: &command,
            };
            let page = report::html(&outcome, &heading).context("cannot draw the report")?;
            output::write_file(&out.join("report.html"), &page)?;
        }
        if self.json {
            output::print_json_text(&summary)?;
        } else {
            output::print(&summary::table(&outcome, &trace_name, &fleet_name, took))?;
            if let Some(out) = &out {
                output::print(&format!("\nThe report is {}\n", out.join("report.html").display()))?;
            }
        }
        if outcome.complete {
            return Ok(Ending::Complete);
        }
        output::note("berth: ended by Ctrl-C; everything shown and written is partial\n")?;
        Ok(Ending::Interrupted)
    }

    /// How Nova's pipeline decides; nothing for a placement policy.
    fn nova(&self) -> Result<Option<NovaOptions>> {
        if self.scheduler == Scheduler::Nova {
            if self.exhaustive {
                bail!("--exhaustive: only without --scheduler nova");
            }
            let options = self.nova_conf.as_deref().map(config::nova_options).transpose()?;
            return Ok(Some(NovaOptions {
                options: options.unwrap_or_default(),
                preference: self.policy.map_or(Preference::Weighers, Preference::Policy),
                batch_policy: self.batch_policy,
                seed: self.seed.unwrap_or(1),
            }));
        }
        if self.nova_conf.is_some() || self.batch_policy.is_some() {
            bail!("--nova-conf and --batch-policy need --scheduler nova");
        }
        Ok(None)
    }

    fn is_sample(&self) -> bool {
        self.trace.is_none() && self.reference.is_none() && self.hosts.is_none() && self.host_shape.is_none()
    }

    fn workload(&self) -> Result<Workload> {
        if let Some(name) = &self.reference {
            let set = reference::set(name).expect("clap lets only known names through");
            let set = if let Some(seed) = self.seed { set.with_seed(seed) } else { set };
            let hosts = set.hosts();
            let fleet_name = format!("{} hosts of {name}", hosts.len());
            return Ok(Workload {
                trace: set.vms(),
                trace_name: format!("reference {name}"),
                hosts,
                fleet_name,
            });
        }
        let (hosts, fleet_name) = self.fleet()?;
        let (trace, trace_name) = match &self.trace {
            Some(path) => {
                let name = path.display().to_string();
                let trace = if self.sort {
                    Trace::from_vms(name.clone(), Trace::open_sorted(path, self.format)?)
                } else {
                    Trace::open(path, self.format)?
                };
                (trace, name)
            }
            None => {
                let seed = self.seed.unwrap_or(1);
                let trace = Generator::azure_like(seed, Extent::Vms(SAMPLE_VMS)).trace();
                (trace, format!("generated, like Azure 2017, seed {seed}"))
            }
        };
        Ok(Workload { trace, trace_name, hosts, fleet_name })
    }

    fn fleet(&self) -> Result<(Vec<TraceHost>, String)> {
        if let Some(path) = &self.hosts {
            let hosts = neutral::read_hosts(path)?;
            let name = format!("{} hosts of {}", hosts.len(), path.display());
            return Ok((hosts, name));
        }
        let fleet = match &self.host_shape {
            Some(fleet) => fleet.clone(),
            None if self.is_sample() => SAMPLE_SHAPE.parse().expect("a fixed shape"),
            None => DEFAULT_SHAPE.parse().expect("a fixed shape"),
        };
        Ok((fleet.hosts(), fleet.words()))
    }
}

struct Watch {
    placements: Placements,
    bar: Bar,
    interrupt: Interrupt,
}

impl Observer for Watch {
    fn decided(&mut self, vm: &Vm, host: Option<&TraceHost>) -> io::Result<()> {
        self.placements.push(vm, host)
    }

    fn proceed(&mut self, vms: u64, _now: Micros) -> bool {
        self.bar.show(vms);
        !self.interrupt.requested()
    }
}
