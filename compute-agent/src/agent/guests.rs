//! The guests of an agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Agent, Finished, REMEMBERED};
use crate::disks::{DiskRole, Incoming};
use crate::guest::{Guest, Reaction};
use crate::{Found, GuestGoal, GuestRecord, GuestStep, Hypervisor, Job, ObservedState};

impl<H: Hypervisor> Agent<H> {
    pub(super) fn adopt(&mut self, found: Vec<Found>) {
        for Found { instance, power, record } in found {
            let guest = Guest::new(power, record, self.grace());
            self.guests.insert(instance, guest);
            if power == ObservedState::Absent {
                self.remember_removed(instance);
            }
        }
    }

    /// Compares a survey with the known guests. A survey may be older than the result of a later
    /// step, so each guest that seems to differ is observed again.
    pub(super) fn compare(&mut self, found: Vec<Found>) {
        let mut found: BTreeMap<_, _> = found.into_iter().map(|found| (found.instance, found)).collect();
        let known: Vec<_> = self.guests.iter().map(|(&instance, guest)| (instance, guest.power())).collect();
        for (instance, power) in known {
            let seen = found.remove(&instance).map_or(ObservedState::Absent, |found| found.power);
            if seen != power {
                self.with_guest(instance, Guest::disturbed);
            }
        }
        for (instance, found) in found {
            self.adopt(vec![found]);
            self.outbox.add_guest(instance);
        }
    }

    pub(super) fn with_guest(&mut self, instance: Uuid, act: impl FnOnce(&mut Guest) -> Reaction) {
        if let Some(guest) = self.guests.get_mut(&instance) {
            let reaction = act(guest);
            self.react(instance, reaction);
        }
    }

    /// A step of another guest has changed this one: its disks may have been set aside, or taken
    /// back.
    pub(super) fn disturb_other(&mut self, guest: Uuid) {
        let grace = self.grace();
        self.guests
            .entry(guest)
            .or_insert_with(|| Guest::new(ObservedState::Shelved, GuestRecord::default(), grace));
        self.with_guest(guest, Guest::disturbed);
    }

    /// Offers the disks of a guest to another host, or to none, as its desired state says. Those of
    /// a guest that is to be sent are offered without content.
    pub(super) fn offer(&mut self, instance: Uuid) {
        let desired = self.guests.get(&instance).and_then(Guest::desired);
        let ticket = desired.and_then(|desired| match (&desired.disks, &desired.transfer) {
            (Some(DiskRole::Offer(ticket)), _) => Some(ticket.as_str()),
            (_, Some(transfer)) if desired.goal == GuestGoal::Leaving => Some(transfer.ticket.as_str()),
            _ => None,
        });
        self.offers.set(instance, ticket);
    }

    pub(super) fn react(&mut self, instance: Uuid, reaction: Reaction) {
        let Some(guest) = self.guests.get(&instance) else { return };
        if let Some(step) = reaction.step {
            tracing::debug!(%instance, ?step);
            let desired = guest.desired();
            let spec = desired.and_then(|desired| desired.spec.clone());
            let transfer = desired.and_then(|desired| desired.transfer.clone());
            let source = desired.filter(|_| step == GuestStep::Fetch).and_then(|of| of.disk_source(instance));
            let incoming = source.map(|source| Incoming::new(self.settings.peers.clone(), source));
            let hypervisor = Arc::clone(&self.hypervisor);
            let job = Job { instance, step, spec, incoming, transfer };
            self.tasks.spawn(async move { Finished::Step(instance, hypervisor.perform(job).await) });
        }
        if let Some(at) = reaction.wake_at {
            self.times.wake_guest(instance, at);
        }
        if reaction.report {
            let is_over = guest.is_over();
            self.outbox.add_guest(instance);
            if is_over {
                self.remember_removed(instance);
            }
        }
    }

    fn remember_removed(&mut self, instance: Uuid) {
        self.gone.push_back(instance);
        if self.gone.len() <= REMEMBERED {
            return;
        }
        let Some(oldest) = self.gone.pop_front() else { return };
        if self.guests.get(&oldest).is_some_and(Guest::is_over) {
            self.guests.remove(&oldest);
            let hypervisor = Arc::clone(&self.hypervisor);
            self.tasks.spawn(async move {
                hypervisor.forget(oldest).await;
                Finished::Forgotten
            });
        }
    }
}
