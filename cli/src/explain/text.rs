//! Explanations as tables for people.

use std::fmt::Write;

use berth_scheduler::nova::explain::{
    Change, Ending, Explanation, HostVerdict, Relaxations, Standing, TenantExplanation,
};
use comfy_table::{CellAlignment, Table, presets};

/// The operator's view.
pub(super) fn for_operator(explanation: &Explanation) -> String {
    let mut text = String::new();
    line(&mut text, &ending(&explanation.ending));
    let counts = explanation.removed.iter().map(|one| (one.constraint.to_string(), one.removed));
    section(&mut text, &removals(explanation.hosts, counts));
    if !explanation.verdicts.is_empty() {
        section(&mut text, &verdicts(&explanation.verdicts));
    }
    if !explanation.standings.is_empty() {
        section(&mut text, &standings(&explanation.standings));
    }
    if let Some(relaxations) = &explanation.relaxations {
        section(&mut text, &found(relaxations));
    }
    text
}

/// The tenant's view.
pub(super) fn for_tenant(explanation: &TenantExplanation) -> String {
    let mut text = String::new();
    line(
        &mut text,
        match (explanation.result, &explanation.blocked_by) {
            ("found", _) => "There is a host for the request.".to_owned(),
            (_, Some(by)) => format!("The request cannot be judged by {by}."),
            _ => NO_HOST.to_owned(),
        }
        .as_str(),
    );
    section(&mut text, &removals(explanation.hosts, explanation.removed.iter().cloned()));
    if explanation.result != "found" {
        let rows = explanation.relaxations.iter().map(|one| [joined(&one.changes), one.opens.to_string()]);
        section(&mut text, &relaxations(&["what would find a host", "hosts"], rows.map(Vec::from)));
    }
    text
}

const NO_HOST: &str = "No valid host was found.";

fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Found { host } => format!("The request finds host {host}."),
        Ending::NoHost => NO_HOST.to_owned(),
        Ending::Blocked(blocked) => format!("{} cannot judge the request: {}.", blocked.by, blocked.error),
    }
}

/// Hosts removed by each constraint, from the whole fleet to those that are left.
fn removals(fleet: usize, removed: impl Iterator<Item = (String, usize)>) -> Table {
    let mut table = grid();
    table.set_header(["constraint", "removed", "left"]);
    table.add_row(["fleet".to_owned(), String::new(), fleet.to_string()]);
    let mut left = fleet;
    for (constraint, count) in removed {
        left -= count;
        table.add_row([constraint, count.to_string(), left.to_string()]);
    }
    align_right(&mut table, 1);
    table
}

fn verdicts(verdicts: &[HostVerdict]) -> Table {
    let mut table = grid();
    table.set_header(["host", "removed by", "because"]);
    for verdict in verdicts {
        let by = verdict.constraint.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
        let rank = verdict.rank.map_or_else(String::new, |rank| format!(", number {rank} by weight"));
        table.add_row([verdict.host.clone(), by, format!("{}{rank}", verdict.text)]);
    }
    table
}

/// One line for each weigher of each host. Weighers that make no difference between hosts shown are there, too: the
/// sum is the sum of what stands above it.
fn standings(standings: &[Standing]) -> Table {
    let mut table = grid();
    table.set_header(["host", "weigher", "raw", "normalized", "multiplier", "score"]);
    for standing in standings {
        let mut host = standing.host.clone();
        for score in &standing.scores {
            let numbers = [score.raw, score.normalized, score.multiplier, score.score];
            let cells = [std::mem::take(&mut host), score.weigher.to_string()];
            table.add_row(cells.into_iter().chain(numbers.map(|number| number.to_string())));
        }
        let weight = standing.weight.to_string();
        table.add_row([host, "sum".to_owned(), String::new(), String::new(), String::new(), weight]);
    }
    align_right(&mut table, 2);
    table
}

fn found(found: &Relaxations) -> Table {
    let rows =
        found.found.iter().map(|one| vec![joined(&one.changes), one.opens.to_string(), one.example.clone()]);
    let more = found.cut_short.then(|| vec!["more was not tried".to_owned()]);
    relaxations(&["what would find a host", "hosts", "such as"], rows.chain(more))
}

fn relaxations(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = grid();
    table.set_header(header);
    rows.for_each(|row| {
        table.add_row(row);
    });
    if table.row_count() == 0 {
        table.add_row(["no one or two changes would"]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn joined(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn line(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}");
}

fn section(text: &mut String, table: &Table) {
    let lines: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let _ = write!(text, "\n{lines}");
}

fn grid() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

fn align_right(table: &mut Table, from: usize) {
    table.column_iter_mut().skip(from).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
}
