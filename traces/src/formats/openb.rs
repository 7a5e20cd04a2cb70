//! Alibaba's GPU cluster trace of 2023 (openb): pods with shares of GPUs.
//!
//! Weng et al., *Beware of Fragmentation*, USENIX ATC'23. Times are seconds, CPUs thousandths,
//! memory MiB. A pod without a deletion never leaves.

use compact_str::format_compact;

use crate::error::TraceError;
use crate::rows::{Field, Rows};
use crate::{Demands, Pair, Resources, Vm};

use super::vm;

pub(crate) const COLUMNS: [&str; 7] =
    ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "creation_time"];
const LABELS: [&str; 3] = ["qos", "pod_phase", "scheduled_time"];

pub(crate) fn read(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let places = COLUMNS.map(|name| rows.place(name));
    let (deletion, labels) = (rows.place("deletion_time"), LABELS.map(|name| (name, rows.place(name))));
    let mut vms = Vec::new();
    while rows.advance()? {
        let [name, cpu, memory, gpus, gpu_milli, gpu_spec, created]: [Field<'_>; 7] =
            std::array::from_fn(|i| rows.field(places[i], COLUMNS[i]));
        let milli = cpu.count()?;
        let resources = Resources { vcpus: milli.div_ceil(1000), memory_mb: memory.count()?, disk_gb: 0 };
        let arrival = created.seconds()?;
        let departure = rows.field(deletion, "deletion_time").optional(Field::seconds)?;
        let extra =
            labels.iter().map(|&(label, place)| Ok((label.into(), rows.field(place, label).present_text()?)));
        let extra: Vec<Pair> = extra.collect::<Result<_, TraceError>>()?;
        let gpus = gpus.optional(Field::count)?.unwrap_or(0);
        let demands = Demands {
            gpus,
            gpu_milli: if gpus == 1 { gpu_milli.optional(Field::count)?.unwrap_or(0) % 1000 } else { 0 },
            gpu_models: gpu_spec.texts()?,
            vcpu_milli: if milli % 1000 == 0 { 0 } else { milli },
            extra: extra.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
            ..Demands::default()
        };
        let mut vm = vm(name.text()?, arrival, departure.map(|departure| departure.max(arrival)), resources);
        vm.flavor = format_compact!("{milli}m-{}Mi-{gpus}gpu", resources.memory_mb);
        vm.demands = Some(Box::new(demands));
        vms.push(vm);
    }
    Ok(vms)
}
