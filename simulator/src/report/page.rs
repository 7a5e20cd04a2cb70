//! The page around the charts.

use super::chart::svg;
use super::format::{Escaped, NONE, counted, duration, memory, number, percent, percent_or_none};
use super::ink;
use super::series::{CLASSES, Chart, Timeline};
use super::summary::{Summary, Utilisation, share};
use super::{Heading, ReportError};
use crate::outcome::{Share, SimulationOutcome};

pub(super) fn page(outcome: &SimulationOutcome, heading: &Heading<'_>) -> Result<String, ReportError> {
    let summary = Summary::of(outcome);
    let timeline = Timeline::of(outcome);
    let figure = |chart: Chart| figure(&chart, &timeline);
    Ok(format!(
        include_str!("page.html"),
        title = Escaped(heading.title),
        trace = Escaped(heading.trace),
        fleet = Escaped(heading.fleet),
        policy = Escaped(&outcome.policy),
        version = Escaped(heading.version),
        command = command(heading.command),
        style = include_str!("style.css"),
        inks = ink::style(),
        banner = banner(outcome, &summary),
        tiles = tiles(outcome, &summary),
        classes = CLASSES.map(|(name, _)| format!("<th scope=\"col\">{name}</th>")).concat(),
        rows = rows(outcome, &summary),
        utilisation = figure(timeline.utilisation())?,
        hosts = figure(timeline.hosts())?,
        running_vms = figure(timeline.running_vms())?,
        density = figure(timeline.density())?,
        stranded = figure(timeline.stranded())?,
        rejection_rate = figure(timeline.rejection_rate())?,
        rejected_vms = figure(timeline.rejected_vms())?,
    ))
}

fn command(line: &str) -> String {
    if line.is_empty() {
        return String::new();
    }
    format!("<div><dt>Command</dt><dd><code>{}</code></dd></div>\n", Escaped(line))
}

fn banner(outcome: &SimulationOutcome, summary: &Summary) -> String {
    if outcome.complete {
        return String::new();
    }
    format!(
        "<div class=\"banner\" role=\"note\"><strong>Partial result</strong>The run was ended after {} of trace time and \
         {}; the rest of the trace was not replayed. All numbers and charts describe this part only.</div>\n",
        duration(summary.span_us),
        counted(outcome.totals.vms, "VM"),
    )
}

fn tiles(outcome: &SimulationOutcome, summary: &Summary) -> String {
    let SimulationOutcome { totals, hosts, peak_busy_hosts, .. } = *outcome;
    let placed = percent_or_none(share(totals.placed, totals.vms));
    let rejected = percent_or_none(summary.rejection_rate);
    [
        tile(
            "VMs arrived",
            &number(totals.vms),
            &format!("peak {} running", number(outcome.peak_running_vms)),
        ),
        tile("VMs placed", &placed, &counted(totals.placed, "VM")),
        tile("VMs rejected", &rejected, &counted(totals.rejected, "VM")),
        tile("Peak hosts in use", &number(peak_busy_hosts), &format!("of {}", counted(hosts, "host"))),
        tile("Packing density", &percent_or_none(summary.packing_density), "at the end"),
        tile("Time span", &duration(summary.span_us), "first to last arrival"),
    ]
    .concat()
}

fn tile(name: &str, value: &str, detail: &str) -> String {
    let value = Escaped(value);
    format!(
        "<div class=\"tile\"><p class=\"name\">{name}</p><p class=\"value\">{value}</p><p class=\"detail\">{detail}</p></div>\n"
    )
}

/// The rows of the table of capacity and use, one column per class.
fn rows(outcome: &SimulationOutcome, summary: &Summary) -> String {
    let utilisation = |part: fn(&Utilisation) -> f64| {
        summary.utilisation.map(|class| class.map_or_else(|| NONE.to_owned(), |class| percent(part(&class))))
    };
    let (stranded, capacity) = (outcome.end().stranded.amounts(), outcome.capacity.amounts());
    let stranded = [0, 1, 2].map(|class| percent_or_none(share(stranded[class], capacity[class])));
    [
        row("Capacity", &amounts(&outcome.capacity)),
        row("Used, mean", &utilisation(|class| class.mean)),
        row("Used, peak", &utilisation(|class| class.peak)),
        row("Used at the end", &utilisation(|class| class.last)),
        row("Stranded at the end", &stranded),
        row("Requested by rejected VMs", &amounts(&outcome.totals.rejected_amounts)),
    ]
    .concat()
}

fn amounts(share: &Share) -> [String; 3] {
    let or_none =
        |amount: u64, text: fn(u64) -> String| if amount == 0 { NONE.to_owned() } else { text(amount) };
    [
        or_none(share.vcpus, number),
        or_none(share.memory_mb, memory),
        or_none(share.disk_gb, |amount| memory(amount.saturating_mul(1024))),
    ]
}

fn row(name: &str, cells: &[String; 3]) -> String {
    let cells = cells.each_ref().map(|cell| format!("<td>{}</td>", Escaped(cell))).concat();
    format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
}

/// A chart with its title, legend and caption, or the reason why it is empty.
fn figure(chart: &Chart, timeline: &Timeline<'_>) -> Result<String, ReportError> {
    let Chart { title, caption, .. } = chart;
    let body = match svg(chart, timeline)? {
        Some(svg) => format!(
            "{}<div class=\"plot\" role=\"img\" aria-label=\"{}\">\n{svg}</div>\n",
            legend(chart),
            Escaped(&description(chart, timeline))
        ),
        None => format!("<p class=\"nothing\">Nothing to show: {}.</p>\n", reason(chart, timeline)),
    };
    let caption = Escaped(caption);
    Ok(format!("<figure>\n<h3>{title}</h3>\n{body}<figcaption>{caption}</figcaption>\n</figure>\n"))
}

fn reason(chart: &Chart, timeline: &Timeline<'_>) -> &'static str {
    match timeline.outcome.totals.vms {
        0 => "no VM arrived",
        _ if timeline.end <= 0.0 && !chart.series.is_empty() => "all VMs arrived at the same moment",
        _ => chart.nothing,
    }
}

fn legend(chart: &Chart) -> String {
    let items = chart.series.iter().map(|series| {
        let (ink, name, note) = (series.ink.name(), series.name, Escaped(&series.note));
        format!("<li><i class=\"swatch {ink}\"></i>{name} <span>{note}</span></li>")
    });
    format!("<ul class=\"legend\">{}</ul>\n", items.collect::<String>())
}

/// A text description of the chart, for screen readers.
fn description(chart: &Chart, timeline: &Timeline<'_>) -> String {
    let Chart { title, unit, .. } = chart;
    let lines: Vec<String> =
        chart.series.iter().map(|series| format!("{}: {}", series.name, series.note)).collect();
    format!("Line chart of {title} ({unit}) over {}. {}.", timeline.unit.name(), lines.join("; "))
}
