//! The measurement suites, which run in rounds over all cases.

mod candidates;
mod checker;
mod claims;
mod contention;
mod decisions;
mod fleets;
mod groups;
mod machine;
mod nova;
mod simulation;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use berth_scheduler::{Objective, Policy, Weights};

use crate::Progress;
use crate::machine::{Machine, commit, date};
use crate::nova::NovaVariant;
use crate::report::{Report, ReportRow, SCHEMA};
use fleets::Fleets;

/// A set of related rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// The search for the best host.
    Decisions,
    /// Allocation candidates.
    Candidates,
    /// Select, claim and release, on one thread and on many.
    Claims,
    /// Replays of the reference workloads.
    Simulation,
    /// The search for the best host with all of Nova's filters and weighers.
    Nova,
    /// The memory speed of this machine, as a reference for the other figures.
    Machine,
}

impl Suite {
    /// All suites.
    pub const ALL: [Self; 6] =
        [Self::Decisions, Self::Candidates, Self::Claims, Self::Simulation, Self::Nova, Self::Machine];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Candidates => "candidates",
            Self::Claims => "claims",
            Self::Simulation => "simulation",
            Self::Nova => "nova",
            Self::Machine => "machine",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An unknown name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} {name}; it is one of {known}")]
pub struct UnknownChoice {
    kind: &'static str,
    name: String,
    known: String,
}

pub(crate) fn named<T: Copy + fmt::Display>(
    kind: &'static str,
    known: &[T],
    name: &str,
) -> Result<T, UnknownChoice> {
    let text = |item: &T| item.to_string();
    known.iter().copied().find(|item| text(item) == name).ok_or_else(|| UnknownChoice {
        kind,
        name: name.to_owned(),
        known: known.iter().map(text).collect::<Vec<_>>().join(", "),
    })
}

impl FromStr for Suite {
    type Err = UnknownChoice;

    fn from_str(name: &str) -> Result<Self, UnknownChoice> {
        named("suite", &Self::ALL, name)
    }
}

/// The objective of deciders: a policy by its name, or `nova` for Nova's default weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ObjectiveName {
    /// RAM, CPU and disk weighers with min-max normalisation.
    Nova,
    /// A policy.
    Policy(Policy),
}

impl ObjectiveName {
    /// All goals.
    pub const ALL: [Self; 5] = [
        Self::Nova,
        Self::Policy(Policy::BestFit),
        Self::Policy(Policy::BestFitCpu),
        Self::Policy(Policy::FirstFit),
        Self::Policy(Policy::WorstFit),
    ];

    /// The objective as the scheduler's type.
    #[must_use]
    pub fn objective(self) -> Objective {
        match self {
            Self::Nova => Weights::default().into(),
            Self::Policy(policy) => policy.into(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Nova => "nova",
            Self::Policy(policy) => policy.name(),
        }
    }
}

impl fmt::Display for ObjectiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ObjectiveName {
    type Err = UnknownChoice;

    fn from_str(name: &str) -> Result<Self, UnknownChoice> {
        named("objective", &Self::ALL, name)
    }
}

/// The options of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteOptions {
    /// The suites.
    pub suites: Vec<Suite>,
    /// The sizes of the fleets, in hosts.
    pub hosts: Vec<u32>,
    /// The percentages of used vCPUs.
    pub fills: Vec<u32>,
    /// The objectives of deciders.
    pub goals: Vec<ObjectiveName>,
    /// The variants of requests in the suite [`Suite::Nova`].
    pub variants: Vec<NovaVariant>,
    /// The number of rounds; a comparison at 99% needs at least five.
    pub rounds: u32,
    /// The seed of fleets and requests.
    pub seed: u64,
    /// The effort per row and round.
    pub effort: Effort,
}

/// Limits on the measurements per row and round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// The largest number of measurements.
    pub samples: u32,
    /// The largest duration.
    pub time: Duration,
    /// The number of VMs of a simulated workload.
    pub simulated_vms: u64,
}

impl Effort {
    /// The default.
    pub const FULL: Self =
        Self { samples: 4_000, time: Duration::from_millis(1_000), simulated_vms: u64::MAX };
    /// A smoke test.
    pub const QUICK: Self = Self { samples: 400, time: Duration::from_millis(100), simulated_vms: 50_000 };
}

impl Default for SuiteOptions {
    fn default() -> Self {
        Self {
            suites: Suite::ALL.to_vec(),
            hosts: vec![1_000, 10_000, 100_000],
            fills: vec![30, 80, 98, 99],
            goals: vec![ObjectiveName::Nova, ObjectiveName::Policy(Policy::BestFit)],
            variants: NovaVariant::ALL.to_vec(),
            rounds: 7,
            seed: 1,
            effort: Effort::FULL,
        }
    }
}

/// A measurement that runs in rounds.
trait Case {
    /// The label in the progress line.
    fn label(&self) -> String;

    /// Measures one round.
    ///
    /// # Errors
    /// The measured operation gave a wrong result.
    fn round(&mut self) -> Result<(), SuiteFailure>;

    /// Returns the rows.
    fn finish(self: Box<Self>) -> Vec<ReportRow>;
}

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuiteFailure {
    /// The run was stopped.
    #[error("ended early; nothing was written")]
    Stopped,
    /// A fleet cannot be built.
    #[error("cannot build a fleet of {hosts} hosts: {reason}")]
    Fleet {
        /// The number of hosts.
        hosts: u32,
        /// Why.
        reason: String,
    },
    /// The checker found a claim that was lost, doubled or wrongly reported as granted.
    #[error("{name}: {found}")]
    Wrong {
        /// The measurement.
        name: &'static str,
        /// The checker's finding.
        found: String,
    },
}

/// Runs the suites. `progress` receives the next step and returns whether to continue.
///
/// # Errors
/// See [`SuiteFailure`].
pub fn run(
    options: &SuiteOptions,
    command: Vec<String>,
    progress: &Progress<'_>,
) -> Result<Report, SuiteFailure> {
    let (machine, commit, date) = (Machine::here(), commit(), date());
    let go_on = |what: &str| if progress(what) { Ok(()) } else { Err(SuiteFailure::Stopped) };
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    let mut fleets = Fleets::new(options.seed);
    for suite in &options.suites {
        match suite {
            Suite::Decisions => cases.extend(decisions::cases(options, &mut fleets, &go_on)?),
            Suite::Candidates => cases.extend(candidates::cases(options, &mut fleets, &go_on)?),
            Suite::Claims => cases.extend(claims::cases(options, &mut fleets, &go_on)?),
            Suite::Simulation => cases.extend(simulation::cases(options)),
            Suite::Nova => cases.extend(nova::cases(options, &go_on)?),
            Suite::Machine => cases.extend(machine::cases(options)),
        }
    }
    let (rounds, count) = (options.rounds, cases.len());
    for round in 1..=rounds {
        for (number, case) in (1..).zip(&mut cases) {
            go_on(&format!("round {round} of {rounds}, {number} of {count}: {}", case.label()))?;
            case.round()?;
        }
    }
    let rows = cases.into_iter().flat_map(Case::finish).collect();
    Ok(Report { schema: SCHEMA, commit, command, date, machine, ended_early: false, rows })
}
