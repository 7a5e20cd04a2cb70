//! What a scenario file says.

use std::collections::BTreeMap;
use std::fmt;

use berth_traces::Micros;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::scenario::ScenarioError;

/// A scenario: every part has a default, so a file of one line runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// A name for reports.
    pub name: String,
    /// What arrives.
    pub workload: Workload,
    /// On which hosts.
    pub fleet: FleetSpec,
    /// What decides.
    pub scheduler: SchedulerSpec,
    /// What the scheduler is informed of lifetimes.
    pub lifetimes: LifetimeSpec,
    /// What happens to a VM that fits no host.
    pub queueing: Queueing,
    /// What happens to hosts.
    pub events: Vec<EventSpec>,
    /// VMs of which the number that would still fit is measured.
    pub probes: Vec<ProbeSpec>,
    /// What counts as good enough.
    pub service_levels: ServiceLevels,
}

/// What arrives.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// A trace file, relative to the scenario file. Without one, the synthetic cloud of `berth
    /// replay` arrives.
    pub trace: Option<String>,
    /// Its format, if it cannot be detected.
    pub format: Option<String>,
    /// A reference workload in place of a trace.
    pub reference: Option<String>,
    /// The number of VMs of the synthetic cloud.
    pub vms: Option<u64>,
    /// Flavors that nobody requests any more.
    pub retired_flavors: Vec<String>,
    /// The time after which measuring begins.
    pub warm_up: Span,
    /// The trace is repeated until it lasts this long, or cut there.
    pub horizon: Option<Span>,
    /// Copies or leaves out batches: 1 changes nothing.
    pub scale: Option<f64>,
    /// Growth of the arrivals each month, compounded.
    pub growth_per_month: f64,
    /// The number of traces that are drawn from the days of this one; 0 runs the trace itself.
    pub resamples: u32,
    /// The seed of every draw.
    pub seed: Option<u64>,
    /// Fills the fleet in place of replaying the trace: its VMs arrive in random order, again and
    /// again, until they have asked for this share of all GPUs (of all vCPUs, without GPUs), and
    /// none leaves. Every resample is another order.
    pub fill: Option<f64>,
    /// Runs many short episodes in place of one run.
    pub episodes: Option<Episodes>,
}

/// Episodes: each begins with an empty fleet at a VM of the trace, and lasts until first fit would
/// be full, and some VMs longer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episodes {
    /// A file with the number of the first VM of each episode, one a line.
    pub file: String,
    /// The number of VMs beyond those that first fit places.
    #[serde(default)]
    pub beyond: u64,
    /// The share of episodes that is dropped at either end before the mean is taken.
    #[serde(default)]
    pub trim: f64,
}

/// The hosts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSpec {
    /// Hosts in the short notation, `64x256:1000`.
    pub hosts: Option<String>,
    /// A file of hosts: TOML or JSON with shapes, or the neutral CSV.
    pub file: Option<String>,
    /// A directory of `berth fleet snapshot`: its hosts, with the VMs that are on them.
    pub snapshot: Option<String>,
    /// Whether VMs of the snapshot that have no departure stay; by default, they leave as the
    /// workload's VMs do that are as large and became as old.
    pub vms_stay: bool,
    /// Shapes, as in a file.
    pub shape: Vec<ShapeSpec>,
    /// NUMA cells of every host that does not say; with cells, the scheduler places VMs on cells.
    pub numa_cells: Option<u32>,
    /// Overrides the ratio of every shape.
    pub cpu_ratio: Option<f64>,
    /// The same for memory.
    pub memory_ratio: Option<f64>,
}

/// Hosts of one shape.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShapeSpec {
    /// The name, which the names of its hosts begin with.
    pub name: String,
    /// The number of hosts.
    pub count: u32,
    /// Physical vCPUs (threads).
    pub vcpus: u32,
    /// Memory.
    pub memory_gib: f64,
    /// Disk; without it, disk never binds.
    pub disk_gb: Option<u32>,
    /// Overcommitment.
    pub cpu_ratio: Option<f64>,
    /// Overcommitment of memory.
    pub memory_ratio: Option<f64>,
    /// Overcommitment of disk.
    pub disk_ratio: Option<f64>,
    /// What VMs cannot have, of the physical amounts.
    pub reserved_vcpus: u32,
    /// Reserved memory.
    pub reserved_memory_gib: f64,
    /// Reserved disk.
    pub reserved_disk_gb: u32,
    /// Zones, to which its hosts belong in turn.
    pub zones: Vec<String>,
    /// Racks over which its hosts are spread.
    pub racks: u32,
    /// Hardware generation.
    pub generation: String,
    /// Traits of its hosts.
    pub traits: Vec<String>,
    /// Metadata of host aggregates.
    pub aggregates: BTreeMap<String, String>,
    /// NUMA cells.
    pub numa_cells: u32,
    /// GPUs.
    pub gpus: u32,
    /// Their model.
    pub gpu_model: String,
    /// The price of a host, in any unit.
    pub price: Option<f64>,
}

/// What decides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerSpec {
    /// A placement policy: `bestfit`, `bestfit-cpu`, `firstfit`, `worstfit`, `lifetime`, `shape`;
    /// on NUMA cells `first`, `balance` or `best`.
    pub policy: Option<String>,
    /// A `nova.conf`: Nova's filters and weighers decide, with its options.
    pub nova_conf: Option<String>,
    /// `nova` for Nova's filters and weighers with its defaults.
    pub kind: Option<String>,
    /// The policy of a server group for each batch.
    pub batch_policy: Option<String>,
    /// On NUMA cells: a VM with more memory is split in halves over two cells of one host.
    pub split_above_gib: Option<f64>,
}

/// What the scheduler is informed of: how long VMs will live. Only the policy `lifetime` uses it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifetimeSpec {
    /// `none`; `oracle`, for the lifetimes of the trace; or `file`.
    pub source: Option<String>,
    /// The deviation of the logarithm of an oracle's predictions from the truth: 0.5 for a factor
    /// of 1.6 either way.
    pub error: Option<f64>,
    /// A CSV file with `flavor`, `project` or both, and `lifetime_s` or `p50_s`.
    pub file: Option<String>,
}

/// What happens to a VM that fits no host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queueing {
    /// `reject`, or `fifo`: it waits, and all that arrive after it wait behind it.
    pub mode: Option<String>,
    /// A VM that has waited for so long is rejected.
    pub limit: Option<Span>,
}

/// Something that happens to hosts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// What: `fail`, `repair`, `drain`, `evacuate`, `retire`, `add`, `replace`.
    pub action: Action,
    /// When, after the first arrival.
    #[serde(default)]
    pub at: Span,
    /// After which time it is undone: a repair, or the end of a drain.
    #[serde(default)]
    pub lasts: Option<Span>,
    /// Mean time between events of this kind; they occur at random times from `at` on.
    #[serde(default)]
    pub every: Option<Span>,
    /// A number of hosts, chosen at random by the seed.
    #[serde(default)]
    pub hosts: Option<u32>,
    /// A share of all hosts, chosen at random by the seed.
    #[serde(default)]
    pub share: Option<f64>,
    /// Hosts by name.
    #[serde(default)]
    pub host: Vec<String>,
    /// All hosts of a rack.
    #[serde(default)]
    pub rack: Option<String>,
    /// All hosts of a zone.
    #[serde(default)]
    pub zone: Option<String>,
    /// All hosts of a generation.
    #[serde(default)]
    pub generation: Option<String>,
    /// The generation that replaces the hosts; its own exist only from this time on.
    #[serde(default)]
    pub by: Option<String>,
}

/// What happens to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is lost with its VMs, which are placed elsewhere, or wait.
    Fail,
    /// It takes VMs again.
    Repair,
    /// It takes no further VMs.
    Drain,
    /// It takes no further VMs, and its VMs move, as far as they fit elsewhere.
    Evacuate,
    /// The same, for good.
    Retire,
    /// It exists only from this time on.
    Add,
    /// It is retired when the hosts of another generation have been added.
    Replace,
}

/// A VM of which the number that would still fit is measured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeSpec {
    /// A name for the report.
    pub name: String,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory_gib: f64,
    /// Disk.
    pub disk_gb: u32,
}

/// What counts as good enough.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceLevels {
    /// The largest share of requested vCPU-hours that may be rejected.
    pub rejected_vcpu_hours: Option<f64>,
    /// The largest share of VMs that may be rejected.
    pub rejected_vms: Option<f64>,
    /// The longest wait of 99 % of the VMs.
    pub wait_p99: Option<Span>,
    /// The largest number of displaced VMs that may be lost.
    pub lost_vms: Option<u64>,
}

impl ServiceLevels {
    /// The share of rejected vCPU-hours that is allowed where no level is given.
    pub const DEFAULT_REJECTED: f64 = 0.001;
}

/// A length of time: `90` (seconds), `"45s"`, `"90m"`, `"12h"`, `"7d"`, `"4w"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Micros);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfSpan;
        impl Visitor<'_> for OfSpan {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"12h\", \"30d\", or seconds")
            }

            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Span, E> {
                let seconds =
                    u64::try_from(seconds).map_err(|_| E::custom("a length of time is not negative"))?;
                let micros = seconds.checked_mul(Micros::PER_SECOND);
                micros.map(|micros| Span(Micros(micros))).ok_or_else(|| E::custom("too long"))
            }

            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Span, E> {
                self.visit_i64(i64::try_from(seconds).map_err(|_| E::custom("too long"))?)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                span(text).ok_or_else(|| {
                    E::custom(format!("{text:?} is not a length of time such as \"12h\" or \"30d\""))
                })
            }
        }
        from.deserialize_any(OfSpan)
    }
}

impl Span {
    /// The length that a text means.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        span(text)
    }
}

fn span(text: &str) -> Option<Span> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let seconds: u64 = match unit.trim() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let micros = number.parse::<u64>().ok()?.checked_mul(seconds)?.checked_mul(Micros::PER_SECOND)?;
    Some(Span(Micros(micros)))
}

/// One scenario of a file, with what it varies.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What is varied, and its value, in the order of the file.
    pub varied: Vec<(String, String)>,
    /// The scenario.
    pub scenario: Scenario,
}

impl Variant {
    /// The varied values in one line; the scenario's name if nothing is varied.
    #[must_use]
    pub fn label(&self) -> String {
        if self.varied.is_empty() {
            return if self.scenario.name.is_empty() {
                "scenario".to_owned()
            } else {
                self.scenario.name.clone()
            };
        }
        let parts: Vec<_> = self.varied.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        parts.join(", ")
    }
}

/// The scenarios of a file: one for each combination of the values in its table `vary`, whose keys
/// are settings such as `"scheduler.policy"`, and whose values are lists.
///
/// # Errors
/// The text is not a scenario; the message names what is wrong, and for an unknown key the nearest
/// one that exists.
pub fn variants(text: &str) -> Result<Vec<Variant>, ScenarioError> {
    let mut document: toml::Table =
        text.parse().map_err(|error: toml::de::Error| ScenarioError::new(&error.to_string()))?;
    let varied = match document.remove("vary") {
        None => Vec::new(),
        Some(toml::Value::Table(table)) => flattened("", table),
        Some(_) => return Err(ScenarioError::new("vary: a table of settings and lists of their values")),
    };
    // Without the varied values first, so that a mistake has its line.
    let mut check = text.to_owned();
    if !varied.is_empty() {
        check = toml::to_string(&document).map_err(|error| ScenarioError::new(&error.to_string()))?;
    }
    toml::from_str::<Scenario>(&check).map_err(|error| ScenarioError::new(&error.to_string()))?;
    let mut combinations = vec![(document, Vec::new())];
    for (key, values) in varied {
        let toml::Value::Array(values) = values else {
            return Err(ScenarioError::new(&format!("vary: {key} needs a list of values")));
        };
        let mut next = Vec::new();
        for (document, settings) in &combinations {
            for value in &values {
                let mut document = document.clone();
                set(&mut document, &key, value.clone())?;
                let mut settings: Vec<(String, String)> = settings.clone();
                settings.push((key.clone(), shown(value)));
                next.push((document, settings));
            }
        }
        combinations = next;
    }
    let variants = combinations.into_iter().map(|(document, varied)| {
        let scenario =
            Scenario::deserialize(document).map_err(|error| ScenarioError::new(&error.to_string()))?;
        Ok(Variant { varied, scenario })
    });
    variants.collect()
}

/// Keys may be quoted with dots, or nested tables.
fn flattened(prefix: &str, table: toml::Table) -> Vec<(String, toml::Value)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flat.extend(flattened(&key, table)),
            value => flat.push((key, value)),
        }
    }
    flat
}

fn set(document: &mut toml::Table, key: &str, value: toml::Value) -> Result<(), ScenarioError> {
    let Some((first, rest)) = key.split_once('.') else {
        document.insert(key.to_owned(), value);
        return Ok(());
    };
    let below = document.entry(first).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    match below {
        toml::Value::Table(table) => set(table, rest, value),
        _ => Err(ScenarioError::new(&format!("vary: {first} is not a table, so {key} cannot be varied"))),
    }
}

fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Shapes of a fleet file, TOML or JSON.
///
/// # Errors
/// The text is not a fleet; an unknown key has a suggestion.
pub fn fleet_file(text: &str, is_json: bool) -> Result<FleetSpec, ScenarioError> {
    if is_json {
        serde_json::from_str(text).map_err(|error| ScenarioError::new(&error.to_string()))
    } else {
        toml::from_str(text).map_err(|error| ScenarioError::new(&error.to_string()))
    }
}

/// Copies of a VM, at most.
const MOST_SCALE: f64 = 10_000.0;

impl Workload {
    /// Checks the numbers.
    ///
    /// # Errors
    /// One of them makes no sense; the message names the setting.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let Self { scale, growth_per_month: growth, .. } = self;
        if !growth.is_finite() || *growth <= -1.0 {
            let problem = "the arrivals of a month are at least none: it is above -1";
            return Err(ScenarioError::new(&format!("workload.growth_per_month {growth}: {problem}")));
        }
        match scale.filter(|scale| !(*scale > 0.0 && *scale <= MOST_SCALE)) {
            Some(scale) => Err(ScenarioError::new(&format!(
                "workload.scale {scale}: it is a number above 0, up to {MOST_SCALE}"
            ))),
            None => Ok(()),
        }
    }
}

impl EventSpec {
    /// Refuses an event that names no hosts, or that two settings contradict each other in.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let chosen = [
            self.hosts.is_some(),
            self.share.is_some(),
            !self.host.is_empty(),
            self.rack.is_some(),
            self.zone.is_some(),
            self.generation.is_some(),
        ];
        if chosen.iter().filter(|is_set| **is_set).count() != 1 {
            return Err(ScenarioError::new(
                "events: an event needs one of hosts, share, host, rack, zone or generation",
            ));
        }
        if (self.action == Action::Replace) != self.by.is_some() {
            return Err(ScenarioError::new(
                "events: replace needs by, a generation, and no other action has it",
            ));
        }
        if self.action == Action::Replace && (self.lasts.is_some() || self.every.is_some()) {
            return Err(ScenarioError::new(
                "events: replace happens once and for good, without lasts and every",
            ));
        }
        if self.every.is_some_and(|every| every.0.0 == 0) {
            return Err(ScenarioError::new("events: every is longer than 0"));
        }
        if self.share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(ScenarioError::new("events: share is from 0 to 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_default() {
        assert_eq!(variants("").unwrap().len(), 1);
        let one = variants("workload.trace = \"vms.csv\"").unwrap();
        assert_eq!(one[0].scenario.workload.trace.as_deref(), Some("vms.csv"));
        assert_eq!(one[0].label(), "scenario");
    }

    #[test]
    fn an_unknown_key_has_a_suggestion() {
        let error = variants("[scheduler]\npolcy = \"bestfit\"\n").unwrap_err().to_string();
        assert!(error.contains("polcy") && error.ends_with("did you mean `policy`?"), "{error}");
        let error =
            variants("[workload]\nseed = 1\n[vary]\n\"workload.sed\" = [1]\n").unwrap_err().to_string();
        assert!(error.contains("sed") && error.contains("`seed`"), "{error}");
        let error = fleet_file("{\"shapes\": []}", true).unwrap_err().to_string();
        assert!(error.contains("did you mean `shape`?"), "{error}");
    }

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in
            [("90", 90), ("45s", 45), ("2 h", 7200), ("7d", 604_800), ("1w", 604_800), ("5min", 300)]
        {
            assert_eq!(span(text), Some(Span(Micros::from_secs(seconds))), "{text}");
        }
        for text in ["", "h", "1y", "-1d", "1.5h", "99999999999999999999s"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn variants_are_all_combinations() {
        let text = "[vary]\n\"scheduler.policy\" = [\"bestfit\", \"firstfit\"]\nworkload.seed = [1, 2, 3]\n";
        let variants = variants(text).unwrap();
        assert_eq!(variants.len(), 6);
        assert_eq!(variants[4].label(), "scheduler.policy = firstfit, workload.seed = 2");
        assert_eq!(variants[4].scenario.workload.seed, Some(2));
        assert_eq!(variants[4].scenario.scheduler.policy.as_deref(), Some("firstfit"));
    }
}
