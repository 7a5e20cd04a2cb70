//! What holds of every explanation.

use std::collections::BTreeMap;

use berth_scheduler::AggregateRecord;
use berth_scheduler::explain::{
    Case, CaseRecord, Change, Constraint, Ending, Explanation, ExplanationScope, Relaxation, explain,
};
use berth_scheduler::filters::{Step, Survivors, steps};
use berth_scheduler::hosts::{HostRecord, HostRow, Outage, ServiceRecord};
use berth_scheduler::python::Value;
use berth_scheduler::weighers::weigh_in_detail;
use uuid::Uuid;

use super::decision::{Decided, decide};
use super::placement::{answered, describes_placement};

const DISABLED: &str = "COMPUTE_STATUS_DISABLED";

type Check = Result<(), String>;

/// Explains the first instance of the record and checks everything that can be checked of it.
pub(crate) fn check(record: &CaseRecord) -> Result<Explanation, String> {
    let record = CaseRecord { index: 0, ..record.clone() };
    let case = load(&record)?;
    let question = case.question();
    let wanted = ExplanationScope { hosts: question.scene.hosts.rows().collect(), standings: usize::MAX };
    let explanation = explain(&question, &wanted);
    counts_add_up(&explanation)?;
    verdicts_are_placements_and_the_pipelines(&record, &case, &explanation)?;
    weights_are_the_decisions(&case, &explanation)?;
    ending_is_the_decisions(&record, &explanation)?;
    for relaxation in explanation.relaxations.iter().flat_map(|relaxations| &relaxations.found) {
        finds_a_host(&record, relaxation)?;
    }
    no_other_single_change_helps(&record, &case, &explanation)?;
    let _ = serde_json::to_string(&explanation).map_err(|error| error.to_string())?;
    tenant_view_names_no_host(&record, &explanation)?;
    Ok(explanation)
}

fn load(record: &CaseRecord) -> Result<Case, String> {
    Case::load(record.clone(), false).map_err(|error| error.to_string())
}

fn require(condition: bool, problem: impl FnOnce() -> String) -> Check {
    if condition { Ok(()) } else { Err(problem()) }
}

fn counts_add_up(explanation: &Explanation) -> Check {
    let mut left = explanation.hosts;
    for one in &explanation.removed {
        require(one.entered == left, || {
            format!("{}: {} entered, {left} were left", one.constraint, one.entered)
        })?;
        left -= one.removed;
    }
    let ends_well = matches!(explanation.ending, Ending::Found { .. });
    require(!ends_well || left > 0, || "found without a host".to_owned())?;
    let is_blocked = matches!(explanation.ending, Ending::Blocked(_));
    require(ends_well || is_blocked || left == 0, || format!("{left} hosts are left, none was found"))
}

/// Asks Placement, runs the pipeline step by step, and compares which hosts go where.
fn verdicts_are_placements_and_the_pipelines(
    record: &CaseRecord,
    case: &Case,
    explanation: &Explanation,
) -> Check {
    let question = case.question();
    let (scene, mut state) = (question.scene, question.state.clone());
    let Some(named) = named(record, case) else { return Ok(()) };
    let mut survivors = Survivors::ordered(named.clone());
    let mut removed_by: BTreeMap<HostRow, Step> = BTreeMap::new();
    for step in steps(&scene, 0) {
        let before = survivors.rows();
        if survivors.narrow(&*step.prepare(&scene), scene.hosts, &mut state).is_err() {
            return Ok(());
        }
        let gone = before.into_iter().filter(|row| !survivors.contains(*row));
        removed_by.extend(gone.map(|row| (row, step)));
        let count = removed_by.values().filter(|other| **other == step).count();
        let explained = explanation.removed.iter().find(|one| one.constraint == Constraint::Step(step));
        // An operator may enable a filter twice: the second has nothing left to remove.
        require(explained.is_some_and(|one| one.removed == count), || {
            format!("{step} removed {count} hosts")
        })?;
    }
    for (row, verdict) in scene.hosts.rows().zip(&explanation.verdicts) {
        let step = match &verdict.constraint {
            Some(Constraint::Step(step)) => Some(*step),
            Some(Constraint::Claim) | None => None,
            Some(of_placement) => {
                let problem = || format!("{}: {of_placement}, but placement names it", verdict.host);
                require(!named.contains(&row), problem)?;
                continue;
            }
        };
        require(named.contains(&row), || format!("{}: placement does not name it", verdict.host))?;
        require(step == removed_by.get(&row).copied(), || {
            format!("{}: {:?}", verdict.host, verdict.constraint)
        })?;
    }
    Ok(())
}

/// The hosts that Placement names: all, if it is not to be explained. None if it cannot be asked.
fn named(record: &CaseRecord, case: &Case) -> Option<Vec<HostRow>> {
    let hosts = case.question().scene.hosts;
    if !describes_placement(record) {
        return Some(hosts.rows().collect());
    }
    let named = answered(record).ok()?.hosts;
    Some(hosts.rows().filter(|row| named.iter().any(|host| host.node == hosts.node(*row))).collect())
}

fn weights_are_the_decisions(case: &Case, explanation: &Explanation) -> Check {
    let question = case.question();
    let scene = question.scene;
    let passed = |verdict: &berth_scheduler::explain::HostVerdict| {
        matches!(verdict.constraint, None | Some(Constraint::Claim))
    };
    let rows: Vec<HostRow> = scene
        .hosts
        .rows()
        .zip(&explanation.verdicts)
        .filter(|(_, one)| passed(one))
        .map(|(row, _)| row)
        .collect();
    let Ok(weighed) = weigh_in_detail(&scene, &rows, |_| ()) else { return Ok(()) };
    for (host, standing) in weighed.iter().zip(&explanation.standings) {
        let sum = standing.scores.iter().fold(0.0, |sum, score| sum + score.multiplier * score.normalized);
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        require(same(sum, host.weight) && same(sum, standing.weight), || {
            format!("{}: {sum} is not {}", standing.host, host.weight)
        })?;
    }
    Ok(())
}

/// The decision, and the counts that it kept.
fn ending_is_the_decisions(record: &CaseRecord, explanation: &Explanation) -> Check {
    let decided = decide(record);
    let agrees = match (&explanation.ending, &decided) {
        (Ending::Found { host }, Ok(Decided { host: Some(decided), .. })) => *host == name(decided),
        (Ending::NoHost, Ok(Decided { host: None, .. })) | (Ending::Blocked(_), Err(_)) => true,
        _ => false,
    };
    require(agrees, || format!("explained {:?}, decided {decided:?}", explanation.ending))?;
    let Ok(decided) = decided else { return Ok(()) };
    let steps = explanation.removed.iter().filter_map(|one| match one.constraint {
        Constraint::Step(step) => Some((step, one.removed)),
        _ => None,
    });
    let explained: Vec<_> = steps.take(decided.removed.len()).collect();
    require(explained == decided.removed, || {
        format!("explained {explained:?}, the decision counted {:?}", decided.removed)
    })
}

fn name((host, node): &(String, String)) -> String {
    if host == node { host.clone() } else { format!("{host}/{node}") }
}

fn finds_one(record: &CaseRecord) -> bool {
    matches!(decide(record), Ok(Decided { host: Some(_), .. }))
}

fn finds_a_host(record: &CaseRecord, relaxation: &Relaxation) -> Check {
    let mut changed = record.clone();
    relaxation.changes.iter().try_for_each(|change| make(change, &relaxation.example, &mut changed))?;
    let decided = decide(&changed);
    let finds_one = matches!(decided, Ok(Decided { host: Some(_), .. }));
    require(finds_one, || format!("{:?} does not help: {decided:?}", relaxation.changes))
}

/// Makes the change to the record itself, by means that the search for relaxations does not have.
fn make(change: &Change, example: &str, record: &mut CaseRecord) -> Check {
    match change {
        Change::Outage { outage, .. } => {
            record.hosts.iter_mut().for_each(|host| end(*outage, host));
        }
        Change::MoreHosts { .. } => {
            let like = example.strip_prefix("like ").ok_or("no host to be like")?;
            let is_like =
                |host: &&HostRecord| like == host.host || like == format!("{}/{}", host.host, host.node);
            let original = record.hosts.iter().find(is_like).ok_or("no such host")?.clone();
            for aggregate in &mut record.aggregates {
                if aggregate.hosts.contains(&original.host) {
                    aggregate.hosts.push("one more".to_owned());
                }
            }
            record.hosts.push(emptied(original));
        }
        other => {
            let request = record.request.as_mut().ok_or("no request")?;
            other.apply(request, &mut record.config);
        }
    }
    Ok(())
}

/// Who enables a service takes the trait off its provider.
fn end(outage: Outage, host: &mut HostRecord) {
    let service = &mut host.service;
    match outage {
        Outage::Disabled if service.disabled => {
            service.disabled = false;
            host.traits.iter_mut().for_each(|names| names.retain(|name| name != DISABLED));
        }
        Outage::Disabled => {}
        Outage::ForcedDown => service.forced_down = false,
        Outage::Silent => service.last_seen_up = None,
    }
}

fn emptied(like: HostRecord) -> HostRecord {
    let counters = ["num_instances", "io_workload", "failed_builds"];
    let stats = match like.stats {
        Value::Map(entries) => {
            Value::Map(entries.into_iter().filter(|(key, _)| !counters.contains(&key.as_str())).collect())
        }
        other => other,
    };
    // Recorded candidates name the provider; an index wants another one.
    let uuid = if like.traits.is_some() { Uuid::max() } else { like.uuid };
    HostRecord {
        host: "one more".to_owned(),
        node: "one more".to_owned(),
        uuid,
        usages: BTreeMap::new(),
        traits: like.traits.map(|names| names.into_iter().filter(|name| name != DISABLED).collect()),
        free_ram_mb: like.memory_mb,
        memory_mb_used: 0,
        free_disk_gb: Some(like.local_gb),
        local_gb_used: 0,
        disk_available_least: None,
        vcpus_used: 0,
        numa_topology: like.numa_topology.map(|numa| numa.without_instances()),
        service: ServiceRecord::default(),
        instances: Vec::new(),
        stats,
        ..like
    }
}

/// Where no single change is suggested, none that the request allows helps.
fn no_other_single_change_helps(record: &CaseRecord, case: &Case, explanation: &Explanation) -> Check {
    let Some(relaxations) = &explanation.relaxations else { return Ok(()) };
    let suggested: Vec<&Change> =
        relaxations.found.iter().filter(|one| one.changes.len() == 1).map(|one| &one.changes[0]).collect();
    for change in singles(record, case) {
        let same_kind = |other: &&Change| std::mem::discriminant(*other) == std::mem::discriminant(&change);
        let is_suggested = suggested.iter().any(|other| {
            same_kind(other)
                && (change.amounts().is_some()
                    || **other == change
                    || matches!(change, Change::Outage { .. }))
        });
        if !is_suggested {
            let mut changed = record.clone();
            make(&change, "", &mut changed)?;
            require(!finds_one(&changed), || format!("{change} was not suggested"))?;
        }
    }
    Ok(())
}

/// Whether the zone has hosts.
fn in_use(record: &CaseRecord, zone: &str) -> bool {
    let makes_it = |aggregate: &&AggregateRecord| {
        aggregate.metadata.get("availability_zone").is_some_and(|name| name == zone)
    };
    let mut hosts = record.aggregates.iter().filter(makes_it).flat_map(|aggregate| &aggregate.hosts);
    hosts.any(|name| record.hosts.iter().any(|host| host.host == *name))
}

fn singles(record: &CaseRecord, case: &Case) -> Vec<Change> {
    let request = case.question().scene.request;
    let flavor = &request.flavor;
    let mut all: Vec<Change> = Vec::new();
    // One less is the least of changes, one the greatest.
    if flavor.memory_mb > 1 {
        all.push(Change::Memory { asked: flavor.memory_mb, enough: 1 });
    }
    if flavor.vcpus > 1 {
        all.push(Change::Vcpus { asked: flavor.vcpus, enough: 1 });
    }
    if flavor.root_gb + flavor.ephemeral_gb > 0 {
        all.push(Change::Disk { asked: flavor.root_gb + flavor.ephemeral_gb, enough: 0 });
    }
    all.extend(flavor.extra_specs.iter().map(|(key, _)| Change::ExtraSpec { key: key.to_owned() }));
    let hints = ["query", "same_host", "different_host", "build_near_host_ip", "cidr", "group"];
    let given = hints.into_iter().filter(|name| request.scheduler_hints.contains(name));
    all.extend(given.map(|name| Change::Hint { name: name.to_owned() }));
    let image = request.image.iter().flat_map(|image| image.properties.iter());
    let names = image.map(|(name, _)| name).filter(|name| *name != "traits_required");
    all.extend(names.map(|name| Change::ImageProperty { name: name.to_owned() }));
    let traits = request.image.iter().flat_map(|image| image.properties.required_traits());
    all.extend(traits.map(|name| Change::ImageTrait { name: name.clone() }));
    if let Some(asked) = request.availability_zone.clone().filter(|zone| !zone.is_empty()) {
        let zones = record.aggregates.iter().filter_map(|one| one.metadata.get("availability_zone"));
        let others = zones.filter(|zone| **zone != asked && in_use(record, zone));
        all.extend(others.map(|other| Change::Zone { asked: asked.clone(), other: other.clone() }));
    }
    all.extend(request.group_policy().map(|policy| Change::ServerGroup { policy }));
    all.extend(request.numa_topology.as_ref().map(|_| Change::NumaTopology));
    all.extend(request.pci_requests.as_ref().filter(|list| !list.is_empty()).map(|_| Change::Devices));
    all.extend(Outage::ALL.map(|outage| Change::Outage { outage, reasons: BTreeMap::new() }));
    all
}

fn tenant_view_names_no_host(record: &CaseRecord, explanation: &Explanation) -> Check {
    let text = serde_json::to_string(&explanation.for_tenant()).map_err(|error| error.to_string())?;
    let named = record.hosts.iter().find(|host| text.contains(&format!("\"{}\"", host.host)));
    require(named.is_none(), || format!("tenants see {text}"))
}
