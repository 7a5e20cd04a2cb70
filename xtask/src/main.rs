//! Project tasks. `cargo xtask test` runs every test of Berth, `cargo xtask conformance` those of
//! Placement, and `cargo xtask ci` every check and both.
//!
//! Each task is a list of steps and ends with the first one that fails. `step` runs and times them;
//! `test`, `kvm`, `conformance`, `original`, `minicloud`, `servers`, `packages`, `package`,
//! `pages`, `check`, `deny`, `faults`, `language`, `names` and `vector` define them.

#![allow(
    clippy::disallowed_methods,
    reason = "a binary of the development tools: it may read the clock and the environment"
)]
#![allow(clippy::print_stdout, reason = "a task reports on the terminal")]

mod check;
mod conformance;
mod deny;
mod faults;
mod kvm;
mod language;
mod minicloud;
mod names;
mod original;
mod package;
mod packages;
mod pages;
mod python;
mod servers;
mod step;
mod test;
mod vector;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::conformance::Build;
use crate::faults::{Crashes, Simulation};
use crate::packages::Packages;
use crate::step::Steps;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Project tasks of Berth", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs the tests of the workspace: unit, integration and doc tests, then the loom models.
    /// Tests with real guests, with OpenStack's own suites and with Keystone are tasks of their own
    Test {
        /// Also runs the big tests that are marked `#[ignore]`, in release mode
        #[arg(long)]
        ignored: bool,
        #[command(flatten)]
        packages: Packages,
    },
    /// Runs an agent on this machine for the local service, with one image to boot, until Ctrl-C;
    /// needs root or sudo
    ComputeHost(Packages),
    /// Tests the agent on a libvirtd of its own with real guests, on KVM if available; needs root
    KvmTest(Packages),
    /// Runs Placement's own functional tests against the release server; needs Python 3.11 with
    /// venv
    Conformance {
        /// Also runs the tests of its command line client
        #[arg(long)]
        osc: bool,
    },
    /// Tests authentication against a real Keystone; needs Python 3.11 with venv
    Keystone,
    /// Runs Nova's own functional tests with Berth in place of Placement; needs Python 3.11 with
    /// venv
    NovaFunctional,
    /// Runs the scenarios of a small real Nova with Berth as its scheduler and Placement; needs
    /// root, Debian, Python 3.11, and the bed, which is not part of the repository
    Minicloud {
        /// The directory of the bed
        #[arg(long, value_name = "DIR")]
        bed: std::path::PathBuf,
        /// flat, super or two; all by default
        #[arg(long, value_delimiter = ',')]
        layout: Vec<String>,
        /// Instead of the scenarios: so many requests through shadow mode with a real
        /// nova-scheduler; fails if a difference has no explanation
        #[arg(long, value_name = "REQUESTS", conflicts_with = "layout")]
        shadow: Option<u64>,
    },
    /// Builds Debian packages and an image into target/package; needs root or sudo
    Package {
        /// Also installs, upgrades, runs, removes and purges them in a clean Debian, and runs the
        /// image
        #[arg(long)]
        test: bool,
        #[command(flatten)]
        packages: Packages,
    },
    /// Migrates a real Placement's state to Berth and back; needs Python 3.11 with venv
    Migration,
    /// Simulates store, index and clients on a machine with faults, one seed at a time
    FaultSimulation {
        /// The number of seeds
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Prints every event
        #[arg(long)]
        trace: bool,
    },
    /// Kills `berth serve` repeatedly under load and checks the acknowledged changes
    CrashTest {
        /// The number of kills
        #[arg(long, default_value_t = 25)]
        cycles: u64,
        /// The seed of the clients' requests; by default, the current time
        #[arg(long)]
        seed: Option<u64>,
        /// Also injects a full disk, a read-only directory and clock jumps; needs root and
        /// libfaketime
        #[arg(long)]
        faults: bool,
        /// Kills the service and agents instead, while clients create, change and delete instances
        #[arg(long, conflicts_with = "faults")]
        agents: bool,
        /// Kills the service in nova-scheduler's place, RabbitMQ and MariaDB instead, while
        /// conductors ask
        #[arg(long, conflicts_with_all = ["faults", "agents"])]
        nova: bool,
    },
    /// Attacks a service for longer than the tests do: floods, slow clients, hostile searches
    Attack,
    /// Runs a service under load and checks that memory, threads, descriptors and its file stay
    /// flat
    Soak {
        /// The number of minutes
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Runs what CI runs: formatting, lints, docs, language, names, dependencies, `test`,
    /// `kvm-test`, then `conformance` against the server that the tests have built
    Ci(Packages),
    /// Checks that no two public types of the libraries share a name
    Names,
    /// Checks that links between pages lead somewhere, and that the book has all pages
    Pages,
    /// Makes `docs/` a book, docs/book/index.html; installs mdBook if it is missing
    Book,
    /// Checks that no text file contains a word to avoid (see `CONTRIBUTING.md`)
    Language,
    /// Checks that the kernels over 64 rows are vector code (x86-64; needs objdump)
    Vector,
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let mut steps = Steps::new(workspace_root());
    let outcome = match task {
        Task::Test { ignored, packages } => test::run(&mut steps, packages, ignored),
        Task::ComputeHost(packages) => kvm::host(&mut steps, packages),
        Task::KvmTest(packages) => kvm::test(&mut steps, packages),
        Task::Conformance { osc } => conformance::run(&mut steps, Build::Release, osc),
        Task::Keystone => original::keystone(&mut steps),
        Task::NovaFunctional => original::nova_functional(&mut steps),
        Task::Minicloud { bed, shadow: Some(requests), .. } => minicloud::shadow(&mut steps, &bed, requests),
        Task::Minicloud { bed, layout, .. } => minicloud::run(&mut steps, &bed, &layout),
        Task::Package { test: false, packages } => package::build(&mut steps, packages),
        Task::Package { test: true, packages } => package::test(&mut steps, packages),
        Task::Migration => original::migration(&mut steps),
        Task::FaultSimulation { seeds, from, trace } => {
            faults::simulate(&mut steps, &Simulation { seeds, from, trace })
        }
        Task::CrashTest { cycles, seed, faults, agents, nova } => {
            faults::crash(&mut steps, &Crashes { cycles, seed, faults, agents, nova })
        }
        Task::Attack => faults::attack(&mut steps),
        Task::Soak { minutes } => faults::soak(&mut steps, minutes),
        Task::Ci(packages) => kvm::install_for_build(&mut steps, packages)
            .and_then(|()| check::run(&mut steps))
            .and_then(|()| language::run(&mut steps))
            .and_then(|()| names::run(&mut steps))
            .and_then(|()| pages::check(&mut steps))
            .and_then(|()| deny::run(&mut steps))
            .and_then(|()| test::run(&mut steps, packages, false))
            .and_then(|()| kvm::test_if_installed(&mut steps))
            .and_then(|()| conformance::run(&mut steps, Build::Test, false)),
        Task::Pages => pages::check(&mut steps),
        Task::Book => pages::book(&mut steps),
        Task::Language => language::run(&mut steps),
        Task::Names => names::run(&mut steps),
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
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the workspace")
}
