//! The stored records of a fleet, as protobuf messages.
//!
//! The rules for changes are those of `message.rs` in the crate `store`: a field keeps its number
//! and meaning forever, and a new field means by its absence what was true before. Times are
//! microseconds since 1970, UUIDs 16 bytes. The types of the crate `fleet` are independent of
//! these; `convert.rs` translates.

mod convert;
mod evacuation;
mod key;
mod migration;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;

pub(crate) use key::{apply, describe, encode, remove};

/// A compute host.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredHost {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Of the root of its provider tree.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) uuid: Vec<u8>,
    #[prost(enumeration = "StoredHostStatus", tag = "3")]
    pub(super) status: i32,
    #[prost(string, tag = "4")]
    pub(super) reason: String,
    #[prost(message, optional, tag = "5")]
    pub(super) hypervisor: Option<StoredHypervisor>,
    /// The providers that its agent reported last.
    #[prost(message, repeated, tag = "6")]
    pub(super) providers: Vec<StoredAgentProvider>,
    #[prost(message, optional, tag = "7")]
    pub(super) fence: Option<StoredFence>,
    #[prost(message, optional, tag = "8")]
    pub(super) evacuation: Option<StoredEvacuation>,
}

/// The statement that nothing runs on a host that has sent no heartbeat since.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredFence {
    #[prost(uint64, tag = "1")]
    pub(super) at: u64,
    #[prost(string, tag = "2")]
    pub(super) user: String,
    #[prost(bool, tag = "3")]
    pub(super) by_command: bool,
}

/// The latest evacuation of a host.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredEvacuation {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) user: String,
    /// Whether all instances have left, or none will. Before, their targets are claimed.
    #[prost(bool, tag = "3")]
    pub(super) is_moving: bool,
    #[prost(message, repeated, tag = "4")]
    pub(super) instances: Vec<StoredEvacuated>,
    #[prost(uint64, tag = "5")]
    pub(super) created_at: u64,
    /// Whether the instances are live-migrated.
    #[prost(bool, tag = "6")]
    pub(super) is_live: bool,
}

/// An instance of a host that is evacuated.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredEvacuated {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) instance: Vec<u8>,
    /// Empty for one that stays.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) migration: Vec<u8>,
    /// Why it stays.
    #[prost(string, tag = "3")]
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredHostStatus {
    Enabled = 0,
    Disabled = 1,
    Maintenance = 2,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredHypervisor {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(uint32, tag = "2")]
    pub(super) version: u32,
    #[prost(uint32, tag = "3")]
    pub(super) libvirt_version: u32,
    #[prost(bool, tag = "4")]
    pub(super) is_accelerated: bool,
    #[prost(string, tag = "5")]
    pub(super) architecture: String,
    #[prost(string, tag = "6")]
    pub(super) cpu_model: String,
    #[prost(string, tag = "7")]
    pub(super) address: String,
    #[prost(string, tag = "8")]
    pub(super) agent_version: String,
    /// 0: its agent offers no disks.
    #[prost(uint32, tag = "9")]
    pub(super) disks_port: u32,
    /// Absent: unknown.
    #[prost(bytes = "vec", tag = "10")]
    pub(super) storage: Vec<u8>,
    /// Absent: other hosts cannot send guests to it.
    #[prost(message, optional, tag = "11")]
    pub(super) migration_target: Option<StoredMigrationTarget>,
    /// Names, separated by spaces; empty if they are unknown.
    #[prost(string, tag = "12")]
    pub(super) cpu_features: String,
}

/// How other hosts send running guests to a hypervisor.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredMigrationTarget {
    #[prost(string, tag = "1")]
    pub(super) uri: String,
    #[prost(string, tag = "2")]
    pub(super) instances_directory: String,
    #[prost(string, tag = "3")]
    pub(super) images_directory: String,
}

/// A provider that an agent reported: which of its traits are the agent's.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredAgentProvider {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    pub(super) traits: Vec<String>,
    /// Resource classes that the agent reports no longer and that are in use: nothing of them is
    /// granted.
    #[prost(string, repeated, tag = "3")]
    pub(super) retired_classes: Vec<String>,
    /// Whether the agent reports nothing of it any longer, and something of it is in use.
    #[prost(bool, tag = "4")]
    pub(super) is_retired: bool,
}

/// A host aggregate.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredAggregate {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) uuid: Vec<u8>,
    /// Names, in order.
    #[prost(string, repeated, tag = "3")]
    pub(super) hosts: Vec<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredFlavor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) vcpus: u32,
    #[prost(uint32, tag = "3")]
    pub(super) memory_mb: u32,
    #[prost(uint32, tag = "4")]
    pub(super) root_gb: u32,
    #[prost(uint32, tag = "5")]
    pub(super) ephemeral_gb: u32,
    #[prost(uint32, tag = "6")]
    pub(super) swap_mb: u32,
    #[prost(btree_map = "string, string", tag = "7")]
    pub(super) extra_specs: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredImage {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) properties: BTreeMap<String, String>,
}

/// A server group, without its members.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredGroup {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(enumeration = "StoredPolicy", tag = "3")]
    pub(super) policy: i32,
    #[prost(uint32, tag = "4")]
    pub(super) max_server_per_host: u32,
    #[prost(string, tag = "5")]
    pub(super) project: String,
    #[prost(string, tag = "6")]
    pub(super) idempotency_key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredPolicy {
    Affinity = 0,
    AntiAffinity = 1,
    SoftAffinity = 2,
    SoftAntiAffinity = 3,
}

/// The group of a consumer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredMembership {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) group: Vec<u8>,
}

/// Limits of a project; absent for none.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredQuota {
    #[prost(uint64, optional, tag = "1")]
    pub(super) instances: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) vcpus: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) memory_mb: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) key_pairs: Option<u64>,
}

/// An SSH key pair.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredKeyPair {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) project: String,
    #[prost(string, tag = "3")]
    pub(super) public_key: String,
    #[prost(uint64, tag = "4")]
    pub(super) created_at: u64,
}

/// An instance: its spec, its desired and observed state, and its operation.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredInstance {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) project: String,
    #[prost(string, tag = "4")]
    pub(super) user: String,
    #[prost(message, required, tag = "5")]
    pub(super) flavor: StoredFlavor,
    #[prost(message, optional, tag = "6")]
    pub(super) image: Option<StoredImage>,
    /// That of the request.
    #[prost(string, tag = "7")]
    pub(super) availability_zone: String,
    /// Those of the user: names do not begin with `_`.
    #[prost(btree_map = "string, message", tag = "8")]
    pub(super) hints: BTreeMap<String, StoredHints>,
    #[prost(bytes = "bytes", tag = "9")]
    pub(super) user_data: Bytes,
    #[prost(btree_map = "string, string", tag = "10")]
    pub(super) metadata: BTreeMap<String, String>,
    #[prost(string, tag = "11")]
    pub(super) idempotency_key: String,
    #[prost(uint64, tag = "12")]
    pub(super) created_at: u64,
    #[prost(uint64, tag = "13")]
    pub(super) updated_at: u64,
    /// Counts desired states.
    #[prost(uint64, tag = "14")]
    pub(super) generation: u64,
    #[prost(enumeration = "StoredVmState", tag = "15")]
    pub(super) vm_state: i32,
    #[prost(enumeration = "StoredTask", tag = "16")]
    pub(super) task: i32,
    #[prost(enumeration = "StoredPower", tag = "17")]
    pub(super) power: i32,
    /// Where it is, or is being built; empty for no host.
    #[prost(string, tag = "18")]
    pub(super) host: String,
    /// Other hosts that may have remains of it.
    #[prost(string, repeated, tag = "19")]
    pub(super) leftovers: Vec<String>,
    /// Hosts on which its build failed, and why.
    #[prost(btree_map = "string, string", tag = "20")]
    pub(super) failures: BTreeMap<String, String>,
    /// Counts boots.
    #[prost(uint32, tag = "21")]
    pub(super) boot: u32,
    #[prost(bool, tag = "22")]
    pub(super) hard: bool,
    #[prost(string, tag = "23")]
    pub(super) fault: String,
    #[prost(bool, tag = "24")]
    pub(super) locked: bool,
    #[prost(string, tag = "25")]
    pub(super) locked_reason: String,
    /// The latest events, oldest first.
    #[prost(message, repeated, tag = "26")]
    pub(super) events: Vec<StoredEvent>,
    /// Whether an operator locked it.
    #[prost(bool, tag = "27")]
    pub(super) locked_by_operator: bool,
    /// Whether it is stopped because its guest went off without its user.
    #[prost(bool, tag = "28")]
    pub(super) stopped_by_itself: bool,
    /// The latest, oldest first. Only the last may be open.
    #[prost(message, repeated, tag = "29")]
    pub(super) migrations: Vec<StoredMigration>,
    /// Of the features of its host's CPUs, those that its guest does not have.
    #[prost(string, tag = "30")]
    pub(super) missing_cpu_features: String,
    /// As it was when the instance was created.
    #[prost(message, optional, tag = "31")]
    pub(super) key_pair: Option<StoredKeyPair>,
    /// The rebuild in progress.
    #[prost(message, optional, tag = "32")]
    pub(super) rebuild: Option<StoredRebuild>,
    /// What its guest boots instead of its own disks.
    #[prost(message, optional, tag = "33")]
    pub(super) rescue: Option<StoredImage>,
}

/// A rebuild in progress.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredRebuild {
    /// Absent: the instance had none.
    #[prost(message, optional, tag = "1")]
    pub(super) image_before: Option<StoredImage>,
    #[prost(uint64, tag = "2")]
    pub(super) generation: u64,
}

/// A move of an instance.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredMigration {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) uuid: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ticket: Vec<u8>,
    #[prost(enumeration = "StoredMigrationKind", tag = "3")]
    pub(super) kind: i32,
    #[prost(string, tag = "4")]
    pub(super) source: String,
    #[prost(string, tag = "5")]
    pub(super) target: String,
    #[prost(string, tag = "6")]
    pub(super) requested_host: String,
    #[prost(message, required, tag = "7")]
    pub(super) old_flavor: StoredFlavor,
    #[prost(message, required, tag = "8")]
    pub(super) new_flavor: StoredFlavor,
    #[prost(enumeration = "StoredVmState", tag = "9")]
    pub(super) state_before: i32,
    /// Hosts that could not build the guest, each with the error.
    #[prost(btree_map = "string, string", tag = "10")]
    pub(super) failures: BTreeMap<String, String>,
    #[prost(string, tag = "11")]
    pub(super) error: String,
    #[prost(string, tag = "12")]
    pub(super) user: String,
    #[prost(enumeration = "StoredMigrationOutcome", tag = "13")]
    pub(super) outcome: i32,
    #[prost(uint64, tag = "14")]
    pub(super) created_at: u64,
    #[prost(uint64, tag = "15")]
    pub(super) updated_at: u64,
    /// What was in progress when an evacuation was requested.
    #[prost(enumeration = "StoredTask", tag = "16")]
    pub(super) task_before: i32,
    /// Whether an evacuation builds the disks again.
    #[prost(bool, tag = "17")]
    pub(super) rebuilds: bool,
    /// Of a live migration.
    #[prost(message, optional, tag = "18")]
    pub(super) live: Option<StoredLiveMove>,
}

/// What is particular to a live migration.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredLiveMove {
    #[prost(enumeration = "StoredLiveDisks", tag = "1")]
    pub(super) disks: i32,
    #[prost(uint32, tag = "2")]
    pub(super) bandwidth_mib: u32,
    #[prost(uint32, tag = "3")]
    pub(super) timeout_s: u32,
    #[prost(bool, tag = "4")]
    pub(super) forces_at_timeout: bool,
    #[prost(bool, tag = "5")]
    pub(super) is_shared: bool,
    #[prost(bool, tag = "6")]
    pub(super) is_forced: bool,
    #[prost(bool, tag = "7")]
    pub(super) has_left: bool,
}

/// Which hosts may be the target of a live migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredLiveDisks {
    Any = 0,
    Shared = 1,
    Sent = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredMigrationKind {
    Cold = 0,
    Resize = 1,
    Evacuation = 2,
    Live = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredMigrationOutcome {
    Open = 0,
    Confirmed = 1,
    Reverted = 2,
    Failed = 3,
    Deleted = 4,
    Evacuated = 5,
    Completed = 6,
    Aborted = 7,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredHints {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

/// Something that happened to an instance.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredEvent {
    #[prost(uint64, tag = "1")]
    pub(super) at: u64,
    #[prost(string, tag = "2")]
    pub(super) action: String,
    #[prost(string, tag = "3")]
    pub(super) user: String,
    #[prost(string, tag = "4")]
    pub(super) message: String,
}

/// Nova's `vm_state`: the state at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredVmState {
    Building = 0,
    Active = 1,
    Stopped = 2,
    Paused = 3,
    Suspended = 4,
    ShelvedOffloaded = 5,
    Error = 6,
    Deleted = 7,
    Resized = 8,
    Rescued = 9,
}

/// Nova's `task_state`: the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredTask {
    None = 0,
    Scheduling = 1,
    Spawning = 2,
    PoweringOn = 3,
    PoweringOff = 4,
    Rebooting = 5,
    RebootingHard = 6,
    Pausing = 7,
    Unpausing = 8,
    Suspending = 9,
    Resuming = 10,
    ShelvingOffloading = 11,
    Unshelving = 12,
    Deleting = 13,
    ResizePrep = 14,
    ResizeMigrating = 15,
    ResizeFinish = 16,
    ResizeConfirming = 17,
    ResizeReverting = 18,
    ResizeRestoring = 19,
    EvacuatePrep = 20,
    EvacuateFinish = 21,
    LiveQueued = 22,
    LivePreparing = 23,
    LiveRunning = 24,
    LiveAborting = 25,
    LiveSettling = 26,
    Rebuilding = 27,
    Rescuing = 28,
    Unrescuing = 29,
}

/// The power state that the hypervisor reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StoredPower {
    NoState = 0,
    Running = 1,
    Paused = 2,
    Shutdown = 3,
    Crashed = 4,
    Suspended = 5,
}
