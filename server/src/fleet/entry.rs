//! What a fleet keeps, as protobuf messages: what is in memory is what is on disk.
//!
//! The rules for changes are those of `message.rs` in the crate `store`: a field keeps its number and meaning for ever, a new one means by
//! its absence what was so before. Times are microseconds since 1970, UUIDs 16 bytes.

use std::collections::BTreeMap;

use uuid::Uuid;

/// The UUID of a record. It was checked when the record was made.
fn uuid(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).unwrap_or_default()
}

/// A compute host.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Host {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Of the root of its provider tree.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) uuid: Vec<u8>,
    #[prost(enumeration = "HostStatus", tag = "3")]
    pub(crate) status: i32,
    #[prost(string, tag = "4")]
    pub(crate) reason: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) hypervisor: Option<Hypervisor>,
    /// What its agent told last.
    #[prost(message, repeated, tag = "6")]
    pub(crate) providers: Vec<AgentProvider>,
}

impl Host {
    /// Of the root of its provider tree. It never changes.
    pub(crate) fn uuid(&self) -> Uuid {
        uuid(&self.uuid)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum HostStatus {
    Enabled = 0,
    Disabled = 1,
    Maintenance = 2,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hypervisor {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(uint32, tag = "2")]
    pub(crate) version: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) libvirt_version: u32,
    #[prost(bool, tag = "4")]
    pub(crate) is_accelerated: bool,
    #[prost(string, tag = "5")]
    pub(crate) architecture: String,
    #[prost(string, tag = "6")]
    pub(crate) cpu_model: String,
    #[prost(string, tag = "7")]
    pub(crate) address: String,
    #[prost(string, tag = "8")]
    pub(crate) agent_version: String,
}

/// A provider as an agent told it: which of the provider's traits are the agent's.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AgentProvider {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) uuid: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) traits: Vec<String>,
    /// Resource classes that the agent reports no more and that are in use: nothing of them is granted.
    #[prost(string, repeated, tag = "3")]
    pub(crate) retired_classes: Vec<String>,
    /// Whether the agent reports none of it any more, and something of it is in use.
    #[prost(bool, tag = "4")]
    pub(crate) is_retired: bool,
}

impl AgentProvider {
    pub(crate) fn new(uuid: Uuid) -> Self {
        Self { uuid: uuid.into_bytes().to_vec(), ..Self::default() }
    }

    pub(crate) fn uuid(&self) -> Uuid {
        uuid(&self.uuid)
    }

    /// Whether something of it has to go as soon as it is free.
    pub(crate) fn has_retired(&self) -> bool {
        self.is_retired || !self.retired_classes.is_empty()
    }
}

/// A host aggregate.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Aggregate {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) uuid: Vec<u8>,
    /// Names, in order.
    #[prost(string, repeated, tag = "3")]
    pub(crate) hosts: Vec<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Aggregate {
    /// Of the aggregate in the index.
    pub(crate) fn uuid(&self) -> Uuid {
        uuid(&self.uuid)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Flavor {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint32, tag = "2")]
    pub(crate) vcpus: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) memory_mb: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) root_gb: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) ephemeral_gb: u32,
    #[prost(uint32, tag = "6")]
    pub(crate) swap_mb: u32,
    #[prost(btree_map = "string, string", tag = "7")]
    pub(crate) extra_specs: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Image {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(crate) properties: BTreeMap<String, String>,
}

/// A server group, without its members.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Group {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(enumeration = "Policy", tag = "3")]
    pub(crate) policy: i32,
    #[prost(uint32, tag = "4")]
    pub(crate) max_server_per_host: u32,
    #[prost(string, tag = "5")]
    pub(crate) project: String,
    #[prost(string, tag = "6")]
    pub(crate) idempotency_key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Policy {
    Affinity = 0,
    AntiAffinity = 1,
    SoftAffinity = 2,
    SoftAntiAffinity = 3,
}

/// The group that a consumer is in.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Membership {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) group: Vec<u8>,
}

/// Limits of a project; absent for none.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Quota {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) instances: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(crate) vcpus: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(crate) memory_mb: Option<u64>,
}

/// An instance: what is wished of it, and how it is.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Instance {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) project: String,
    #[prost(string, tag = "4")]
    pub(crate) user: String,
    #[prost(message, required, tag = "5")]
    pub(crate) flavor: Flavor,
    #[prost(message, optional, tag = "6")]
    pub(crate) image: Option<Image>,
    /// As it was asked for.
    #[prost(string, tag = "7")]
    pub(crate) availability_zone: String,
    /// Those of the user: names do not begin with `_`.
    #[prost(btree_map = "string, message", tag = "8")]
    pub(crate) hints: BTreeMap<String, Hints>,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) user_data: Vec<u8>,
    #[prost(btree_map = "string, string", tag = "10")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[prost(string, tag = "11")]
    pub(crate) idempotency_key: String,
    #[prost(uint64, tag = "12")]
    pub(crate) created_at: u64,
    #[prost(uint64, tag = "13")]
    pub(crate) updated_at: u64,
    /// Counts the wishes.
    #[prost(uint64, tag = "14")]
    pub(crate) generation: u64,
    #[prost(enumeration = "VmState", tag = "15")]
    pub(crate) vm_state: i32,
    #[prost(enumeration = "Task", tag = "16")]
    pub(crate) task: i32,
    #[prost(enumeration = "Power", tag = "17")]
    pub(crate) power: i32,
    /// Where it is, or is being built; empty for nowhere.
    #[prost(string, tag = "18")]
    pub(crate) host: String,
    /// Hosts, besides, on which something of it may be left.
    #[prost(string, repeated, tag = "19")]
    pub(crate) leftovers: Vec<String>,
    /// Hosts on which its build failed, and why.
    #[prost(btree_map = "string, string", tag = "20")]
    pub(crate) failures: BTreeMap<String, String>,
    /// Which boot is wished.
    #[prost(uint32, tag = "21")]
    pub(crate) boot: u32,
    #[prost(bool, tag = "22")]
    pub(crate) hard: bool,
    #[prost(string, tag = "23")]
    pub(crate) fault: String,
    #[prost(bool, tag = "24")]
    pub(crate) locked: bool,
    #[prost(string, tag = "25")]
    pub(crate) locked_reason: String,
    /// The last of them, oldest first.
    #[prost(message, repeated, tag = "26")]
    pub(crate) events: Vec<Event>,
    /// Whether an operator locked it.
    #[prost(bool, tag = "27")]
    pub(crate) locked_by_operator: bool,
    /// Whether it is stopped because its guest went off without its user.
    #[prost(bool, tag = "28")]
    pub(crate) stopped_by_itself: bool,
}

impl Instance {
    pub(crate) fn uuid(&self) -> Uuid {
        uuid(&self.uuid)
    }

    /// The hosts on which something of it is, or may be.
    pub(crate) fn places(&self) -> impl Iterator<Item = &String> {
        self.leftovers.iter().chain((!self.host.is_empty()).then_some(&self.host))
    }
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Hints {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

/// Something that happened to an instance.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Event {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(string, tag = "2")]
    pub(crate) action: String,
    #[prost(string, tag = "3")]
    pub(crate) user: String,
    #[prost(string, tag = "4")]
    pub(crate) message: String,
}

/// Nova's vm_state: what the instance is when nothing is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum VmState {
    Building = 0,
    Active = 1,
    Stopped = 2,
    Paused = 3,
    Suspended = 4,
    ShelvedOffloaded = 5,
    Error = 6,
    Deleted = 7,
}

/// Nova's task_state: what is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Task {
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
}

/// What the hypervisor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Power {
    NoState = 0,
    Running = 1,
    Paused = 2,
    Shutdown = 3,
    Crashed = 4,
    Suspended = 5,
}
