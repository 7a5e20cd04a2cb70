//! The event types that every reader and generator yields.

use std::num::NonZeroU64;

use compact_str::CompactString;

/// A point in time, or a duration, in whole microseconds since the trace's origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// Microseconds in one second.
    pub const PER_SECOND: u64 = 1_000_000;

    /// A whole number of seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * Self::PER_SECOND)
    }

    /// Seconds, for charts and display: a float loses no microsecond below 285 years.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / Self::PER_SECOND as f64
    }
}

/// The amounts that a VM requests or a host offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resources {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Local disk in GB (Placement's `DISK_GB`).
    pub disk_gb: u32,
}

/// One VM of a trace: it requests capacity at `arrival` and releases it at `departure`.
///
/// Every reader yields VMs in order of arrival; VMs that arrive together keep the order of the
/// file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// The trace's own identifier, as written there.
    pub id: CompactString,
    /// The time when the VM requests a host.
    pub arrival: Micros,
    /// The time when it leaves; `None` when it outlives the trace. Never before `arrival`.
    pub departure: Option<Micros>,
    /// The requested amounts.
    pub resources: Resources,
    /// The trace's name of the shape; a label only.
    pub flavor: CompactString,
    /// VMs that one tenant started together (a multi-create) share this number.
    pub batch: Option<BatchNumber>,
    /// What else the trace says of it; `None` for nothing. A placement policy does not look at it.
    pub demands: Option<Box<Demands>>,
}

/// The number of a batch: any but `u64::MAX`, so that an optional one takes a single word. A trace
/// in memory has one per VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(NonZeroU64);

impl BatchNumber {
    /// The batch with this number; `None` for `u64::MAX`.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number.wrapping_add(1)) {
            Some(successor) => Some(Self(successor)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.get() - 1
    }
}

/// What a trace says of a VM besides times and whole amounts: what it asks of its host, and what it
/// is part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// The availability zone it has to be in; empty for any.
    pub zone: CompactString,
    /// Extra specs of its flavor, such as `trait:CUSTOM_GOLD` = `required`.
    pub extra_specs: Vec<Pair>,
    /// The host it was on; empty if the trace does not say.
    pub host: CompactString,
    /// The project it belongs to; empty if the trace does not say.
    pub project: CompactString,
    /// The server group it is in; empty for none.
    pub group: CompactString,
    /// The policy of that group: `affinity`, `anti-affinity`, `soft-affinity` or
    /// `soft-anti-affinity`; empty for none.
    pub policy: CompactString,
    /// The number of GPUs.
    pub gpus: u32,
    /// The share that it takes of each of them, in thousandths; 0 means all.
    pub gpu_milli: u32,
    /// The models that these may be; empty for any.
    pub gpu_models: Vec<CompactString>,
    /// The number of NUMA cells it is spread over; 0 if the trace does not say.
    pub numa_cells: u32,
    /// Its vCPUs in thousandths, if they are not a whole number; else 0. `resources` has them
    /// rounded up.
    pub vcpu_milli: u32,
    /// Columns without a meaning here, by name.
    pub extra: Vec<Pair>,
}

/// One host of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceHost {
    /// The file's own identifier.
    pub id: CompactString,
    /// Its capacity, with overcommitment applied.
    pub capacity: Resources,
    /// The availability zone it is in; empty for the default zone.
    pub zone: CompactString,
    /// Metadata of the host aggregates it is in: hosts with the same pair are in one aggregate.
    pub aggregates: Vec<Pair>,
    /// Its traits.
    pub traits: Vec<CompactString>,
    /// The rack it is in; empty if the fleet does not say.
    pub rack: CompactString,
    /// Its hardware generation; empty if the fleet does not say.
    pub generation: CompactString,
    /// The number of NUMA cells that share its vCPUs and memory equally; 0 if the fleet does not
    /// say.
    pub numa_cells: u32,
    /// The number of its GPUs.
    pub gpus: u32,
    /// Their model.
    pub gpu_model: CompactString,
    /// The overcommitment of vCPUs that `capacity` has, in thousandths; 0 if the fleet does not
    /// say.
    pub cpu_ratio_milli: u32,
    /// The same of memory.
    pub memory_ratio_milli: u32,
}

/// A key and its value.
pub type Pair = (CompactString, CompactString);

impl TraceHost {
    /// A host that has nothing but its capacity.
    #[must_use]
    pub fn new(id: impl Into<CompactString>, capacity: Resources) -> Self {
        Self { id: id.into(), capacity, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_number_is_any_but_the_last() {
        for number in [0, 1, u64::MAX - 1] {
            assert_eq!(BatchNumber::new(number).map(BatchNumber::number), Some(number));
        }
        assert_eq!(BatchNumber::new(u64::MAX), None);
        assert_eq!(size_of::<Option<BatchNumber>>(), size_of::<u64>());
    }
}
