//! Host states, restrictions, the pipeline, and each filter by itself.

use std::collections::BTreeMap;

use berth_scheduler::FilterName;
use berth_scheduler::filters::{
    Filter, RequestState, Scene, Step, Survivors, explain, filters_are_skipped, run, steps,
};
use berth_scheduler::hosts::{HostRow, HostTable};
use serde_json::{Map, Value, json};

use super::answer::{Answer, staged};
use super::case::Case;
use super::difference::Differences;

/// What the filters made of a case.
pub(crate) struct Filtered {
    /// The hosts that are left; none after an error.
    pub(crate) left: Option<Vec<HostRow>>,
}

/// Answers every field up to the hosts that are left.
pub(crate) fn answer(case: &Case, hosts: &HostTable, answer: &mut Answer, out: &mut Differences) -> Filtered {
    answer.insert("host_states", hosts.rows().map(|row| host_state(hosts, row)).collect());
    let scene = case.scene(hosts);
    let restricted = restricted(&scene);
    answer.insert("pre", indices(&restricted.rows()));
    let skipped = filters_are_skipped(&scene);
    answer.insert("filters_skipped", json!(skipped));
    answer.insert("independent", independent(case, &scene));
    let mut pipeline = Pipeline { left: Some(restricted.clone()), entries: Vec::new(), error: Value::Null };
    if !skipped {
        pipeline.run(case, &scene, restricted);
    }
    let left = pipeline.left.map(|survivors| survivors.rows());
    answer.insert("pipeline", pipeline.entries.into());
    answer.insert("error", pipeline.error);
    answer.insert("filtered", left.as_deref().map_or(Value::Null, indices));
    in_one_go(case, &scene, left.as_deref(), out);
    Filtered { left }
}

pub(crate) fn indices(rows: &[HostRow]) -> Value {
    rows.iter().map(|row| row.0).collect()
}

fn host_state(hosts: &HostTable, row: HostRow) -> Value {
    let usage = hosts.usage().row(row);
    let report = hosts.report(row);
    json!({
        "free_ram_mb": usage.free_ram_mb,
        "free_disk_mb": usage.free_disk_mb,
        "disk_mb_used": usage.disk_mb_used,
        "vcpus_used": usage.vcpus_used,
        "num_instances": usage.num_instances,
        "num_io_ops": usage.num_io_ops,
        "failed_builds": usage.failed_builds,
        "total_usable_ram_mb": report.map_or(0, |report| report.total_usable_ram_mb),
        "total_usable_disk_gb": report.map_or(0, |report| report.total_usable_disk_gb),
        "vcpus_total": report.map_or(0, |report| report.vcpus_total),
        "cpu_allocation_ratio": report.map(|report| report.ratios.cpu.get()),
        "ram_allocation_ratio": report.map(|report| report.ratios.ram.get()),
        "disk_allocation_ratio": report.map(|report| report.ratios.disk.get()),
        "metrics": hosts.metrics(row).map(|metrics| {
            metrics.iter().filter_map(|(name, value)| Some((name, (*value)?))).collect::<BTreeMap<_, _>>()
        }),
    })
}

fn restricted(scene: &Scene<'_>) -> Survivors {
    let mut survivors = Survivors::all(scene.hosts);
    for step in steps(scene, 0).into_iter().filter(|step| matches!(step, Step::Restriction(_))) {
        let narrowed = survivors.narrow(&*step.prepare(scene), scene.hosts, &mut RequestState::default());
        narrowed.expect("restrictions make no errors");
    }
    survivors
}

/// The filters, each on what the one before left.
struct Pipeline {
    left: Option<Survivors>,
    entries: Vec<Value>,
    error: Value,
}

impl Pipeline {
    fn run(&mut self, case: &Case, scene: &Scene<'_>, mut survivors: Survivors) {
        let mut state = case.state();
        for &name in &scene.options.filter_scheduler.enabled_filters {
            if survivors.is_empty() {
                break;
            }
            let ran = case.index == 0 || !name.runs_once();
            let narrowed =
                if ran { survivors.narrow(&*name.prepare(scene), scene.hosts, &mut state) } else { Ok(()) };
            if let Err(error) = narrowed {
                let exception = error.nova_exception();
                let entry = json!({"filter": name.to_string(), "ran": ran, "error": exception.class});
                self.entries.push(entry);
                self.error = staged("filter", &name.to_string(), &exception);
                self.left = None;
                return;
            }
            self.entries.push(entry(name, ran, &survivors, &state));
        }
        self.left = Some(survivors);
    }
}

fn entry(name: FilterName, ran: bool, survivors: &Survivors, state: &RequestState) -> Value {
    let rows = survivors.rows();
    let mut entry = json!({"filter": name.to_string(), "ran": ran, "out": indices(&rows)});
    if name.filters_candidates() {
        entry["candidates"] =
            rows.iter().map(|row| (row.0.to_string(), candidates_left(state, *row))).collect();
    }
    entry
}

/// Nova's answers do not distinguish equal candidates: each stands for the first of its equals.
fn candidates_left(state: &RequestState, row: HostRow) -> Value {
    let all = state.candidates(row);
    state
        .left(row)
        .iter()
        .map(|&at| all.iter().position(|other| *other == all[at]))
        .collect::<Vec<_>>()
        .into()
}

/// The pipeline in one go gives the same hosts, and each host that is gone has a reason.
fn in_one_go(case: &Case, scene: &Scene<'_>, left: Option<&[HostRow]>, out: &mut Differences) {
    let outcome = run(scene, Survivors::all(scene.hosts), case.index, &mut case.state());
    let found = outcome.as_ref().ok().map_or(Value::Null, |outcome| indices(&outcome.survivors.rows()));
    out.expect("pipeline", "in one go", &left.map_or(Value::Null, indices), &found);
    if let Ok(outcome) = outcome {
        let removed = outcome.removed.iter().filter(|(_, count)| *count > 0);
        let counted: BTreeMap<String, usize> =
            removed.map(|(step, count)| (step.to_string(), *count)).collect();
        out.expect("pipeline", "explained", &json!(counted), &json!(explained(case, scene)));
    }
}

/// How many hosts each constraint refuses first, asked host by host.
fn explained(case: &Case, scene: &Scene<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in scene.hosts.rows() {
        if let Ok(Some((step, _))) = explain(scene, row, case.index, &mut case.state()) {
            *counts.entry(step.to_string()).or_default() += 1;
        }
    }
    counts
}

/// Each filter by itself, on every host.
fn independent(case: &Case, scene: &Scene<'_>) -> Value {
    let names = scene.options.filter_scheduler.enabled_filters.iter();
    let judged = names.map(|name| {
        let filter = name.prepare(scene);
        (name.to_string(), judge_all(&*filter, scene.hosts, &mut case.state()))
    });
    Value::Object(judged.collect())
}

fn judge_all(filter: &dyn Filter, hosts: &HostTable, state: &mut RequestState) -> Value {
    let (mut passed, mut errors) = (Vec::new(), Map::new());
    for row in hosts.rows() {
        match filter.judge(row, state) {
            Ok(Ok(())) => passed.push(row),
            Ok(Err(_)) => {}
            Err(error) => {
                errors.insert(row.0.to_string(), json!(error.nova_exception().class));
            }
        }
    }
    json!({"pass": indices(&passed), "errors": errors})
}
