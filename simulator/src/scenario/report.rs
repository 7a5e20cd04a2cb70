//! Results as one page: the answer first, then what it rests on.
//!
//! The page has no script and needs no network. A chart's points show their values when the pointer
//! rests on them (`title` of SVG), and a table with the same numbers stands below it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::report::format::Escaped;
use crate::scenario::gauge::Point;
use crate::scenario::plan::Plan;
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
#[must_use]
pub fn html(answer: &Answer, provenance: &Provenance) -> String {
    let mut page = String::new();
    let title = escaped(&answer.title);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    if !answer.is_complete {
        page.push_str("<p class=\"partial\">Partial result: not everything ran.</p>\n");
    }
    let _ = writeln!(page, "<p class=\"answer\">{}</p>", escaped(&answer.sentence));
    if let Some(plan) = &answer.plan {
        planned(&mut page, plan);
    }
    if !answer.scenarios.is_empty() {
        side_by_side(&mut page, &answer.scenarios);
        exhaustion(&mut page, &answer.scenarios);
        answer.scenarios.iter().for_each(|scenario| details(&mut page, scenario));
    }
    provenance_table(&mut page, provenance);
    page.push_str("</body></html>\n");
    page
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}.answer{font-size:1.15rem;border-left:4px solid #2a6f97;padding-left:.8rem}\
.partial{background:#fff3cd;padding:.4rem .8rem}table{border-collapse:collapse;font-size:.85rem}th,td{padding:.2rem .6rem;text-align:right;\
border-bottom:1px solid #dde3ea}th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto}details{margin:.3rem 0 1rem}\
.line{fill:none;stroke-width:1.5}.point{fill-opacity:0;stroke:none}.point:hover{fill-opacity:1}.grid{stroke:#dde3ea}text{font-size:11px;fill:#5a6675}\
@media print{details{display:none}h2{break-after:avoid}svg,table{break-inside:avoid}}";

fn planned(page: &mut String, plan: &Plan) {
    let rows = plan.steps.iter().map(|step| {
        vec![
            step.hosts.to_string(),
            format!("{} of {}", step.passed, step.runs),
            percent(step.rejected_vcpu_hours, 4),
            format!("{:.1}", step.mean_hosts),
        ]
    });
    #[allow(clippy::cast_precision_loss)] // a chart
    let line: Vec<(f64, f64)> = plan
        .steps
        .iter()
        .filter(|step| step.runs > 1)
        .map(|step| (f64::from(step.hosts), 100.0 * f64::from(step.passed) / f64::from(step.runs)))
        .collect();
    page.push_str("<h2>Service level against fleet size</h2>\n");
    chart(page, &[("runs that meet the levels, %", line)], "hosts", "%");
    table(page, &["hosts", "met the levels", "rejected vCPU-hours", "mean hosts in use"], rows);
}

fn side_by_side(page: &mut String, scenarios: &[ScenarioRuns]) {
    page.push_str("<h2>Scenarios side by side</h2>\n<p>Means of all runs, with 95 % intervals.</p>\n");
    let rows = scenarios.iter().map(|scenario| {
        let of = |figure: fn(&RunResult) -> f64, digits: usize| shown(scenario.interval(figure), digits);
        vec![
            scenario.label.clone(),
            scenario.scheduler.clone(),
            format!("{} of {}", scenario.passed, scenario.runs.len()),
            shown(scenario.interval(|run| 100.0 * run.figures.rejected_vcpu_hours), 4),
            shown(scenario.interval(|run| 100.0 * run.figures.rejected_vms), 4),
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
        "mean hosts",
        "hosts p99",
        "hosts at most",
        "wait p99, s",
        "displaced",
        "lost",
    ];
    table(page, &head, rows);
}

/// When each scenario's fleet was full for the first time, and of what.
fn exhaustion(page: &mut String, scenarios: &[ScenarioRuns]) {
    page.push_str("<h2>Time to exhaustion</h2>\n<p>When the first VM was rejected, and what no host had enough of then.</p>\n");
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
        let after = if days.is_empty() { "–".to_owned() } else { shown(mean_interval(&days), 2) };
        vec![
            scenario.label.clone(),
            format!("{} of {}", found.len(), scenario.runs.len()),
            after,
            short.join(", "),
        ]
    });
    table(page, &["scenario", "runs with rejections", "first after, days", "short of (runs)"], rows);
}

/// Hosts over time by how full they are: darker where more hosts are.
fn heat_map(page: &mut String, points: &[Point]) {
    let rows = points.iter().map(|point| point.by_fullness.len()).max().unwrap_or(0);
    let hosts = points.iter().map(|point| point.by_fullness.iter().sum::<u64>()).max().unwrap_or(0);
    if rows == 0 || hosts == 0 {
        return;
    }
    let names = |row: usize| match row {
        0 => "empty".to_owned(),
        row => format!("to {} %", 10 * row),
    };
    let (width, height) = ((WIDTH - LEFT - 10.0) / as_f64(points.len() as u64), 14.0);
    let bottom = height * as_f64(rows as u64);
    page.push_str("<h3>Hosts by vCPUs in use</h3>\n");
    let _ = writeln!(page, "<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\">", bottom + 4.0);
    for row in 0..rows {
        let y = bottom - height * as_f64(row as u64 + 1);
        let _ = writeln!(
            page,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 11.0,
            names(row)
        );
        for (column, point) in points.iter().enumerate() {
            let count = point.by_fullness.get(row).copied().unwrap_or(0);
            if count == 0 {
                continue;
            }
            // The root, so that few hosts can be seen beside many.
            let opacity = (as_f64(count) / as_f64(hosts)).sqrt();
            let _ = writeln!(
                page,
                "<rect fill=\"{}\" fill-opacity=\"{opacity:.2}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height}\"><title>{}: {count} at {} days</title></rect>",
                INKS[0],
                LEFT + width * as_f64(column as u64),
                names(row),
                short(point.at_s / 86_400.0)
            );
        }
    }
    page.push_str("</svg>\n<details><summary>Numbers</summary>\n");
    let heads: Vec<String> = std::iter::once("days".to_owned()).chain((0..rows).map(names)).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows = points.iter().step_by(points.len().div_ceil(40)).map(|point| {
        std::iter::once(short(point.at_s / 86_400.0))
            .chain(point.by_fullness.iter().map(u64::to_string))
            .collect()
    });
    table(page, &heads, rows);
    page.push_str("</details>\n");
}

fn details(page: &mut String, scenario: &ScenarioRuns) {
    let Some(run) = scenario.runs.first() else { return };
    let _ = writeln!(page, "<h2>{}</h2>", escaped(&scenario.label));
    let of = |value: fn(&Point) -> f64| {
        run.points.iter().map(|point| (point.at_s / 86_400.0, value(point))).collect::<Vec<_>>()
    };
    let capacity = run.figures.capacity;
    let shares: Vec<(&str, Vec<(f64, f64)>)> = ["vCPUs", "memory", "disk"]
        .into_iter()
        .zip(0..3)
        .filter(|(_, class)| capacity[*class] > 0)
        .map(|(name, class)| {
            let share = |point: &Point| 100.0 * as_f64(point.used[class]) / as_f64(capacity[class]);
            (name, run.points.iter().map(|point| (point.at_s / 86_400.0, share(point))).collect())
        })
        .collect();
    chart(page, &shares, "days since the first arrival", "% of the fleet in use");
    let hosts = [("hosts in use", of(|point| as_f64(point.busy_hosts)))];
    chart(page, &hosts, "days since the first arrival", "hosts");
    heat_map(page, &run.points);
    chart(
        page,
        &[("largest VM that fits, vCPUs", of(|point| f64::from(point.largest_vcpus)))],
        "days since the first arrival",
        "vCPUs",
    );
    if !scenario.probes.is_empty() {
        let lines: Vec<(&str, Vec<(f64, f64)>)> = scenario
            .probes
            .iter()
            .enumerate()
            .map(|(number, name)| {
                let slots = |point: &Point| as_f64(point.slots.get(number).copied().unwrap_or(0));
                (
                    name.as_str(),
                    run.points.iter().map(|point| (point.at_s / 86_400.0, slots(point))).collect(),
                )
            })
            .collect();
        chart(page, &lines, "days since the first arrival", "free slots");
    }
    if run.rejections.is_empty() {
        page.push_str("<p>No VM was rejected.</p>\n");
    } else {
        let rows = run.rejections.iter().take(20).map(|rejected| {
            vec![
                rejected.flavor.clone(),
                rejected.project.clone(),
                rejected.vcpus.to_string(),
                format!("{:.1}", f64::from(rejected.memory_mb) / 1024.0),
                rejected.short.clone(),
                rejected.vms.to_string(),
                format!("{:.1}", rejected.vcpu_hours),
                format!("{:.2}", rejected.first_s / 86_400.0),
            ]
        });
        page.push_str("<h3>Rejections</h3>\n");
        table(
            page,
            &["flavor", "project", "vCPU", "GiB", "short of", "VMs", "vCPU-hours", "first after, days"],
            rows,
        );
    }
}

fn provenance_table(page: &mut String, provenance: &Provenance) {
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
    page.push_str("<h2>Provenance</h2>\n");
    table(page, &["", ""], rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]));
}

fn table(page: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    page.push_str("<table><thead><tr>");
    head.iter().for_each(|cell| {
        let _ = write!(page, "<th>{}</th>", escaped(cell));
    });
    page.push_str("</tr></thead><tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        row.iter().for_each(|cell| {
            let _ = write!(page, "<td>{}</td>", escaped(cell));
        });
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table>\n");
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 40.0;
const INKS: [&str; 4] = ["#2a6f97", "#c1666b", "#4f772d", "#7b5ea7"];

/// Lines with a scale from 0, points that name their values, and the same numbers in a table that
/// unfolds.
fn chart(page: &mut String, lines: &[(&str, Vec<(f64, f64)>)], x_name: &str, y_name: &str) {
    let points = || lines.iter().flat_map(|(_, points)| points);
    if points().count() == 0 {
        return;
    }
    let low = points().map(|point| point.0).fold(f64::MAX, f64::min);
    let high = points().map(|point| point.0).fold(f64::MIN, f64::max).max(low + 1e-9);
    let top = points().map(|point| point.1).fold(0.0, f64::max).max(1e-9);
    let x = |value: f64| LEFT + (value - low) / (high - low) * (WIDTH - LEFT - 10.0);
    let y = |value: f64| (HEIGHT - BOTTOM) - value / top * (HEIGHT - BOTTOM - 20.0);
    let _ = writeln!(page, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (at, value) = (y(top * part), top * part);
        let _ = writeln!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - 10.0,
            LEFT - 6.0,
            at + 4.0,
            short(value)
        );
        let (across, value) = (x(low + (high - low) * part), low + (high - low) * part);
        let _ = writeln!(
            page,
            "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM + 16.0,
            short(value)
        );
    }
    let _ = writeln!(
        page,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        WIDTH / 2.0,
        HEIGHT - 6.0,
        escaped(x_name)
    );
    let mut legend = LEFT;
    for ((name, points), ink) in lines.iter().zip(INKS.iter().cycle()) {
        let path: Vec<String> =
            points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(page, "<polyline class=\"line\" stroke=\"{ink}\" points=\"{}\"/>", path.join(" "));
        for point in points {
            let _ = writeln!(
                page,
                "<circle class=\"point\" fill=\"{ink}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}: {} at {}</title></circle>",
                x(point.0),
                y(point.1),
                escaped(name),
                short(point.1),
                short(point.0)
            );
        }
        let _ =
            writeln!(page, "<text x=\"{legend:.1}\" y=\"12\" style=\"fill:{ink}\">{}</text>", escaped(name));
        legend += 9.0 + 6.5 * as_f64(name.chars().count() as u64);
    }
    page.push_str("</svg>\n<details><summary>Numbers</summary>\n");
    let head: Vec<&str> = std::iter::once(x_name).chain(lines.iter().map(|(name, _)| *name)).collect();
    let longest = lines.iter().map(|(_, points)| points.len()).max().unwrap_or(0);
    let rows = (0..longest).map(|row| {
        let at = lines.iter().find_map(|(_, points)| points.get(row)).map_or(0.0, |point| point.0);
        let values =
            lines.iter().map(|(_, points)| points.get(row).map_or(String::new(), |point| short(point.1)));
        std::iter::once(short(at)).chain(values).collect()
    });
    table(page, &head, rows);
    let _ = writeln!(page, "</details><p class=\"unit\">{}</p>", escaped(y_name));
}

/// A number with as many digits as matter.
fn short(value: f64) -> String {
    if value == value.trunc() || value.abs() >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn shown(interval: Interval, digits: usize) -> String {
    let Interval { mean, low, high } = interval;
    if high - low < 1e-12 {
        format!("{mean:.digits$}")
    } else {
        format!("{mean:.digits$} ({low:.digits$} – {high:.digits$})")
    }
}

fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$} %", 100.0 * share)
}

#[allow(clippy::cast_precision_loss)] // for people
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn escaped(text: &str) -> String {
    Escaped(text).to_string()
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
        let page = html(&answer, &Provenance::default());
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;&amp;&quot;"));
        for outside in ["<script", "<link", "src=", "href=", "http:", "https:", "@import", "NaN", "inf"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("Partial result"));
        assert!(page.contains("1 of 1</td><td>0.50</td><td>memory (1)"), "the time to exhaustion");
        assert!(page.contains("to 20 %: 4 at 1 days") && page.contains("empty: 3 at 0 days"));
        assert_eq!(page, html(&answer, &Provenance::default()));
    }
}
