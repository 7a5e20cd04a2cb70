//! The control plane as a pure state machine: compute hosts, instances and their operations,
//! aggregates, flavors, server groups and quotas.
//!
//! The crate performs no I/O, takes no lock, reads no clock and draws no random number: times and
//! new UUIDs are arguments. It knows no wire format and no storage format: the server converts
//! messages and records at its edge.
//!
//! # Who owns what
//!
//! | owner | owns | others |
//! |---|---|---|
//! | [`Index`] | capacity and provider trees | read it at any time; claims and releases are atomic |
//! | [`Fleet`] | records ([`State`]), connections of agents, and which instances a request is placing | send it commands, and hold snapshots (`Arc<Instance>`) |
//! | the decider (server) | its private view of the free capacity | asks it for a decision; it reads host facts from the fleet |
//! | an outbox (server) | the messages that an agent has yet to receive | put messages in |
//!
//! A fleet is a single owner: each of its methods is a command that runs to its end, or a look.
//! Nothing waits for anything within one. Ownership is a chain, and no owner calls one before it:
//!
//! ```text
//!   decider ──► writer of the index ──► Fleet ──► Index (claims, releases, reads)
//! ```
//!
//! A command that writes provider trees takes the index's `Writer` as an argument, so the caller
//! holds it already. After a command, the caller takes what followed: the keys of changed records
//! ([`Fleet::take_changes`]), and the instances that changed or are due ([`Fleet::take_notices`]).
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `state.rs` | all records, and what is derived from them |
//! | `host/` | hosts: admission, connections, provider trees, facts for the scheduler |
//! | `instance/` | instances: spec, desired and observed state, creation, goals |
//! | `operation/` | one file for each operation on instances, and reports of agents |
//! | `migration.rs` | the records of moves |
//! | `aggregate.rs`, `flavor.rs`, `group.rs`, `key_pair.rs`, `quota.rs`, `usage.rs` | aggregates and zones, flavors, server groups, key pairs, quotas |
//! | `named.rs`, `error.rs`, `time.rs` | names in projects, errors, times |
//!
//! # Invariants
//!
//! - An instance is counted once in the usage of its project, whatever its operations.
//! - Capacity is released only when no host may run the guest: after its host reported that nothing
//!   or only its disk is left, was deleted by an operator, or is fenced.
//! - The generation of a desired state never decreases.
//! - An open migration holds the host that its instance is not on; no other migration holds
//!   anything.

#![forbid(unsafe_code)]

mod aggregate;
mod error;
mod flavor;
mod group;
mod host;
mod instance;
mod key_pair;
mod migration;
mod named;
mod operation;
mod quota;
mod state;
mod time;
mod usage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_placement::Index;
use berth_scheduler::decider::HostChanges;
use uuid::Uuid;

pub use aggregate::{Aggregate, AggregateChange, ZoneState};
pub use error::{
    FleetError, HOST_DOWN, HOST_UP, IN_USE, LOCAL_DISKS, NO_RECEIVER, NO_VALID_HOST, NOT_FENCED, OTHER_AGENT,
    QUOTA_EXCEEDED, TOO_LATE, check_project,
};
pub use flavor::Flavor;
pub use group::{Group, ServerGroupPolicy};
pub use host::{
    AgentProvider, CpuFeatures, Fence, FleetHostCounts, Host, HostNameRule, HostState, HostStatus,
    HypervisorInfo, IntroducedName, Introduction, Liveness, MigrationTarget, ReportedInventory,
    ReportedProvider, Session,
};
pub use instance::{
    Creation, Desired, DesiredGuest, DiskMove, Event, Goal, Image, Instance, InstanceSpec, Location, Lock,
    MAX_INSTANCES, Observed, Power, Recorded, RequestedZone, Transfer, TransferPhase, VmState, power_state,
    status, vm_state,
};
pub use key_pair::KeyPair;
pub use migration::{
    LiveDisks, LiveMove, LiveOptions, Migration, MigrationKind, MigrationOutcome, MoveNotice,
};
pub use named::Named;
pub use operation::{
    EvacuationPhase, EvacuationRequest, GuestReport, GuestState, HostEvacuation, HostEvacuationState,
    LiveLimits, LiveRequest, Operation, RebuildRecord, ResizeRequest, Unshelving,
};
pub use quota::{Quota, QuotaState};
pub use state::{RecordKey, State};
pub use time::{Moment, Monotonic};

use host::Connections;

/// The options of a fleet.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// The options of the scheduler; `max_attempts` is the number of hosts on which a build is
    /// tried.
    pub scheduler: berth_scheduler::Options,
    /// The interval of the agents' heartbeats.
    pub heartbeat: Duration,
    /// How long an agent may send no heartbeat before its host is down.
    pub down_after: Duration,
    /// The interval in which agents read their resources and guests again.
    pub refresh: Duration,
    /// Whether a resize may leave the instance on its host.
    pub allow_resize_to_same_host: bool,
    /// How long a resize may wait for its confirmation before it is confirmed; zero for ever.
    pub resize_confirm_window: Duration,
    /// How many live migrations are in progress at a time.
    pub live_limits: LiveLimits,
    /// Whether a host may join without a voucher that its name and UUID belong together: the first
    /// agent gets them.
    pub trust_on_first_use: bool,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            scheduler: berth_scheduler::Options::default(),
            heartbeat: Duration::from_secs(10),
            down_after: Duration::from_secs(60),
            refresh: Duration::from_secs(60),
            allow_resize_to_same_host: false,
            resize_confirm_window: Duration::ZERO,
            live_limits: LiveLimits::default(),
            trust_on_first_use: false,
        }
    }
}

/// A fleet over an index.
pub struct Fleet {
    index: Arc<Index>,
    options: FleetOptions,
    state: State,
    connections: Connections,
    /// What the scheduler has to read again.
    host_changes: HostChanges,
    /// Instances for which a request is choosing hosts: the reconciliation skips them.
    placing: BTreeSet<Uuid>,
    /// Instances that changed.
    changed: BTreeSet<Uuid>,
    /// Instances that the reconciliation has to look at.
    due: BTreeSet<Uuid>,
    /// Moves that have arrived or ended.
    moves: Vec<MoveNotice>,
    started: Monotonic,
    /// Whether a host is up that was down.
    has_risen: bool,
}

/// What followed from commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    /// Instances that changed, for watchers.
    pub changed: BTreeSet<Uuid>,
    /// Instances that the reconciliation has to look at.
    pub due: BTreeSet<Uuid>,
    /// Moves that have arrived or ended, for metrics.
    pub moves: Vec<MoveNotice>,
}

impl Fleet {
    /// A fleet with these records over an index with the same history. Groups are restored in the
    /// index.
    #[must_use]
    pub fn new(index: Arc<Index>, state: State, options: FleetOptions, started: Monotonic) -> Self {
        let mut fleet = Self {
            index,
            options,
            state,
            connections: Connections::default(),
            host_changes: HostChanges { layout: true, ..HostChanges::default() },
            placing: BTreeSet::new(),
            changed: BTreeSet::new(),
            due: BTreeSet::new(),
            moves: Vec::new(),
            started,
            has_risen: false,
        };
        fleet.state.take_changes(); // reading records changes none
        fleet.restore_groups();
        fleet
    }

    /// All records.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> &FleetOptions {
        &self.options
    }

    /// The keys of the records that were changed since the last call.
    pub fn take_changes(&mut self) -> BTreeSet<RecordKey> {
        self.state.take_changes()
    }

    /// What followed from the commands since the last call.
    pub fn take_notices(&mut self) -> Notices {
        Notices {
            changed: std::mem::take(&mut self.changed),
            due: std::mem::take(&mut self.due),
            moves: std::mem::take(&mut self.moves),
        }
    }

    /// Whether a host came up since the last call: instances that found no host may have waited for
    /// it.
    pub fn take_risen(&mut self) -> bool {
        std::mem::take(&mut self.has_risen)
    }

    /// Notes that an instance has changed.
    fn note_changed(&mut self, uuid: Uuid) {
        self.changed.insert(uuid);
        self.due.insert(uuid);
    }
}
