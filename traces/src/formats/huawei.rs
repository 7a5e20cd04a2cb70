//! Huawei Cloud's traces: Huawei-East-1, its version with lifetimes, and sequences with NUMA
//! topology.
//!
//! - Huawei-East-1 (`vmid,cpu,memory,time,type`): a row of type 0 creates a VM, one of type 1
//!   deletes it.
//! - With lifetimes, as published with SPANE (`vmid,cpu,mem,at,lt`): arrival and lifetime in
//!   seconds.
//! - NUMA sequences (`set,seq,flavor_vcpus,flavor_ram,numa,strategy,group,domain`): no times; VM
//!   number `seq` arrives at second `seq`, and none leaves.
//!
//! Memory is in GiB, times in seconds.

use compact_str::{CompactString, format_compact};
use rustc_hash::FxHashMap;

use crate::error::TraceError;
use crate::neutral::{gib_to_mib, vcpus_of};
use crate::rows::{Field, Rows};
use crate::{Demands, InvalidField, Micros, Resources, Vm};

use super::vm;

pub(crate) const EVENTS: [&str; 5] = ["vmid", "cpu", "memory", "time", "type"];
pub(crate) const LIFETIMES: [&str; 5] = ["vmid", "cpu", "mem", "at", "lt"];
pub(crate) const NUMA: [&str; 4] = ["seq", "flavor_vcpus", "flavor_ram", "numa"];

pub(crate) fn read_events(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let places = EVENTS.map(|name| rows.place(name));
    let (mut vms, mut running): (Vec<Vm>, FxHashMap<CompactString, usize>) = Default::default();
    while rows.advance()? {
        let [id, cpu, memory, time, kind]: [Field<'_>; 5] =
            std::array::from_fn(|i| rows.field(places[i], EVENTS[i]));
        match kind.integer()? {
            0 => {
                running.insert(id.text()?, vms.len());
                vms.push(shaped(id.text()?, time.seconds()?, None, cpu, memory)?);
            }
            1 => {
                // A VM that was created before the trace began is not in it.
                if let Some(at) = running.remove(&id.text()?) {
                    vms[at].departure = Some(time.seconds()?.max(vms[at].arrival));
                }
            }
            _ => return Err(kind.bad(InvalidField::NotAnEvent)),
        }
    }
    Ok(vms)
}

pub(crate) fn read_lifetimes(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let places = LIFETIMES.map(|name| rows.place(name));
    let mut vms = Vec::new();
    while rows.advance()? {
        let [id, cpu, memory, at, lifetime]: [Field<'_>; 5] =
            std::array::from_fn(|i| rows.field(places[i], LIFETIMES[i]));
        let arrival = at.seconds()?;
        let departure =
            lifetime.optional(Field::seconds)?.map(|lifetime| Micros(arrival.0.saturating_add(lifetime.0)));
        vms.push(shaped(id.text()?, arrival, departure, cpu, memory)?);
    }
    Ok(vms)
}

pub(crate) fn read_numa(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let names = ["set", "seq", "flavor_vcpus", "flavor_ram", "numa", "strategy", "group", "domain"];
    let places = names.map(|name| rows.place(name));
    let mut vms = Vec::new();
    while rows.advance()? {
        let [set, seq, vcpus, memory, numa, strategy, group, domain]: [Field<'_>; 8] =
            std::array::from_fn(|i| rows.field(places[i], names[i]));
        let (set, number) = (set.present_text()?, seq.integer()?);
        let mut vm =
            shaped(format_compact!("{set}-{number}"), Micros::from_secs(number), None, vcpus, memory)?;
        let policy = match strategy.bytes() {
            b"affinity" => "affinity",
            b"anti-affinity" => "anti-affinity",
            // The members of a group are spread over its domains: no host has two of one domain.
            b"fault_domain" => "soft-anti-affinity",
            _ => "",
        };
        let group = group.present_text()?;
        let grouped = !policy.is_empty() && !group.is_empty();
        let domain = domain.present_text()?;
        let extra = [("set", set), ("strategy", strategy.present_text()?), ("domain", domain)];
        let demands = Demands {
            numa_cells: numa.optional(Field::count)?.unwrap_or(0),
            group: if grouped { group } else { CompactString::default() },
            policy: if grouped { policy.into() } else { CompactString::default() },
            extra: extra
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(k, v)| (k.into(), v))
                .collect(),
            ..Demands::default()
        };
        vm.demands = Some(Box::new(demands));
        vms.push(vm);
    }
    Ok(vms)
}

fn shaped(
    id: CompactString,
    arrival: Micros,
    departure: Option<Micros>,
    cpu: Field<'_>,
    memory: Field<'_>,
) -> Result<Vm, TraceError> {
    let (vcpus, vcpu_milli) = vcpus_of(cpu)?;
    let resources = Resources { vcpus, memory_mb: gib_to_mib(memory)?, disk_gb: 0 };
    let mut vm = vm(id, arrival, departure, resources);
    vm.flavor = format_compact!("{}x{}", cpu.text()?, memory.text()?);
    if vcpu_milli > 0 {
        vm.demands = Some(Box::new(Demands { vcpu_milli, ..Demands::default() }));
    }
    Ok(vm)
}
