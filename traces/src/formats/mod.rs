//! Readers of published trace formats. Each reads a whole file; [`Trace`](crate::Trace) sorts its
//! VMs by arrival.
//!
//! | file | format |
//! |---|---|
//! | `azure_table.rs` | the `vmtable.csv` of Azure's public traces V1 (2017) and V2 (2019) |
//! | `packing.rs` | Azure's trace for packing (2020), SQLite |
//! | `huawei.rs` | Huawei-East-1, its version with lifetimes, and the sequences with NUMA topology |
//! | `openb.rs` | Alibaba's GPU cluster trace of 2023 |
//! | `hosts.rs` | hosts of openb, and of Huawei with NUMA cells |
//! | `google.rs`, `google_machines.rs` | Google's cluster trace of 2019, as BigQuery exports it: VMs, hosts |
//! | `swf.rs` | the Standard Workload Format of the Parallel Workloads Archive |
//! | `opendc.rs` | OpenDC's Parquet files |
//! | `nova.rs` | the table `instances` of Nova's database |
//! | `rvtools.rs` | the sheet vInfo of RVTools |
//! | `decisions.rs` | the decisions in the log of a service of Berth |

pub(crate) mod azure_table;
pub mod decisions;
pub(crate) mod google;
mod google_machines;
pub(crate) mod hosts;
pub(crate) mod huawei;
pub(crate) mod nova;
pub(crate) mod openb;
pub(crate) mod opendc;
pub(crate) mod packing;
pub(crate) mod rvtools;
pub(crate) mod swf;

use compact_str::CompactString;
use rustc_hash::FxHashMap;

use crate::{Micros, Resources, Vm};

/// The parts of a machine that traces with shares of machines count: a whole machine is 1,000 vCPU,
/// 1,000 GiB of memory and 1,000 GB of disk.
pub(crate) const WHOLE_MACHINE: u32 = 1000;
pub(crate) const WHOLE_MACHINE_MIB: u32 = WHOLE_MACHINE * 1024;

/// A VM of these times and amounts, and nothing else.
pub(crate) fn vm(id: CompactString, arrival: Micros, departure: Option<Micros>, resources: Resources) -> Vm {
    Vm { id, arrival, departure, resources, flavor: CompactString::default(), batch: None, demands: None }
}

/// Numbers texts in order of their first appearance.
#[derive(Default)]
pub(crate) struct Numbers(FxHashMap<CompactString, u64>);

impl Numbers {
    pub(crate) fn of(&mut self, text: CompactString) -> u64 {
        let next = self.0.len() as u64;
        *self.0.entry(text).or_insert(next)
    }
}
