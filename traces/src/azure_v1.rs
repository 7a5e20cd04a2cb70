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

use crate::neutral::gib_to_mib;
use crate::rows::{Columns, Field, Rows};
use crate::{InvalidField, Micros, Resources, TraceError, Vm};

pub(crate) const COLUMNS: [&str; 7] =
    ["vm_id", "arrival_s", "departure_s", "vcpus", "mem_gib", "flavor", "batch"];
const UNUSED: [&str; 4] = ["dur_lo_s", "dur_hi_s", "censored", "split"];

/// The VMs of a file, as [`Trace::open`](crate::Trace::open) reads them.
pub(crate) struct VmRows {
    columns: Columns<7>,
    last_arrival: Micros,
    /// Whether rows have to be in order of arrival.
    is_ordered: bool,
}

impl VmRows {
    pub(crate) fn new(rows: Rows, is_ordered: bool) -> Result<Self, TraceError> {
        let columns = Columns::find(rows, COLUMNS, &[], &UNUSED)?;
        Ok(Self { columns, last_arrival: Micros(0), is_ordered })
    }

    fn read(&mut self) -> Result<Option<Vm>, TraceError> {
        let Some([id, arrival, departure, vcpus, memory, flavor, batch]) = self.columns.next()? else {
            return Ok(None);
        };
        let name = id.text()?;
        if name.is_empty() {
            return Err(id.bad(InvalidField::Empty));
        }
        let arrival = if self.is_ordered { arrival.arrival(self.last_arrival)? } else { arrival.moment()? };
        let leaves = departure.optional(Field::seconds)?;
        if leaves.is_some_and(|leaves| leaves < arrival) {
            return Err(departure.bad(InvalidField::BeforeArrival));
        }
        let resources =
            Resources { vcpus: whole_positive(vcpus)?, memory_mb: gib_to_mib(memory)?, disk_gb: 0 };
        let flavor = flavor.text()?;
        let batch = Some(batch.batch()?);
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
        0 => Err(field.bad(InvalidField::Zero)),
        thousandths if thousandths % 1000 != 0 => Err(field.bad(InvalidField::NotWhole)),
        thousandths => field.narrow(thousandths / 1000),
    }
}
