//! What an agent asks of a hypervisor.

use std::sync::Arc;

use berth_api::v1;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use crate::Facts;

/// How a guest is, as the hypervisor and its disks show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Power {
    /// There is nothing of it.
    Gone,
    /// Its disks are there and nothing else.
    Kept,
    /// Defined; it was turned off, or turned itself off.
    ShutDown,
    /// Defined; it ended by a failure.
    Crashed,
    /// Defined, not running, its memory saved on disk.
    Saved,
    /// It runs.
    Running,
    /// It is there, its vCPUs halted.
    Paused,
}

impl Power {
    /// Whether the guest holds memory of the host.
    #[must_use]
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// What is remembered of a guest beyond the agent's own life.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Record {
    /// The generation of the latest wish that was acted on. Wishes with a lower one are refused.
    pub known: u64,
    /// The generation of the latest wish that was fulfilled.
    pub fulfilled: u64,
    /// Which boot the guest is in, or was in last.
    pub boot: u32,
}

/// One thing to do to a guest. Each leads from one [`Power`] to another, and doing it again after a crash does no harm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Find out how the guest is.
    Look,
    /// Write down what must not be forgotten.
    Remember(Record),
    /// Make its disks. Gone → Kept.
    Prepare,
    /// Make it known to the hypervisor. Kept → ShutDown.
    Define,
    /// Boot it. ShutDown, Crashed → Running.
    Start,
    /// Ask it to turn itself off. Returns at once.
    Shutdown,
    /// Turn it off by force. Running, Paused → ShutDown.
    Destroy,
    /// Running → Paused.
    Pause,
    /// Paused → Running.
    Resume,
    /// Save its memory on disk. Running, Paused → Saved.
    Save,
    /// Saved → Running.
    Restore,
    /// Throw the saved memory away. Saved → ShutDown.
    DiscardSave,
    /// Make the hypervisor forget it. ShutDown, Crashed, Saved → Kept.
    Undefine,
    /// Kept → Gone.
    RemoveDisks,
}

/// A step of one guest.
#[derive(Clone, Debug)]
pub struct Job {
    /// The instance, which is the guest's UUID too.
    pub instance: Uuid,
    /// What to do.
    pub step: Step,
    /// What the guest is to be made of; none if it is to go.
    pub spec: Option<Arc<v1::GuestSpec>>,
}

/// Why something could not be done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What to think of it.
    pub kind: FaultKind,
    /// For people.
    pub message: String,
}

/// What to think of a [`Fault`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// It may work another time.
    Transient,
    /// It will not work on this host.
    Permanent,
    /// The hypervisor cannot be reached, so nothing is known. Guests may well go on.
    Lost,
}

impl Fault {
    /// One that another try may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Transient, message: message.into() }
    }

    /// One that every try will meet.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Permanent, message: message.into() }
    }

    /// The hypervisor is away.
    pub fn lost(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Lost, message: message.into() }
    }
}

/// How a step went, and how the guest is after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Whether the step was done.
    pub result: Result<(), Fault>,
    /// How the guest is now, if that could be found out.
    pub power: Option<Power>,
}

/// A guest that was found on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its instance.
    pub instance: Uuid,
    /// How it is.
    pub power: Power,
    /// What was remembered of it.
    pub record: Record,
}

/// What a hypervisor tells by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Something happened to the guest.
    Disturbed(Uuid),
    /// The hypervisor cannot be reached.
    Lost,
    /// It can be reached again.
    Back,
}

/// A hypervisor, the store of disks beside it, and a place for records.
///
/// At most one step is under way for each guest; steps of different guests overlap.
pub trait Hypervisor: Send + Sync + 'static {
    /// What the host has.
    fn facts(&self) -> impl Future<Output = Result<Facts, Fault>> + Send;

    /// All guests of Berth on the host, and those that are gone but remembered.
    fn guests(&self) -> impl Future<Output = Result<Vec<Found>, Fault>> + Send;

    /// Does one step, then looks at the guest.
    fn perform(&self, job: Job) -> impl Future<Output = Outcome> + Send;

    /// Forgets the record of a guest that is gone.
    fn forget(&self, instance: Uuid) -> impl Future<Output = ()> + Send;

    /// GiB that are free where the disks of guests lie.
    fn disk_available_gb(&self) -> u32;

    /// What happens by itself, from now on. The latest caller is told.
    fn notices(&self) -> UnboundedReceiver<Notice>;
}
