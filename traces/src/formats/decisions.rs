//! The decisions in the log of a service: the lines with the target `decisions` of JSON lines.
//!
//! A request for several instances is as many VMs that arrive at its time; of a refused one, none
//! is in the trace, since each alone could have found a host. A VM leaves when it holds nothing any
//! more. `host` is the host that it got, or [`REJECTED`].

use std::collections::BTreeMap;
use std::path::Path;

use compact_str::{CompactString, format_compact};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::Value;

use crate::error::TraceError;
use crate::rows::Rows;
use crate::source::Source;
use crate::{Demands, Micros, Pair, Resources, Vm};

use super::google::{is_object_with, line_error};
use super::vm;

/// The host of a VM that was refused.
pub const REJECTED: &str = "rejected";

/// The members of every line of a log.
const MEMBERS: [&str; 3] = ["timestamp", "level", "target"];

/// A line about decisions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Decided(Decision),
    Released { at_us: u64, released: String },
}

/// The outcome of a request for instances of one kind; without hosts, it was refused.
#[derive(Deserialize)]
struct Decision {
    at_us: u64,
    instances: Vec<String>,
    hosts: Vec<String>,
    flavor: String,
    vcpus: u32,
    memory_mb: u32,
    disk_gb: u32,
    extra_specs: BTreeMap<String, String>,
    project: String,
    zone: String,
    group: Option<String>,
    policy: Option<String>,
}

/// The VMs so far, and which of them run.
#[derive(Default)]
struct Recorded {
    vms: Vec<Vm>,
    running: FxHashMap<String, usize>,
    /// How often each instance was requested.
    times: FxHashMap<String, u32>,
}

impl Recorded {
    fn apply(&mut self, line: Line) {
        match line {
            Line::Released { at_us, released } => {
                if let Some(place) = self.running.remove(&released) {
                    let vm = &mut self.vms[place];
                    vm.departure = Some(Micros(at_us).max(vm.arrival));
                }
            }
            Line::Decided(decision) => match (&*decision.instances, &*decision.hosts) {
                ([one], []) => self.add(&decision, one, REJECTED),
                (instances, hosts) => {
                    instances
                        .iter()
                        .zip(hosts)
                        .for_each(|(instance, host)| self.add(&decision, instance, host));
                }
            },
        }
    }

    fn add(&mut self, decision: &Decision, instance: &str, host: &str) {
        let times = self.times.entry(instance.to_owned()).or_default();
        let id = if *times == 0 { instance.into() } else { format_compact!("{instance}+{times}") };
        *times += 1;
        if host != REJECTED {
            self.running.insert(instance.to_owned(), self.vms.len());
        }
        self.vms.push(decision.vm(id, host));
    }
}

impl Decision {
    fn vm(&self, id: CompactString, host: &str) -> Vm {
        let Self { vcpus, memory_mb, disk_gb, .. } = *self;
        let pair =
            |(key, value): (&String, &String)| -> Pair { (key.as_str().into(), value.as_str().into()) };
        let demands = Demands {
            zone: self.zone.as_str().into(),
            host: host.into(),
            project: self.project.as_str().into(),
            group: self.group.as_deref().unwrap_or_default().into(),
            policy: self.policy.as_deref().unwrap_or_default().into(),
            extra_specs: self.extra_specs.iter().map(pair).collect(),
            ..Demands::default()
        };
        let mut vm = vm(id, Micros(self.at_us), None, Resources { vcpus, memory_mb, disk_gb });
        (vm.flavor, vm.demands) = (self.flavor.as_str().into(), Some(Box::new(demands)));
        vm
    }
}

/// Whether a line is one of a log.
pub(crate) fn is_log(line: &[u8]) -> bool {
    is_object_with(line, &MEMBERS)
}

pub(crate) fn read(rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let mut recorded = Recorded::default();
    each(rows, |line| recorded.apply(line))?;
    Ok(recorded.vms)
}

/// When each consumer left last, of all that left while the log was written.
///
/// # Errors
/// The file cannot be read, or a line about decisions is damaged.
pub fn released(path: &Path) -> Result<BTreeMap<String, Micros>, TraceError> {
    let mut left = BTreeMap::new();
    each(Rows::start(Source::open(path)?)?, |line| {
        if let Line::Released { at_us, released } = line {
            left.insert(released, Micros(at_us));
        }
    })?;
    Ok(left)
}

/// Reads the lines about decisions; a log has others, too.
fn each(mut rows: Rows, mut apply: impl FnMut(Line)) -> Result<(), TraceError> {
    while let Some((number, line)) = rows.line()? {
        let Ok(Value::Object(members)) = serde_json::from_slice(line) else { continue };
        if members.get("target").and_then(Value::as_str) != Some("decisions") {
            continue;
        }
        let text = members.get("decision").and_then(Value::as_str).unwrap_or_default();
        let line = serde_json::from_str(text)
            .map_err(|error| line_error(&rows, number, &format!("decision: {error}")))?;
        apply(line);
    }
    Ok(())
}
