//! A fleet of compute hosts: what operators arrange, what agents tell, and the instances that run there.
//!
//! All of it is kept in memory and, as records beside those of the index, in the store. Every change is a transaction whose
//! records are committed together, in order with the changes of the index. Instances are brought to what is wished of them
//! by a loop that looks at the record only ([`reconcile`]), so it goes on after a restart where it was.
//!
//! Locks are taken in this order: that of a repeated creation, that of unshelving, decider, the index's writer, state, placing, those of consumers, host changes, agents,
//! outboxes. None is held while anything but the next of them is waited for.

mod agents;
mod aggregates;
mod ask;
mod decider;
pub(crate) mod entry;
mod error;
mod flavors;
mod groups;
mod hosts;
pub(crate) mod instances;
mod named;
pub(crate) mod outbox;
mod quotas;
pub(crate) mod reconcile;
mod schedule;
mod state;
mod stored;
mod usage;
mod view;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_placement::{GroupId, Index, Snapshot};
use berth_store::{Changes, Queue};
use tokio::sync::{broadcast, mpsc};
use uuid::Uuid;

pub(crate) use agents::Session;
pub(crate) use aggregates::AggregateChange;
pub(crate) use ask::Ask;
pub(crate) use decider::{Place, Placed};
pub(crate) use error::FleetError;
pub(crate) use hosts::HostState;
pub(crate) use named::Named;
pub(crate) use quotas::QuotaState;
pub(crate) use schedule::MAX_INSTANCES;
pub use state::State;

use agents::Agents;
use berth_scheduler::decider::HostChanges;
use decider::Decider;
use instances::Repeats;
use state::Transaction;

use crate::clock::{Monotonic, monotonic};

/// How a fleet is looked after.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// The scheduler's options; `max_attempts` counts the hosts on which a build is tried.
    pub scheduler: berth_scheduler::Options,
    /// How often agents send heartbeats.
    pub heartbeat: Duration,
    /// How long an agent may send no heartbeat before its host counts as down.
    pub down_after: Duration,
    /// How often agents look at their resources and guests anew.
    pub refresh: Duration,
    /// Whether a host may join without a voucher that its name and UUID belong together: the first agent gets them.
    pub trust_on_first_use: bool,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            scheduler: berth_scheduler::Options::default(),
            heartbeat: Duration::from_secs(10),
            down_after: Duration::from_secs(60),
            refresh: Duration::from_secs(60),
            trust_on_first_use: false,
        }
    }
}

/// A fleet.
pub(crate) struct Fleet {
    index: Arc<Index>,
    queue: Option<Arc<Queue>>,
    options: FleetOptions,
    state: Mutex<State>,
    host_changes: Mutex<HostChanges>,
    decider: Mutex<Decider>,
    agents: Agents,
    creating: Repeats,
    /// New instances to which a request is giving hosts: the loop leaves them alone.
    placing: Mutex<BTreeSet<Uuid>>,
    /// Held from the claim of a shelved instance until its wish is noted: of two who unshelve it, neither gives back what the other
    /// claimed.
    unshelving: Mutex<()>,
    started: Monotonic,
    /// Whether a host is up that was not when unfinished instances were looked at.
    has_risen: AtomicBool,
    /// Instances that have changed, for those who watch.
    told: broadcast::Sender<Uuid>,
    /// Instances that want to be looked at.
    due: mpsc::UnboundedSender<Uuid>,
    due_receiver: Mutex<Option<mpsc::UnboundedReceiver<Uuid>>>,
}

/// Changes that a watcher may be behind before it is told everything anew.
const WATCHED: usize = 1 << 12;

impl Fleet {
    /// A fleet that was kept beside the index, and whose changes go to the queue from now on.
    pub(crate) fn new(
        index: Arc<Index>,
        queue: Option<Arc<Queue>>,
        state: State,
        options: FleetOptions,
    ) -> Self {
        let strangers = restore_groups(&index, &state);
        #[expect(clippy::disallowed_methods, reason = "the seed of lots has to differ from start to start")]
        let seed = Uuid::new_v4().as_u64_pair().0;
        let decider = Decider::new(Arc::clone(&index), options.scheduler.clone(), seed);
        let (due, due_receiver) = mpsc::unbounded_channel();
        let host_changes = HostChanges { layout: true, ..HostChanges::default() };
        let fleet = Self {
            index,
            queue,
            options,
            state: Mutex::new(state),
            host_changes: Mutex::new(host_changes),
            decider: Mutex::new(decider),
            agents: Agents::default(),
            creating: Repeats::default(),
            placing: Mutex::default(),
            unshelving: Mutex::default(),
            started: monotonic(),
            has_risen: AtomicBool::new(false),
            told: broadcast::Sender::new(WATCHED),
            due,
            due_receiver: Mutex::new(Some(due_receiver)),
        };
        if !strangers.is_empty() {
            fleet.transact(|change| strangers.iter().for_each(|&one| change.set_membership(one, None)));
        }
        if fleet.queue.is_some() {
            fleet.mend();
        }
        fleet
    }

    fn placing(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.placing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two parts of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index and the fleet as they were at one moment: what a crash at that moment would have left, which is a state that the
    /// loops go on from. Of two moments, an instance made or deleted in between would have a record without room, or
    /// room without a record.
    pub(crate) fn moment(&self) -> (Snapshot, State) {
        // The writer's lock comes before the fleet's, as it does for those who tell the index of aggregates.
        let (snapshot, state) = self.index.snapshot_with(|| self.state());
        (snapshot, state.clone())
    }

    /// Changes the fleet, as one. `change` looks before it writes: what it has written when it fails stays.
    fn transact<T>(&self, change: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let mut state = self.state();
        let transact = || {
            let mut transaction = Transaction { state: &mut state, records: Changes::new() };
            let outcome = change(&mut transaction);
            (outcome, transaction.records)
        };
        match &self.queue {
            Some(queue) => queue.record_beside(transact),
            None => transact().0,
        }
    }

    /// The decider has to look at these hosts again.
    fn note_hosts<'a>(&self, hosts: impl IntoIterator<Item = &'a str>) {
        let mut changes = self.host_changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.hosts.extend(hosts.into_iter().filter(|host| !host.is_empty()).map(str::to_owned));
    }

    /// The decider has to look at everything again.
    fn note_layout(&self) {
        self.host_changes.lock().unwrap_or_else(PoisonError::into_inner).layout = true;
    }

    /// The instance has changed; whoever looks after it should.
    fn note_instance(&self, uuid: Uuid) {
        // Nobody may be watching, and the loop may have ended.
        let _ = self.told.send(uuid);
        self.note_due(uuid);
    }

    /// Whoever looks after the instance should look at it again.
    fn note_due(&self, uuid: Uuid) {
        let _ = self.due.send(uuid); // the loop may have ended
    }

    /// Whether the consumer holds anything.
    fn holds(&self, uuid: Uuid) -> bool {
        self.index.allocations(uuid.into()).is_some_and(|held| !held.is_empty())
    }
}

/// Makes groups in the index again, with those of their members that hold something; returns those that are members no more. An
/// instance stays one, whatever it holds.
fn restore_groups(index: &Index, state: &State) -> Vec<Uuid> {
    for (&uuid, group) in &state.groups {
        if let Err(error) = index.add_group(GroupId::from(uuid), groups::policy_of(group)) {
            tracing::error!(%uuid, %error, "a server group cannot be made again");
        }
    }
    let is_member = |(consumer, group): (&Uuid, &Uuid)| {
        index.rejoin(GroupId::from(*group), (*consumer).into()).unwrap_or(false)
            || (state.groups.contains_key(group) && state.instances.contains_key(consumer))
    };
    state.memberships.iter().filter(|&member| !is_member(member)).map(|(&consumer, _)| consumer).collect()
}

/// A text of 1 to `most` characters without control characters.
fn check_name(field: &str, name: &str, most: usize) -> Result<(), FleetError> {
    let length = name.chars().count();
    if length == 0 || length > most {
        return Err(FleetError::field(field, format!("has {length} characters; 1 to {most} are allowed")));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Err(FleetError::field(field, "has control characters, or blanks at an end"));
    }
    Ok(())
}
