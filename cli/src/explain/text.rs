//! Explanations as tables for people.

use std::fmt::Write;

use berth_scheduler::explain::{
    Blocked, Change, Ending, Explanation, HostVerdict, Relaxation, Relaxations, Standing, TenantExplanation,
    TenantResult,
};

use crate::table::Grid;

/// The operator's view.
pub(crate) fn for_operator(explanation: &Explanation) -> String {
    let mut text = ending(&explanation.ending) + "\n";
    if explanation.hosts == 0 {
        line(&mut text, NO_FLEET);
        return text;
    }
    let removed = explanation.removed.iter().map(|one| (one.constraint.to_string(), one.removed));
    removals(&mut text, explanation.hosts, removed);
    if !explanation.not_judged.is_empty() {
        line(
            &mut text,
            &format!(
                "Not evaluated, because the case does not contain it: {}",
                explanation.not_judged.join("; ")
            ),
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
        (TenantResult::Found, _) => "There is a host for the request.\n".to_owned(),
        (_, Some(by)) => format!("The request cannot be judged by {by}.\n"),
        _ => format!("{NO_HOST}\n"),
    };
    if explanation.hosts == 0 {
        line(&mut text, NO_FLEET);
        return text;
    }
    let removed = explanation.removed.iter().map(|one| (one.constraint.clone(), one.removed));
    removals(&mut text, explanation.hosts, removed);
    if explanation.result != TenantResult::Found {
        let rows =
            explanation.relaxations.iter().map(|one| vec![joined(&one.changes), one.opens.to_string()]);
        relaxations(&mut text, &["what would find a host", "opens"], rows.collect());
    }
    text
}

const NO_HOST: &str = "No valid host was found.";

const NO_FLEET: &str = "The fleet has no hosts.";

fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Found { host } => format!("The request finds host {host}."),
        Ending::NoHost => NO_HOST.to_owned(),
        Ending::Blocked(Blocked { by, error }) => format!("{by} cannot judge the request: {error}."),
    }
}

/// The number of hosts that each constraint removed, from the whole fleet on. Constraints that no
/// host reached are only named.
fn removals(text: &mut String, fleet: usize, removed: impl Iterator<Item = (String, usize)>) {
    let mut table = Grid::new(["constraint", "removed", "left"]);
    table.row(["(fleet)".to_owned(), String::new(), fleet.to_string()]);
    let (mut left, mut not_reached) = (fleet, Vec::new());
    for (constraint, removed) in removed {
        if left == 0 {
            not_reached.push(constraint);
            continue;
        }
        left = left.saturating_sub(removed);
        table.row([constraint, removed.to_string(), left.to_string()]);
    }
    table.align_right(1..3);
    section(text, &table);
    if !not_reached.is_empty() {
        line(text, &format!("Not reached: {}", not_reached.join(", ")));
    }
}

fn verdicts(verdicts: &[HostVerdict]) -> Grid {
    let mut table = Grid::new(["host", "removed by", "because"]);
    for verdict in verdicts {
        let by = verdict.constraint.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
        let rank = verdict.rank.map_or_else(String::new, |rank| format!(", number {rank} by weight"));
        table.row([verdict.host.clone(), by, format!("{}{rank}", verdict.text)]);
    }
    table
}

/// A column for each host and a row for each weigher with a score: a column adds up to its sum.
fn standings(text: &mut String, standings: &[Standing]) {
    let mut header = vec!["weigher"];
    header.extend(standings.iter().map(|standing| standing.host.as_str()));
    let mut table = Grid::new(header);
    let weighers = standings.first().map_or(&[][..], |first| &first.scores);
    for (at, weigher) in weighers.iter().enumerate() {
        let scores = standings.iter().filter_map(|standing| standing.scores.get(at)).map(|one| one.score);
        if scores.clone().any(|score| score != 0.0) {
            table.row([weigher.weigher.to_string()].into_iter().chain(scores.map(number)));
        }
    }
    let hidden = weighers.len() - table.len();
    let sums = standings.iter().map(|standing| number(standing.weight));
    table.row(["sum".to_owned()].into_iter().chain(sums));
    table.align_right(1..=standings.len());
    section(text, &table);
    if weighers.is_empty() {
        line(text, "A single host is not weighed.");
    } else if hidden > 0 {
        line(text, &format!("{hidden} more weighers give these hosts nothing."));
    }
}

/// Six decimals distinguish hosts; JSON has all of them.
fn number(weight: f64) -> String {
    if weight.is_finite() { format!("{weight:.6}") } else { "–".to_owned() }
}

fn found(text: &mut String, found: &Relaxations) {
    let row = |one: &Relaxation| vec![joined(&one.changes), one.opens.to_string(), one.example.clone()];
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
    let mut table = Grid::new(header.iter().copied());
    rows.into_iter().for_each(|row| table.row(row));
    table.align_right(1..2);
    section(text, &table);
}

fn joined(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn line(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}");
}

fn section(text: &mut String, table: &Grid) {
    let _ = write!(text, "\n{}", table.text());
}
