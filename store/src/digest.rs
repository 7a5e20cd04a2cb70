//! A digest of everything that a Placement service stores.

use std::fmt;

use berth_placement::standard::CUSTOM_PREFIX;
use berth_placement::{Record, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::fleet_records::FleetRecords;
use crate::state_file::{entry_text, hex, record_text};

/// The number of entries of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Custom resource classes.
    pub custom_classes: usize,
    /// Custom traits.
    pub custom_traits: usize,
    /// Resource providers.
    pub providers: usize,
    /// Inventories of all providers.
    pub inventories: usize,
    /// Traits of all providers.
    pub provider_traits: usize,
    /// Aggregates of all providers.
    pub provider_aggregates: usize,
    /// Consumers.
    pub consumers: usize,
    /// Allocations of all consumers.
    pub allocations: usize,
    /// Records of the fleet: hosts, aggregates, flavors, server groups and their members, quotas
    /// and instances.
    pub fleet_records: usize,
}

/// A digest that is equal for two services exactly if they store the same custom classes and
/// traits, providers, consumers and everything that belongs to these, including generations. It
/// ignores times, which databases store with less precision; unused standard names, which differ
/// between versions; and consumers without allocations. It covers the fleet completely.
#[derive(Default)]
pub struct Digest {
    summary: Summary,
    hashes: Vec<[u8; 32]>,
}

impl Digest {
    /// Adds a record. The order does not matter.
    pub fn add(&mut self, record: &Record) {
        if matches!(record, Record::Consumer(consumer) if consumer.allocations.is_empty()) {
            return;
        }
        self.count(record);
        let mut record = record.clone();
        match &mut record {
            Record::Class(name) | Record::Trait(name) => {
                if !name.name.starts_with(CUSTOM_PREFIX) {
                    return;
                }
                name.since = Timestamp::default();
            }
            Record::Provider(provider) => {
                provider.changed_at = Timestamp::default();
                provider.inventories.sort_by(|(one, _), (other, _)| one.cmp(other));
                provider.traits.sort();
                provider.aggregates.sort();
            }
            Record::Consumer(consumer) => {
                consumer.written_at = Timestamp::default();
                consumer.allocations.sort();
            }
        }
        self.hashes.push(Sha256::digest(record_text(record)).into());
    }

    /// Adds the records of a fleet.
    pub fn add_fleet(&mut self, fleet: &impl FleetRecords) {
        for (key, value) in fleet.records() {
            self.summary.fleet_records += 1;
            self.hashes.push(Sha256::digest(entry_text(&key, &value)).into());
        }
    }

    fn count(&mut self, record: &Record) {
        let Summary { custom_classes, custom_traits, .. } = &mut self.summary;
        match record {
            Record::Class(name) => *custom_classes += usize::from(name.name.starts_with(CUSTOM_PREFIX)),
            Record::Trait(name) => *custom_traits += usize::from(name.name.starts_with(CUSTOM_PREFIX)),
            Record::Provider(provider) => {
                self.summary.providers += 1;
                self.summary.inventories += provider.inventories.len();
                self.summary.provider_traits += provider.traits.len();
                self.summary.provider_aggregates += provider.aggregates.len();
            }
            Record::Consumer(consumer) => {
                self.summary.consumers += 1;
                self.summary.allocations += consumer.allocations.len();
            }
        }
    }

    /// Returns the counts and the digest as hexadecimal digits.
    #[must_use]
    pub fn finish(mut self) -> (Summary, String) {
        self.hashes.sort_unstable();
        (self.summary, hex(&Sha256::digest(self.hashes.concat())))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("custom classes", self.custom_classes),
            ("custom traits", self.custom_traits),
            ("providers", self.providers),
            ("inventories", self.inventories),
            ("provider traits", self.provider_traits),
            ("provider aggregates", self.provider_aggregates),
            ("consumers", self.consumers),
            ("allocations", self.allocations),
            ("fleet records", self.fleet_records),
        ];
        lines.iter().try_for_each(|(what, count)| writeln!(f, "{what:20} {count:>10}"))
    }
}
