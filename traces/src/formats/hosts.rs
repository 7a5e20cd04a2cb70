//! Hosts as others publish them.

use compact_str::format_compact;

use crate::error::TraceError;
use crate::formats::google_machines;
use crate::rows::{Field, Rows};
use crate::{HostShape, Resources, TraceHost};

type Reader = fn(Rows) -> Result<Vec<TraceHost>, TraceError>;

/// The columns of Alibaba's openb nodes (Weng et al., USENIX ATC'23), and of the free amounts of
/// Huawei's hosts of two NUMA cells.
const OPENB: [&str; 5] = ["sn", "cpu_milli", "memory_mib", "gpu", "model"];
const HUAWEI: [&str; 5] = ["pm", "CPU1", "RAM1", "CPU2", "RAM2"];

/// The reader of a published format; `None` for any other file.
pub(crate) fn reader_of(rows: &Rows) -> Option<Reader> {
    let has = |columns: &[&str]| columns.iter().all(|column| rows.has_column(column));
    if google_machines::is_json(rows.first()) {
        Some(google_machines::read_json)
    } else if has(&google_machines::COLUMNS) {
        Some(google_machines::read_csv)
    } else if has(&OPENB) {
        Some(openb)
    } else if has(&HUAWEI) {
        Some(huawei)
    } else {
        None
    }
}

/// CPUs in thousandths, memory in MiB, and GPUs of one model.
fn openb(mut rows: Rows) -> Result<Vec<TraceHost>, TraceError> {
    let places = OPENB.map(|name| rows.place(name));
    let mut hosts = Vec::new();
    while rows.advance()? {
        let [name, cpu, memory, gpus, model]: [Field<'_>; 5] =
            std::array::from_fn(|column| rows.field(places[column], OPENB[column]));
        let capacity = Resources {
            vcpus: cpu.count()? / 1000,
            memory_mb: memory.count()?,
            disk_gb: HostShape::UNLIMITED_DISK,
        };
        hosts.push(TraceHost {
            gpus: gpus.optional(Field::count)?.unwrap_or(0),
            gpu_model: model.text()?,
            ..TraceHost::new(name.text()?, capacity)
        });
    }
    Ok(hosts)
}

/// vCPUs and GiB of either cell. The cells of a host count as equal halves of it.
fn huawei(mut rows: Rows) -> Result<Vec<TraceHost>, TraceError> {
    let places = HUAWEI.map(|name| rows.place(name));
    let mut hosts = Vec::new();
    while rows.advance()? {
        let [number, cpu1, memory1, cpu2, memory2]: [Field<'_>; 5] =
            std::array::from_fn(|column| rows.field(places[column], HUAWEI[column]));
        let memory = |field: Field<'_>| field.narrow(field.integer()?.saturating_mul(1024));
        let capacity = Resources {
            vcpus: cpu1.count()?.saturating_add(cpu2.count()?),
            memory_mb: memory(memory1)?.saturating_add(memory(memory2)?),
            disk_gb: HostShape::UNLIMITED_DISK,
        };
        let id = format_compact!("host-{}", number.text()?);
        hosts.push(TraceHost { numa_cells: 2, ..TraceHost::new(id, capacity) });
    }
    Ok(hosts)
}
