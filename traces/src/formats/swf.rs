//! The Standard Workload Format of the Parallel Workloads Archive: 18 numbers a line, comments
//! after `;`.
//!
//! A job becomes one VM with the requested processors (or the used ones) and memory per processor
//! (in KB); it arrives when it is submitted, and runs for its run time. Jobs without a run time, or
//! without processors, are left out: they never ran.

use compact_str::{CompactString, format_compact};

use crate::error::{TraceError, shown};
use crate::rows::Rows;
use crate::{Demands, Micros, Resources, Vm};

use super::vm;

const FIELDS: usize = 18;

/// Whether a line begins a file of this format.
pub(crate) fn is_first(line: &[u8]) -> bool {
    line.starts_with(b";") || numbers(line).is_some()
}

fn numbers(line: &[u8]) -> Option<[f64; FIELDS]> {
    let text = std::str::from_utf8(line).ok()?;
    let fields: Result<Vec<f64>, _> = text.split_ascii_whitespace().map(str::parse).collect();
    fields.ok()?.try_into().ok()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the casts saturate, and negative numbers mean "unknown"
pub(crate) fn read(mut rows: Rows) -> Result<Vec<Vm>, TraceError> {
    let mut vms = Vec::new();
    while let Some((number, line)) = rows.line()? {
        if line.starts_with(b";") || line.trim_ascii().is_empty() {
            continue;
        }
        let Some(job) = numbers(line) else {
            let reason = format!("line {number}: not {FIELDS} numbers: {:?}", shown(line));
            return Err(TraceError::Damaged { path: rows.path().to_owned(), reason });
        };
        let [submitted, runs, processors] = [job[1], job[3], if job[7] > 0.0 { job[7] } else { job[4] }];
        if runs < 0.0 || processors <= 0.0 || submitted < 0.0 {
            continue;
        }
        let kib = if job[9] > 0.0 { job[9] } else { job[6].max(0.0) };
        let vcpus = processors as u32;
        let resources = Resources { vcpus, memory_mb: (kib * processors / 1024.0).ceil() as u32, disk_gb: 0 };
        let micros = |seconds: f64| Micros((seconds * 1e6) as u64);
        let mut vm =
            vm(format_compact!("{}", job[0]), micros(submitted), Some(micros(submitted + runs)), resources);
        vm.flavor = format_compact!("{vcpus}p");
        let project =
            if job[11] >= 0.0 { format_compact!("user-{}", job[11]) } else { CompactString::default() };
        vm.demands = Some(Box::new(Demands { project, ..Demands::default() }));
        vms.push(vm);
    }
    Ok(vms)
}
