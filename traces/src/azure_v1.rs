//! The Azure public VM trace V1 of 2017, in the version with batches and binned durations.
//!
//! Source: Cortez et al., *Resource Central*, SOSP'17, published as AzurePublicDataset (CC BY 4.0);
//! batches and bins were added by Huawei Cloud's `trace_generation_rnn`. Cite both. Columns:
//! `vm_id,arrival_s,departure_s,vcpus,mem_gib,flavor,batch`, and, unused here,
//! `dur_lo_s,dur_hi_s,censored,split`.
//!
//! - Times stay the trace's own seconds, which do not start at 0 and lie on a 300 s grid.
//! - About 3% of the VMs leave in the grid step of their arrival: their departure **equals** their
//!   arrival. A departure before the arrival is an error.
//! - `vcpus` is written `8.0` and must be whole and positive; memory is in GiB and rounded up to
//!   MiB; the trace has no disk, so VMs request none.

use crate::rows::{Columns, Field, Rows};
use crate::{Micros, Reason, Resources, TraceError, Vm};

pub(crate) const COLUMNS: [&str; 7] =
    ["vm_id", "arrival_s", "departure_s", "vcpus", "mem_gib", "flavor", "batch"];
const UNUSED: [&str; 4] = ["dur_lo_s", "dur_hi_s", "censored", "split"];

/// The VMs of a file, as [`Trace::open`](crate::Trace::open) reads them.
pub(crate) struct VmRows {
    columns: Columns<7>,
    last_arrival: Micros,
}

impl VmRows {
    pub(crate) fn new(rows: Rows) -> Result<Self, TraceError> {
        Ok(Self { columns: Columns::find(rows, COLUMNS, &[], &UNUSED)?, last_arrival: Micros(0) })
    }

    fn read(&mut self) -> Result<Option<Vm>, TraceError> {
        let Some([id, arrival, departure, vcpus, memory, flavor, batch]) = self.columns.next()? else {
            return Ok(None);
        };
        let name = id.text()?;
        if name.is_empty() {
            return Err(id.bad(Reason::Empty));
        }
        let arrival = arrival.arrival(self.last_arrival)?;
        let leaves = departure.optional(|d| d.seconds())?;
        if leaves.is_some_and(|leaves| leaves < arrival) {
            return Err(departure.bad(Reason::BeforeArrival));
        }
        let resources =
            Resources { vcpus: whole_positive(vcpus)?, memory_mb: gib_to_mib(memory)?, disk_gb: 0 };
        let flavor = flavor.text()?;
        let batch = Some(batch.integer()?);
        self.last_arrival = arrival;
        Ok(Some(Vm { id: name, arrival, departure: leaves, resources, flavor, batch, demands: None }))
    }
}

impl Iterator for VmRows {
    type Item = Result<Vm, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn whole_positive(field: Field<'_>) -> Result<u32, TraceError> {
    match field.decimal(3)? {
        0 => Err(field.bad(Reason::Zero)),
        thousandths if thousandths % 1000 != 0 => Err(field.bad(Reason::NotWhole)),
        thousandths => field.narrow(thousandths / 1000),
    }
}

/// Rounds up, so that a VM never gets less than it requested.
fn gib_to_mib(field: Field<'_>) -> Result<u32, TraceError> {
    const PLACES: u32 = 6;
    let mib = u128::from(field.decimal(PLACES)?) * 1024;
    // A u64 of millionths times 1024 / 10^6 fits u64 again.
    field.narrow(mib.div_ceil(10_u128.pow(PLACES)) as u64)
}
