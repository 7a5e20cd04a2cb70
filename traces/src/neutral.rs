//! The neutral format: one CSV file of hosts, one of VMs; UTF-8, a header line.
//!
//! - hosts: `host_id,vcpus,ram_mb,disk_gb`, capacities with any overcommitment applied; and, if the
//!   header names them, `zone`, `aggregates` (metadata of host aggregates), `traits`, `rack`,
//!   `generation`, `numa` (cells), `gpus` and `gpu_model`, `cpu_ratio` and `memory_ratio` (the
//!   overcommitment that was applied);
//! - VMs: `arrival_s`, `vcpus` and `ram_mb` (or `mem_gib`), in any order of columns; and, if the
//!   header names them, `vm_id`, `departure_s`, `disk_gb`, `flavor`, `batch` (a number that VMs
//!   share which were started together), `zone`, `extra_specs` (of the flavor), `host`, `project`,
//!   `group`, `policy`, `gpus`, `gpu_milli`, `gpu_spec` and `numa`. Any other column is carried
//!   along.
//!
//! Aggregates and extra specs are pairs `key=value`; pairs, traits and GPU models are separated by
//! `;`.
//!
//! Times are seconds, or dates as ISO 8601 writes them; a departure is not before the arrival, or
//! empty for a VM that never leaves. Memory is in MiB, disk in GB; fractions of either are rounded
//! up. [`write_vms`] writes strictly: identifiers count from 0, times have at most 3 decimals.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use compact_str::ToCompactString;
use rustc_hash::FxHashSet;

use crate::formats::hosts;
use crate::rows::{Columns, Field, Rows};
use crate::source::Source;
use crate::{Demands, InvalidField, Micros, Pair, Resources, TraceError, TraceHost, Vm, WriteError};

/// The columns that [`write_vms`] writes.
const VM_WRITTEN: [&str; 7] = ["vm_id", "arrival_s", "departure_s", "vcpus", "ram_mb", "disk_gb", "flavor"];
/// The columns that every file of VMs has.
pub(crate) const VM_REQUIRED: [&str; 3] = ["arrival_s", "vcpus", "ram_mb"];
/// The columns that every file of hosts has.
pub(crate) const HOST_REQUIRED: [&str; 4] = ["host_id", "vcpus", "ram_mb", "disk_gb"];
const HOST_COLUMNS: [&str; 14] = [
    "host_id",
    "vcpus",
    "ram_mb",
    "disk_gb",
    "zone",
    "aggregates",
    "traits",
    "rack",
    "generation",
    "numa",
    "gpus",
    "gpu_model",
    "cpu_ratio",
    "memory_ratio",
];
const HOST_LABELS: [&str; 10] = [
    "zone",
    "aggregates",
    "traits",
    "rack",
    "generation",
    "numa",
    "gpus",
    "gpu_model",
    "cpu_ratio",
    "memory_ratio",
];
/// Columns that say more of a VM than times, amounts and flavor.
const LABELS: [&str; 10] =
    ["zone", "extra_specs", "host", "project", "group", "policy", "gpus", "gpu_milli", "gpu_spec", "numa"];

/// The VMs of a file, as [`Trace::open`](crate::Trace::open) reads them.
pub(crate) struct VmRows {
    rows: Rows,
    id: Option<usize>,
    arrival: Option<usize>,
    departure: Option<usize>,
    vcpus: Option<usize>,
    memory: Memory,
    disk: Option<usize>,
    flavor: Option<usize>,
    batch: Option<usize>,
    labels: [Option<usize>; LABELS.len()],
    extra: Vec<usize>,
    has_labels: bool,
    read: u64,
    last_arrival: Micros,
    /// Whether rows have to be in order of arrival.
    is_ordered: bool,
}

/// The column of the memory, and its unit.
#[derive(Clone, Copy)]
enum Memory {
    Mib(usize),
    Gib(usize),
}

impl VmRows {
    pub(crate) fn new(rows: Rows, is_ordered: bool) -> Result<Self, TraceError> {
        rows.refuse_repeated()?;
        let memory = match (rows.place("ram_mb"), rows.place("mem_gib")) {
            (Some(place), _) => Memory::Mib(place),
            (None, Some(place)) => Memory::Gib(place),
            (None, None) => Memory::Mib(rows.require("ram_mb")?),
        };
        let known = VM_WRITTEN.iter().chain(&LABELS).chain(&["mem_gib", "batch"]);
        let known: Vec<_> = known.collect();
        let columns = rows.header().iter().enumerate();
        let extra: Vec<_> =
            columns.filter(|(_, name)| !known.iter().any(|known| *name == **known)).map(|(i, _)| i).collect();
        let labels = LABELS.map(|name| rows.place(name));
        Ok(Self {
            id: rows.place("vm_id"),
            arrival: Some(rows.require("arrival_s")?),
            departure: rows.place("departure_s"),
            vcpus: Some(rows.require("vcpus")?),
            memory,
            disk: rows.place("disk_gb"),
            flavor: rows.place("flavor"),
            batch: rows.place("batch"),
            has_labels: labels.iter().any(Option::is_some) || !extra.is_empty(),
            labels,
            extra,
            rows,
            read: 0,
            last_arrival: Micros(0),
            is_ordered,
        })
    }

    fn read(&mut self) -> Result<Option<Vm>, TraceError> {
        if !self.rows.advance()? {
            return Ok(None);
        }
        let rows = &self.rows;
        let id = match self.id {
            Some(place) => rows.field(Some(place), "vm_id").text()?,
            None => self.read.to_compact_string(),
        };
        let arrival = rows.field(self.arrival, "arrival_s");
        let arrival = if self.is_ordered { arrival.arrival(self.last_arrival)? } else { arrival.moment()? };
        let departure = rows.field(self.departure, "departure_s");
        let leaves = departure.optional(Field::moment)?;
        if leaves.is_some_and(|leaves| leaves < arrival) {
            return Err(departure.bad(InvalidField::BeforeArrival));
        }
        let (vcpus, vcpu_milli) = vcpus_of(rows.field(self.vcpus, "vcpus"))?;
        let memory_mb = match self.memory {
            Memory::Mib(place) => rounded_up(rows.field(Some(place), "ram_mb"))?,
            Memory::Gib(place) => gib_to_mib(rows.field(Some(place), "mem_gib"))?,
        };
        let disk_gb = rows.field(self.disk, "disk_gb").optional(|field| rounded_up(*field))?.unwrap_or(0);
        let flavor = rows.field(self.flavor, "flavor").text()?;
        let batch = rows.field(self.batch, "batch").optional(Field::batch)?;
        let mut demands = if self.has_labels { self.demands()? } else { None };
        if vcpu_milli > 0 {
            demands.get_or_insert_default().vcpu_milli = vcpu_milli;
        }
        self.read += 1;
        self.last_arrival = arrival;
        let resources = Resources { vcpus, memory_mb, disk_gb };
        Ok(Some(Vm { id, arrival, departure: leaves, resources, flavor, batch, demands }))
    }

    fn demands(&self) -> Result<Option<Box<Demands>>, TraceError> {
        let rows = &self.rows;
        let [zone, extra_specs, host, project, group, policy, gpus, gpu_milli, gpu_spec, numa] =
            std::array::from_fn(|label| rows.field(self.labels[label], LABELS[label]));
        let extra = self.extra.iter().map(|&place| (rows.header()[place].clone(), rows.lossy(place)));
        let demands = Demands {
            zone: zone.present_text()?,
            extra_specs: extra_specs.pairs()?,
            host: host.present_text()?,
            project: project.present_text()?,
            group: group.present_text()?,
            policy: policy_of(policy)?.into(),
            gpus: gpus.optional(Field::count)?.unwrap_or(0),
            gpu_milli: gpu_milli.optional(Field::count)?.unwrap_or(0),
            gpu_models: gpu_spec.texts()?,
            numa_cells: numa.optional(Field::count)?.unwrap_or(0),
            vcpu_milli: 0,
            extra: extra.filter(|(_, value)| !value.is_empty()).collect(),
        };
        Ok((demands != Demands::default()).then(|| Box::new(demands)))
    }
}

impl Iterator for VmRows {
    type Item = Result<Vm, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Whole vCPUs, rounded up, and the exact amount in thousandths if that is not whole.
pub(crate) fn vcpus_of(field: Field<'_>) -> Result<(u32, u32), TraceError> {
    let text = field.bytes();
    // Whole numbers are the rule.
    if text.len() < 10 && !text.contains(&b'.') && !text.is_empty() {
        return Ok((field.count()?, 0));
    }
    let milli = field.decimal_up(3)?;
    let vcpus = field.narrow(milli.div_ceil(1000))?;
    let fraction = if milli.is_multiple_of(1000) { 0 } else { field.narrow(milli)? };
    Ok((vcpus, fraction))
}

/// A whole number, rounded up.
pub(crate) fn rounded_up(field: Field<'_>) -> Result<u32, TraceError> {
    field.narrow(field.decimal_up(0)?)
}

/// MiB, rounded up so that a VM never gets less than it requested.
pub(crate) fn gib_to_mib(field: Field<'_>) -> Result<u32, TraceError> {
    const PLACES: u32 = 6;
    let mib = u128::from(field.decimal_up(PLACES)?) * 1024;
    // A u64 of millionths times 1024 / 10^6 fits u64 again.
    field.narrow(mib.div_ceil(10_u128.pow(PLACES)) as u64)
}

/// The policies of server groups.
pub(crate) const POLICIES: [&str; 4] = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"];

/// The policy of a server group; empty for none.
fn policy_of(field: Field<'_>) -> Result<&'static str, TraceError> {
    if field.is_missing() {
        return Ok("");
    }
    let known = POLICIES.into_iter().find(|policy| policy.as_bytes() == field.bytes());
    known.ok_or_else(|| field.bad(InvalidField::NotAPolicy))
}

/// Reads a host file, plain or gzip: a neutral one, or one of the published formats of
/// `formats/hosts.rs`.
///
/// # Errors
/// The file cannot be read or violates the format; the message names the line.
pub fn read_hosts(path: impl AsRef<Path>) -> Result<Vec<TraceHost>, TraceError> {
    let rows = Rows::start(Source::open(path.as_ref())?)?;
    if let Some(read) = hosts::reader_of(&rows) {
        return read(rows);
    }
    let mut columns = Columns::find(rows, HOST_COLUMNS, &HOST_LABELS, &[])?;
    let mut hosts = Vec::new();
    let mut names = FxHashSet::default();
    while let Some(fields) = columns.next()? {
        let [
            id,
            vcpus,
            memory,
            disk,
            zone,
            aggregates,
            traits,
            rack,
            generation,
            numa,
            gpus,
            gpu_model,
            cpu_ratio,
            memory_ratio,
        ] = fields;
        let name = id.text()?;
        if name.is_empty() {
            return Err(id.bad(InvalidField::Empty));
        }
        if !names.insert(name.clone()) {
            return Err(id.bad(InvalidField::NotUnique));
        }
        let ratio = |field: Field<'_>| {
            let milli = field.optional(|field| field.narrow(field.decimal_up(3)?))?;
            if milli == Some(0) { Err(field.bad(InvalidField::Zero)) } else { Ok(milli.unwrap_or(0)) }
        };
        hosts.push(TraceHost {
            id: name,
            capacity: Resources { vcpus: vcpus.count()?, memory_mb: memory.count()?, disk_gb: disk.count()? },
            zone: zone.text()?,
            aggregates: aggregates.pairs()?,
            traits: traits.texts()?,
            rack: rack.text()?,
            generation: generation.text()?,
            numa_cells: numa.optional(Field::count)?.unwrap_or(0),
            gpus: gpus.optional(Field::count)?.unwrap_or(0),
            gpu_model: gpu_model.text()?,
            cpu_ratio_milli: ratio(cpu_ratio)?,
            memory_ratio_milli: ratio(memory_ratio)?,
        });
    }
    Ok(hosts)
}

/// Writes a host file with everything that its hosts have: their names, and a column for each label
/// that any host has.
///
/// # Errors
/// The file cannot be written.
pub fn write_fleet(path: impl AsRef<Path>, hosts: &[TraceHost]) -> Result<(), WriteError> {
    let path = path.as_ref();
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    let has = |label: &&str| hosts.iter().any(|host| !host_label(host, label).is_empty());
    let labels: Vec<&str> = HOST_LABELS.into_iter().filter(has).collect();
    let header: Vec<&str> = HOST_REQUIRED.iter().chain(&labels).copied().collect();
    writeln!(out, "{}", header.join(",")).map_err(failed)?;
    for host in hosts {
        let Resources { vcpus, memory_mb, disk_gb } = host.capacity;
        let amounts = [vcpus, memory_mb, disk_gb].map(|amount| amount.to_string());
        let labels = labels.iter().map(|label| quoted(&host_label(host, label)));
        let row: Vec<String> = [quoted(&host.id)].into_iter().chain(amounts).chain(labels).collect();
        writeln!(out, "{}", row.join(",")).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// A count as text; nothing for none.
fn count(count: u32) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

/// The text of a label's column.
fn host_label(host: &TraceHost, label: &str) -> String {
    match label {
        "zone" => host.zone.to_string(),
        "aggregates" => pairs_of(&host.aggregates),
        "traits" => host.traits.join(";"),
        "rack" => host.rack.to_string(),
        "generation" => host.generation.to_string(),
        "numa" => count(host.numa_cells),
        "gpus" => count(host.gpus),
        "gpu_model" => host.gpu_model.to_string(),
        "cpu_ratio" => ratio_of(host.cpu_ratio_milli),
        _ => ratio_of(host.memory_ratio_milli),
    }
}

fn pairs_of(pairs: &[Pair]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";")
}

/// Thousandths as a decimal; nothing for 0.
fn ratio_of(milli: u32) -> String {
    if milli == 0 {
        return String::new();
    }
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes a host file with capacities only. Identifiers are the hosts' indexes.
///
/// # Errors
/// The file cannot be written.
pub fn write_hosts(path: impl AsRef<Path>, hosts: &[TraceHost]) -> Result<(), WriteError> {
    let path = path.as_ref();
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    writeln!(out, "{}", HOST_REQUIRED.join(",")).map_err(failed)?;
    for (id, TraceHost { capacity, .. }) in hosts.iter().enumerate() {
        writeln!(out, "{id},{},{},{}", capacity.vcpus, capacity.memory_mb, capacity.disk_gb)
            .map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// Writes a VM file and returns the number of VMs. Identifiers are the VMs' indexes. Batches and
/// demands are lost.
///
/// # Errors
/// The file cannot be written, the trace ends in an error, or a VM does not fit the format: times
/// finer than a millisecond, a comma, quote or line end in a flavor.
pub fn write_vms(
    path: impl AsRef<Path>,
    vms: impl IntoIterator<Item = Result<Vm, TraceError>>,
) -> Result<u64, WriteError> {
    let path = path.as_ref();
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    writeln!(out, "{}", VM_WRITTEN.join(",")).map_err(failed)?;
    let mut count = 0;
    for vm in vms {
        let vm = vm?;
        if let Some(what) = inexpressible(&vm) {
            return Err(WriteError::Inexpressible { id: vm.id.to_string(), what });
        }
        write_vm(&mut out, count, &vm).map_err(failed)?;
        count += 1;
    }
    out.flush().map_err(failed)?;
    Ok(count)
}

/// Writes a VM file with everything that its VMs have, quoted where necessary: the identifiers of
/// the trace, and a column for each label that any VM has. Times are rounded down to microseconds,
/// which they have.
///
/// # Errors
/// The file cannot be written.
pub fn write_all(path: impl AsRef<Path>, vms: &[Vm]) -> Result<(), WriteError> {
    let path = path.as_ref();
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    let demands = || vms.iter().filter_map(|vm| vm.demands.as_deref());
    let labels: Vec<&str> = LABELS
        .into_iter()
        .filter(|label| demands().any(|demands| !label_of(demands, label).is_empty()))
        .collect();
    let mut extra: Vec<&str> = Vec::new();
    for (name, _) in demands().flat_map(|demands| &demands.extra) {
        if !extra.contains(&name.as_str()) {
            extra.push(name);
        }
    }
    let has_batches = vms.iter().any(|vm| vm.batch.is_some());
    let header = VM_WRITTEN.iter().copied().chain(has_batches.then_some("batch"));
    let header = header.chain(labels.iter().copied()).chain(extra.iter().copied()).map(quoted);
    writeln!(out, "{}", header.collect::<Vec<_>>().join(",")).map_err(failed)?;
    let none = Demands::default();
    for vm in vms {
        let demands = vm.demands.as_deref().unwrap_or(&none);
        let Resources { vcpus, memory_mb, disk_gb } = vm.resources;
        let vcpus = match demands.vcpu_milli {
            0 => vcpus.to_string(),
            milli => format!("{}.{:03}", milli / 1000, milli % 1000),
        };
        let departure = vm.departure.map(micros).unwrap_or_default();
        let mut row = vec![quoted(&vm.id), micros(vm.arrival), departure, vcpus, memory_mb.to_string()];
        row.extend([disk_gb.to_string(), quoted(&vm.flavor)]);
        row.extend(has_batches.then(|| vm.batch.map(|batch| batch.number().to_string()).unwrap_or_default()));
        row.extend(labels.iter().map(|label| quoted(&label_of(demands, label))));
        row.extend(extra.iter().map(|name| {
            let own = demands.extra.iter().find(|(key, _)| key == name);
            own.map(|(_, value)| quoted(value)).unwrap_or_default()
        }));
        writeln!(out, "{}", row.join(",")).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// The text of a label's column.
fn label_of(demands: &Demands, label: &str) -> String {
    match label {
        "zone" => demands.zone.to_string(),
        "extra_specs" => pairs_of(&demands.extra_specs),
        "host" => demands.host.to_string(),
        "project" => demands.project.to_string(),
        "group" => demands.group.to_string(),
        "policy" => demands.policy.to_string(),
        "gpus" => count(demands.gpus),
        "gpu_milli" => count(demands.gpu_milli),
        "gpu_spec" => demands.gpu_models.join("|"),
        _ => count(demands.numa_cells),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', ';', '\t', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Seconds with as many decimals as necessary.
fn micros(time: Micros) -> String {
    let (seconds, micros) = (time.0 / Micros::PER_SECOND, time.0 % Micros::PER_SECOND);
    if micros == 0 {
        seconds.to_string()
    } else {
        format!("{seconds}.{micros:06}").trim_end_matches('0').to_owned()
    }
}

fn inexpressible(vm: &Vm) -> Option<&'static str> {
    let finer = |time: Micros| !time.0.is_multiple_of(1000);
    if finer(vm.arrival) || vm.departure.is_some_and(finer) {
        Some("times finer than a millisecond")
    } else if vm.flavor.contains([',', '"', '\r', '\n']) {
        Some("a comma, quote or line end in a flavor")
    } else {
        None
    }
}

fn write_vm(out: &mut impl Write, id: u64, vm: &Vm) -> std::io::Result<()> {
    write!(out, "{id},")?;
    write_seconds(out, vm.arrival)?;
    write!(out, ",")?;
    if let Some(departure) = vm.departure {
        write_seconds(out, departure)?;
    }
    let Resources { vcpus, memory_mb, disk_gb } = vm.resources;
    writeln!(out, ",{vcpus},{memory_mb},{disk_gb},{}", vm.flavor)
}

/// Seconds with as many decimals as necessary, at most 3.
fn write_seconds(out: &mut impl Write, time: Micros) -> std::io::Result<()> {
    let (seconds, millis) = (time.0 / Micros::PER_SECOND, time.0 % Micros::PER_SECOND / 1000);
    if millis == 0 {
        write!(out, "{seconds}")
    } else if millis % 100 == 0 {
        write!(out, "{seconds}.{}", millis / 100)
    } else if millis % 10 == 0 {
        write!(out, "{seconds}.{:02}", millis / 10)
    } else {
        write!(out, "{seconds}.{millis:03}")
    }
}
