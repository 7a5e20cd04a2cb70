//! Instances: what their users want, what agents observe, and the operation in between.
//!
//! | part | content |
//! |---|---|
//! | [`InstanceSpec`] | what the user asked for; all copies of an instance share it, and only a resize replaces it |
//! | [`Desired`] | what the host's agent is to bring about, beside the goal ([`Instance::goal`]) |
//! | [`Observed`] | what the agent reported |
//! | [`Operation`] | what is in progress; `None` when the instance is as desired |
//! | [`Location`] | the host, and other hosts that may have remains |
//! | [`Migration`] | the open move, and those before it |

mod create;
mod goal;
mod words;
mod zone;

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_placement::Timestamp;
use bytes::Bytes;
use uuid::Uuid;

use crate::Fleet;
use crate::error::FleetError;
use crate::flavor::Flavor;
use crate::host::CpuFeatures;
use crate::key_pair::KeyPair;
use crate::migration::{Migration, MoveNotice};
use crate::named::Named;
use crate::operation::{Operation, RebuildRecord};

pub use create::{Creation, MAX_INSTANCES, Recorded};
pub use goal::{DesiredGuest, DiskMove, Goal, Transfer, TransferPhase};
pub use words::{power_state, status, vm_state};
pub use zone::RequestedZone;

/// The most events that an instance keeps.
const EVENTS: usize = 100;

/// What the user asked for. A resize replaces the flavor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceSpec {
    /// Its name.
    pub name: String,
    /// The project that it belongs to.
    pub project: String,
    /// The user who created it.
    pub user: String,
    /// Its size.
    pub flavor: Flavor,
    /// Its image.
    pub image: Option<Image>,
    /// The availability zone of the request.
    pub availability_zone: RequestedZone,
    /// The server group of the request.
    pub group: Option<Uuid>,
    /// The scheduler hints of the request; none is internal to Nova.
    pub hints: BTreeMap<String, Vec<String>>,
    /// The user data of cloud-init.
    pub user_data: Bytes,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// The key pair of its user, as it was when the instance was created.
    pub key_pair: Option<KeyPair>,
    /// The key of the request that created it; empty for none.
    pub idempotency_key: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its properties, as Glance's.
    pub properties: BTreeMap<String, String>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its UUID.
    pub uuid: Uuid,
    /// What the user asked for.
    pub spec: Arc<InstanceSpec>,
    /// What the host's agent is to bring about.
    pub desired: Desired,
    /// What the agent reported.
    pub observed: Observed,
    /// The state at rest, which is desired when no operation is in progress.
    pub vm_state: VmState,
    /// The operation in progress.
    pub operation: Option<Operation>,
    /// Where it is.
    pub location: Location,
    /// Its latest migrations, oldest first. Only the last may be open.
    pub migrations: Vec<Arc<Migration>>,
    /// The rebuild in progress.
    pub rebuild: Option<RebuildRecord>,
    /// The image that its guest boots instead of its own disks, while it is rescued.
    pub rescue: Option<Arc<Image>>,
    /// Who may act on it; `None` for its users.
    pub lock: Option<Lock>,
    /// What happened to it, oldest first; at most the latest hundred events.
    pub events: Vec<Arc<Event>>,
    /// When the latest event happened.
    pub updated_at: Timestamp,
}

/// What the host's agent is to bring about, beside the goal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Desired {
    /// Counts desired states. An agent refuses a lower one than it knows.
    pub generation: u64,
    /// Counts boots: the guest boots again when this grows.
    pub boot: u32,
    /// Whether the latest boot is a hard reboot.
    pub hard: bool,
}

/// What the agent reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The power state of the guest.
    pub power: Power,
    /// The latest failure; empty for none.
    pub fault: String,
    /// Whether it is stopped because its guest went off without its user.
    pub stopped_by_itself: bool,
    /// Of the features of its host's CPUs, those that its guest does not have.
    pub missing_cpu_features: CpuFeatures,
}

/// Where an instance is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// The host where it is, or is being built; empty for none.
    pub host: String,
    /// Other hosts that may have remains of it.
    pub leftovers: Vec<String>,
    /// Hosts on which its build failed, each with the error.
    pub failures: BTreeMap<String, String>,
}

/// The lock of an instance: only operators may act on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// Why it is locked.
    pub reason: String,
    /// Whether an operator locked it: then only an operator unlocks it.
    pub by_operator: bool,
}

/// Something that happened to an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What happened, such as `create`.
    pub action: String,
    /// Who asked for it; empty for nobody.
    pub user: String,
    /// Details.
    pub message: String,
}

/// Nova's `vm_state`: the state at rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VmState {
    /// It was not built yet.
    #[default]
    Building,
    /// Its guest runs.
    Active,
    /// Its guest is off.
    Stopped,
    /// Its guest is paused.
    Paused,
    /// The memory of its guest is saved on disk.
    Suspended,
    /// It holds no capacity; its disk is kept.
    ShelvedOffloaded,
    /// Its guest runs from a temporary disk, with its own disks beside it.
    Rescued,
    /// It has moved: its user confirms that, or takes it back.
    Resized,
    /// Its user or an operator has to decide what follows.
    Error,
    /// It is deleted.
    Deleted,
}

/// Nova's `power_state`: the guest as the hypervisor reports it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Power {
    /// Unknown, or there is no guest.
    #[default]
    NoState,
    /// It runs.
    Running,
    /// It is paused.
    Paused,
    /// It is off.
    Shutdown,
    /// It crashed.
    Crashed,
    /// Its memory is saved.
    Suspended,
}

impl Instance {
    /// A new instance that waits for a host.
    #[must_use]
    pub fn new(uuid: Uuid, spec: Arc<InstanceSpec>) -> Self {
        Self {
            uuid,
            updated_at: spec.created_at,
            spec,
            desired: Desired::default(),
            observed: Observed::default(),
            vm_state: VmState::Building,
            operation: Some(Operation::Schedule),
            location: Location::default(),
            migrations: Vec::new(),
            rebuild: None,
            rescue: None,
            lock: None,
            events: Vec::new(),
        }
    }

    /// The hosts on which the instance is, or may have remains.
    pub fn places(&self) -> impl Iterator<Item = &String> {
        let Location { host, leftovers, .. } = &self.location;
        let is_deleted = self.operation == Some(Operation::Delete);
        let moves = self.migration().map(|migration| {
            // Of an instance that is to be deleted, the source may still have the disks that it set
            // aside.
            let sets_aside = migration.kind.sets_disks_aside();
            let source = (sets_aside || !is_deleted).then_some(&migration.source);
            [source, (!is_deleted).then_some(&migration.target)]
        });
        let moves = moves.into_iter().flatten().flatten();
        leftovers.iter().chain([host]).chain(moves).filter(|host| !host.is_empty())
    }

    /// Adds an event, and logs it.
    pub(crate) fn note(&mut self, at: Timestamp, action: &str, user: &str, message: impl Into<String>) {
        let message = message.into();
        let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
        tracing::info!(
            instance = %self.uuid,
            name = self.spec.name,
            project = self.spec.project,
            action,
            host = given(&self.location.host),
            user = given(user),
            detail = given(&message),
            "instance event"
        );
        if self.events.len() >= EVENTS {
            self.events.remove(0);
        }
        self.updated_at = at;
        let (action, user) = (action.to_owned(), user.to_owned());
        self.events.push(Arc::new(Event { at, action, user, message }));
    }

    /// Whether something remains to be done: an operation, or remains to remove.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.operation.is_some() || !self.location.leftovers.is_empty()
    }
}

impl Fleet {
    /// The instance that a request names.
    ///
    /// # Errors
    /// No such instance, or an ambiguous name.
    pub fn instance(&self, named: Named<'_>) -> Result<Arc<Instance>, FleetError> {
        named.resolve::<Instance, _>(&self.state.instances).map(|(_, instance)| Arc::clone(instance))
    }

    /// The instance with this UUID.
    #[must_use]
    pub fn instance_by_uuid(&self, uuid: Uuid) -> Option<Arc<Instance>> {
        self.state.instance(uuid).map(Arc::clone)
    }

    /// All instances that match, by name and UUID.
    pub fn instances(&self, matches: impl Fn(&Instance) -> bool) -> Vec<Arc<Instance>> {
        let matching = self.state.instances.values().filter(|instance| matches(instance));
        let mut found: Vec<Arc<Instance>> = matching.cloned().collect();
        found.sort_by(|a, b| (&a.spec.name, a.uuid).cmp(&(&b.spec.name, b.uuid)));
        found
    }

    /// The number of instances of each status that one ever had.
    #[must_use]
    pub fn count_servers(&self) -> BTreeMap<&'static str, usize> {
        self.state.statuses.clone()
    }

    /// The UUIDs of all instances with something left to do.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Uuid> {
        let unfinished = self.state.instances.values().filter(|instance| instance.is_unfinished());
        unfinished.map(|instance| instance.uuid).collect()
    }

    /// The zone of an instance's host; before it has one, the zone of the request.
    #[must_use]
    pub fn zone_of_instance<'a>(&'a self, instance: &'a Instance) -> &'a str {
        if instance.location.host.is_empty() {
            return &instance.spec.availability_zone.zone;
        }
        self.zone_of(&instance.location.host)
    }

    /// The server group of an instance.
    #[must_use]
    pub fn group_of_instance(&self, uuid: Uuid) -> Option<Uuid> {
        self.state.membership(uuid)
    }

    /// Changes an instance, if it exists. A change is recorded, and watchers, the scheduler and the
    /// reconciliation are notified.
    pub(crate) fn change_instance<T>(
        &mut self,
        uuid: Uuid,
        change: impl FnOnce(&mut Instance) -> T,
    ) -> Option<T> {
        let before = self.state.instance(uuid)?;
        let mut after = Instance::clone(before);
        let outcome = change(&mut after);
        if after != **before {
            let hosts = [before.location.host.clone(), after.location.host.clone()];
            self.moves.extend(MoveNotice::of_change(before, &after));
            self.state.put_instance(Arc::new(after));
            self.note_hosts(hosts.iter().map(String::as_str));
            self.note_changed(uuid);
        }
        Some(outcome)
    }

    /// Whether the consumer holds any capacity.
    #[must_use]
    pub fn holds_capacity(&self, uuid: Uuid) -> bool {
        self.index.allocations(uuid.into()).is_some_and(|held| !held.is_empty())
    }

    /// The host on which a consumer holds capacity.
    pub(crate) fn host_of_capacity(&self, uuid: Uuid) -> Option<&str> {
        let held = self.index.allocations(uuid.into())?;
        let topology = self.index.topology();
        let root = topology.provider(topology.host_of(&held)?)?;
        self.state.host_name(root.uuid)
    }

    /// Releases the capacity of a consumer, if it holds any.
    pub(crate) fn release(&self, uuid: Uuid) {
        let _ = self.index.release(uuid.into());
    }
}
