//! Compares Berth with recorded answers of the real Nova.
//!
//! `cargo run --release -p berth-scheduler --example nova_vectors -- FILE…` takes plain or gzipped
//! files with one record a line, prints what differs, and fails if anything does.

#![allow(clippy::print_stdout, reason = "this is a command")]
#![allow(clippy::disallowed_methods, reason = "this is a command: it reads its arguments")]

use std::path::Path;
use std::process::ExitCode;

use berth_test_support::replay::{Report, lines, replay};

/// More differences than anyone reads.
const MOST_SHOWN: usize = 200;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        println!("usage: nova_vectors FILE…");
        return ExitCode::FAILURE;
    }
    let mut report = Report::default();
    for file in &files {
        let lines = match lines(Path::new(file)) {
            Ok(lines) => lines,
            Err(error) => {
                println!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        };
        lines.iter().for_each(|line| compare(line, &mut report));
    }
    println!("{}", report.summary());
    if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(line: &str, report: &mut Report) {
    let verdict = replay(line);
    report.add(&verdict);
    if !verdict.differences.is_empty() && report.failed() <= MOST_SHOWN {
        println!("{} ({})", verdict.id, verdict.kind);
        verdict.differences.iter().for_each(|difference| println!("    {difference}"));
    }
}
