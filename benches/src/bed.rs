//! The common setup of the criterion and instruction-count benches: a filled fleet and one decider
//! on it.

use std::sync::Arc;

use berth_placement::{ConsumerId, Row};
use berth_scheduler::{AmountEngine, Objective, Prepared, Request, Search, Weights};

use crate::fleet::{DISABLED, FilledFleet, FilledFleetSpec, zone};

/// A decider on a filled fleet, with the request of the benches.
pub struct Bed {
    /// The fleet.
    pub fleet: FilledFleet,
    /// The decider.
    pub scheduler: AmountEngine,
    /// The prepared request.
    pub prepared: Prepared,
    /// A request twice as large, which alternates with `prepared`.
    larger: Prepared,
    next: u128,
    staying: Option<ConsumerId>,
}

impl Bed {
    /// A fleet of `hosts` hosts, filled to `fill` percent, with Nova's weighers.
    ///
    /// # Panics
    /// More hosts than an index holds.
    #[must_use]
    pub fn nova(hosts: u32, fill: u32) -> Self {
        Self::new(hosts, fill, Weights::default())
    }

    /// The same fleet with another objective.
    ///
    /// # Panics
    /// More hosts than an index holds.
    #[must_use]
    pub fn new(hosts: u32, fill: u32, objective: impl Into<Objective>) -> Self {
        let fleet = FilledFleet::build(FilledFleetSpec { hosts, fill, seed: 1 })
            .expect("an index holds that many hosts");
        let mut scheduler = AmountEngine::new(Arc::clone(&fleet.index), objective, Search::Ranked);
        let prepared = scheduler.prepare(request());
        let mut larger = request();
        larger.resources.iter_mut().for_each(|(_, amount)| *amount *= 2);
        let larger = scheduler.prepare(larger);
        Self { fleet, scheduler, prepared, larger, next: 0, staying: None }
    }

    /// A consumer without allocations.
    pub fn consumer(&mut self) -> ConsumerId {
        self.next += 1;
        ConsumerId(1 << 103 | self.next)
    }

    /// Places a VM on the best host and removes the previous one, so that deciders have changes to
    /// apply. The two differ in size: otherwise they would cancel each other on one host, and a
    /// cached result would answer the next decision.
    ///
    /// # Panics
    /// No host fits.
    pub fn change(&mut self) -> Row {
        let consumer = self.consumer();
        let request = if self.next.is_multiple_of(2) { &mut self.prepared } else { &mut self.larger };
        let row = self.scheduler.place(consumer, request).expect("a small VM finds a host");
        if let Some(leaving) = self.staying.replace(consumer) {
            self.fleet.index.release(leaving).expect("placed by the change before");
        }
        row
    }
}

/// Two vCPUs in one zone, on an SSD, not on a disabled host.
#[must_use]
pub fn request() -> Request {
    let mut request = Request::of(2, 4_096, 20);
    request.required_traits.push("STORAGE_DISK_SSD".to_owned());
    request.forbidden_traits.push(DISABLED.to_owned());
    request.member_of.push(vec![zone(1)]);
    request
}
