//! Measures the memory of hosts, VMs and deciders.
//!
//! Measured from outside: the resident memory that the kernel reports, before and after each of
//! them is built, in a process that did nothing else before. So it includes the memory that the
//! allocator retains, and tables that have just doubled.

use std::fs;
use std::sync::Arc;

use berth_placement::{Allocation, ConsumerId, HOST_CLASSES, Row as HostRow};
use berth_scheduler::{AmountEngine, Search};

use crate::Progress;
use crate::fleet::{FilledFleet, FilledFleetSpec};
use crate::machine::{Machine, commit, date};
use crate::report::{Parameters, Report, ReportRow, RowUnit, SCHEMA};
use crate::requests::{self, SMALLEST};
use crate::series::{Series, parameters};
use crate::suite::ObjectiveName;

/// The options of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryOptions {
    /// The number of hosts.
    pub hosts: u32,
    /// The number of VMs on them, each with an allocation of vCPUs, memory and disk.
    pub vms: u32,
    /// The goals; each gets a decider.
    pub goals: Vec<ObjectiveName>,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum MemoryFailure {
    /// The run was stopped.
    #[error("ended early; nothing was written")]
    Stopped,
    /// The system does not report the memory of a process.
    #[error("cannot read {field} of /proc/self/status")]
    Unknown {
        /// The missing line.
        field: &'static str,
    },
    /// A fleet cannot be built.
    #[error("hosts: cannot build {hosts}: {reason}")]
    Fleet {
        /// The number of hosts.
        hosts: u32,
        /// Why.
        reason: String,
    },
    /// The VMs do not fit on the hosts.
    #[error("vms: {vms} do not fit on {hosts} hosts")]
    TooManyVms {
        /// The number of VMs.
        vms: u32,
        /// The number of hosts.
        hosts: u32,
    },
}

/// Builds hosts, VMs and deciders one after the other. `progress` receives the next step and
/// returns whether to continue.
///
/// # Errors
/// See [`MemoryFailure`].
pub fn run(
    options: &MemoryOptions,
    command: Vec<String>,
    progress: &Progress<'_>,
) -> Result<Report, MemoryFailure> {
    let &MemoryOptions { hosts, vms, .. } = options;
    let (machine, date) = (Machine::here(), date());
    let go_on = |what: &str| if progress(what) { Ok(()) } else { Err(MemoryFailure::Stopped) };
    let named = parameters([("hosts", hosts.into()), ("vms", vms.into())]);
    let mut rows = Vec::new();

    go_on(&format!("building {hosts} hosts"))?;
    let before = resident()?;
    let fleet = FilledFleet::build(FilledFleetSpec { hosts, fill: 0, seed: 1 })
        .map_err(|reason| MemoryFailure::Fleet { hosts, reason: reason.to_string() })?;
    rows.extend(each("memory/host", &named, resident()?.saturating_sub(before), hosts));

    go_on(&format!("placing {vms} VMs"))?;
    let before = resident()?;
    place(&fleet, vms)?;
    rows.extend(each("memory/vm", &named, resident()?.saturating_sub(before), vms));

    let mut deciders = Vec::new(); // keeps them alive, so that a later one cannot reuse their memory unmeasured
    for goal in &options.goals {
        go_on(&format!("making a decider by {goal}"))?;
        let mut named = named.clone();
        named.insert("objective".to_owned(), goal.to_string().as_str().into());
        let before = resident()?;
        let mut scheduler = AmountEngine::new(Arc::clone(&fleet.index), goal.objective(), Search::Ranked);
        rows.extend(one("memory/decider", &named, resident()?.saturating_sub(before)));
        let before = resident()?;
        for request in requests::types(1).items() {
            let _ = scheduler.decide_request(request);
        }
        rows.extend(one("memory/request-types", &named, resident()?.saturating_sub(before)));
        deciders.push(scheduler);
    }
    rows.extend(one("memory/process", &named, resident()?));
    rows.extend(one("memory/peak", &named, of_process("VmHWM")?));
    Ok(Report { schema: SCHEMA, commit: commit(), command, date, machine, ended_early: false, rows })
}

/// Places VMs on the hosts round robin.
fn place(fleet: &FilledFleet, vms: u32) -> Result<(), MemoryFailure> {
    let hosts = fleet.spec.hosts;
    let amounts = [SMALLEST.vcpus, SMALLEST.memory_mb, SMALLEST.disk_gb];
    for number in 0..vms {
        let row = HostRow(number % hosts);
        let allocations =
            [0, 1, 2].map(|class| Allocation { row, class: HOST_CLASSES[class], amount: amounts[class] });
        // Spreads the numbers as random UUIDs would be.
        let consumer =
            ConsumerId(u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        fleet.index.claim(consumer, &allocations).map_err(|_| MemoryFailure::TooManyVms { vms, hosts })?;
    }
    Ok(())
}

/// Rows of the total bytes and of the bytes for each of `count`.
fn each(name: &str, named: &Parameters, bytes: u64, count: u32) -> impl Iterator<Item = ReportRow> {
    let all = one(&format!("{name}s"), named, bytes);
    one(name, named, bytes / u64::from(count.max(1))).into_iter().chain(all)
}

fn one(name: &str, named: &Parameters, bytes: u64) -> Option<ReportRow> {
    let mut series = Series::new(name, named, RowUnit::Bytes);
    series.is(bytes);
    series.finish()
}

/// The resident bytes of this process.
fn resident() -> Result<u64, MemoryFailure> {
    of_process("VmRSS")
}

fn of_process(field: &'static str) -> Result<u64, MemoryFailure> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or(MemoryFailure::Unknown { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_vms_are_refused_by_name() {
        let options = MemoryOptions { hosts: 16, vms: 1_000_000, goals: Vec::new() };
        let error = run(&options, Vec::new(), &|_| true).unwrap_err().to_string();
        assert_eq!(error, "vms: 1000000 do not fit on 16 hosts");
    }
}
