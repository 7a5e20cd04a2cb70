//! The VM table (`vmtable.csv`) of Azure's public dataset, V1 of 2017 and V2 of 2019; no header.
//!
//! Cortez et al., *Resource Central*, SOSP'17. V2 has buckets in place of vCPUs and memory: a
//! bucket counts as its upper bound, `>24` vCPUs as 32, and `>64` GiB as 128. Times are seconds on
//! a grid of 300 s. A VM that was deleted at the end of the window looks like one that still ran.

use crate::error::TraceError;
use crate::neutral::{gib_to_mib, vcpus_of};
use crate::rows::{Field, Rows};
use crate::{BatchNumber, Demands, InvalidField, Pair, Resources, Vm};

use super::{Numbers, vm};

/// The columns, in the order of the file.
pub(crate) const COLUMNS: [&str; 11] = [
    "vm_id",
    "subscription",
    "deployment",
    "created",
    "deleted",
    "max_cpu",
    "avg_cpu",
    "p95_max_cpu",
    "category",
    "vcpus",
    "memory_gib",
];

pub(crate) fn read(rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let mut rows = rows.without_header(&COLUMNS);
    let (mut vms, mut deployments) = (Vec::new(), Numbers::default());
    while rows.advance()? {
        let field = |place: usize| rows.field(Some(place), COLUMNS[place]);
        let arrival = field(3).seconds()?;
        let departure = field(4).optional(Field::seconds)?;
        if departure.is_some_and(|departure| departure < arrival) {
            return Err(field(4).bad(InvalidField::BeforeArrival));
        }
        let vcpus = if field(9).bytes().starts_with(b">") { 32 } else { vcpus_of(field(9))?.0 };
        let memory_mb = if field(10).bytes().starts_with(b">") { 128 * 1024 } else { gib_to_mib(field(10))? };
        let category: Pair = ("category".into(), field(8).text()?);
        let demands = Demands { project: field(1).text()?, extra: vec![category], ..Demands::default() };
        let resources = Resources { vcpus, memory_mb, disk_gb: 0 };
        let mut vm = vm(field(0).text()?, arrival, departure, resources);
        // VMs of a deployment that arrive together are one request.
        vm.batch = BatchNumber::new(deployments.of(compact_str::format_compact!(
            "{}@{}",
            field(2).text()?,
            arrival.0
        )));
        vm.flavor = compact_str::format_compact!("{vcpus}x{}", field(10).text()?);
        vm.demands = Some(Box::new(demands));
        vms.push(vm);
    }
    Ok(vms)
}
