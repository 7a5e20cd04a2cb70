//! Pending messages to the service.

use std::collections::{BTreeSet, VecDeque};

use berth_api::v1::ConsoleReply;
use uuid::Uuid;

/// Pending messages to the service. It is not a queue: a guest that changes twice before the stream
/// has capacity is reported once, with its state at that time. So the outbox never has more entries
/// than there are guests, and requests of the service for console output.
#[derive(Default, Debug)]
pub(super) struct Outbox {
    hello: bool,
    providers: bool,
    guests: BTreeSet<Uuid>,
    all_reported: bool,
    heartbeat: bool,
    consoles: VecDeque<ConsoleReply>,
}

/// One pending message.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Item {
    Hello,
    Providers,
    Guest(Uuid),
    AllReported,
    Heartbeat,
    Console(ConsoleReply),
}

impl Outbox {
    /// Everything that a new stream begins with. The service has given up on requests of an earlier
    /// one.
    pub(super) fn everything(guests: BTreeSet<Uuid>) -> Self {
        Self { hello: true, providers: true, guests, all_reported: true, ..Self::default() }
    }

    pub(super) fn add_providers(&mut self) {
        self.providers = true;
    }

    pub(super) fn add_guest(&mut self, instance: Uuid) {
        self.guests.insert(instance);
    }

    pub(super) fn add_heartbeat(&mut self) {
        self.heartbeat = true;
    }

    pub(super) fn add_console(&mut self, reply: ConsoleReply) {
        self.consoles.push_back(reply);
    }

    pub(super) fn is_empty(&self) -> bool {
        !(self.hello || self.providers || self.all_reported || self.heartbeat)
            && self.guests.is_empty()
            && self.consoles.is_empty()
    }

    /// Takes the next message. A heartbeat waits only for the first two messages of a stream.
    pub(super) fn take(&mut self) -> Option<Item> {
        let take = std::mem::take::<bool>;
        if take(&mut self.hello) {
            return Some(Item::Hello);
        }
        if take(&mut self.providers) {
            return Some(Item::Providers);
        }
        if take(&mut self.heartbeat) {
            return Some(Item::Heartbeat);
        }
        if let Some(reply) = self.consoles.pop_front() {
            return Some(Item::Console(reply));
        }
        if let Some(instance) = self.guests.pop_first() {
            return Some(Item::Guest(instance));
        }
        take(&mut self.all_reported).then_some(Item::AllReported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_stream_begins_with_hello_and_ends_its_inventory_with_all_reported() {
        let guests = [2, 1].map(Uuid::from_u128);
        let mut outbox = Outbox::everything(guests.into());
        outbox.add_guest(guests[0]);
        let taken: Vec<_> = std::iter::from_fn(|| outbox.take()).collect();
        let [second, first] = guests.map(Item::Guest);
        assert_eq!(taken, [Item::Hello, Item::Providers, first, second, Item::AllReported]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn heartbeats_do_not_wait_for_reports() {
        let mut outbox = Outbox::default();
        outbox.add_guest(Uuid::from_u128(1));
        outbox.add_heartbeat();
        outbox.add_heartbeat();
        let taken: Vec<_> = std::iter::from_fn(|| outbox.take()).collect();
        assert_eq!(taken, [Item::Heartbeat, Item::Guest(Uuid::from_u128(1))]);
    }
}
