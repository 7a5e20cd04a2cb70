//! Project tasks. `cargo xtask test` runs every test of ours, `cargo xtask conformance` those of Placement,
//! `cargo xtask ci` every check and then both.
//!
//! Each task is a list of steps; the first one that fails ends it. `step` runs and times them,
//! `test`, `conformance`, `check`, `deny` and `vector` say what they are.

#![allow(
    clippy::disallowed_methods,
    reason = "the outside world starts here: this binary may read the clock and environment"
)]
#![allow(clippy::print_stdout, reason = "a task reports on the terminal")]

mod check;
mod conformance;
mod deny;
mod step;
mod test;
mod vector;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::step::Steps;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Project tasks of Berth", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every test: unit, integration and doc tests, then the loom models
    Test {
        /// Also runs the big tests that are marked `#[ignore]`, in release mode
        #[arg(long)]
        ignored: bool,
    },
    /// Runs Placement's own functional tests against the release server; needs Python 3.11 with venv
    Conformance {
        /// Also runs the tests of its command line client
        #[arg(long)]
        osc: bool,
    },
    /// Runs what CI runs: formatting, lints, docs, dependencies, `test`, then `conformance`
    Ci,
    /// Checks that the passes over 64 rows are vector code (x86-64; needs objdump)
    Vector,
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let mut steps = Steps::new(workspace_root());
    let outcome = match task {
        Task::Test { ignored } => test::run(&mut steps, ignored),
        Task::Conformance { osc } => conformance::run(&mut steps, osc),
        Task::Ci => check::run(&mut steps)
            .and_then(|()| deny::run(&mut steps))
            .and_then(|()| test::run(&mut steps, false))
            .and_then(|()| conformance::run(&mut steps, false)),
        Task::Vector => vector::run(&mut steps),
    };
    steps.print_summary();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}
