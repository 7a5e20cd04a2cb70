//! The machines of Google's cluster trace of 2019: the table `machine_events`, exported from
//! BigQuery as JSON lines or CSV.
//!
//! A machine that was added is a host; one that was removed and did not return is none. Its
//! capacity is that of its last event that has one, as shares of the largest machine, which counts
//! as 1,000 vCPU and 1,000 GiB. Its switch counts as its rack, its platform as its generation.

use std::collections::BTreeMap;

use compact_str::{CompactString, ToCompactString};
use serde_json::Value;

use crate::error::TraceError;
use crate::rows::Rows;
use crate::{HostShape, Resources, TraceHost};

use super::google::{line_error, parts};
use super::{WHOLE_MACHINE, WHOLE_MACHINE_MIB};

pub(super) const COLUMNS: [&str; 4] = ["time", "machine_id", "type", "switch_id"];

/// What happens to a machine.
#[derive(Clone, Copy)]
enum Change {
    Present,
    Removed,
}

impl Change {
    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "1" | "ADD" | "3" | "UPDATE" => Some(Self::Present),
            "2" | "REMOVE" => Some(Self::Removed),
            _ => None,
        }
    }
}

/// An event of a machine. Amounts are 0, and texts empty, where the trace does not say.
struct MachineEvent {
    machine: u64,
    time: u64,
    change: Change,
    cpus: u32,
    memory_mb: u32,
    switch: CompactString,
    platform: CompactString,
}

/// The hosts that the events leave, by number. Exports are in no order.
fn hosts(mut events: Vec<MachineEvent>) -> Vec<TraceHost> {
    events.sort_by_key(|event| event.time);
    let mut machines: BTreeMap<u64, (TraceHost, Change)> = BTreeMap::new();
    for event in events {
        let (host, change) = machines.entry(event.machine).or_insert_with(|| {
            let capacity = Resources { vcpus: 0, memory_mb: 0, disk_gb: HostShape::UNLIMITED_DISK };
            (TraceHost::new(event.machine.to_compact_string(), capacity), event.change)
        });
        *change = event.change;
        if event.cpus > 0 || event.memory_mb > 0 {
            (host.capacity.vcpus, host.capacity.memory_mb) = (event.cpus, event.memory_mb);
        }
        for (known, new) in [(&mut host.rack, event.switch), (&mut host.generation, event.platform)] {
            if !new.is_empty() {
                *known = new;
            }
        }
    }
    let present = machines.into_values().filter(|(_, change)| matches!(change, Change::Present));
    present.map(|(host, _)| host).collect()
}

pub(super) fn read_csv(mut rows: Rows) -> Result<Vec<TraceHost>, TraceError> {
    let places = COLUMNS.map(|name| rows.place(name));
    let cpus = rows.place_of_any(&["capacity.cpus", "capacity_cpus", "cpus"]);
    let memory = rows.place_of_any(&["capacity.memory", "capacity_memory", "memory"]);
    let platform = rows.place("platform_id");
    let mut events = Vec::new();
    while rows.advance()? {
        let [time, machine, kind, switch]: [_; 4] =
            std::array::from_fn(|i| rows.field(places[i], COLUMNS[i]));
        let name: CompactString = kind.text()?;
        let change = Change::named(&name).ok_or_else(|| kind.bad(crate::InvalidField::NotAnEvent))?;
        let share = |place, column, whole| rows.field(place, column).optional(|field| field.parts_of(whole));
        events.push(MachineEvent {
            machine: machine.integer()?,
            time: time.integer()?,
            change,
            cpus: share(cpus, "capacity.cpus", WHOLE_MACHINE)?.unwrap_or(0),
            memory_mb: share(memory, "capacity.memory", WHOLE_MACHINE_MIB)?.unwrap_or(0),
            switch: switch.present_text()?,
            platform: rows.field(platform, "platform_id").present_text()?,
        });
    }
    Ok(hosts(events))
}

pub(super) fn read_json(mut rows: Rows) -> Result<Vec<TraceHost>, TraceError> {
    let mut events = Vec::new();
    while let Some((number, line)) = rows.line()? {
        let parsed: Result<Value, _> = serde_json::from_slice(line);
        let event = match &parsed {
            Ok(value) => from_json(value),
            Err(error) => Err(format!("not JSON: {error}")),
        };
        events.push(event.map_err(|reason| line_error(&rows, number, &reason))?);
    }
    Ok(hosts(events))
}

fn from_json(value: &Value) -> Result<MachineEvent, String> {
    let kind = value.get("type").ok_or("there is no type")?;
    let kind = kind.as_str().map_or_else(|| kind.to_string(), ToOwned::to_owned);
    let share = |name: &str| super::google::share(value, "capacity", name);
    let text = |name: &str| match value.get(name) {
        None | Some(Value::Null) => CompactString::default(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_compact_string(),
    };
    Ok(MachineEvent {
        machine: super::google::integer(value, "machine_id")?,
        time: super::google::integer(value, "time")?,
        change: Change::named(&kind).ok_or_else(|| format!("type {kind:?} is not a kind of event"))?,
        cpus: parts(share("cpus"), WHOLE_MACHINE),
        memory_mb: parts(share("memory"), WHOLE_MACHINE_MIB),
        switch: text("switch_id"),
        platform: text("platform_id"),
    })
}

/// Whether a line is one of the JSON export.
pub(super) fn is_json(line: &[u8]) -> bool {
    super::google::is_object_with(line, &COLUMNS)
}
