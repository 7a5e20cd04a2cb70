//! `berth shadow`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use berth_nova_scheduler::{
    Agreement, DifferenceCause, ShadowAnswer, ShadowRecord, ShadowReport, read_shadow_records,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::document::DocumentOptions;
use crate::table::Grid;
use crate::{Ending, output};

/// Sum up how Berth's decisions compare with those of nova-scheduler
#[derive(Args)]
#[command(after_help = "\
Example: berth shadow report /var/lib/berth/shadow.jsonl

A service in shadow mode writes the file: docs/replace-nova-scheduler.md")]
pub(crate) struct Shadow {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Count agreement and differences by cause, and show the last differences; exits with 4 if
    /// there are any
    Report(Report),
}

#[derive(Args)]
struct Report {
    /// The file of records; the one before it, with .1 at its end, is read as well
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many of the last differences to show; JSON has their explanations
    #[arg(long, value_name = "N", default_value_t = 10)]
    differences: usize,
    #[command(flatten)]
    format: DocumentOptions,
}

/// The report as JSON.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a ShadowReport,
    share_agreed: Option<f64>,
    unreadable_lines: u64,
}

impl Shadow {
    pub(crate) fn run(self) -> Result<Ending> {
        let Action::Report(Report { file, differences, format }) = self.action;
        let mut report = ShadowReport::keeping(differences);
        let unreadable_lines = read_shadow_records(&file, |record| report.add(record))
            .with_context(|| format!("cannot read {}", file.display()))?;
        if format.is_document() {
            let share_agreed = report.share();
            format.print(&Document { report: &report, share_agreed, unreadable_lines })?;
        } else {
            output::print(&text(&report, unreadable_lines))?;
        }
        let found = report.count(Agreement::Different) > 0;
        Ok(if found { Ending::Found } else { Ending::Complete })
    }
}

fn text(report: &ShadowReport, unreadable: u64) -> String {
    let mut text = counts(report).text();
    if let Some(share) = report.share() {
        let (berth, nova) = (report.berth_us, report.nova_us);
        let _ = writeln!(text, "\n{:.3} % of the answered requests agree.", share * 100.0);
        let _ = writeln!(text, "Mean time: Berth {berth} µs, nova-scheduler {nova} µs.");
    }
    if !report.last.is_empty() {
        let _ = write!(text, "\n{}", differences(report).text());
    }
    if unreadable > 0 {
        let _ = writeln!(text, "\n{unreadable} lines are no records; a crash may have cut them.");
    }
    text
}

fn counts(report: &ShadowReport) -> Grid {
    let mut table = Grid::new(["outcome", "requests"]);
    let mut row = |name: &str, count: u64| table.row([name.to_owned(), count.to_string()]);
    row("same", report.count(Agreement::Same));
    row("tie", report.count(Agreement::Tie));
    for (cause, count) in &report.differences {
        row(&format!("different: {}", meaning(*cause)), *count);
    }
    row("unanswered", report.count(Agreement::Unanswered));
    row("all", report.requests);
    table.align_right(1..2);
    table
}

const fn meaning(cause: DifferenceCause) -> &'static str {
    match cause {
        DifferenceCause::StaleData => "stale data",
        DifferenceCause::Refusal => "refusal",
        DifferenceCause::Filters => "filters",
        DifferenceCause::Weights => "weights",
        DifferenceCause::Allocations => "allocations",
    }
}

fn differences(report: &ShadowReport) -> Grid {
    let mut table = Grid::new(["request", "cause", "Berth", "nova-scheduler"]);
    for ShadowRecord { request_id, cause, stale, berth, nova, .. } in &report.last {
        let mut cause = cause.map_or("", meaning).to_owned();
        if let Some(first) = stale.first() {
            let _ = write!(cause, ": {first}");
        }
        table.row([request_id.clone(), cause, answer(berth), answer(nova)]);
    }
    table
}

fn answer(answer: &ShadowAnswer) -> String {
    match answer {
        ShadowAnswer::Hosts(hosts) => hosts.join(", "),
        ShadowAnswer::Exception { class, .. } => class.clone(),
        ShadowAnswer::Nothing { problem } => problem.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(agreement: &str, cause: &str) -> String {
        let record = serde_json::json!({
            "at": 1, "request_id": "req-1", "project": "p", "flavor": "m1", "instances": 1, "berth_us": 60,
            "nova_us": 35_000, "berth": {"hosts": ["c1"]}, "nova": {"hosts": ["c2"]}, "agreement": agreement,
            "cause": if cause.is_empty() { serde_json::Value::Null } else { cause.into() },
            "stale": [{"kind": "pending", "host": "c3", "decisions": 2, "row_age_us": 5_000_000}],
        });
        format!("{record}\n")
    }

    #[test]
    fn a_report_counts_and_shows_differences() {
        let lines = [line("tie", ""), line("same", ""), line("different", "weights"), "{\n".to_owned()];
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("shadow.jsonl");
        std::fs::write(&file, lines.concat()).expect("is written");
        let mut report = ShadowReport::keeping(10);
        let unreadable = read_shadow_records(&file, |record| report.add(record)).expect("reads");
        let text = text(&report, unreadable);
        assert!(text.contains("66.667 % of the answered requests agree"), "{text}");
        assert!(text.contains("different: weights") && text.contains("1 lines are no records"), "{text}");
        let is_shown = |line: &str| ["req-1", "weights", "c1", "c2"].iter().all(|one| line.contains(one));
        assert!(text.lines().any(is_shown), "{text}");
        assert!(text.contains("weights: c3: 2 decisions pending (row of 5 s ago)"), "{text}");
    }
}
