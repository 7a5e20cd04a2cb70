//! The sheet vInfo of RVTools (VMware), as CSV.
//!
//! An inventory: every VM exists at the time of the export. A VM arrives at its creation date, if
//! the column has dates as ISO 8601 writes them, else at 0; none leaves. Templates are left out,
//! and VMs that are switched off are kept: they need their capacity when they start. Memory and
//! disk are in MiB (or MB, in earlier releases), perhaps with signs between thousands.

use compact_str::{CompactString, format_compact};

use crate::error::TraceError;
use crate::number::{NumberError, integer};
use crate::rows::{Field, Rows};
use crate::{Demands, Micros, Pair, Resources, Vm};

use super::vm;

pub(crate) const COLUMNS: [&str; 4] = ["VM", "CPUs", "Memory", "Powerstate"];

pub(crate) fn read(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let any = |rows: &Rows, names: &[&str]| rows.place_of_any(names);
    let [name, cpus, memory, power] = COLUMNS.map(|name| any(&rows, &[name]));
    let uuid = any(&rows, &["VM UUID", "VM Instance UUID", "VM ID"]);
    let disk = any(&rows, &["Total disk capacity MiB", "Provisioned MiB", "Provisioned MB"]);
    let [template, created] = [any(&rows, &["Template"]), any(&rows, &["Creation date"])];
    let [host, cluster] = [any(&rows, &["Host"]), any(&rows, &["Cluster"])];
    let mut vms = Vec::new();
    while rows.advance()? {
        if rows.field(template, "Template").bytes().eq_ignore_ascii_case(b"true") {
            continue;
        }
        let name = rows.field(name, "VM").text()?;
        let uuid = rows.field(uuid, "VM UUID").present_text()?;
        let mib = amount(rows.field(disk, "Provisioned MiB"))?;
        let resources = Resources {
            vcpus: amount(rows.field(cpus, "CPUs"))?,
            memory_mb: amount(rows.field(memory, "Memory"))?,
            disk_gb: mib.div_ceil(1024),
        };
        // Dates in the notation of the export's locale cannot be read without knowing it.
        let arrival = rows.field(created, "Creation date").moment().unwrap_or(Micros(0));
        let id = if uuid.is_empty() { name.clone() } else { uuid };
        let mut vm = vm(id, arrival, None, resources);
        vm.flavor = format_compact!("{}x{}", resources.vcpus, resources.memory_mb);
        let extra: [(&str, CompactString); 3] = [
            ("name", name),
            ("cluster", rows.field(cluster, "Cluster").present_text()?),
            ("power", rows.field(power, "Powerstate").present_text()?),
        ];
        let extra: Vec<Pair> = extra
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(key, text)| (key.into(), text))
            .collect();
        let host = rows.field(host, "Host").present_text()?;
        vm.demands = Some(Box::new(Demands { host, extra, ..Demands::default() }));
        vms.push(vm);
    }
    Ok(vms)
}

/// A whole number, perhaps with signs between thousands; 0 for a missing one.
fn amount(field: Field<'_>) -> Result<u32, TraceError> {
    if field.is_missing() {
        return Ok(0);
    }
    let bad = || field.bad(NumberError::NotANumber);
    let text = std::str::from_utf8(field.bytes()).map_err(|_| bad())?;
    let mut parts = text.trim().split([',', '.', '\'', ' ', '\u{a0}', '\u{202f}']);
    let mut digits = parts.next().unwrap_or_default().to_owned();
    for thousands in parts {
        if thousands.len() != 3 {
            return Err(bad());
        }
        digits.push_str(thousands);
    }
    field.narrow(integer(digits.as_bytes()).map_err(|_| bad())?)
}
