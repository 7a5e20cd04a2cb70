//! Bringing instances to what is wished of them.
//!
//! One loop looks after a fleet. It looks at an instance whenever its record has changed, and at all unfinished ones from time
//! to time, and does what the record says is next: one file for each concern. Each step is idempotent, and an agent is told
//! of a wish only when the wish is durable; so after a crash the loop goes on where the records are, and no host has a guest
//! that the records do not know.
//!
//! ```text
//!                 create                    room claimed            guest runs
//!   (none) ──────────────► scheduling ──────────────────► spawning ────────────► active ...
//!                              ▲                              │
//!                              └──── build failed, try ───────┤ tried often enough,
//!                                    another host             │ or no host: error
//! ```

mod build;
mod delete;
mod report;
mod restart;
mod unexpected;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use berth_api::v1::{self, service_message::Message};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::Fleet;
use super::agents::Session;
use super::entry::{Instance, Task};
use super::state::State;
use crate::amounts;
use crate::request::{Access, Epoch};
use crate::service::Service;

/// How often hosts are judged.
const TICK: Duration = Duration::from_secs(1);

/// Every so many ticks, all unfinished instances are looked at.
const ROUND: u32 = 10;

/// Instances that are looked at before agents are told.
const BATCH: usize = 256;

/// What is to be told to the agent of a host.
type Told = (String, Message);

/// Looks after the service's fleet, also after its store failed and was loaded again.
pub(crate) async fn look_after(service: Arc<Service>) {
    loop {
        let epoch = service.epoch();
        match epoch.access {
            Access::Volatile | Access::Durable(_) => look_after_one(&service, &epoch).await,
            Access::ReadOnly(_) | Access::Down(_) => tokio::time::sleep(TICK).await,
        }
    }
}

/// Looks after the fleet of an epoch until there is another.
async fn look_after_one(service: &Service, epoch: &Arc<Epoch>) {
    let fleet = &epoch.fleet;
    let Some(mut due) = fleet.due_receiver.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        tokio::time::sleep(TICK).await;
        return;
    };
    fleet.note_unfinished();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut ticks, mut waiting) = (0_u32, Vec::new());
    while Arc::ptr_eq(epoch, &service.epoch()) {
        tokio::select! {
            _ = due.recv_many(&mut waiting, BATCH) => {
                let instances: BTreeSet<Uuid> = waiting.drain(..).collect();
                fleet.reconcile(epoch, instances).await;
            }
            _ = tick.tick() => {
                fleet.judge_liveness();
                fleet.remove_retired();
                ticks = ticks.wrapping_add(1);
                // What found no host may have waited for this one.
                if fleet.has_risen.swap(false, Ordering::Relaxed) || ticks.is_multiple_of(ROUND) {
                    fleet.note_unfinished();
                    fleet.forget_released();
                }
            }
        }
    }
}

impl Fleet {
    /// All instances of which something is wished that is not so yet.
    fn note_unfinished(&self) {
        let is_unfinished =
            |instance: &Instance| instance.task() != Task::None || !instance.leftovers.is_empty();
        let state = self.state();
        let unfinished: Vec<Uuid> = state
            .instances
            .iter()
            .filter(|(_, instance)| is_unfinished(instance))
            .map(|(&uuid, _)| uuid)
            .collect();
        drop(state);
        for uuid in unfinished {
            self.note_due(uuid);
        }
    }

    async fn reconcile(&self, epoch: &Epoch, instances: BTreeSet<Uuid>) {
        for &uuid in &instances {
            if self.placing().contains(&uuid) {
                continue;
            }
            match self.instance_by_uuid(uuid).map(|instance| instance.task()) {
                Some(Task::Scheduling) => self.build(uuid),
                Some(Task::Deleting) => self.finish_deletion(uuid),
                _ => {}
            }
        }
        let told: Vec<Told> = instances.iter().flat_map(|&uuid| self.desired_guests(uuid)).collect();
        if told.is_empty() || epoch.settled().await.is_err() {
            return;
        }
        for (host, message) in told {
            self.agents.send(&host, message);
        }
    }

    /// What is wished of the instance, for each host that has something to do with it.
    fn desired_guests(&self, uuid: Uuid) -> Vec<Told> {
        let Some(instance) = self.instance_by_uuid(uuid) else { return Vec::new() };
        let absent = instance
            .leftovers
            .iter()
            .map(|host| (host.clone(), Message::DesiredGuest(instance.absent_guest())));
        let mut told: Vec<Told> = absent.collect();
        if !instance.host.is_empty()
            && let Some(desired) = instance.desired_guest(self.held_by(uuid))
        {
            told.push((instance.host.clone(), Message::DesiredGuest(desired)));
        }
        told
    }

    fn held_by(&self, uuid: Uuid) -> Vec<v1::Allocation> {
        let held = self.index.allocations(uuid.into()).unwrap_or_default();
        let topology = self.index.topology(); // after the allocations: it has their providers
        amounts::allocations(&topology, held.to_vec())
    }

    /// The agent has told of all guests that it knows: what is wished of the others, it has to be told.
    pub(crate) fn all_reported(&self, host: &str, session: Session) {
        if !self.agents.note_all_reported(host, session) {
            return;
        }
        let there: Vec<Uuid> = {
            let state: &State = &self.state();
            state.by_host.get(host).into_iter().flatten().copied().collect()
        };
        for uuid in there {
            if self.agents.has_reported(host, uuid) {
                self.note_due(uuid);
            } else {
                self.miss(host, uuid);
            }
        }
    }
}
