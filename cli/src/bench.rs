//! `berth bench`.

mod measured;
mod memory;
mod plot;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use berth_benches::compare::{self, compare};
use berth_benches::nova::{self, NovaVariant};
use berth_benches::nova_rpc::{self, BusOptions, RabbitOptions, TransportUrl};
use berth_benches::suite::{self, Effort, ObjectiveName, Suite, SuiteOptions};
use berth_benches::{Progress, Report, api};
use clap::{Args, Subcommand};

use crate::{Ending, output};
use measured::{measured, shown_command};

/// Measure, compare and draw measurements, and put load on a Placement server.
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth bench run --suite decisions --hosts 1000,100000 --json new.json
  berth bench compare base.json new.json --threshold 5%
  berth bench memory --hosts 100000 --vms 1000000
  berth bench plot new.json --over hosts --output scaling.svg
  berth bench api --endpoint http://127.0.0.1:8778 --providers 1000 --json placement.json
  berth bench nova-rpc --transport-url rabbit://nova:secret@bus/ --placement http://127.0.0.1:8778")]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure decisions, candidates, claims, simulation, Nova's pipeline and the machine
    Run(Run),
    /// Measure the memory of hosts, VMs and deciders
    Memory(memory::Memory),
    /// Draw a result as an SVG picture
    Plot(plot::Plot),
    /// Compare two results; exit code 1 when something became slower
    Compare(Compare),
    /// Put load on any server that speaks the Placement API
    Api(Api),
    /// Put load on any scheduler that serves Nova's message bus
    NovaRpc(NovaRpc),
    /// Print a fleet and a request of suite nova as JSON for the real Nova, with Berth's answer
    NovaCase(NovaCase),
}

impl Bench {
    pub(crate) fn run(self) -> Result<Ending> {
        match self.command {
            Command::Run(command) => command.run(),
            Command::Memory(command) => command.run(),
            Command::Plot(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Api(command) => command.run(),
            Command::NovaRpc(command) => command.run(),
            Command::NovaCase(command) => command.run(),
        }
    }
}

#[derive(Args)]
struct Run {
    /// What to measure: decisions, candidates, claims, simulation, nova, machine
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values_t = Suite::ALL)]
    suite: Vec<Suite>,
    /// Hosts of the fleets, up to 10000000 [default: 1000,10000,100000; with --quick 1000,10000]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(16..=10_000_000))]
    hosts: Vec<u32>,
    /// Percentages of the fleets' vCPUs that are held [default: 30,80,98,99; with --quick 80]
    #[arg(long, value_name = "P", value_delimiter = ',', value_parser = percentage)]
    fill: Vec<u32>,
    /// What deciders look for: nova (its default weighers), bestfit, bestfit-cpu, firstfit,
    /// worstfit
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values_t = SuiteOptions::default().goals)]
    objective: Vec<ObjectiveName>,
    /// What requests of suite nova ask for: plain, group (and anti-affinity), numa (and pinned
    /// cells and a device)
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values_t = NovaVariant::ALL)]
    variant: Vec<NovaVariant>,
    /// Rounds over everything; `compare` needs five or more to be 99% sure [default: 7; with
    /// --quick 5]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// The seed of fleets and requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Measure little, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Run {
    fn options(&self) -> SuiteOptions {
        let usual = SuiteOptions::default();
        let (hosts, fills) =
            if self.quick { (vec![1_000, 10_000], vec![80]) } else { (usual.hosts, usual.fills) };
        let given = |given: &Vec<u32>, usual| if given.is_empty() { usual } else { unique(given) };
        SuiteOptions {
            suites: unique(&self.suite),
            hosts: given(&self.hosts, hosts),
            fills: given(&self.fill, fills),
            goals: unique(&self.objective),
            variants: unique(&self.variant),
            rounds: self.rounds.unwrap_or(if self.quick { 5 } else { usual.rounds }),
            seed: self.seed,
            effort: if self.quick { Effort::QUICK } else { Effort::FULL },
        }
    }

    fn run(self) -> Result<Ending> {
        let options = self.options();
        let run = |progress: &Progress<'_>| suite::run(&options, shown_command(), progress);
        measured(run, |failure| matches!(failure, suite::SuiteFailure::Stopped), self.json)
    }
}

#[derive(Args)]
struct Compare {
    /// The result to compare with
    base: PathBuf,
    /// The newer result
    new: PathBuf,
    /// A change of at most this is none
    #[arg(long, value_name = "P", default_value = "5%", value_parser = threshold)]
    threshold: f64,
    /// How sure a verdict has to be, between 0.5 and 1
    #[arg(long, value_name = "C", default_value = "0.99", value_parser = confidence)]
    confidence: f64,
}

impl Compare {
    fn run(self) -> Result<Ending> {
        let (base, new) = match (Report::read(&self.base), Report::read(&self.new)) {
            (Ok(base), Ok(new)) => (base, new),
            (Err(error), _) | (_, Err(error)) => {
                output::complain(&error.into());
                return Ok(Ending::WrongUsage);
            }
        };
        let options = compare::CompareOptions { threshold: self.threshold, confidence: self.confidence };
        let comparison = compare(&base, &new, options);
        output::print(&compare::table(&comparison))?;
        Ok(if comparison.regressed() { Ending::Regressed } else { Ending::Complete })
    }
}

#[derive(Args)]
struct Api {
    /// The server's root, such as http://127.0.0.1:8778 or https://cloud/placement
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// Resource providers to create
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    providers: u32,
    /// Numbers of connections that send requests at the same time
    #[arg(long, value_name = "C", value_delimiter = ',', default_value = "1,8", value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: Vec<u32>,
    /// Seconds for each kind of request and number of connections, all rounds together
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    duration: u32,
    /// Rounds over all kinds of requests
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The X-Auth-Token; the default suits servers that authenticate nobody
    #[arg(long, value_name = "T", default_value = "admin")]
    token: String,
    /// Go on although the server has resource providers already
    #[arg(long)]
    existing: bool,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Api {
    fn run(self) -> Result<Ending> {
        let options = api::ApiOptions {
            endpoint: self.endpoint,
            providers: self.providers,
            connections: unique(&self.connections),
            duration: Duration::from_secs(self.duration.into()),
            rounds: self.rounds,
            token: self.token,
            existing: self.existing,
        };
        let run = |progress: &Progress<'_>| api::run(&options, shown_command(), progress);
        measured(run, |failure| matches!(failure, api::ApiFailure::Stopped), self.json)
    }
}

#[derive(Args)]
struct NovaRpc {
    /// The bus, such as rabbit://nova:secret@host:5672/
    #[arg(long, value_name = "URL")]
    transport_url: String,
    /// The root of the Placement service in which the scheduler claims: claims are released there
    #[arg(long, value_name = "URL")]
    placement: String,
    /// The X-Auth-Token for Placement; the default suits servers that authenticate nobody
    #[arg(long, value_name = "T", default_value = "admin")]
    token: String,
    /// Numbers of callers that ask at the same time
    #[arg(long, value_name = "C", value_delimiter = ',', default_value = "1,8", value_parser = clap::value_parser!(u32).range(1..=1024))]
    callers: Vec<u32>,
    /// Seconds for each number of callers, all rounds together
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    duration: u32,
    /// Rounds over all numbers of callers
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// vCPUs, MiB of memory and GiB of disk of each instance
    #[arg(long, value_name = "V,M,D", value_delimiter = ',', num_args = 3, default_values_t = [1, 512, 1])]
    amounts: Vec<u32>,
    /// Ask for different things: several instances, excluded and forced hosts, zones, traits, image
    /// properties, some that no host serves; the seed of their sequence
    #[arg(long, value_name = "SEED", conflicts_with = "amounts")]
    mixture: Option<u64>,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl NovaRpc {
    fn run(self) -> Result<Ending> {
        let url =
            TransportUrl::parse(&self.transport_url).map_err(|error| anyhow!("--transport-url: {error}"))?;
        let amounts: [u32; 3] = self
            .amounts
            .try_into()
            .map_err(|_| anyhow!("--amounts: three numbers are needed: vCPUs, MiB, GiB"))?;
        let bus = BusOptions {
            url,
            rabbit: RabbitOptions::default(),
            exchange: "nova".to_owned(),
            topic: "scheduler".to_owned(),
            host: "berth-bench".to_owned(),
            tls: None,
        };
        let options = nova_rpc::NovaRpcOptions {
            bus,
            placement: self.placement,
            token: self.token,
            callers: unique(&self.callers),
            duration: Duration::from_secs(self.duration.into()),
            rounds: self.rounds,
            amounts,
            mixture: self.mixture,
        };
        let run = |progress: &Progress<'_>| nova_rpc::run(&options, shown_command(), progress);
        measured(run, |failure| matches!(failure, nova_rpc::NovaRpcFailure::Stopped), self.json)
    }
}

#[derive(Args)]
struct NovaCase {
    /// What the request asks for: plain, group, numa
    #[arg(long, value_name = "NAME", default_value_t = NovaVariant::Plain)]
    variant: NovaVariant,
    /// Hosts of the fleet
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    hosts: u32,
    /// The seed of the fleet
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl NovaCase {
    fn run(self) -> Result<Ending> {
        let case = nova::case_with_answer(self.variant, self.hosts, self.seed)?;
        output::print_json_text(&format!("{case}\n"))?;
        Ok(Ending::Complete)
    }
}

/// The values without repetitions, in their order.
fn unique<T: Clone + PartialEq>(values: &[T]) -> Vec<T> {
    let mut unique = Vec::new();
    for value in values {
        if !unique.contains(value) {
            unique.push(value.clone());
        }
    }
    unique
}

fn percentage(text: &str) -> Result<u32, String> {
    let number = text.trim_end_matches('%').parse::<u32>().ok().filter(|percent| *percent <= 100);
    number.ok_or_else(|| "it is not a whole percentage from 0 to 100".to_owned())
}

fn threshold(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    share.ok().filter(|share| (0.0..=10.0).contains(share)).ok_or_else(|| {
        "it is neither a percentage such as 5% nor a share such as 0.05, up to 1000%".to_owned()
    })
}

fn confidence(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.5..1.0).contains(share));
    share.ok_or_else(|| "it is not a number from 0.5 to below 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_or_fractions() {
        assert_eq!(threshold("5%"), Ok(0.05));
        assert_eq!(threshold("0.1"), Ok(0.1));
        assert!(threshold("-1%").is_err() && threshold("fast").is_err() && threshold("NaN").is_err());
        assert_eq!((percentage("98%"), percentage("80")), (Ok(98), Ok(80)));
        assert!(percentage("101").is_err() && confidence("1").is_err() && confidence("0.99").is_ok());
    }
}
