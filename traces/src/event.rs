//! The event types that every reader and generator yields.

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
    pub batch: Option<u64>,
}

/// One host of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The file's own identifier.
    pub id: CompactString,
    /// Its capacity, with overcommitment applied.
    pub capacity: Resources,
}
