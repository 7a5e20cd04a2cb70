//! Explanations as tables for people.

use std::fmt::Write;

use berth_scheduler::nova::explain::{
    Change, Ending, Explanation, HostVerdict, Relaxations, Standing, TenantExplanation,
};
use comfy_table::{CellAlignment, Table, presets};

/// The operator's view.
pub(super) fn for_operator(explanation: &Explanation) -> String {
    let mut text = ending(&explanation.ending) + "\n";
    let counts = explanation.removed.iter().map(|one| (one.constraint.to_string(), one.removed));
    removals(&mut text, explanation.hosts, counts);
    if !explanation.not_judged.is_empty() {
        line(
            &mut text,
            &format!("Not judged, the case does not tell of it: {}", explanation.not_judged.join("; ")),
        );
    }
    if !explanation.verdicts.is_empty() {
        section(&mut text, &verdicts(&explanation.verdicts));
    }
    if !explanation.standings.is_empty() {
        standings(&mut text, &explanation.standings);
    }
    if let Some(relaxations) = &explanation.relaxations {
        found(&mut text, relaxations);
    }
    text
}

/// The tenant's view.
pub(super) fn for_tenant(explanation: &TenantExplanation) -> String {
    let mut text = match (explanation.result, &explanation.blocked_by) {
        ("found", _) => "There is a host for the request.\n".to_owned(),
        (_, Some(by)) => format!("The request cannot be judged by {by}.\n"),
        _ => format!("{NO_HOST}\n"),
    };
    let counts = explanation.removed.iter().map(|one| (one.constraint.clone(), one.removed));
    removals(&mut text, explanation.hosts, counts);
    if explanation.result != "found" {
        let rows =
            explanation.relaxations.iter().map(|one| vec![joined(&one.changes), one.opens.to_string()]);
        relaxations(&mut text, &["what would find a host", "opens"], rows.collect());
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

/// Hosts removed by each constraint, from the whole fleet to those that are left. What no host came to is only named.
fn removals(text: &mut String, fleet: usize, removed: impl Iterator<Item = (String, usize)>) {
    let mut table = grid(&["constraint", "removed", "left"]);
    table.add_row(["(fleet)".to_owned(), String::new(), fleet.to_string()]);
    let (mut left, mut not_reached) = (fleet, Vec::new());
    for (constraint, count) in removed {
        if left == 0 {
            not_reached.push(constraint);
            continue;
        }
        left -= count;
        table.add_row([constraint, count.to_string(), left.to_string()]);
    }
    align_right(&mut table, 1..);
    section(text, &table);
    if !not_reached.is_empty() {
        line(text, &format!("Not reached: {}", not_reached.join(", ")));
    }
}

fn verdicts(verdicts: &[HostVerdict]) -> Table {
    let mut table = grid(&["host", "removed by", "because"]);
    for verdict in verdicts {
        let by = verdict.constraint.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
        let rank = verdict.rank.map_or_else(String::new, |rank| format!(", number {rank} by weight"));
        table.add_row([verdict.host.clone(), by, format!("{}{rank}", verdict.text)]);
    }
    table
}

/// A column for each host and a row for each weigher that gives one of them anything: a column adds up to its sum.
fn standings(text: &mut String, standings: &[Standing]) {
    let mut header = vec!["weigher"];
    header.extend(standings.iter().map(|standing| standing.host.as_str()));
    let mut table = grid(&header);
    let weighers = standings.first().map_or(&[][..], |first| &first.scores);
    for (at, weigher) in weighers.iter().enumerate() {
        let scores = standings.iter().map(|standing| standing.scores[at].score);
        if scores.clone().any(|score| score != 0.0) {
            table.add_row([weigher.weigher.to_string()].into_iter().chain(scores.map(number)));
        }
    }
    let hidden = weighers.len() - table.row_count();
    let sums = standings.iter().map(|standing| number(standing.weight));
    table.add_row(["sum".to_owned()].into_iter().chain(sums));
    align_right(&mut table, 1..);
    section(text, &table);
    if weighers.is_empty() {
        line(text, "A single host is not weighed.");
    } else if hidden > 0 {
        line(text, &format!("{hidden} more weighers give these hosts nothing."));
    }
}

/// Six decimals tell hosts apart; JSON has them all.
fn number(number: f64) -> String {
    format!("{number:.6}")
}

fn found(text: &mut String, found: &Relaxations) {
    let row = |one: &berth_scheduler::nova::explain::Relaxation| {
        vec![joined(&one.changes), one.opens.to_string(), one.example.clone()]
    };
    relaxations(text, &["what would find a host", "opens", "such as"], found.found.iter().map(row).collect());
    if found.cut_short {
        line(text, "There is more that could be changed than was tried.");
    }
}

fn relaxations(text: &mut String, header: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        text.push('\n');
        line(text, "No one or two changes would find a host.");
        return;
    }
    let mut table = grid(header);
    table.add_rows(rows);
    align_right(&mut table, 1..2);
    section(text, &table);
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

/// An empty table without lines.
fn grid(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn align_right(table: &mut Table, columns: impl std::slice::SliceIndex<[usize], Output = [usize]>) {
    let all: Vec<usize> = (0..table.column_count()).collect();
    for column in &all[columns] {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
