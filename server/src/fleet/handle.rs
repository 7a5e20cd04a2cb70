//! The owner of the fleet.
//!
//! Everything else sends commands to the fleet, or looks at it, through a [`FleetHandle`]. A
//! command runs to its end while the handle holds the fleet; its records are committed together, in
//! order with the changes of the index. A command that needs the index's writer locks it before the
//! fleet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_fleet::{Fleet, FleetOptions, Instance, Moment, MoveNotice, Notices, Session};
use berth_placement::{Index, Snapshot, Topology, Writer};
use berth_scheduler::AggregateRecord;
use berth_scheduler::decider::{HostChanges, HostSource};
use berth_scheduler::hosts::HostRecord;
use berth_store::{Changes, Queue};
use tokio::sync::{broadcast, mpsc};
use uuid::Uuid;

use super::consoles::Consoles;
use super::decider::FleetDecider;
use super::outbox::Outboxes;
use super::records;
use super::repeats::Repeats;
use super::stored::FleetState;
use crate::clock::monotonic;
use crate::service::now;

/// Changes that a watcher may be behind before it has to look at all instances again.
const WATCHED: usize = 1 << 12;

/// The owner of a fleet.
pub(crate) struct FleetHandle {
    pub(super) index: Arc<Index>,
    queue: Option<Arc<Queue>>,
    fleet: Mutex<Fleet>,
    /// Makes one decision at a time. It is locked before the fleet, and reads host facts from it.
    pub(super) decider: Mutex<FleetDecider>,
    pub(super) outboxes: Outboxes,
    pub(super) consoles: Consoles,
    pub(super) creating: Repeats,
    /// Instances that changed, for watchers.
    changed: broadcast::Sender<Uuid>,
    /// Instances that the reconciliation has to look at.
    due: mpsc::UnboundedSender<Uuid>,
    due_receiver: Mutex<Option<mpsc::UnboundedReceiver<Uuid>>>,
    /// Moves that have arrived or ended, until the metrics count them.
    moves: Mutex<Vec<MoveNotice>>,
}

impl FleetHandle {
    /// A fleet with the records that were stored beside the index. Its changes go to the queue from
    /// now on.
    pub(crate) fn new(
        index: Arc<Index>,
        queue: Option<Arc<Queue>>,
        FleetState(state): FleetState,
        options: FleetOptions,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "ties have to be broken differently in each run")]
        let seed = Uuid::new_v4().as_u64_pair().0;
        let decider = FleetDecider::new(Arc::clone(&index), options.scheduler.clone(), seed);
        let (due, due_receiver) = mpsc::unbounded_channel();
        let fleet = Fleet::new(Arc::clone(&index), state, options, monotonic());
        let handle = Self {
            index,
            queue,
            fleet: Mutex::new(fleet),
            decider: Mutex::new(decider),
            outboxes: Outboxes::default(),
            consoles: Consoles::default(),
            creating: Repeats::default(),
            changed: broadcast::Sender::new(WATCHED),
            due,
            due_receiver: Mutex::new(Some(due_receiver)),
            moves: Mutex::default(),
        };
        // Also commits what the start of the fleet has changed.
        let is_writable = handle.queue.is_some();
        handle.command(|fleet, now| {
            if is_writable {
                fleet.repair(now.wall);
            }
        });
        handle
    }

    fn lock(&self) -> MutexGuard<'_, Fleet> {
        // No command panics between two parts of a change.
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the fleet.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        look(&self.lock())
    }

    /// Sends a command to the fleet. The records that it changes are committed together.
    pub(crate) fn command<T>(&self, run: impl FnOnce(&mut Fleet, Moment) -> T) -> T {
        let mut fleet = self.lock();
        let changed = || {
            let outcome = run(&mut fleet, moment());
            let changes = fleet.take_changes();
            let records: Changes = changes.iter().map(|key| records::encode(fleet.state(), key)).collect();
            (outcome, records)
        };
        let outcome = match &self.queue {
            Some(queue) => queue.record_beside(changed),
            None => changed().0,
        };
        let notices = fleet.take_notices();
        drop(fleet);
        self.publish(notices);
        outcome
    }

    /// Looks at the fleet at the present moment.
    pub(crate) fn observe_moment<T>(&self, look: impl FnOnce(&Fleet, Moment) -> T) -> T {
        look(&self.lock(), moment())
    }

    /// Sends a command that changes no record.
    pub(super) fn observe<T>(&self, run: impl FnOnce(&mut Fleet, Moment) -> T) -> T {
        let mut fleet = self.lock();
        let outcome = run(&mut fleet, moment());
        debug_assert!(fleet.take_changes().is_empty(), "a record was changed and not committed");
        let notices = fleet.take_notices();
        drop(fleet);
        self.publish(notices);
        outcome
    }

    /// Runs commands while the writer of the index is held: what they read of provider trees stays
    /// until they have written.
    pub(super) fn with_writer<T>(&self, run: impl FnOnce(&mut Writer<'_>) -> T) -> T {
        run(&mut self.index.write_at(now()))
    }

    fn publish(&self, Notices { changed, due, moves }: Notices) {
        if !moves.is_empty() {
            self.moves.lock().unwrap_or_else(PoisonError::into_inner).extend(moves);
        }
        for uuid in changed {
            let _ = self.changed.send(uuid); // there may be no watcher
        }
        due.into_iter().for_each(|uuid| self.note_due(uuid));
    }

    /// The moves that have arrived or ended since the last call.
    pub(super) fn take_moves(&self) -> Vec<MoveNotice> {
        std::mem::take(&mut self.moves.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The reconciliation has to look at the instance.
    pub(super) fn note_due(&self, uuid: Uuid) {
        let _ = self.due.send(uuid); // the loop may have ended
    }

    /// The instances that are due, for the one loop that takes them.
    pub(super) fn take_due(&self) -> Option<mpsc::UnboundedReceiver<Uuid>> {
        self.due_receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Follows instances that change. A receiver that is too far behind gets an error, and looks at
    /// all instances.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Uuid> {
        self.changed.subscribe()
    }

    /// The index and the fleet at one moment: what a crash at that moment would leave. Of two
    /// different moments, an instance that was created or deleted in between would have a record
    /// without capacity, or capacity without a record.
    pub(crate) fn moment(&self) -> (Snapshot, FleetState) {
        let (snapshot, fleet) = self.index.snapshot_with(|| self.lock());
        (snapshot, FleetState(fleet.state().clone()))
    }

    /// Whether this is the latest connection of the host's agent.
    pub(crate) fn is_current(&self, host: &str, session: Session) -> bool {
        self.read(|fleet| fleet.is_current(host, session))
    }

    /// The instance with this UUID.
    pub(crate) fn instance_by_uuid(&self, uuid: Uuid) -> Option<Arc<Instance>> {
        self.read(|fleet| fleet.instance_by_uuid(uuid))
    }

    /// The providers of hosts and the names of resource classes at this moment.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.index.topology()
    }
}

impl HostSource for FleetHandle {
    fn changes(&self) -> HostChanges {
        self.observe(|fleet, _| fleet.take_host_changes())
    }

    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>) {
        self.read(Fleet::all_host_facts)
    }

    fn some(&self, hosts: &std::collections::BTreeSet<String>) -> Vec<HostRecord> {
        self.read(|fleet| fleet.some_host_facts(hosts))
    }
}

/// The present moment by both clocks.
pub(super) fn moment() -> Moment {
    Moment { wall: now(), monotonic: monotonic() }
}

/// A UUID that no other object has.
pub(crate) fn new_uuid() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "a new UUID has to differ from all others")]
    Uuid::new_v4()
}
