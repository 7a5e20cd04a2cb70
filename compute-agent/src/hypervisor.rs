//! The operations of a hypervisor.

use std::sync::Arc;

use berth_api::v1;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use crate::Facts;
use crate::disks::{DiskPart, Incoming};

/// The observed state of a guest: what the hypervisor and the disks show.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ObservedState {
    /// The host has neither a domain nor disks of it.
    Absent,
    /// Only its disks exist.
    Shelved,
    /// Defined and shut off.
    ShutDown,
    /// Defined; it crashed.
    Crashed,
    /// Defined and shut off; its memory is saved on disk.
    Saved,
    /// It runs.
    Running,
    /// Its vCPUs are halted.
    Paused,
    /// It runs or is paused, and is being sent to another host.
    Leaving,
    /// Another host sends it. Its vCPUs do not run here.
    Arriving,
}

/// The part of a guest's state that survives a restart of the agent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct GuestRecord {
    /// The highest generation of the desired state that the agent has acted on. Lower ones are
    /// refused.
    pub known: u64,
    /// The latest generation whose desired state was reached.
    pub fulfilled: u64,
    /// The number of the guest's current or last boot.
    pub boot: u32,
    /// The latest generation for which its former disks were removed, to build them again.
    pub rebuilt: u64,
    /// Whether it is defined with the temporary disk of a rescue, or is about to be.
    pub is_rescue: bool,
}

/// One operation on a guest. Each leads from one [`ObservedState`] to another and is idempotent, so
/// it can be repeated after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestStep {
    /// Observe the guest.
    Look,
    /// Store the record.
    Remember(GuestRecord),
    /// Check that its disks, and that of a rescue, can be created, without touching those that it
    /// has.
    CheckDisks,
    /// Create its disks. Absent → Shelved.
    Prepare,
    /// Define its domain. Shelved → ShutDown.
    Define,
    /// Boot it. ShutDown, Crashed → Running.
    Start,
    /// Ask the guest to shut down (ACPI). Returns at once.
    Shutdown,
    /// Turn the guest off. Running, Paused → ShutDown.
    Destroy,
    /// Running → Paused.
    Pause,
    /// Paused → Running.
    Resume,
    /// Save its memory on disk. Running, Paused → Saved.
    Save,
    /// Saved → Running.
    Restore,
    /// Delete the saved memory. Saved → ShutDown.
    DiscardSave,
    /// Undefine its domain. ShutDown, Crashed, Saved → Shelved.
    Undefine,
    /// Delete its disks. Shelved → Absent.
    RemoveDisks,
    /// Make its disks those of the guest with this UUID, atomically. Shelved → Absent; the other:
    /// Absent → Shelved.
    SetAside(Uuid),
    /// Create its disks from those of another host. Absent → Shelved.
    Fetch,
    /// Make the disks of the guest with this UUID its own, atomically. Absent → Shelved; the other:
    /// Shelved → Absent.
    TakeBack(Uuid),
    /// Take its disks on the shared storage over, atomically, whichever host had them. Absent →
    /// Shelved; a guest that exists stays as it is.
    Adopt {
        /// The migration.
        migration: Uuid,
        /// The generation of the desired state. It is refused if a later one has taken them over.
        generation: u64,
        /// Whether disks that are missing are created.
        may_build: bool,
    },
    /// Return its disks to the host that had them before this migration, atomically. Shelved →
    /// Absent.
    Return(Uuid),
    /// Begin to send it to another host. Running, Paused → Leaving, then Shelved if it has left. If
    /// an attempt for this generation has ended and the guest is still here, fails as that attempt
    /// has.
    Send {
        /// The generation of the desired state.
        generation: u64,
    },
    /// Pause it until its memory is on the other host. Leaving → Leaving.
    ForceSending,
    /// Send it no longer. Leaving → Running, Paused.
    StopSending,
}

impl GuestStep {
    /// The other guest that the step changes.
    #[must_use]
    pub const fn other_guest(self) -> Option<Uuid> {
        match self {
            Self::SetAside(other) | Self::TakeBack(other) => Some(other),
            _ => None,
        }
    }
}

/// A step of one guest.
#[derive(Clone, Debug)]
pub struct Job {
    /// UUID of the instance, which is also that of the guest.
    pub instance: Uuid,
    /// The operation.
    pub step: GuestStep,
    /// The guest's flavor, image and so on. None if the guest is to be removed.
    pub spec: Option<Arc<v1::GuestSpec>>,
    /// The disks of another host. None unless the step fetches them.
    pub incoming: Option<Incoming>,
    /// The live migration that the guest takes part in.
    pub transfer: Option<Arc<v1::Transfer>>,
}

/// The failure of an operation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Whether a retry can help.
    pub kind: FaultKind,
    /// A message for operators.
    pub message: String,
}

/// The kind of a [`Fault`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// A retry may succeed.
    Transient,
    /// A retry on this host cannot succeed.
    Permanent,
    /// The hypervisor is unreachable, so the state of its guests is unknown. They may continue to
    /// run.
    Lost,
}

impl Fault {
    /// A fault that a retry may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Transient, message: message.into() }
    }

    /// A fault that every retry on this host meets.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Permanent, message: message.into() }
    }

    /// The hypervisor is unreachable.
    pub fn lost(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Lost, message: message.into() }
    }
}

/// The result of a step, and the state of the guest observed after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepOutcome {
    /// Whether the step succeeded.
    pub result: Result<(), Fault>,
    /// The observed state; None if the guest could not be observed.
    pub power: Option<ObservedState>,
}

/// A guest that exists on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// UUID of its instance.
    pub instance: Uuid,
    /// Its observed state.
    pub power: ObservedState,
    /// Its stored record.
    pub record: GuestRecord,
}

/// An event of a hypervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The state of the guest may have changed.
    Disturbed(Uuid),
    /// The hypervisor became unreachable.
    Lost,
    /// The hypervisor is reachable again.
    Back,
}

/// A hypervisor, with the storage of disks and records on its host.
///
/// The caller runs at most one step at a time for each guest. Steps of different guests overlap.
pub trait Hypervisor: Send + Sync + 'static {
    /// The resources of the host.
    fn facts(&self) -> impl Future<Output = Result<Facts, Fault>> + Send;

    /// All guests of Berth on the host, including removed ones that still have a record.
    fn guests(&self) -> impl Future<Output = Result<Vec<Found>, Fault>> + Send;

    /// Runs one step, then observes the guest.
    fn perform(&self, job: Job) -> impl Future<Output = StepOutcome> + Send;

    /// Deletes the record of a removed guest.
    fn forget(&self, instance: Uuid) -> impl Future<Output = ()> + Send;

    /// The files of a guest of which only the disks exist, to be sent to another host. Of a guest
    /// that runs, the files that the other host needs before it is sent: disks without content.
    fn export(&self, guest: Uuid) -> impl Future<Output = Result<Vec<DiskPart>, Fault>> + Send;

    /// The latest bytes, at most this many, that the guest has written to its serial console.
    fn console(&self, guest: Uuid, most_bytes: u32) -> impl Future<Output = Result<Vec<u8>, Fault>> + Send;

    /// Of the features that the hypervisor's CPUs have, those that the CPU of a guest does not
    /// have, because it was started on another host. Known while it runs, from the latest step.
    fn missing_cpu_features(&self, _guest: Uuid) -> Vec<String> {
        Vec::new()
    }

    /// Free space for the disks of guests, in GiB.
    fn disk_available_gb(&self) -> u32;

    /// The events from now on. A new call ends the receiver of the previous one.
    fn notices(&self) -> UnboundedReceiver<Notice>;
}
