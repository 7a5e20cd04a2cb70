//! Results as one page: the answer first, then what it rests on.
//!
//! The page has no script and needs no network. A chart's points show their values when the pointer
//! rests on them (`title` of SVG), and a table with the same numbers unfolds below it.

mod figure;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use self::figure::{Across, Figure, as_f64, heat_map};
use self::table::{Cell, table};
use crate::report::axis::Measure;
use crate::report::format::Escaped;
use crate::report::{ReportError, ink};
use crate::scenario::gauge::Point;
use crate::scenario::plan::{Plan, PlanStep};
use crate::scenario::result::RunResult;
use crate::scenario::statistics::{Interval, mean_interval};

/// Where a result comes from.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Provenance {
    /// The version of Berth.
    pub version: String,
    /// The command.
    pub command: String,
    /// The seed.
    pub seed: u64,
    /// The trace, and the SHA-256 of its file, if it is one.
    pub trace: String,
    /// See `trace`.
    pub trace_sha256: Option<String>,
    /// The fleet.
    pub fleet: String,
    /// The SHA-256 of the scenario.
    pub scenario_sha256: Option<String>,
}

/// The runs of one scenario.
#[derive(Debug, Clone)]
pub struct ScenarioRuns {
    /// What distinguishes it.
    pub label: String,
    /// The scheduler.
    pub scheduler: String,
    /// The names of its probes.
    pub probes: Vec<String>,
    /// Its runs: of the trace itself, or one of each draw.
    pub runs: Vec<RunResult>,
    /// How many of them met the service levels.
    pub passed: usize,
}

impl ScenarioRuns {
    /// A figure of every run.
    #[must_use]
    pub fn values(&self, of: fn(&RunResult) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).collect()
    }

    /// Its mean, with the interval.
    #[must_use]
    pub fn interval(&self, of: fn(&RunResult) -> f64) -> Interval {
        mean_interval(&self.values(of))
    }
}

/// What a page shows.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The title.
    pub title: String,
    /// The answer as a sentence.
    pub sentence: String,
    /// Whether everything ran.
    pub is_complete: bool,
    /// The plan, if one was made.
    pub plan: Option<Plan>,
    /// Scenarios.
    pub scenarios: Vec<ScenarioRuns>,
}

/// The page.
///
/// # Errors
/// A chart cannot be drawn.
pub fn html(answer: &Answer, provenance: &Provenance) -> Result<String, ReportError> {
    let title = Escaped(&answer.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{}{}{}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"kind\">Berth simulation report</p>\n<h1>{title}</h1>\n</header>\n<main>\n",
        include_str!("../../report/style.css"),
        ink::style(),
        include_str!("style.css"),
    );
    if !answer.is_complete {
        page.push_str(
            "<div class=\"banner\" role=\"note\"><strong>Partial result</strong>Not everything ran.</div>\n",
        );
    }
    let _ = writeln!(page, "<p class=\"answer\">{}</p>", Escaped(&answer.sentence));
    if let Some(plan) = &answer.plan {
        page.push_str(&planned(plan)?);
    }
    let scenarios = &answer.scenarios;
    if !scenarios.is_empty() {
        page.push_str(&by_fleet_size(scenarios)?);
        page.push_str(&side_by_side(scenarios));
        page.push_str(&exhaustion(scenarios));
        let is_open = scenarios.len() <= MOST_OPEN;
        for scenario in scenarios {
            page.push_str(&details(scenario, is_open)?);
        }
    }
    page.push_str(&provenance_table(provenance));
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(page)
}

/// The charts of more scenarios than these are folded.
const MOST_OPEN: usize = 3;

fn planned(plan: &Plan) -> Result<String, ReportError> {
    let steps = plan.steps.iter().filter(|step| step.runs > 1);
    let met = |step: &PlanStep| 100.0 * f64::from(step.passed) / f64::from(step.runs);
    let line = steps.map(|step| (f64::from(step.hosts), met(step))).collect();
    let figure = Figure {
        title: "Service level against fleet size",
        unit: "% of the runs meet the levels",
        measure: Measure::Percent,
        across: Across::Hosts,
        lines: vec![("runs that meet the service levels", line)],
    };
    let rows = plan.steps.iter().map(|step| {
        vec![
            step.hosts.to_string().into(),
            format!("{} of {}", step.passed, step.runs).into(),
            format!("{:.4} %", 100.0 * step.rejected_vcpu_hours).into(),
            format!("{:.1}", step.mean_hosts).into(),
        ]
    });
    let head = ["hosts", "met the levels", "rejected vCPU-hours", "mean hosts in use"];
    Ok(section("Service level against fleet size", &format!("{}{}", figure.html()?, table(&head, rows))))
}

/// What scenarios with fleets of different sizes reject, a line for each scheduler.
fn by_fleet_size(scenarios: &[ScenarioRuns]) -> Result<String, ReportError> {
    let mut of_scheduler: BTreeMap<&str, BTreeMap<u64, f64>> = BTreeMap::new();
    for scenario in scenarios {
        let Some(run) = scenario.runs.first() else { continue };
        let rejected = 100.0 * scenario.interval(|run| run.figures.rejected_vcpu_hours).mean;
        let line = of_scheduler.entry(&scenario.scheduler).or_default();
        if line.insert(run.figures.hosts, rejected).is_some() {
            return Ok(String::new()); // they differ in something else as well
        }
    }
    let points =
        |line: BTreeMap<u64, f64>| line.into_iter().map(|(hosts, rejected)| (as_f64(hosts), rejected));
    let lines = of_scheduler.into_iter().map(|(name, line)| (name, points(line).collect()));
    let figure = Figure {
        title: "Rejected vCPU-hours against fleet size",
        unit: "% of the requested vCPU-hours, mean of all runs",
        measure: Measure::Percent,
        across: Across::Hosts,
        lines: lines.collect(),
    };
    let html = figure.html()?;
    Ok(if html.is_empty() { html } else { section("Service level against fleet size", &html) })
}

fn side_by_side(scenarios: &[ScenarioRuns]) -> String {
    let rows = scenarios.iter().map(|scenario| {
        let of = |figure: fn(&RunResult) -> f64, digits| Cell::interval(scenario.interval(figure), digits);
        vec![
            scenario.label.as_str().into(),
            scenario.scheduler.as_str().into(),
            format!("{} of {}", scenario.passed, scenario.runs.len()).into(),
            of(|run| 100.0 * run.figures.rejected_vcpu_hours, 3),
            of(|run| 100.0 * run.figures.rejected_vms, 3),
            of(|run| run.figures.mean_hosts, 1),
            of(|run| as_f64(run.figures.hosts_p99), 1),
            of(|run| as_f64(run.figures.hosts_max), 1),
            of(|run| run.figures.wait_p99_s, 0),
            of(|run| as_f64(run.displaced), 0),
            of(|run| as_f64(run.lost + run.without_host), 0),
        ]
    });
    let head = [
        "scenario",
        "scheduler",
        "met the levels",
        "rejected vCPU-hours, %",
        "rejected VMs, %",
        "hosts in use, mean",
        "p99",
        "at most",
        "wait p99, s",
        "displaced",
        "lost",
    ];
    let note = "<p class=\"note\">Means of all runs, with 95 % intervals below, without the warm-up.</p>\n";
    section("Scenarios side by side", &format!("{note}{}", table(&head, rows)))
}

/// When each scenario's fleet was full for the first time, and of what.
fn exhaustion(scenarios: &[ScenarioRuns]) -> String {
    let rows = scenarios.iter().map(|scenario| {
        let first = |run: &RunResult| {
            let earliest = run.rejections.iter().min_by(|a, b| a.first_s.total_cmp(&b.first_s))?;
            Some((earliest.first_s / 86_400.0, earliest.short.clone()))
        };
        let found: Vec<(f64, String)> = scenario.runs.iter().filter_map(first).collect();
        let days: Vec<f64> = found.iter().map(|(days, _)| *days).collect();
        let mut short: BTreeMap<&str, usize> = BTreeMap::new();
        found.iter().for_each(|(_, of)| *short.entry(of.as_str()).or_default() += 1);
        let short: Vec<String> = short.iter().map(|(of, runs)| format!("{of} ({runs})")).collect();
        let after = if days.is_empty() { "–".into() } else { Cell::interval(mean_interval(&days), 2) };
        vec![
            scenario.label.as_str().into(),
            format!("{} of {}", found.len(), scenario.runs.len()).into(),
            after,
            short.join(", ").into(),
        ]
    });
    let note = "<p class=\"note\">When the first VM was rejected, and what no host had enough of then.</p>\n";
    let head = ["scenario", "runs with rejections", "first after, days", "short of (runs)"];
    section("Time to exhaustion", &format!("{note}{}", table(&head, rows)))
}

/// The first run of a scenario over time.
fn details(scenario: &ScenarioRuns, is_open: bool) -> Result<String, ReportError> {
    let Some(run) = scenario.runs.first() else { return Ok(String::new()) };
    let parts = [
        in_order(scenario, run)?,
        rejections(run),
        heat_map(&run.points),
        percentiles(run),
        over_time(run, "Stranded capacity", "% of the fleet, free but of no use", |point| point.stranded)
            .html()?,
    ];
    let (open, label) = (if is_open { " open" } else { "" }, Escaped(&scenario.label));
    let of = if scenario.runs.len() > 1 { "<p class=\"note\">The first of the runs.</p>\n" } else { "" };
    Ok(format!(
        "<details class=\"scenario\"{open}><summary>{label}</summary>\n{of}<div class=\"pair\">\n{}</div></details>\n",
        parts.concat()
    ))
}

/// What still fits, then what is in use.
fn in_order(scenario: &ScenarioRuns, run: &RunResult) -> Result<String, ReportError> {
    let across = Across::time(&run.points);
    let of = |value: &dyn Fn(&Point) -> u64| {
        run.points.iter().map(|point| (across.at(point.at_s), as_f64(value(point)))).collect::<Vec<_>>()
    };
    let largest = of(&|point| point.largest_vcpus.into());
    let count = |title, unit, lines| Figure { title, unit, measure: Measure::Count, across, lines };
    let probes =
        scenario.probes.iter().enumerate().map(|(number, name)| {
            (name.as_str(), of(&|point| point.slots.get(number).copied().unwrap_or(0)))
        });
    let busy = of(&|point| point.busy_hosts);
    Ok([
        count("Largest VM that fits", "vCPUs", vec![("largest VM", largest)]).html()?,
        count("Free slots", "VMs that would still fit", probes.collect()).html()?,
        over_time(run, "Use of the fleet", "% of the fleet in use", |point| point.used).html()?,
        count("Hosts in use", "hosts", vec![("hosts with VMs", busy)]).html()?,
    ]
    .concat())
}

/// Shares of the fleet's capacity.
fn over_time(
    run: &RunResult,
    title: &'static str,
    unit: &'static str,
    amounts: fn(&Point) -> [u64; 3],
) -> Figure<'static> {
    let (across, capacity) = (Across::time(&run.points), run.figures.capacity);
    let classes =
        ["vCPUs", "memory", "disk"].into_iter().enumerate().filter(|(class, _)| capacity[*class] > 0);
    let lines = classes.map(|(class, name)| {
        let share = |point: &Point| 100.0 * as_f64(amounts(point)[class]) / as_f64(capacity[class]);
        (name, run.points.iter().map(|point| (across.at(point.at_s), share(point))).collect())
    });
    Figure { title, unit, measure: Measure::Percent, across, lines: lines.collect() }
}

fn rejections(run: &RunResult) -> String {
    if run.rejections.is_empty() {
        return "<figure>\n<h3>Rejections</h3>\n<p class=\"nothing\">No VM was rejected.</p>\n</figure>\n"
            .to_owned();
    }
    let rows = run.rejections.iter().take(20).map(|rejected| {
        vec![
            rejected.flavor.as_str().into(),
            rejected.project.as_str().into(),
            rejected.vcpus.to_string().into(),
            format!("{:.1}", f64::from(rejected.memory_mb) / 1024.0).into(),
            rejected.short.as_str().into(),
            rejected.vms.to_string().into(),
            format!("{:.1}", rejected.vcpu_hours).into(),
            format!("{:.2}", rejected.first_s / 86_400.0).into(),
        ]
    });
    let head = ["flavor", "project", "vCPU", "GiB", "short of", "VMs", "vCPU-hours", "first after, days"];
    let more = run.rejections.len().saturating_sub(20);
    let more = if more > 0 { format!("<figcaption>And {more} more.</figcaption>") } else { String::new() };
    format!("<figure class=\"wide\">\n<h3>Rejections</h3>\n{}{more}</figure>\n", table(&head, rows))
}

/// Of the time after the warm-up.
fn percentiles(run: &RunResult) -> String {
    let figures = &run.figures;
    let hosts = [figures.hosts_p50, figures.hosts_p95, figures.hosts_p99, figures.hosts_max];
    let hosts = std::iter::once("hosts in use".into()).chain(hosts.map(|hosts| hosts.to_string().into()));
    let seconds =
        [figures.wait_p50_s, figures.wait_p99_s, figures.wait_max_s].map(|wait| format!("{wait:.0}"));
    let [median, p99, longest] = seconds;
    let waits = ["wait, s".to_owned(), median, "–".to_owned(), p99, longest];
    let rows = [hosts.collect(), waits.iter().map(Into::into).collect()];
    let caption = "<figcaption>Of the time after the warm-up.</figcaption>\n";
    let head = ["", "p50", "p95", "p99", "at most"];
    format!("<figure>\n<h3>Percentiles</h3>\n{}{caption}</figure>\n", table(&head, rows))
}

fn provenance_table(provenance: &Provenance) -> String {
    let none = || "–".to_owned();
    let rows = [
        ("version", provenance.version.clone()),
        ("command", provenance.command.clone()),
        ("seed", provenance.seed.to_string()),
        ("trace", provenance.trace.clone()),
        ("trace SHA-256", provenance.trace_sha256.clone().unwrap_or_else(none)),
        ("fleet", provenance.fleet.clone()),
        ("scenario SHA-256", provenance.scenario_sha256.clone().unwrap_or_else(none)),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.into(), value.into()]);
    section("Provenance", &table(&["", ""], rows))
}

fn section(heading: &str, content: &str) -> String {
    format!("<section>\n<h2>{heading}</h2>\n{content}</section>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::result::RejectedFlavor;

    #[test]
    fn a_page_is_self_contained_and_escapes_names() {
        let run = RunResult {
            points: vec![
                Point { by_fullness: vec![3, 0, 1], ..Point::default() },
                Point { at_s: 86_400.0, by_fullness: vec![0, 0, 4], ..Point::default() },
            ],
            rejections: vec![RejectedFlavor {
                flavor: "m".into(),
                vcpus: 1,
                memory_mb: 1,
                project: String::new(),
                short: "memory".into(),
                vms: 1,
                vcpu_hours: 1.0,
                first_s: 43_200.0,
            }],
            ..RunResult::default()
        };
        let bad = "<b>&\"".to_owned();
        let scenarios = vec![ScenarioRuns {
            label: bad.clone(),
            scheduler: "x".into(),
            probes: vec![bad.clone()],
            runs: vec![run],
            passed: 1,
        }];
        let answer = Answer { title: bad.clone(), sentence: bad, scenarios, ..Answer::default() };
        let page = html(&answer, &Provenance::default()).expect("it is drawn");
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;&amp;&quot;"));
        let content = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for outside in ["<script", "<link", "src=", "href=", "http:", "https:", "@import", "NaN", "inf"] {
            assert!(!content.contains(outside), "{outside}");
        }
        assert!(page.contains("Partial result"));
        assert!(page.contains("1 of 1</td><td>0.50</td><td>memory (1)"), "the time to exhaustion");
        assert!(page.contains("to 20 %: 4 at 24") && page.contains("empty: 3 at 0"));
        assert_eq!(page, html(&answer, &Provenance::default()).expect("it is drawn"));
    }
}
