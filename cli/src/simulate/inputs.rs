//! The files and settings that scenarios name.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_placement::GroupPolicy;
use berth_scheduler::Preference;
use berth_scheduler::options::LifetimeFile;
use berth_simulator::NovaOptions;
use berth_simulator::scenario::{
    Deciding, FleetBuilt, FleetFile, LifetimeSpec, Predictions, Provenance, Scenario, SchedulerSpec, Variant,
    VmSet, Workload, build_fleet, fleet_file, residents,
};
use berth_traces::{Extent, Format, Generator, Micros, Trace, TraceHost, Vm, decisions, neutral, reference};
use sha2::{Digest, Sha256};

use crate::fleet::{HOSTS, VMS};
use crate::{config, invocation};

/// VMs of the synthetic cloud without a number.
const SAMPLE_VMS: u64 = 150_000;

/// What one scenario runs with.
pub(crate) struct ScenarioInputs {
    pub(crate) set: usize,
    pub(crate) fleet: FleetBuilt,
    pub(crate) deciding: Deciding,
    pub(crate) predictions: Predictions,
    pub(crate) starts: Vec<usize>,
}

/// Everything that the scenarios of a file run with. Scenarios with the same workload share its
/// VMs.
pub(crate) struct Inputs {
    sets: Vec<VmSet>,
    scenarios: Vec<ScenarioInputs>,
    /// The SHA-256 of each file that was read.
    pub(crate) digests: BTreeMap<PathBuf, String>,
}

impl Inputs {
    pub(crate) fn read(directory: &Path, variants: &[Variant]) -> Result<Self> {
        let mut inputs = Self { sets: Vec::new(), scenarios: Vec::new(), digests: BTreeMap::new() };
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for variant in variants {
            let Scenario { workload, fleet, scheduler, .. } = &variant.scenario;
            workload.check()?;
            let snapshot = fleet.snapshot.as_ref().map(|snapshot| directory.join(snapshot));
            let file = match (&fleet.file, &workload.reference) {
                (Some(_), _) if snapshot.is_some() => bail!("fleet: only one of file and snapshot"),
                (Some(file), _) => Some(read_fleet(&directory.join(file), &mut inputs.digests)?),
                (None, _) if let Some(snapshot) = &snapshot => {
                    Some(read_fleet(&snapshot.join(HOSTS), &mut inputs.digests)?)
                }
                (None, Some(name)) if fleet.hosts.is_none() && fleet.shape.is_empty() => {
                    Some(FleetFile::Hosts(reference_hosts(name, workload.seed)?))
                }
                _ => None,
            };
            let built = build_fleet(fleet, file)?;
            let key = format!("{workload:?} {:?} {}", fleet.snapshot, fleet.vms_stay);
            let set = match known.get(&key) {
                Some(set) => *set,
                None => {
                    let (mut vms, _) = trace_of(directory, workload, &mut inputs.digests)?;
                    let today = snapshot.as_deref().map(|snapshot| today(snapshot, &mut inputs.digests));
                    let (mut today, mut stay) = (today.transpose()?, fleet.vms_stay);
                    if let (Some(today), Some(log)) = (&mut today, recording_of(directory, workload)?) {
                        stay = true;
                        follow_recording(today, &mut vms, &decisions::released(&log)?);
                    }
                    for flavor in &workload.retired_flavors {
                        if !vms.iter().any(|vm| vm.flavor == flavor.as_str()) {
                            bail!("workload.retired_flavors: no VM has the flavor {flavor:?}");
                        }
                    }
                    let mut set = VmSet::new(vms, workload);
                    set.check_warm_up(workload.warm_up.0)?;
                    if let Some(today) = today {
                        let how = (stay, workload.seed.unwrap_or(1));
                        let on_hosts = residents(today, &built.hosts, set.trace(), how)?;
                        set = set.with_residents(on_hosts);
                    }
                    inputs.sets.push(set);
                    known.insert(key, inputs.sets.len() - 1);
                    inputs.sets.len() - 1
                }
            };
            let has_cells = built.hosts.iter().any(|host| host.numa_cells > 1);
            let starts = match &workload.episodes {
                Some(episodes) => numbers(&directory.join(&episodes.file), &mut inputs.digests)?,
                None => Vec::new(),
            };
            let deciding = deciding(directory, scheduler, has_cells, workload.seed.unwrap_or(1))?;
            let predictions = predictions(directory, &variant.scenario.lifetimes, &mut inputs.digests)?;
            inputs.scenarios.push(ScenarioInputs { set, fleet: built, deciding, predictions, starts });
        }
        Ok(inputs)
    }

    pub(crate) fn scenario(&self, number: usize) -> &ScenarioInputs {
        &self.scenarios[number]
    }

    pub(crate) fn set(&self, number: usize) -> &VmSet {
        &self.sets[self.scenarios[number].set]
    }
}

/// The VMs of a snapshot.
fn today(snapshot: &Path, digests: &mut BTreeMap<PathBuf, String>) -> Result<Vec<Vm>> {
    let vms = snapshot.join(VMS);
    digest(&vms, digests)?;
    Ok(Trace::open_sorted(&vms, None)?)
}

/// The trace of a workload, if it is the log of a service's decisions.
fn recording_of(directory: &Path, workload: &Workload) -> Result<Option<PathBuf>> {
    let Some(path) = workload.trace.as_ref().filter(|trace| *trace != "-") else { return Ok(None) };
    let path = directory.join(path);
    let format = match &workload.format {
        Some(format) => format.parse()?,
        None => Format::detect(&path)?,
    };
    Ok((format == Format::Decisions).then_some(path))
}

/// VMs of a snapshot leave when a recording from the snapshot on says so, and those that it has as
/// requests, too, do not arrive again.
fn follow_recording(today: &mut [Vm], vms: &mut Vec<Vm>, released: &BTreeMap<String, Micros>) {
    let known: BTreeSet<&str> = today.iter().map(|vm| vm.id.as_str()).collect();
    vms.retain(|vm| !known.contains(vm.id.as_str()));
    let begin = vms.first().map_or(Micros(0), |first| first.arrival);
    for vm in today {
        if let Some(at) = released.get(vm.id.as_str()) {
            vm.departure = Some(Micros(vm.arrival.0 + at.0.saturating_sub(begin.0)));
        }
    }
}

/// The seeds and policies in a scenario's scheduler.
pub(crate) fn deciding(
    directory: &Path,
    spec: &SchedulerSpec,
    has_cells: bool,
    seed: u64,
) -> Result<Deciding> {
    let is_nova = spec.nova_conf.is_some() || spec.kind.as_deref() == Some("nova");
    if let Some(kind) = spec.kind.as_deref()
        && !["nova", "policy"].contains(&kind)
    {
        bail!("scheduler.kind {kind:?}: it is nova or policy");
    }
    if spec.split_above_gib.is_some() && !has_cells {
        bail!("scheduler.split_above_gib: the fleet has no NUMA cells");
    }
    let groups = spec.batch_policy.as_deref().map(group_policy).transpose()?;
    if is_nova {
        let options = match &spec.nova_conf {
            Some(file) => config::nova_options(&directory.join(file))?,
            None => berth_scheduler::Options::default(),
        };
        let preference = match &spec.policy {
            Some(policy) => Preference::Policy(
                policy.parse().map_err(|error| anyhow::anyhow!("scheduler.policy: {error}"))?,
            ),
            None => Preference::Weighers,
        };
        let options = NovaOptions { options, preference, batch_policy: groups, seed };
        return Ok(Deciding::Nova(Box::new(options)));
    }
    if groups.is_some() {
        bail!(
            "scheduler.batch_policy: a placement policy does not know server groups; set scheduler.kind = \"nova\""
        );
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
    let split = spec.split_above_gib.map(|gib| (gib * 1024.0).max(0.0) as u32);
    let split = split.or(has_cells.then_some(u32::MAX));
    let policy = spec.policy.as_deref().unwrap_or(if has_cells { "first" } else { "bestfit" });
    Deciding::named(policy, split).map_err(|error| anyhow::anyhow!("scheduler.policy: {error}"))
}

/// What the scheduler is informed of lifetimes.
fn predictions(
    directory: &Path,
    spec: &LifetimeSpec,
    digests: &mut BTreeMap<PathBuf, String>,
) -> Result<Predictions> {
    let source = spec.source.as_deref().unwrap_or(match spec {
        LifetimeSpec { file: Some(_), .. } => "file",
        LifetimeSpec { error: Some(_), .. } => "oracle",
        _ => "none",
    });
    if source != "oracle" && spec.error.is_some() {
        bail!("lifetimes.error: only with source = \"oracle\"");
    }
    match (source, &spec.file) {
        ("none", None) => Ok(Predictions::None),
        ("oracle", None) => {
            let error = spec.error.unwrap_or(0.0);
            if !(0.0..=10.0).contains(&error) {
                bail!("lifetimes.error {error}: it is a number from 0 to 10");
            }
            Ok(Predictions::Oracle(error))
        }
        ("file", Some(file)) => known_lifetimes(&directory.join(file), digests),
        ("file", None) => bail!("lifetimes.file is missing"),
        ("none" | "oracle", Some(_)) => bail!("lifetimes.file: only with source = \"file\""),
        _ => bail!("lifetimes.source {source:?}: it is none, oracle or file"),
    }
}

/// A CSV file of lifetimes by flavor and project.
pub(crate) fn known_lifetimes(path: &Path, digests: &mut BTreeMap<PathBuf, String>) -> Result<Predictions> {
    digest(path, digests)?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = LifetimeFile::parse(&text).with_context(|| path.display().to_string())?;
    Ok(Predictions::Known(file))
}

fn group_policy(name: &str) -> Result<GroupPolicy> {
    Ok(match name {
        "affinity" => GroupPolicy::Affinity,
        "anti-affinity" => GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::MIN },
        "soft-affinity" => GroupPolicy::SoftAffinity,
        "soft-anti-affinity" => GroupPolicy::SoftAntiAffinity,
        _ => bail!(
            "scheduler.batch_policy {name:?}: it is one of affinity, anti-affinity, soft-affinity, soft-anti-affinity"
        ),
    })
}

/// The VMs of a workload, and the hosts that come with a reference workload.
pub(crate) fn trace_of(
    directory: &Path,
    workload: &Workload,
    digests: &mut BTreeMap<PathBuf, String>,
) -> Result<(Vec<Vm>, Option<Vec<TraceHost>>)> {
    let format = workload.format.as_deref().map(str::parse::<Format>).transpose()?;
    if let Some(trace) = &workload.trace {
        let path = if trace == "-" { PathBuf::from(trace) } else { directory.join(trace) };
        if trace != "-" {
            digest(&path, digests)?;
        }
        return Ok((Trace::open_sorted(&path, format)?, None));
    }
    if let Some(name) = &workload.reference {
        let hosts = reference_hosts(name, workload.seed)?;
        let set = reference::set(name).expect("its hosts were found");
        let set = if let Some(seed) = workload.seed { set.with_seed(seed) } else { set };
        return Ok((set.vms().collect::<Result<Vec<_>, _>>()?, Some(hosts)));
    }
    let seed = workload.seed.unwrap_or(1);
    let trace = Generator::azure_like(seed, Extent::Vms(workload.vms.unwrap_or(SAMPLE_VMS))).trace();
    Ok((trace.collect::<Result<Vec<_>, _>>()?, None))
}

fn reference_hosts(name: &str, seed: Option<u64>) -> Result<Vec<TraceHost>> {
    let set = reference::set(name).with_context(|| {
        format!("workload.reference {name:?}: it is one of {}", reference::NAMES.join(", "))
    })?;
    Ok(if let Some(seed) = seed { set.with_seed(seed) } else { set }.hosts())
}

/// A description of the VMs of a workload.
pub(crate) fn workload_of(workload: &Workload) -> String {
    match (&workload.trace, &workload.reference) {
        (Some(trace), _) => trace.clone(),
        (None, Some(name)) => format!("reference {name}"),
        (None, None) => "generated, like Azure 2017".to_owned(),
    }
}

fn read_fleet(path: &Path, digests: &mut BTreeMap<PathBuf, String>) -> Result<FleetFile> {
    digest(path, digests)?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !matches!(extension, "toml" | "json") {
        return Ok(FleetFile::Hosts(neutral::read_hosts(path)?));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = fleet_file(&text, extension == "json")
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    Ok(FleetFile::Shapes(spec.shape))
}

/// The numbers of a file, one a line.
fn numbers(path: &Path, digests: &mut BTreeMap<PathBuf, String>) -> Result<Vec<usize>> {
    digest(path, digests)?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let numbers = lines.map(|(number, line)| {
        line.trim()
            .parse()
            .with_context(|| format!("{}:{}: {line:?} is not a number", path.display(), number + 1))
    });
    numbers.collect()
}

fn digest(path: &Path, digests: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    if digests.contains_key(path) {
        return Ok(());
    }
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut digest = Sha256::new();
    std::io::copy(&mut file, &mut digest).with_context(|| format!("cannot read {}", path.display()))?;
    digests.insert(path.to_owned(), hex(&digest.finalize()));
    Ok(())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the results come from.
pub(crate) fn provenance(inputs: &Inputs, scenario: &str, variants: &[Variant]) -> Provenance {
    let first = variants.first().map(|variant| &variant.scenario);
    let trace = first.map(|scenario| workload_of(&scenario.workload)).unwrap_or_default();
    let of_trace = inputs.digests.iter().find(|(path, _)| path.ends_with(&trace));
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: invocation::shown(std::env::args()),
        seed: first.and_then(|scenario| scenario.workload.seed).unwrap_or(1),
        trace_sha256: of_trace.map(|(_, digest)| digest.clone()),
        trace,
        fleet: inputs.scenarios.first().map(|scenario| scenario.fleet.name.clone()).unwrap_or_default(),
        scenario_sha256: Some(hex(&Sha256::digest(scenario.as_bytes()))),
    }
}
