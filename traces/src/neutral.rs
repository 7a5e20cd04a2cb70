//! The neutral format: one CSV file of hosts, one of VMs; UTF-8, a header line, no quoting.
//!
//! - hosts: `host_id,vcpus,ram_mb,disk_gb`, capacities with any overcommitment applied; and, if the header names them,
//!   `zone`, `aggregates` (metadata of host aggregates) and `traits`;
//! - VMs: `vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor`, sorted by arrival; and, if the header names them,
//!   `batch` (a number that VMs share which were started together), `zone` and `extra_specs` (of the flavor).
//!
//! Aggregates and extra specs are pairs `key=value`; pairs and traits are separated by `;`.
//!
//! Identifiers count from 0 in file order. Times are seconds with at most 3 decimals; a departure
//! is later than the arrival, or empty for a VM that never leaves. Memory is in MiB, disk in GB.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::rows::{Columns, Field, Rows};
use crate::source::Source;
use crate::{Demands, Host, Micros, Reason, Resources, TraceError, Vm, WriteError};

/// The columns that every file of VMs has.
pub(crate) const VM_REQUIRED: [&str; 7] =
    ["vm_id", "arrival_s", "departure_s", "vcpus", "ram_mb", "disk_gb", "flavor"];
/// The columns that every file of hosts has.
pub(crate) const HOST_REQUIRED: [&str; 4] = ["host_id", "vcpus", "ram_mb", "disk_gb"];
const HOST_COLUMNS: [&str; 7] =
    ["host_id", "vcpus", "ram_mb", "disk_gb", HOST_LABELS[0], HOST_LABELS[1], HOST_LABELS[2]];
const HOST_LABELS: [&str; 3] = ["zone", "aggregates", "traits"];
const VM_COLUMNS: [&str; 10] = [
    "vm_id",
    "arrival_s",
    "departure_s",
    "vcpus",
    "ram_mb",
    "disk_gb",
    "flavor",
    VM_LABELS[0],
    VM_LABELS[1],
    VM_LABELS[2],
];
const VM_LABELS: [&str; 3] = ["batch", "zone", "extra_specs"];

/// Reads a host file, plain or gzip.
///
/// # Errors
/// The file cannot be read or violates the format; the message names the line.
pub fn read_hosts(path: impl AsRef<Path>) -> Result<Vec<Host>, TraceError> {
    let rows = Rows::start(Source::open(path.as_ref())?)?;
    let mut columns = Columns::find(rows, HOST_COLUMNS, &HOST_LABELS, &[])?;
    let mut hosts = Vec::new();
    while let Some([id, vcpus, memory, disk, zone, aggregates, traits]) = columns.next()? {
        let id = id.sequential(hosts.len() as u64)?;
        let capacity =
            Resources { vcpus: vcpus.count()?, memory_mb: memory.count()?, disk_gb: disk.count()? };
        let (zone, aggregates, traits) = (zone.text()?, aggregates.pairs()?, traits.texts()?);
        hosts.push(Host { id, capacity, zone, aggregates, traits });
    }
    Ok(hosts)
}

/// The VMs of a file, as [`Trace::open`](crate::Trace::open) reads them.
pub(crate) struct VmRows {
    columns: Columns<10>,
    read: u64,
    last_arrival: Micros,
}

impl VmRows {
    pub(crate) fn new(rows: Rows) -> Result<Self, TraceError> {
        let columns = Columns::find(rows, VM_COLUMNS, &VM_LABELS, &[])?;
        Ok(Self { columns, read: 0, last_arrival: Micros(0) })
    }

    fn read(&mut self) -> Result<Option<Vm>, TraceError> {
        let Some([id, arrival, departure, vcpus, memory, disk, flavor, batch, zone, extra_specs]) =
            self.columns.next()?
        else {
            return Ok(None);
        };
        let id = id.sequential(self.read)?;
        let arrival = arrival.arrival(self.last_arrival)?;
        let leaves = departure.optional(|d| d.seconds())?;
        if leaves.is_some_and(|leaves| leaves <= arrival) {
            return Err(departure.bad(Reason::NotAfterArrival));
        }
        let resources =
            Resources { vcpus: vcpus.count()?, memory_mb: memory.count()?, disk_gb: disk.count()? };
        let flavor = flavor.text()?;
        let batch = batch.optional(Field::integer)?;
        let demands = Demands { zone: zone.text()?, extra_specs: extra_specs.pairs()? };
        let demands = (demands != Demands::default()).then(|| Box::new(demands));
        self.read += 1;
        self.last_arrival = arrival;
        Ok(Some(Vm { id, arrival, departure: leaves, resources, flavor, batch, demands }))
    }
}

impl Iterator for VmRows {
    type Item = Result<Vm, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Writes a host file with capacities only. Identifiers are the hosts' indexes.
///
/// # Errors
/// The file cannot be written.
pub fn write_hosts(path: impl AsRef<Path>, hosts: &[Host]) -> Result<(), WriteError> {
    let path = path.as_ref();
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    writeln!(out, "{}", HOST_REQUIRED.join(",")).map_err(failed)?;
    for (id, Host { capacity, .. }) in hosts.iter().enumerate() {
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
/// finer than a millisecond, a departure no later than its arrival, a comma, quote or line end in a
/// flavor.
pub fn write_vms(
    path: impl AsRef<Path>,
    vms: impl IntoIterator<Item = Result<Vm, TraceError>>,
) -> Result<u64, WriteError> {
    let path = path.as_ref();
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    writeln!(out, "{}", VM_REQUIRED.join(",")).map_err(failed)?;
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

fn inexpressible(vm: &Vm) -> Option<&'static str> {
    let finer = |time: Micros| !time.0.is_multiple_of(1000);
    if finer(vm.arrival) || vm.departure.is_some_and(finer) {
        Some("times finer than a millisecond")
    } else if vm.departure.is_some_and(|departure| departure <= vm.arrival) {
        Some("a departure that is no later than the arrival")
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
