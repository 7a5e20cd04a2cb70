//! The short way and the long way name the same hosts, alternates and allocations, while instances
//! come and go and others are faster now and then.

use std::collections::BTreeMap;

use berth_placement::{Allocation, ConsumerId, Index, Inventory, Row};
use berth_scheduler::filter_scheduler::PreparedRequest;
use berth_scheduler::hosts::HostRow;
use berth_scheduler::select::{AllocationCandidate, CandidateAllocations, Decision};
use berth_scheduler::{FilterName, Options, RequestSpec};
use serde_json::Value;

use crate::cloud::{LongWay, NOW, ShortWay, computes, known};
use crate::fleet::{Fleet, Kind, uuid};
use crate::numbers::Numbers;
use crate::requests::request;

fn options(random: &mut Numbers) -> Options {
    let mut options = Options::default();
    options.scheduler.limit_tenants_to_placement_aggregate = random.one_in(3);
    options.scheduler.enable_isolated_aggregate_filtering = random.one_in(3);
    options.scheduler.query_placement_for_image_type_support = random.one_in(3);
    // It is no limit here: each host has its turn.
    options.scheduler.max_placement_results = random.pick(&[1000, 5]);
    let weights = &mut options.filter_scheduler;
    weights.ram_weight_multiplier = random.pick(&[1.0, 1.0, -1.0]);
    weights.host_subset_size = random.pick(&[1, 1, 1, 3]);
    weights.shuffle_best_same_weighed_hosts = random.one_in(6);
    weights.enabled_filters.push(FilterName::DifferentHostFilter);
    if random.one_in(4) {
        weights.enabled_filters.push(FilterName::PciPassthroughFilter);
    }
    options
}

/// Takes all that is left on the provider that the candidate takes from last.
fn take_all(index: &Index, candidate: &AllocationCandidate, rival: ConsumerId) {
    let CandidateAllocations::Rows(taken) = &candidate.allocations else {
        panic!("a candidate of the index is one of rows");
    };
    let &Allocation { row, class, .. } = taken.last().unwrap();
    let units = index.inventory(row, class).unwrap().units;
    let free = u32::try_from(index.free(row, class).unwrap_or(0).max(0)).unwrap();
    let amount = free.min(units.max_unit) / units.step_size * units.step_size;
    // Nothing may be left to take.
    let _ = index.claim(rival, &[Allocation { row, class, amount }]);
}

/// Who holds what, in UUIDs.
fn held(index: &Index, instances: &[ConsumerId]) -> BTreeMap<ConsumerId, Vec<(Row, u16, u32)>> {
    let of = |instance: &ConsumerId| {
        let held = index.allocations(*instance).unwrap_or_default();
        held.iter().map(|one| (one.row, one.class.0, one.amount)).collect::<Vec<_>>()
    };
    instances.iter().map(|instance| (*instance, of(instance))).collect()
}

/// Chosen host and alternates of each instance.
fn rows(decision: &Decision) -> Vec<Vec<HostRow>> {
    let selections = decision.result.iter().flatten();
    selections.map(|of_one| of_one.iter().map(|selection| selection.row).collect()).collect()
}

struct Run {
    fleet: Fleet,
    long: LongWay,
    short: ShortWay,
    prepared: Vec<(RequestSpec, Option<PreparedRequest>)>,
    /// Instances that were placed, by decision.
    placed: Vec<(Vec<ConsumerId>, Decision, Decision)>,
    instances: usize,
    rivals: usize,
}

#[derive(Debug, Default)]
struct Counts {
    placed: usize,
    refused: usize,
    contested: usize,
    /// Decisions that were made without looking at all hosts.
    counted: usize,
}

impl Run {
    fn new(kind: Kind, hosts: usize, random: &mut Numbers) -> Self {
        let fleet = Fleet::new(kind, hosts, random);
        let options = options(random);
        let (long, short) = (LongWay::new(&fleet, &options), ShortWay::new(&fleet, &options));
        let mut run =
            Self { fleet, long, short, prepared: Vec::new(), placed: Vec::new(), instances: 0, rivals: 0 };
        for _ in 0..5 {
            let spec: RequestSpec = read(request(&run.fleet, random));
            let prepared = run.prepare(&spec);
            run.prepared.push((spec, prepared));
        }
        run
    }

    fn prepare(&mut self, spec: &RequestSpec) -> Option<PreparedRequest> {
        let computes = computes(&self.fleet);
        self.short.scheduler.prepare(spec.clone(), &known(&self.fleet, &computes), NOW).ok()
    }

    fn step(&mut self, random: &mut Numbers, counts: &mut Counts) {
        let (at, count) = (random.below(self.prepared.len()), random.pick(&[1, 1, 1, 2, 4]));
        let instances: Vec<ConsumerId> = (0..count).map(|one| uuid(6, self.instances + one).into()).collect();
        self.instances += count;
        let contested = random.one_in(4);
        let first = ConsumerId(uuid(7, 0).as_u128() + 1000 * self.rivals as u128);
        self.rivals += 1;
        let rival = |index: &Index, candidate: &AllocationCandidate, claims: &mut u128| {
            *claims += 1;
            if contested && *claims <= 3 {
                take_all(index, candidate, ConsumerId(first.0 + *claims));
            }
        };
        let (spec, prepared) = &mut self.prepared[at];
        let computes = computes(&self.fleet);
        let mut claims = 0;
        let expected = self.long.decide(
            &known(&self.fleet, &computes),
            spec.clone(),
            &instances,
            &mut |index, candidate| {
                rival(index, candidate, &mut claims);
            },
        );
        let Some(prepared) = prepared else {
            assert!(expected.is_err());
            return;
        };
        let (expected, long_claims) = (expected.unwrap(), claims);
        claims = 0;
        let found = self
            .short
            .decide(prepared, &instances, &mut |index, candidate| rival(index, candidate, &mut claims));
        assert_eq!(rows(&found), rows(&expected), "{:?}", prepared.spec());
        assert_eq!(found.result, expected.result);
        assert_eq!(claims, long_claims);
        assert_eq!(held(&self.short.index, &instances), held(&self.long.index, &instances));
        for one in 1..=claims.min(3) {
            let rival = ConsumerId(first.0 + one);
            let both = [self.long.index.release(rival), self.short.index.release(rival)];
            assert_eq!(both[0], both[1]);
        }
        counts.contested += usize::from(claims > instances.len() as u128);
        counts.placed += usize::from(found.result.is_ok());
        let is_counted = found.removed.iter().any(|removed| !removed.is_empty());
        if is_counted {
            assert_eq!(found.removed, expected.removed, "{:?}", prepared.spec());
        }
        counts.counted += usize::from(is_counted && instances.len() == 1);
        counts.refused += usize::from(found.result.is_err());
        self.placed.push((instances, expected, found));
        self.leave(random);
    }

    /// The latest decisions are undone first: a host is made what it was before.
    fn leave(&mut self, random: &mut Numbers) {
        while self.placed.last().is_some_and(|(_, _, found)| found.result.is_err()) || random.one_in(3) {
            let Some((instances, mut expected, mut found)) = self.placed.pop() else { return };
            for instance in &instances {
                let both = [&self.long.index, &*self.short.index].map(|index| index.release(*instance));
                assert_eq!(both[0], both[1]);
            }
            expected.undo(&mut self.long.hosts);
            self.short.scheduler.undo(&mut found);
        }
    }

    /// Some provider changes, in both.
    fn reshape(&mut self, random: &mut Numbers) {
        let number = random.below(self.fleet.providers.len());
        let provider = &mut self.fleet.providers[number];
        match random.below(4) {
            0 => provider.traits.retain(|name| *name == crate::fleet::SHARES),
            1 => provider.traits.push("CUSTOM_A"),
            2 => provider.aggregates.push(crate::fleet::zone(random.below(3))),
            _ => {
                for (_, inventory) in &mut provider.inventories {
                    *inventory = Inventory { reserved: inventory.total / 4, ..*inventory };
                }
            }
        }
        provider.traits.sort_unstable();
        provider.traits.dedup();
        provider.aggregates.sort_unstable();
        provider.aggregates.dedup();
        for index in [&self.long.index, &*self.short.index] {
            let row = index.find(self.fleet.providers[number].uuid).unwrap();
            crate::planting::describe(&mut index.write(), row, &self.fleet.providers[number]);
        }
    }

    fn check(&mut self) {
        self.long.index.check().unwrap();
        self.short.index.check().unwrap();
        self.short.scheduler.check().unwrap();
    }
}

fn read(value: Value) -> RequestSpec {
    serde_json::from_value(value).unwrap()
}

fn both_ways(kind: Kind, seeds: std::ops::Range<u64>) {
    let mut counts = Counts::default();
    for seed in seeds {
        let random = &mut Numbers(seed);
        let hosts = random.pick(if kind == Kind::Tangled { &[3, 10, 20] } else { &[3, 10, 40, 150] });
        let mut run = Run::new(kind, hosts, random);
        for step in 0..25 {
            run.step(random, &mut counts);
            if step % 6 == 5 {
                run.reshape(random);
            }
        }
        run.check();
    }
    assert!(counts.placed > 100 && counts.refused > 20 && counts.contested > 5, "{counts:?}");
    assert!(counts.counted > 100, "{counts:?}");
}

#[test]
fn on_plain_hosts() {
    both_ways(Kind::Plain, 0..60);
}

#[test]
fn on_hosts_with_devices() {
    both_ways(Kind::Devices, 100..160);
}

#[test]
fn on_hosts_with_shared_disks() {
    both_ways(Kind::Pools, 200..260);
}

#[test]
fn on_hosts_that_share_their_disk() {
    both_ways(Kind::Tangled, 300..340);
}
