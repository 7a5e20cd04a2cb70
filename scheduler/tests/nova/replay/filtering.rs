//! Host states, restrictions, the pipeline, and each filter by itself.

use std::collections::BTreeMap;

use berth_placement::Row;
use berth_scheduler::nova::FilterName;
use berth_scheduler::nova::filters::{
    Filter, RequestState, Scene, Step, Survivors, explain, filters_are_skipped, run, steps,
};
use berth_scheduler::nova::hosts::HostTable;
use serde_json::{Value, json};

use super::case::Case;
use super::difference::Differences;

/// Compares everything up to the hosts that are left, and returns those; none after an error.
pub(crate) fn compare(
    case: &Case,
    hosts: &HostTable,
    expected: &Value,
    out: &mut Differences,
) -> Option<Vec<Row>> {
    let states = hosts.rows().map(|row| host_state(hosts, row)).collect();
    out.expect("hosts", "host_states", &expected["host_states"], &Value::Array(states));
    let scene = case.scene(hosts);
    let restricted = restricted(&scene);
    out.expect("preselect", "pre", &expected["pre"], &indices(&restricted.rows()));
    let skipped = filters_are_skipped(&scene);
    out.expect("preselect", "filters_skipped", &expected["filters_skipped"], &json!(skipped));
    independent(case, &scene, expected, out);
    let left =
        if skipped { Some(restricted.rows()) } else { pipeline(case, &scene, restricted, expected, out) };
    let found = left.as_deref().map_or(Value::Null, indices);
    out.expect("pipeline", "filtered", &expected["filtered"], &found);
    whole(case, &scene, left.as_deref(), out);
    left
}

pub(crate) fn indices(rows: &[Row]) -> Value {
    rows.iter().map(|row| row.0).collect()
}

fn host_state(hosts: &HostTable, row: Row) -> Value {
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

fn pipeline(
    case: &Case,
    scene: &Scene<'_>,
    mut survivors: Survivors,
    expected: &Value,
    out: &mut Differences,
) -> Option<Vec<Row>> {
    let mut state = case.state();
    let mut entries = expected["pipeline"].as_array().into_iter().flatten();
    for &name in &scene.options.filter_scheduler.enabled_filters {
        if survivors.is_empty() {
            break;
        }
        let ran = case.index == 0 || !name.runs_once();
        let narrowed =
            if ran { survivors.narrow(&*name.prepare(scene), scene.hosts, &mut state).is_ok() } else { true };
        let found = if narrowed { entry(name, ran, &survivors, &state) } else { failed_entry(name, ran) };
        let nova = entries.next().map_or(Value::Null, without_error_type);
        out.expect(&name.to_string(), "pipeline", &nova, &found);
        if !narrowed {
            out.expect("pipeline", "error.where", &expected["error"]["where"], &json!(name.to_string()));
            return None;
        }
    }
    out.expect("pipeline", "further entries", &json!(0), &json!(entries.count()));
    Some(survivors.rows())
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

/// Nova's answers do not tell equal candidates apart: each stands for the first of its equals.
fn candidates_left(state: &RequestState, row: Row) -> Value {
    let all = state.candidates(row);
    state
        .left(row)
        .iter()
        .map(|&at| all.iter().position(|other| *other == all[at]))
        .collect::<Vec<_>>()
        .into()
}

fn failed_entry(name: FilterName, ran: bool) -> Value {
    json!({"filter": name.to_string(), "ran": ran, "error": true})
}

/// The type of an exception is for information only.
fn without_error_type(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(error) = entry.get_mut("error") {
        *error = json!(true);
    }
    entry
}

/// The pipeline in one go gives the same hosts, and each host that is gone has a reason.
fn whole(case: &Case, scene: &Scene<'_>, left: Option<&[Row]>, out: &mut Differences) {
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

fn independent(case: &Case, scene: &Scene<'_>, expected: &Value, out: &mut Differences) {
    for &name in &scene.options.filter_scheduler.enabled_filters {
        let nova = &expected["independent"][name.to_string()];
        let errors: Vec<&String> =
            nova["errors"].as_object().into_iter().flat_map(|errors| errors.keys()).collect();
        let filter = name.prepare(scene);
        let (passed, mut failed) = judge_all(&*filter, scene.hosts, &mut case.state());
        failed.sort();
        out.expect(&name.to_string(), "passes by itself", &nova["pass"], &indices(&passed));
        out.expect(&name.to_string(), "errors by itself", &json!(errors), &json!(failed));
    }
}

fn judge_all(filter: &dyn Filter, hosts: &HostTable, state: &mut RequestState) -> (Vec<Row>, Vec<String>) {
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for row in hosts.rows() {
        match filter.judge(row, state) {
            Ok(Ok(())) => passed.push(row),
            Ok(Err(_)) => {}
            Err(_) => failed.push(row.0.to_string()),
        }
    }
    (passed, failed)
}
