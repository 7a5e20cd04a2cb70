//! The files and the table of results.

use std::path::Path;

use anyhow::{Context, Result};
use berth_simulator::scenario::{Answer, EpisodeResult, Interval, Provenance, RunResult, ScenarioRuns, html};
use berth_traces::columnar::{Column, write_table};
use serde_json::{Value, json};

use crate::output;
use crate::table::Grid;

/// Writes the page, the answer and the tables.
pub(crate) fn write(out: &Path, answer: &Answer, provenance: &Provenance) -> Result<()> {
    write_report(out, answer, provenance)?;
    runs_table(&out.join("runs.parquet"), &answer.scenarios)?;
    hosts_table(&out.join("hosts.parquet"), &answer.scenarios)?;
    rejections_table(&out.join("rejections.parquet"), &answer.scenarios)
}

/// Writes the page and the answer.
pub(crate) fn write_report(out: &Path, answer: &Answer, provenance: &Provenance) -> Result<()> {
    output::write_file(
        &out.join("report.html"),
        &html(answer, provenance).context("cannot draw the report")?,
    )?;
    let document =
        serde_json::to_string_pretty(&document(answer, provenance)).context("cannot write JSON")?;
    output::write_file(&out.join("answer.json"), &(document + "\n"))
}

fn document(answer: &Answer, provenance: &Provenance) -> Value {
    let scenarios = answer.scenarios.iter().map(|scenario| {
        let of = |figure: fn(&RunResult) -> f64| json!(scenario.interval(figure));
        json!({
            "label": scenario.label,
            "scheduler": scenario.scheduler,
            "runs": scenario.runs.len(),
            "passed": scenario.passed,
            "rejected_vcpu_hours": of(|run| run.figures.rejected_vcpu_hours),
            "rejected_vms": of(|run| run.figures.rejected_vms),
            "mean_hosts": of(|run| run.figures.mean_hosts),
            "hosts_p99": of(|run| run.figures.hosts_p99 as f64),
            "wait_p99_s": of(|run| run.figures.wait_p99_s),
            "displaced": of(|run| run.displaced as f64),
            "lost": of(|run| (run.lost + run.without_host) as f64),
            "values": {
                "rejected_vcpu_hours": scenario.values(|run| run.figures.rejected_vcpu_hours),
                "mean_hosts": scenario.values(|run| run.figures.mean_hosts),
            },
            "recorded": scenario.runs.iter().map(|run| &run.recorded).collect::<Vec<_>>(),
            "decisions_sha256": scenario.runs.iter().map(|run| run.figures.decisions_sha256.as_str()).collect::<Vec<_>>(),
        })
    });
    json!({
        "version": 1,
        "answer": answer.sentence,
        "complete": answer.is_complete,
        "plan": answer.plan,
        "scenarios": scenarios.collect::<Vec<_>>(),
        "provenance": provenance,
    })
}

/// Every run with its scenario.
fn each(scenarios: &[ScenarioRuns]) -> impl Iterator<Item = (&ScenarioRuns, usize, &RunResult)> {
    scenarios.iter().flat_map(|scenario| {
        scenario.runs.iter().enumerate().map(move |(number, run)| (scenario, number, run))
    })
}

fn runs_table(path: &Path, scenarios: &[ScenarioRuns]) -> Result<()> {
    let number =
        |of: fn(&RunResult) -> f64| Column::Number(each(scenarios).map(|(_, _, run)| of(run)).collect());
    let count = |of: fn(&RunResult) -> u64| {
        Column::Integer(each(scenarios).map(|(_, _, run)| of(run).cast_signed()).collect())
    };
    let columns = [
        ("scenario", Column::Text(each(scenarios).map(|(scenario, ..)| scenario.label.clone()).collect())),
        (
            "scheduler",
            Column::Text(each(scenarios).map(|(scenario, ..)| scenario.scheduler.clone()).collect()),
        ),
        (
            "draw",
            Column::Integer(each(scenarios).map(|(_, number, _)| (number as u64).cast_signed()).collect()),
        ),
        ("hosts", count(|run| run.figures.hosts)),
        ("vms", count(|run| run.vms)),
        ("placed", count(|run| run.placed)),
        ("rejected", count(|run| run.rejected)),
        ("rejected_vcpu_hours", number(|run| run.figures.rejected_vcpu_hours)),
        ("asked_vcpu_hours", number(|run| run.figures.asked_vcpu_hours)),
        ("mean_hosts", number(|run| run.figures.mean_hosts)),
        ("hosts_p50", count(|run| run.figures.hosts_p50)),
        ("hosts_p95", count(|run| run.figures.hosts_p95)),
        ("hosts_p99", count(|run| run.figures.hosts_p99)),
        ("hosts_max", count(|run| run.figures.hosts_max)),
        ("wait_p99_s", number(|run| run.figures.wait_p99_s)),
        ("displaced", count(|run| run.displaced)),
        ("recovered", count(|run| run.recovered)),
        ("lost", count(|run| run.lost + run.without_host)),
        (
            "decisions_sha256",
            Column::Text(each(scenarios).map(|(_, _, run)| run.figures.decisions_sha256.clone()).collect()),
        ),
    ];
    Ok(write_table(path, &columns)?)
}

/// The fleet over time.
fn hosts_table(path: &Path, scenarios: &[ScenarioRuns]) -> Result<()> {
    let points = || {
        each(scenarios)
            .flat_map(|(scenario, number, run)| run.points.iter().map(move |point| (scenario, number, point)))
    };
    let integer = |of: fn(&berth_simulator::scenario::Point) -> u64| {
        Column::Integer(points().map(|(_, _, point)| of(point).cast_signed()).collect())
    };
    let columns = [
        ("scenario", Column::Text(points().map(|(scenario, ..)| scenario.label.clone()).collect())),
        ("draw", Column::Integer(points().map(|(_, number, _)| (number as u64).cast_signed()).collect())),
        ("at_s", Column::Number(points().map(|(_, _, point)| point.at_s).collect())),
        ("busy_hosts", integer(|point| point.busy_hosts)),
        ("running_vms", integer(|point| point.running)),
        ("used_vcpus", integer(|point| point.used[0])),
        ("used_memory_mb", integer(|point| point.used[1])),
        ("used_disk_gb", integer(|point| point.used[2])),
        ("stranded_vcpus", integer(|point| point.stranded[0])),
        ("stranded_memory_mb", integer(|point| point.stranded[1])),
        ("largest_free_vcpus", integer(|point| point.largest_vcpus.into())),
        ("rejected", integer(|point| point.rejected)),
        ("waiting", integer(|point| point.waiting)),
    ];
    Ok(write_table(path, &columns)?)
}

fn rejections_table(path: &Path, scenarios: &[ScenarioRuns]) -> Result<()> {
    let rows = || {
        each(scenarios).flat_map(|(scenario, number, run)| {
            run.rejections.iter().map(move |rejected| (scenario, number, rejected))
        })
    };
    let columns = [
        ("scenario", Column::Text(rows().map(|(scenario, ..)| scenario.label.clone()).collect())),
        ("draw", Column::Integer(rows().map(|(_, number, _)| (number as u64).cast_signed()).collect())),
        ("flavor", Column::Text(rows().map(|(_, _, rejected)| rejected.flavor.to_string()).collect())),
        ("project", Column::Text(rows().map(|(_, _, rejected)| rejected.project.to_string()).collect())),
        ("vcpus", Column::Integer(rows().map(|(_, _, rejected)| rejected.vcpus.into()).collect())),
        ("memory_mb", Column::Integer(rows().map(|(_, _, rejected)| rejected.memory_mb.into()).collect())),
        ("short_of", Column::Text(rows().map(|(_, _, rejected)| rejected.short.to_string()).collect())),
        ("vms", Column::Integer(rows().map(|(_, _, rejected)| rejected.vms.cast_signed()).collect())),
        ("vcpu_hours", Column::Number(rows().map(|(_, _, rejected)| rejected.vcpu_hours).collect())),
        ("first_s", Column::Number(rows().map(|(_, _, rejected)| rejected.first_s).collect())),
    ];
    Ok(write_table(path, &columns)?)
}

/// The answer and the scenarios, for people.
pub(crate) fn table(answer: &Answer) -> String {
    let mut grid = Grid::new([
        "scenario",
        "met the levels",
        "rejected vCPU-h",
        "rejected VMs",
        "mean hosts",
        "p99 hosts",
        "displaced",
        "lost",
    ]);
    for scenario in &answer.scenarios {
        let of = |figure: fn(&RunResult) -> f64| scenario.interval(figure);
        grid.row([
            scenario.label.clone(),
            format!("{} of {}", scenario.passed, scenario.runs.len()),
            percent(of(|run| run.figures.rejected_vcpu_hours)),
            percent(of(|run| run.figures.rejected_vms)),
            format!("{:.1}", of(|run| run.figures.mean_hosts).mean),
            format!("{:.0}", of(|run| run.figures.hosts_p99 as f64).mean),
            format!("{:.0}", of(|run| run.displaced as f64).mean),
            format!("{:.0}", of(|run| (run.lost + run.without_host) as f64).mean),
        ]);
    }
    grid.align_right(1..8);
    format!("{}\n\n{}", answer.sentence, grid.text())
}

fn percent(of: Interval) -> String {
    if of.high - of.low < 1e-12 {
        format!("{:.4} %", 100.0 * of.mean)
    } else {
        format!("{:.4} % ± {:.4}", 100.0 * of.mean, 50.0 * (of.high - of.low))
    }
}

/// Writes the results of episodes.
pub(crate) fn write_episodes(out: &Path, rows: &[(String, EpisodeResult)]) -> Result<()> {
    let document: Vec<Value> = rows
        .iter()
        .map(|(label, result)| json!({"label": label, "trimmed_mean_s": result.trimmed_mean_s, "waits_s": result.waits_s}))
        .collect();
    let text = serde_json::to_string_pretty(&json!({"version": 1, "episodes": document}))
        .context("cannot write JSON")?;
    output::write_file(&out.join("answer.json"), &(text + "\n"))
}

/// The results of episodes, for people.
pub(crate) fn episode_table(rows: &[(String, EpisodeResult)]) -> String {
    let mut grid = Grid::new(["scenario", "episodes", "sum of waits, s (trimmed mean)"]);
    for (label, result) in rows {
        grid.row([label.clone(), result.waits_s.len().to_string(), result.trimmed_mean_s.to_string()]);
    }
    grid.align_right(1..3);
    grid.text()
}
