//! Instances that are asked for together, each with the host that it would get alone: as many
//! requests one after the other, but all are claimed or none.

use std::sync::Arc;

use berth_placement::{ConsumerId, Owner, Timestamp};
use berth_scheduler::filter_scheduler::{PreparedRequest, SelectionRequest};
use berth_scheduler::hosts::HostRow;
use berth_scheduler::request_spec::GroupPolicyKind;
use berth_scheduler::select::{Claimant, Decision, DecisionDetail, IndexClaims, SelectError};
use berth_scheduler::{Options, RequestSpec};
use uuid::Uuid;

use crate::cloud::{Last, NOW, ShortWay, computes, known};
use crate::fleet::{Fleet, Kind, uuid};
use crate::numbers::Numbers;
use crate::requests::request;

fn claimant() -> Claimant {
    let owner = Owner { project: "project".into(), user: "user".into(), consumer_type: None };
    Claimant {
        owner: Arc::new(owner),
        group: None,
        keeps_allocations: false,
        migration: None,
        now: Timestamp(0),
    }
}

const fn wanted(instances: &[ConsumerId]) -> SelectionRequest<'_> {
    SelectionRequest {
        instances,
        alternates: false,
        each_alone: true,
        detail: DecisionDetail::Full,
        now: NOW,
    }
}

fn chosen(decision: &Decision) -> Vec<HostRow> {
    decision.result.iter().flatten().map(|selections| selections[0].row).collect()
}

fn holding(way: &ShortWay, instances: &[ConsumerId]) -> usize {
    let holds =
        |instance: &&ConsumerId| way.index.allocations(**instance).is_some_and(|held| !held.is_empty());
    instances.iter().filter(holds).count()
}

/// Whether the request takes from hosts alone, which are ranked then; and no group's members have
/// to know each other.
fn is_ranked(spec: &RequestSpec) -> bool {
    let takes_more = |key: &str| key.starts_with("resources") || key.starts_with("hw:");
    let is_plain = !spec.flavor.extra_specs.iter().any(|(key, _)| takes_more(key));
    is_plain && spec.instance_group.is_none() && spec.requested_resources.is_empty()
}

#[derive(Debug, Default)]
struct Counts {
    placed: usize,
    refused: usize,
    spread: usize,
    compared: usize,
}

/// One fleet, twice.
struct Twice {
    together: ShortWay,
    alone: ShortWay,
}

impl Twice {
    fn step(
        &mut self,
        spec: &RequestSpec,
        requests: &mut [PreparedRequest; 2],
        instances: &[ConsumerId],
        counts: &mut Counts,
    ) {
        let Self { together, alone } = self;
        let [request, alone_request] = requests;
        let mut dry = together.scheduler.select_dry(request, wanted(instances), &claimant(), &mut Last);
        together.scheduler.undo(&mut dry);
        assert_eq!(holding(together, instances), 0);
        let mut found =
            together.scheduler.select_as_one(request, wanted(instances), &claimant(), &mut Last).decision;
        assert_eq!(found.result, dry.result, "{spec:?}");
        let all = found.result.is_ok();
        assert_eq!(holding(together, instances), if all { instances.len() } else { 0 });
        let rows = chosen(&found);
        if spec.group_policy() == Some(GroupPolicyKind::AntiAffinity) {
            let mut distinct = rows.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), rows.len());
            counts.spread += usize::from(rows.len() > 1);
        }
        let mut decisions = Vec::new();
        if is_ranked(spec) {
            for instance in instances {
                let one = std::slice::from_ref(instance);
                let mut claims = IndexClaims::new(&alone.index, claimant());
                let decision = alone.scheduler.select(alone_request, wanted(one), &mut claims, &mut Last);
                let failed = decision.result.is_err();
                decisions.push(decision);
                if failed {
                    break;
                }
            }
            let rows_alone: Vec<HostRow> = decisions.iter().flat_map(chosen).collect();
            match &found.result {
                Ok(_) => assert_eq!(rows, rows_alone, "{spec:?}"),
                Err(SelectError::NoValidHost { placed, .. }) => assert_eq!(*placed, rows_alone.len()),
                Err(error) => panic!("{error}"),
            }
            counts.compared += usize::from(rows.len() > 1);
        }
        counts.placed += usize::from(all);
        counts.refused += usize::from(!all);
        if !all || decisions.is_empty() {
            self.forget(&mut found, &mut decisions, instances);
        }
    }

    fn forget(&mut self, found: &mut Decision, decisions: &mut [Decision], instances: &[ConsumerId]) {
        for instance in instances {
            let _ = self.together.index.release(*instance);
            let _ = self.alone.index.release(*instance);
        }
        self.together.scheduler.undo(found);
        decisions.iter_mut().rev().for_each(|decision| self.alone.scheduler.undo(decision));
    }
}

fn batches(kind: Kind, seeds: std::ops::Range<u64>) -> Counts {
    let mut counts = Counts::default();
    for seed in seeds {
        let random = &mut Numbers(seed);
        let hosts = random.pick(&[3, 10, 40]);
        let fleet = Fleet::new(kind, hosts, random);
        let mut options = Options::default();
        options.filter_scheduler.ram_weight_multiplier = random.pick(&[1.0, 1.0, -1.0]);
        let mut twice =
            Twice { together: ShortWay::new(&fleet, &options), alone: ShortWay::new(&fleet, &options) };
        let mut instances = 0;
        for _ in 0..20 {
            let mut spec: RequestSpec = serde_json::from_value(request(&fleet, random)).unwrap();
            let computes = computes(&fleet);
            let count = random.pick(&[1, 2, 3, 8, 30]);
            let names: Vec<ConsumerId> =
                (instances..instances + count).map(|one| uuid(6, one).into()).collect();
            if let Some(group) = &mut spec.instance_group {
                group.members.extend(names.iter().map(|one| Uuid::from(*one)));
            }
            let prepare =
                |way: &mut ShortWay| way.scheduler.prepare(spec.clone(), &known(&fleet, &computes), NOW).ok();
            let prepared = (prepare(&mut twice.together), prepare(&mut twice.alone));
            let (Some(one), Some(other)) = prepared else { continue };
            instances += count;
            twice.step(&spec, &mut [one, other], &names, &mut counts);
        }
        for way in [&mut twice.together, &mut twice.alone] {
            way.index.check().unwrap();
            way.scheduler.check().unwrap();
        }
    }
    counts
}

#[test]
fn a_batch_is_as_many_requests() {
    let counts = batches(Kind::Plain, 0..60);
    assert!(counts.placed > 100 && counts.refused > 100, "{counts:?}");
    assert!(counts.spread > 5 && counts.compared > 50, "{counts:?}");
}

#[test]
fn a_batch_with_devices_is_claimed_whole_or_not() {
    let counts = batches(Kind::Devices, 100..130);
    assert!(counts.placed > 50 && counts.refused > 50, "{counts:?}");
}
