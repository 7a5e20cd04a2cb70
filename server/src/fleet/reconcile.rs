//! The loop that brings instances to their desired state.
//!
//! It looks at an instance whenever its record has changed, and from time to time at all unfinished
//! ones, and takes the next step that follows from the record. Each step is idempotent, and an
//! agent receives a desired guest only when the record is durable. So after a crash the loop
//! continues from the records, and no host has a guest that the records do not know.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::service_message::Message;
use berth_fleet::DesiredGuest;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::FleetHandle;
use super::ask::Ask;
use super::message::desired_guest;
use crate::amounts;
use crate::request::{Access, Epoch};
use crate::service::Service;

/// The interval in which hosts are checked.
const TICK: Duration = Duration::from_secs(1);

/// All unfinished instances are due once in this many ticks.
const ROUND: u32 = 10;

/// The most instances that are handled before their agents receive messages.
const BATCH: usize = 256;

/// Reconciles the service's fleet, also after its store failed and was loaded again.
pub(crate) async fn run(service: &Service) {
    loop {
        let epoch = service.epoch();
        match epoch.access {
            Access::Volatile | Access::Durable(_) => run_epoch(service, &epoch).await,
            Access::ReadOnly(_) | Access::Down(_) => tokio::time::sleep(TICK).await,
        }
    }
}

/// Reconciles the fleet of an epoch until there is another.
async fn run_epoch(service: &Service, epoch: &Arc<Epoch>) {
    let fleet = &epoch.fleet;
    let Some(mut due) = fleet.take_due() else {
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
                ticks = ticks.wrapping_add(1);
                block_in_place(|| fleet.check_hosts(ticks.is_multiple_of(ROUND)));
                fleet.take_moves().into_iter().for_each(|moved| service.metrics.note_move(moved));
            }
        }
    }
}

impl FleetHandle {
    /// Applies what follows from the time: hosts that are down, parts of trees that have become
    /// free, moves whose window has passed. All unfinished instances are due in a `round`, and when
    /// a host has come up.
    fn check_hosts(&self, round: bool) {
        let has_risen = self.observe(|fleet, now| {
            fleet.expire_hosts(now);
            fleet.take_risen()
        });
        self.remove_retired();
        self.remove_unused_names();
        self.forget_names();
        self.confirm_expired();
        // An instance that found no host may have waited for this one.
        if has_risen || round {
            self.note_unfinished();
            self.forget_released_members();
        }
    }

    /// All unfinished instances are due.
    fn note_unfinished(&self) {
        let unfinished = self.read(berth_fleet::Fleet::unfinished);
        unfinished.into_iter().for_each(|uuid| self.note_due(uuid));
    }

    /// Confirms the moves whose window has passed.
    fn confirm_expired(&self) {
        if self.read(berth_fleet::Fleet::has_expiring_moves) {
            self.command(berth_fleet::Fleet::confirm_expired);
        }
    }

    async fn reconcile(&self, epoch: &Epoch, instances: BTreeSet<Uuid>) {
        // Decisions take microseconds each, but wait for the decider, and there may be many.
        let messages: Vec<_> = block_in_place(|| {
            instances.iter().for_each(|&uuid| self.take_step(uuid));
            instances.iter().flat_map(|&uuid| self.desired_guests(uuid)).collect()
        });
        if messages.is_empty() || epoch.wait_on_disk().await.is_err() {
            return;
        }
        for (host, message) in messages {
            if let Some(session) = self.read(|fleet| fleet.reconciled_session(&host)) {
                self.outboxes.send(&host, session, message);
            }
        }
    }

    /// The desired guests of an instance, each with its host.
    fn desired_guests(&self, uuid: Uuid) -> Vec<(String, Message)> {
        let Some(instance) = self.instance_by_uuid(uuid) else { return Vec::new() };
        let message = |guest: DesiredGuest| {
            let allocations = if guest.spec.is_some() { self.allocations(uuid) } else { Vec::new() };
            let message = self.read(|fleet| desired_guest(&guest, allocations, fleet.state()));
            let message = Message::DesiredGuest(message);
            (guest.host, message)
        };
        instance.desired_guests().into_iter().map(message).collect()
    }

    /// Takes the next step of an instance that needs no agent: schedules it, or finishes its
    /// deletion.
    fn take_step(&self, uuid: Uuid) {
        let instance = self.read(|fleet| {
            let instance = fleet.state().instance(uuid).filter(|_| !fleet.is_placing(uuid));
            instance.map(Arc::clone)
        });
        let Some(instance) = instance else { return };
        if instance.is_deletable() {
            self.command(|fleet, _| fleet.finish_deletion(uuid));
        } else if instance.is_scheduling() {
            self.build(uuid);
        } else if instance.needs_target() {
            self.go_on_moving(uuid);
        }
    }

    /// Claims capacity for an instance that has none, and begins to build it.
    fn build(&self, uuid: Uuid) {
        let Some(instance) = self.command(|fleet, now| fleet.next_build(uuid, now)) else { return };
        let placed = self.schedule(&Ask::of(&instance), false);
        self.command(|fleet, now| match placed {
            Ok(placed) => {
                for placed in placed {
                    fleet.spawn(placed.instance, &placed.place.host, now.wall);
                }
            }
            // Agents may not have reconnected yet.
            Err(error) if error.is_no_valid_host() && fleet.is_young(now) => {}
            Err(error) => fleet.give_up(uuid, &error.to_string(), now.wall),
        });
    }

    fn allocations(&self, uuid: Uuid) -> Vec<v1::Allocation> {
        let held = self.index.allocations(uuid.into()).unwrap_or_default();
        let topology = self.index.topology(); // after the allocations: it has their providers
        amounts::allocations(&topology, held.to_vec())
    }
}
