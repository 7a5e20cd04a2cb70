//! Project tasks. `cargo xtask test` runs every test of ours, `cargo xtask conformance` those of Placement,
//! `cargo xtask ci` every check and then both.
//!
//! Each task is a list of steps; the first one that fails ends it. `step` runs and times them,
//! `test`, `kvm`, `conformance`, `original`, `check`, `deny`, `faults` and `vector` say what they are.

#![allow(
    clippy::disallowed_methods,
    reason = "the outside world starts here: this binary may read the clock and environment"
)]
#![allow(clippy::print_stdout, reason = "a task reports on the terminal")]

mod check;
mod conformance;
mod deny;
mod faults;
mod kvm;
mod original;
mod python;
mod step;
mod test;
mod vector;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::faults::{Crashes, Simulation};
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
    /// Makes this machine a compute host of the service on it, with one image to boot, until Ctrl-C; needs root or sudo
    ComputeHost,
    /// Runs the agent on a libvirtd of its own with real guests, on KVM where there is one; needs root
    KvmTest,
    /// Runs Placement's own functional tests against the release server; needs Python 3.11 with venv
    Conformance {
        /// Also runs the tests of its command line client
        #[arg(long)]
        osc: bool,
    },
    /// Lets Berth authenticate against a real Keystone; needs Python 3.11 with venv
    Keystone,
    /// Carries a real Placement's state over to Berth and back; needs Python 3.11 with venv
    Migration,
    /// Runs store, index and clients on a machine that fails, all from one seed at a time
    FaultSimulation {
        /// How many seeds
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// The first of them
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Prints everything that happens
        #[arg(long)]
        trace: bool,
    },
    /// Kills `berth serve` again and again while clients are at it, and checks what they were told
    CrashTest {
        /// How often it is killed
        #[arg(long, default_value_t = 25)]
        cycles: u64,
        /// What decides what clients do; the time if not given
        #[arg(long)]
        seed: Option<u64>,
        /// Also with a full disk, a folder that cannot be written and a clock that jumps; needs root, and libfaketime
        #[arg(long)]
        faults: bool,
        /// Instead: kills the service and agents, while clients make, change and delete instances
        #[arg(long, conflicts_with = "faults")]
        agents: bool,
    },
    /// Runs what CI runs: formatting, lints, docs, dependencies, `test`, `kvm-test`, then `conformance`
    Ci,
    /// Checks that the passes over 64 rows are vector code (x86-64; needs objdump)
    Vector,
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let mut steps = Steps::new(workspace_root());
    let outcome = match task {
        Task::Test { ignored } => test::run(&mut steps, ignored),
        Task::ComputeHost => kvm::host(&mut steps),
        Task::KvmTest => kvm::test(&mut steps),
        Task::Conformance { osc } => conformance::run(&mut steps, osc),
        Task::Keystone => original::keystone(&mut steps),
        Task::Migration => original::migration(&mut steps),
        Task::FaultSimulation { seeds, from, trace } => {
            faults::simulate(&mut steps, &Simulation { seeds, from, trace })
        }
        Task::CrashTest { cycles, seed, faults, agents } => {
            faults::crash(&mut steps, &Crashes { cycles, seed, faults, agents })
        }
        Task::Ci => kvm::install(&mut steps)
            .and_then(|()| check::run(&mut steps))
            .and_then(|()| deny::run(&mut steps))
            .and_then(|()| test::run(&mut steps, false))
            .and_then(|()| kvm::test(&mut steps))
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
