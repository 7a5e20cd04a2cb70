//! The `berth` command: arguments, files, terminal, Ctrl-C, wall-clock time.
//!
//! It is a library so that `system-tests` has a program of its own with the same code: cargo builds
//! a program for the tests of its own package only.
//!
//! Each command has a file (`replay.rs`, `serve.rs`, `generate.rs`, `bench.rs`,
//! `placement_database.rs`, `shadow.rs`, `health.rs`, `completions.rs`, `manual.rs`) or a directory
//! (`store/`, `audit/`, `certs/`, `config/`, `doctor/`, `explain/`, `fleet/`, `simulate/`,
//! `trace/`), and so has each thing that they share (`output.rs`, `table.rs`, `placements.rs`,
//! `progress.rs`, `interrupt.rs`, `summary.rs`, `leading.rs`). `operator/` has the commands that
//! are clients of a running service, one file per noun:
//!
//! | file | content |
//! |---|---|
//! | `operator/connection.rs` | the address of the service, certificates, deadlines, lists in pages |
//! | `operator/refusal.rs` | statuses with their details as messages |
//! | `operator/record.rs` | one object as a row, a table or JSON; units and times |
//! | `operator/pairs.rs` | options of the form KEY=VALUE |
//! | `operator/server/request.rs` | the placement options shared by `server create` and `explain` |
//! | `operator/server/create.rs`, `act.rs`, `wait.rs`, `view.rs` | creating servers, actions on them, `--wait`, output |
//!
//! Tests: `tests/command/operator/` runs every command against a stub service;
//! `system-tests/` kills services and agents.
//!
//! Invariants: output has its own field names (`record` of each noun), so JSON is stable when a
//! message changes. Wall-clock time goes to the terminal and into the results of `berth bench`,
//! never into the files of a replay.

#![forbid(unsafe_code)]
// This is the edge: it measures wall-clock time, for people and for `berth bench`.
#![allow(clippy::disallowed_methods)]

mod audit;
mod bench;
mod certs;
mod compare;
mod completions;
mod config;
mod doctor;
mod document;
mod environment;
mod etcd;
mod explain;
mod fleet;
mod generate;
mod health;
mod interrupt;
mod invocation;
mod leading;
mod manual;
mod operator;
mod output;
mod placement_database;
mod placements;
mod plan;
mod progress;
mod replay;
mod serve;
mod shadow;
mod simulate;
mod store;
mod summary;
mod table;
mod trace;
mod yaml;

use std::process::ExitCode;

use berth_process::build::Build;
use berth_process::command_line;
use clap::{Parser, Subcommand};

/// How a command ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    /// Ctrl-C ended it; its output is marked as partial.
    Interrupted,
    /// A measurement regressed.
    Regressed,
    /// There is no host for the request.
    NoHost,
    /// The command did its work, and found what somebody has to look at.
    Found,
    /// Wrong usage that the command itself detected and reported.
    WrongUsage,
}

/// What this program was built from.
const BUILD: Build = Build { version: env!("CARGO_PKG_VERSION"), commit: env!("BERTH_COMMIT") };

/// What `--version` prints after the name.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("BERTH_COMMIT"), ")");

/// Berth decides which host every VM runs on, and replays production traces through the same code.
#[derive(Parser)]
#[command(version = VERSION, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed (the message says why) or regressed (bench compare), 2 wrong usage, 3 no host
(explain, server create), 4 something found
(audit, trace check, config import, doctor, upgrade check), 130 ended by Ctrl-C.

--service, --ca, --cert, --key, --project and -f may also stand before the command that they are for.";

#[derive(Subcommand)]
enum Command {
    /// Replay a trace of VMs on a fleet of hosts and show how well they fit
    Replay(replay::Replay),
    /// Run the scenarios of a file: workloads on fleets under schedulers, with failures and waiting
    Simulate(simulate::Simulate),
    /// Find the fewest hosts of a shape that serve a workload
    Plan(plan::PlanCommand),
    /// Compare results of simulations
    Compare(compare::Compare),
    /// Convert, check, describe and scale traces of VMs
    Trace(trace::Traces),
    /// Take the live fleet, with its VMs, as the start of simulations
    Fleet(fleet::FleetCommand),
    /// Serve the OpenStack Placement API over HTTP, and gRPC
    Serve(serve::Serve),
    /// Create the certificates of the gRPC service, its clients and agents
    Certs(certs::Certs),
    /// Verify, back up, restore, copy and repair the state of a service
    Store(store::Store),
    /// Find allocations of deleted consumers, wrong usage, and providers over capacity
    Audit(audit::Audit),
    /// Import the database of another Placement service
    ImportPlacement(placement_database::ImportPlacement),
    /// Write an SQL script that exports the state to a Placement database
    ExportPlacement(placement_database::ExportPlacement),
    /// Run benchmarks, compare results, and load a Placement server
    Bench(bench::Bench),
    /// Write a workload as CSV files of hosts and VMs
    Generate(generate::Generate),
    /// Check, show or import the configuration
    Config(config::Config),
    /// Explain why a request finds a host or none, and which change would find one
    Explain(explain::Explain),
    /// Manage compute hosts
    Host(operator::host::Hosts),
    /// Manage host aggregates
    Aggregate(operator::aggregate::Aggregates),
    /// List availability zones and their hosts
    Zone(operator::zone::Zones),
    /// Manage flavors
    Flavor(operator::flavor::Flavors),
    /// Manage server groups
    ServerGroup(operator::server_group::ServerGroups),
    /// Manage SSH key pairs
    Keypair(operator::keypair::KeyPairs),
    /// Manage servers
    Server(Box<operator::server::Servers>),
    /// Show the consoles of servers
    Console(operator::console::Consoles),
    /// Show the moves of servers
    Migration(operator::migration::Migrations),
    /// Show hypervisors, their capacity and usage
    Hypervisor(operator::hypervisor::Hypervisors),
    /// List the agents of the hosts and whether they are up
    Service(operator::Agents),
    /// Show what Nova asked of the scheduler
    Scheduler(operator::scheduler::Scheduler),
    /// Sum up how Berth's decisions compare with those of nova-scheduler
    Shadow(shadow::Shadow),
    /// Manage the quotas of projects
    Quota(operator::quota::Quotas),
    /// Check configuration, endpoints, certificates, clock and disk of a service on this machine
    Doctor(doctor::Doctor),
    /// Check whether this version can take over from the one that runs
    Upgrade(doctor::Upgrade),
    /// Ask a service whether it can do all of its work
    Health(health::HealthQuestion),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Write the manual pages of all commands
    Manual(manual::Manual),
}

/// Runs the command that the arguments of this process name.
#[must_use]
pub fn run() -> ExitCode {
    let parsed = Cli::try_parse_from(leading::moved(std::env::args_os()));
    if let Err(answer) = &parsed
        && !answer.use_stderr()
    {
        return command_line::print_answer("berth", answer);
    }
    // Checked before wrong usage is reported: a variable can cause it, and the message would name
    // only its option.
    if let Err(error) = environment::check() {
        output::complain(&error);
        return ExitCode::FAILURE;
    }
    match parsed {
        Ok(Cli { command }) => end(command.run()),
        Err(usage) => command_line::refuse(&usage),
    }
}

impl Command {
    fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::Replay(command) => command.run(),
            Self::Simulate(command) => command.run(),
            Self::Plan(command) => command.run(),
            Self::Compare(command) => command.run(),
            Self::Trace(command) => command.run(),
            Self::Fleet(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Certs(command) => command.run(),
            Self::Store(command) => command.run(),
            Self::Audit(command) => command.run(),
            Self::ImportPlacement(command) => command.run(),
            Self::ExportPlacement(command) => command.run(),
            Self::Bench(command) => command.run(),
            Self::Generate(command) => command.run(),
            Self::Config(command) => command.run(),
            Self::Explain(command) => command.run(),
            Self::Host(command) => command.run(),
            Self::Aggregate(command) => command.run(),
            Self::Zone(command) => command.run(),
            Self::Flavor(command) => command.run(),
            Self::ServerGroup(command) => command.run(),
            Self::Keypair(command) => command.run(),
            Self::Server(command) => command.run(),
            Self::Console(command) => command.run(),
            Self::Migration(command) => command.run(),
            Self::Hypervisor(command) => command.run(),
            Self::Service(command) => command.run(),
            Self::Scheduler(command) => command.run(),
            Self::Shadow(command) => command.run(),
            Self::Quota(command) => command.run(),
            Self::Completions(command) => command.run(),
            Self::Manual(command) => command.run(),
            Self::Health(command) => command.run(),
            Self::Doctor(command) => command.run(),
            Self::Upgrade(command) => command.run(),
        }
    }
}

fn end(ending: anyhow::Result<Ending>) -> ExitCode {
    match ending {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Ok(Ending::Regressed) => ExitCode::FAILURE,
        Ok(Ending::NoHost) => ExitCode::from(3),
        Ok(Ending::Found) => ExitCode::from(4),
        Ok(Ending::WrongUsage) => ExitCode::from(2),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS, // the reader has seen enough
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    /// Calls a function with each command, and with its name.
    fn each(command: &clap::Command, name: &str, visit: &mut impl FnMut(&clap::Command, &str)) {
        visit(command, name);
        for part in command.get_subcommands() {
            each(part, &format!("{name} {}", part.get_name()), visit);
        }
    }

    /// Names in `berth host show <NAME>` had none.
    #[test]
    fn every_argument_and_command_has_a_help_text() {
        let mut missing = Vec::new();
        each(&super::Cli::command(), "berth", &mut |command, name| {
            let arguments = command.get_arguments().filter(|argument| argument.get_help().is_none());
            missing.extend(arguments.map(|argument| format!("{name}: {}", argument.get_id())));
            if command.get_about().is_none() {
                missing.push(name.to_owned());
            }
        });
        assert!(missing.is_empty(), "{missing:#?}");
    }

    /// Splits a shell line into words; quotes group words.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for letter in line.chars() {
            match letter {
                '\'' | '"' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                letter => words.last_mut().expect("there is one").push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// The commands of `berth` in a page: indented lines, continued after a backslash, up to a
    /// comment or the shell's own signs.
    fn commands(page: &str) -> Vec<String> {
        let joined = page.replace("\\\n", " ");
        let indented = joined.lines().filter(|line| line.starts_with("    ")).map(str::trim_start);
        let without_prefix = indented.map(|line| line.strip_prefix("target/release/").unwrap_or(line));
        let commands = without_prefix.filter(|line| line.starts_with("berth "));
        let end = |line: &str| {
            ["  #", " &", " | ", " > "].iter().filter_map(|sign| line.find(sign)).min().unwrap_or(line.len())
        };
        commands.map(|line| line[..end(line)].to_owned()).collect()
    }

    /// The commands of the pages for operators and planners are also run by `tests/command`.
    #[test]
    fn pages_show_commands_that_there_are() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let docs = std::fs::read_dir(format!("{root}/docs")).unwrap().map(|file| file.unwrap().path());
        let pages = docs.filter(|file| file.extension().is_some_and(|extension| extension == "md"));
        let others = ["README.md", "benches/README.md"].map(|page| format!("{root}/{page}").into());
        let mut count = 0;
        for page in pages.chain(others) {
            for command in commands(&std::fs::read_to_string(&page).unwrap()) {
                let words = words(&command).into_iter().map(OsString::from);
                let parsed = super::Cli::try_parse_from(super::leading::moved(words));
                let error = parsed.err().filter(clap::Error::use_stderr);
                assert!(error.is_none(), "{}: {command}: {}", page.display(), error.unwrap());
                count += 1;
            }
        }
        assert!(count > 90, "{count} commands were found");
    }
}
