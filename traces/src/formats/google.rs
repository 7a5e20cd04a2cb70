//! Google's cluster trace of 2019: the table `instance_events`, exported from BigQuery as JSON
//! lines or CSV.
//!
//! Tirmazi et al., *Borg: the Next Generation*, EuroSys'20. An instance arrives when it is
//! submitted and leaves when it is evicted, fails, finishes, is killed or lost; submitted again, it
//! is another VM. Times are microseconds; resources are shares of the largest machine, which counts
//! as 1,000 vCPU and 1,000 GiB. In CSV the columns of a record are named `resource_request.cpus` or
//! `resource_request_cpus`.

use compact_str::{CompactString, format_compact};
use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::error::TraceError;
use crate::rows::Rows;
use crate::{BatchNumber, Micros, Resources, Vm};

use super::{WHOLE_MACHINE, WHOLE_MACHINE_MIB, vm};

pub(crate) const COLUMNS: [&str; 4] = ["time", "type", "collection_id", "instance_index"];
/// The time of events after it ended.
const AFTER: u64 = i64::MAX as u64;

/// The instances so far, and which of them run.
#[derive(Default)]
struct Instances {
    vms: Vec<Vm>,
    running: FxHashMap<(u64, u64), usize>,
}

/// What happens to an instance.
enum Event {
    Submitted,
    Ended,
    /// Queued, enabled, scheduled or updated.
    Other,
}

impl Event {
    fn named(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        Some(match upper.as_str() {
            "0" | "SUBMIT" => Self::Submitted,
            "4" | "EVICT" | "5" | "FAIL" | "6" | "FINISH" | "7" | "KILL" | "8" | "LOST" => Self::Ended,
            "1" | "QUEUE" | "2" | "ENABLE" | "3" | "SCHEDULE" | "9" | "UPDATE_PENDING" | "10"
            | "UPDATE_RUNNING" => Self::Other,
            _ => return None,
        })
    }
}

impl Instances {
    fn apply(&mut self, at: u64, event: &Event, key: (u64, u64), cpus: u32, memory_mb: u32) {
        match event {
            Event::Submitted if at != AFTER => {
                let resources = Resources { vcpus: cpus, memory_mb, disk_gb: 0 };
                let mut vm = vm(format_compact!("{}-{}", key.0, key.1), Micros(at), None, resources);
                vm.batch = BatchNumber::new(key.0);
                self.running.insert(key, self.vms.len());
                self.vms.push(vm);
            }
            Event::Ended if at != AFTER => {
                if let Some(index) = self.running.remove(&key) {
                    self.vms[index].departure = Some(Micros(at).max(self.vms[index].arrival));
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn read_json(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let mut instances = Instances::default();
    while let Some((number, line)) = rows.line()? {
        let parsed: Result<Value, _> = serde_json::from_slice(line);
        let event = match &parsed {
            Ok(value) => from_json(value),
            Err(error) => Err(format!("not JSON: {error}")),
        };
        let (at, event, key, cpus, memory) = event.map_err(|reason| line_error(&rows, number, &reason))?;
        instances.apply(at, &event, key, cpus, memory);
    }
    Ok(instances.vms)
}

type Applied = (u64, Event, (u64, u64), u32, u32);

/// The error of a line of an export.
pub(super) fn line_error(rows: &Rows, number: u64, reason: &str) -> TraceError {
    TraceError::Damaged { path: rows.path().to_owned(), reason: format!("line {number}: {reason}") }
}

/// A whole number; BigQuery writes those of 64 bits as texts.
pub(super) fn integer(value: &Value, name: &str) -> Result<u64, String> {
    let found = value.get(name).ok_or_else(|| format!("there is no {name}"))?;
    let number = found.as_u64().or_else(|| found.as_str()?.parse().ok());
    number.ok_or_else(|| format!("{name} {found} is not a whole number"))
}

/// A number of a record; 0 if it is missing.
pub(super) fn share(value: &Value, record: &str, name: &str) -> f64 {
    let found = value.get(record).and_then(|record| record.get(name));
    found.and_then(|found| found.as_f64().or_else(|| found.as_str()?.parse().ok())).unwrap_or(0.0)
}

fn from_json(value: &Value) -> Result<Applied, String> {
    let kind = value.get("type").ok_or("there is no type")?;
    let kind = kind.as_str().map_or_else(|| kind.to_string(), ToOwned::to_owned);
    let event = Event::named(&kind).ok_or_else(|| format!("type {kind:?} is not a kind of event"))?;
    let share = |name: &str| share(value, "resource_request", name);
    let key = (integer(value, "collection_id")?, integer(value, "instance_index")?);
    Ok((
        integer(value, "time")?,
        event,
        key,
        parts(share("cpus"), WHOLE_MACHINE),
        parts(share("memory"), WHOLE_MACHINE_MIB),
    ))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
pub(super) fn parts(share: f64, whole: u32) -> u32 {
    (share * f64::from(whole) - 1e-6).ceil().max(0.0) as u32
}

pub(crate) fn read_csv(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let places = COLUMNS.map(|name| rows.place(name));
    let cpus = rows.place_of_any(&["resource_request.cpus", "resource_request_cpus", "cpus"]);
    let memory = rows.place_of_any(&["resource_request.memory", "resource_request_memory", "memory"]);
    let mut instances = Instances::default();
    while rows.advance()? {
        let [time, kind, collection, index]: [_; 4] =
            std::array::from_fn(|i| rows.field(places[i], COLUMNS[i]));
        let name: CompactString = kind.text()?;
        let event = Event::named(&name).ok_or_else(|| kind.bad(crate::InvalidField::NotAnEvent))?;
        let key = (collection.integer()?, index.integer()?);
        let share = |place, column, whole| rows.field(place, column).optional(|field| field.parts_of(whole));
        let cpus = share(cpus, "resource_request.cpus", WHOLE_MACHINE)?.unwrap_or(0);
        let memory = share(memory, "resource_request.memory", WHOLE_MACHINE_MIB)?.unwrap_or(0);
        instances.apply(time.integer()?, &event, key, cpus, memory);
    }
    Ok(instances.vms)
}

/// Whether a line is one of the JSON export.
pub(crate) fn is_json(line: &[u8]) -> bool {
    is_object_with(line, &COLUMNS)
}

/// Whether a line is an object that seems to have all of these members.
pub(super) fn is_object_with(line: &[u8], names: &[&str]) -> bool {
    line.starts_with(b"{")
        && names.iter().all(|name| {
            let name = format!("\"{name}\"");
            line.windows(name.len()).any(|window| window == name.as_bytes())
        })
}
