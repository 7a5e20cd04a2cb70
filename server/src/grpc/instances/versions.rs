//! Instances as messages, rendered once for all streams that watch them.
//!
//! One task follows the fleet, for as long as a stream needs it. It renders each instance that
//! changes, waits until the change is durable, and publishes the message. Streams share it: they
//! neither copy messages nor ask the fleet, so their number does not matter to other calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use berth_api::v1;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tonic::Status;
use uuid::Uuid;

use super::message::instance;
use crate::grpc::call;
use crate::request::Epoch;

/// Changes that a stream may be behind before it has to look at all instances again.
const BEHIND: usize = 1 << 12;

/// Instances that are rendered before other calls get a turn.
const TURN: usize = 64;

/// Why a stream ends when the state is another.
pub(super) const READ_AGAIN: &str = "the state was read again; begin again";

/// The publisher of the present state, while a stream needs it.
#[derive(Default)]
pub(super) struct Publishers(Mutex<Weak<Published>>);

/// The published messages of one state.
pub(super) struct Published {
    epoch: Arc<Epoch>,
    state: Mutex<State>,
    is_complete: watch::Sender<bool>,
}

struct State {
    instances: BTreeMap<Uuid, Version>,
    /// The number of versions so far.
    versions: u64,
    /// Why nothing more is published, or the changes.
    changes: Result<broadcast::Sender<Change>, Status>,
}

/// An instance as it is since a change.
#[derive(Debug, Clone)]
pub(super) struct Version {
    /// Versions are numbered in their order.
    pub(super) number: u64,
    pub(super) instance: Arc<v1::Instance>,
}

/// A new version of an instance, or its last one.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) uuid: Uuid,
    pub(super) version: Version,
    pub(super) is_gone: bool,
}

impl Publishers {
    /// The published messages of this state.
    pub(super) fn of(&self, epoch: &Arc<Epoch>) -> Arc<Published> {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match present.upgrade() {
            Some(published) if Arc::ptr_eq(&published.epoch, epoch) && published.lock().changes.is_ok() => {
                published
            }
            _ => {
                let published = Published::begin(epoch);
                *present = Arc::downgrade(&published);
                published
            }
        }
    }
}

impl Published {
    fn begin(epoch: &Arc<Epoch>) -> Arc<Self> {
        let changes = Ok(broadcast::Sender::new(BEHIND));
        let state = State { instances: BTreeMap::new(), versions: 0, changes };
        let is_complete = watch::Sender::new(false);
        let published = Arc::new(Self { epoch: Arc::clone(epoch), state: Mutex::new(state), is_complete });
        tokio::spawn(publish(Arc::downgrade(&published), Arc::clone(epoch)));
        published
    }

    /// Waits until every instance is published.
    pub(super) async fn complete(&self) {
        let mut is_complete = self.is_complete.subscribe();
        drop(is_complete.wait_for(|is_complete| *is_complete).await); // the sender is in `self`
    }

    /// The changes from now on, and what `wanted` accepts of what is published by now.
    pub(super) fn subscribe(
        &self,
        wanted: impl Fn(Uuid, &v1::Instance) -> bool,
    ) -> Result<(broadcast::Receiver<Change>, Vec<Uuid>), Status> {
        let state = self.lock();
        let changes = state.changes.as_ref().map_err(Clone::clone)?.subscribe();
        let instances = state.instances.iter().filter(|(uuid, version)| wanted(**uuid, &version.instance));
        Ok((changes, instances.map(|(&uuid, _)| uuid).collect()))
    }

    /// The present version of an instance.
    pub(super) fn version(&self, uuid: Uuid) -> Option<Version> {
        self.lock().instances.get(&uuid).cloned()
    }

    /// Why nothing more is published.
    pub(super) fn ended(&self) -> Status {
        self.lock().changes.as_ref().err().cloned().unwrap_or_else(|| Status::unavailable(READ_AGAIN))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, uuid: Uuid, now: Option<v1::Instance>) {
        let mut state = self.lock();
        let State { instances, versions, changes } = &mut *state;
        let number = *versions + 1;
        let change = match now {
            Some(now) => {
                if instances.get(&uuid).is_some_and(|before| *before.instance == now) {
                    return;
                }
                let version = Version { number, instance: Arc::new(now) };
                instances.insert(uuid, version.clone());
                Change { uuid, version, is_gone: false }
            }
            None => {
                let Some(last) = instances.remove(&uuid) else { return };
                let last = Arc::unwrap_or_clone(last.instance);
                let version = Version { number, instance: Arc::new(deleted(last)) };
                Change { uuid, version, is_gone: true }
            }
        };
        *versions = number;
        if let Ok(changes) = changes {
            let _ = changes.send(change); // the last stream may have ended
        }
    }

    fn end(&self, reason: Status) {
        self.lock().changes = Err(reason);
        self.is_complete.send_replace(true);
    }
}

/// Publishes the instances of a state, and what changes, as long as a stream needs it.
async fn publish(published: Weak<Published>, epoch: Arc<Epoch>) {
    let mut changes = epoch.fleet.watch();
    let mut due = all(&epoch);
    loop {
        for some in due.chunks(TURN) {
            let Some(published) = published.upgrade() else { return };
            let rendered: Vec<(Uuid, Option<v1::Instance>)> = epoch.fleet.read(|fleet| {
                let render = |&uuid| (uuid, fleet.state().instance(uuid).map(|known| instance(fleet, known)));
                some.iter().map(render).collect()
            });
            if let Err(reason) = epoch.wait_durable().await {
                return published.end(call::outcome_unknown(&reason));
            }
            rendered.into_iter().for_each(|(uuid, now)| published.publish(uuid, now));
            tokio::task::yield_now().await;
        }
        if let Some(published) = published.upgrade() {
            published.is_complete.send_replace(true);
        }
        due = match next(&mut changes).await {
            Ok(due) => due,
            Err(RecvError::Lagged(_)) => {
                let Some(published) = published.upgrade() else { return };
                let known: Vec<Uuid> = published.lock().instances.keys().copied().collect();
                known.into_iter().chain(all(&epoch)).collect()
            }
            Err(RecvError::Closed) => {
                return published
                    .upgrade()
                    .into_iter()
                    .for_each(|published| published.end(Status::unavailable(READ_AGAIN)));
            }
        };
        due.sort_unstable();
        due.dedup();
    }
}

fn all(epoch: &Epoch) -> Vec<Uuid> {
    epoch.fleet.read(|fleet| fleet.instances(|_| true)).iter().map(|known| known.uuid).collect()
}

/// The instances that changed next.
async fn next(changes: &mut broadcast::Receiver<Uuid>) -> Result<Vec<Uuid>, RecvError> {
    let mut due = vec![changes.recv().await?];
    loop {
        match changes.try_recv() {
            Ok(uuid) => due.push(uuid),
            Err(TryRecvError::Lagged(missed)) => return Err(RecvError::Lagged(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(due),
        }
    }
}

/// The last message about an instance.
pub(super) fn deleted(last: v1::Instance) -> v1::Instance {
    let (status, vm_state) = ("DELETED".to_owned(), "deleted".to_owned());
    v1::Instance { status, vm_state, task_state: String::new(), power_state: "NOSTATE".to_owned(), ..last }
}
