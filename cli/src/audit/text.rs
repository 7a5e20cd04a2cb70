//! Findings for people.

use std::fmt::Write;

use berth_process::printable;

use super::findings::{Findings, Held, Leaked, OverCapacity, Usage, Who};
use super::heal::{Outcome, Step};
use crate::table::Grid;

/// The findings and what was done about them. `now` is in seconds since 1970.
pub(super) fn shown(findings: &Findings, steps: &[Step], now: u64) -> String {
    let mut text = String::new();
    match &findings.leaked {
        None => text.push_str("Leaked consumers: not looked for; --instances names the existing instances\n"),
        Some(leaked) => show_leaked(&mut text, leaked, now),
    }
    show_usage(&mut text, &findings.usage);
    show_over_capacity(&mut text, &findings.over_capacity, now);
    for provider in &findings.restless {
        let _infallible = writeln!(text, "Provider {provider} changed all the time: try again");
    }
    if !steps.is_empty() {
        text.push_str("\nHealing\n");
    }
    for Step { what, outcome } in steps {
        let _infallible = writeln!(text, "  {what}: {}", outcome_text(outcome));
    }
    text
}

fn put(text: &mut String, table: &Grid) {
    text.extend(table.lines().flat_map(|line| ["  ".to_owned(), line, "\n".to_owned()]));
}

fn show_leaked(text: &mut String, leaked: &[Leaked], now: u64) {
    let _infallible = writeln!(text, "Leaked consumers: {}", leaked.len());
    if leaked.is_empty() {
        return;
    }
    let mut table = Grid::indented(["consumer", "project", "type", "held for", "holds"]);
    for Leaked { consumer, about, holds } in leaked {
        let kind = about.consumer_type.clone().unwrap_or_default();
        let project = about.project.clone().unwrap_or_default();
        table.row([consumer.to_string(), project, kind, age(about.since, now), held(holds)]);
    }
    put(text, &table);
}

fn show_usage(text: &mut String, usage: &[Usage]) {
    let _infallible = writeln!(text, "Use that is not the sum of the allocations: {}", usage.len());
    if usage.is_empty() {
        return;
    }
    let mut table = Grid::indented(["provider", "class", "used", "allocated"]);
    for found in usage {
        let Usage { name, class, used, allocated, .. } = found;
        table.row([name.clone(), class.clone(), used.to_string(), allocated.to_string()]);
    }
    table.align_right(2..4);
    put(text, &table);
}

fn show_over_capacity(text: &mut String, over: &[OverCapacity], now: u64) {
    let _infallible = writeln!(text, "Providers over capacity: {}", over.len());
    for provider in over {
        let since = age(provider.changed, now);
        let name = printable::line(&provider.name);
        let _infallible = writeln!(text, "  {name} ({}), last changed {since} ago", provider.provider);
        for excess in &provider.classes {
            let _infallible = writeln!(
                text,
                "    {}: {} used of {} = ({} - {} reserved) x {}",
                excess.class,
                excess.used,
                excess.capacity,
                excess.total,
                excess.reserved,
                excess.allocation_ratio
            );
        }
        let what = if provider.is_smallest { "the smallest set" } else { "a small set" };
        let _infallible = writeln!(text, "    would have to leave ({what}): {}", provider.leaving.len());
        let mut table = Grid::indented(["  consumer", "project", "held for", "holds"]);
        for leaving in &provider.leaving {
            let project =
                leaving.about.as_ref().and_then(|about: &Who| about.project.clone()).unwrap_or_default();
            let since = age(leaving.about.as_ref().and_then(|about| about.since), now);
            table.row([format!("  {}", leaving.consumer), project, since, amounts(&leaving.holds)]);
        }
        put(text, &table);
    }
}

fn held(holds: &[Held]) -> String {
    let mut places: Vec<String> = Vec::new();
    for part in holds.chunk_by(|one, other| one.provider == other.provider) {
        places.push(format!("{} on {}", amounts(part), part[0].name));
    }
    places.join(", ")
}

fn amounts(holds: &[Held]) -> String {
    holds.iter().map(|held| format!("{} {}", held.amount, held.class)).collect::<Vec<_>>().join(" ")
}

/// How long ago something was.
fn age(since: Option<u64>, now: u64) -> String {
    let Some(since) = since else { return "?".to_owned() };
    match now.saturating_sub(since) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::WouldBeDone => "would be done with --write".to_owned(),
        Outcome::Changed => "skipped: it has changed since it was found".to_owned(),
        Outcome::TooYoung => {
            "skipped: it was written recently (--older-than), or at an unknown time".to_owned()
        }
        Outcome::Impossible(why) => format!("not done: {why}"),
        Outcome::Refused(why) => format!("refused: {why}"),
    }
}
