//! The `berth` command: arguments, files, terminal, Ctrl-C, wall-clock time.
//!
//! Each command has a file (`replay.rs`, `serve.rs`, `generate.rs`, `bench.rs`,
//! `placement_database.rs`, `completions.rs`) or a directory (`store/`, `audit/`, `certs/`,
//! `config/`, `explain/`), and so has each thing that they share (`output.rs`, `table.rs`,
//! `placements.rs`, `progress.rs`, `interrupt.rs`, `summary.rs`). `operator/` has the commands that
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
//! Tests: `tests/command/operator/` runs every command against a stub service; `tests/cuts/`,
//! `tests/kills/` and `tests/books/` interrupt and kill services and agents at every step and check
//! that instances, allocations and guests agree afterwards.
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
mod completions;
mod config;
mod explain;
mod generate;
mod interrupt;
mod operator;
mod output;
mod placement_database;
mod placements;
mod progress;
mod replay;
mod serve;
mod store;
mod summary;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How a command ended, when not with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    /// Ended by Ctrl-C; what was written is marked as partial.
    Interrupted,
    /// Something measured became slower.
    Regressed,
    /// There is no host for the request.
    NoHost,
    /// The audit found something.
    Found,
    /// Wrong usage that only the command itself could tell; it said what.
    WrongUsage,
}

/// Berth decides which host every VM runs on, and replays production traces through the same code.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed (the message says why) or regressed (bench compare), 2 wrong usage, 3 no host
(explain, server create), 4 something found (audit), 130 ended by Ctrl-C.";

#[derive(Subcommand)]
enum Command {
    /// Replay a trace of VMs on a fleet of hosts and show how well they fit
    Replay(replay::Replay),
    /// Serve the OpenStack Placement API over HTTP, and gRPC
    Serve(serve::Serve),
    /// Make the certificates that gRPC's clients, agents and service know each other by
    Certs(certs::Certs),
    /// Verify, back up, restore and repair the folder of a service
    Store(store::Store),
    /// Find allocations of consumers that are gone, wrong use, and providers over capacity
    Audit(audit::Audit),
    /// Carry everything over from another Placement's database
    ImportPlacement(placement_database::ImportPlacement),
    /// Write a script that gives a Placement database what Berth holds
    ExportPlacement(placement_database::ExportPlacement),
    /// Measure, compare measurements, and put load on a Placement server
    Bench(bench::Bench),
    /// Write a workload as hosts and vms CSV files
    Generate(generate::Generate),
    /// Check, show or import the configuration
    Config(config::Config),
    /// Say why a request finds its host, or none, and what would find one
    Explain(explain::Explain),
    /// Compute hosts: look at them, and say whether new instances may go there
    Host(operator::host::Hosts),
    /// Host aggregates: hosts with something in common, such as a zone
    Aggregate(operator::aggregate::Aggregates),
    /// Availability zones and their hosts
    Zone(operator::zone::Zones),
    /// Flavors: the sizes of servers
    Flavor(operator::flavor::Flavors),
    /// Server groups: servers that belong together, or apart
    ServerGroup(operator::server_group::ServerGroups),
    /// Servers: make them, act on them, look at them
    Server(Box<operator::server::Servers>),
    /// Hypervisors: what they are, what they have and how much of it is taken
    Hypervisor(operator::hypervisor::Hypervisors),
    /// The agents on the hosts: who is up, and since when
    Service(operator::Agents),
    /// Quotas: what a project may have, and has
    Quota(operator::quota::Quotas),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let ending = match Cli::parse().command {
        Command::Replay(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Certs(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::ImportPlacement(command) => command.run(),
        Command::ExportPlacement(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Generate(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Host(command) => command.run(),
        Command::Aggregate(command) => command.run(),
        Command::Zone(command) => command.run(),
        Command::Flavor(command) => command.run(),
        Command::ServerGroup(command) => command.run(),
        Command::Server(command) => command.run(),
        Command::Hypervisor(command) => command.run(),
        Command::Service(command) => command.run(),
        Command::Quota(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    match ending {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Ok(Ending::Regressed) => ExitCode::FAILURE,
        Ok(Ending::NoHost) => ExitCode::from(3),
        Ok(Ending::Found) => ExitCode::from(4),
        Ok(Ending::WrongUsage) => ExitCode::from(2),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS, // the reader has seen enough
        Err(error) => {
            eprintln!("berth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    /// The words of a line of a shell; quotes keep words together.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for letter in line.chars() {
            match letter {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                letter => words.last_mut().expect("there is one").push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_page_for_operators_shows_commands_that_there_are() {
        let page = include_str!("../../docs/operator.md");
        let commands = page.lines().filter(|line| line.trim_start().starts_with("berth "));
        let mut count = 0;
        for command in commands {
            let command = command.split("  #").next().unwrap_or(command);
            let parsed = super::Cli::try_parse_from(words(command));
            assert!(
                parsed.is_ok(),
                "{command}: {}",
                parsed.err().map(|error| error.to_string()).unwrap_or_default()
            );
            count += 1;
        }
        assert!(count > 30, "{count} commands were found");
    }
}
