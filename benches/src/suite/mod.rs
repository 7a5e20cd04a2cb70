//! What is measured, in rounds over everything.

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

use crate::machine::{Machine, commit, date};
use crate::nova::Variant;
use crate::report::{Report, Row, SCHEMA};
use fleets::Fleets;

/// A set of rows that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Finding the best host.
    Decisions,
    /// Allocation candidates.
    Candidates,
    /// Select, claim and release, on one thread and on many.
    Claims,
    /// Replays of the reference workloads.
    Simulation,
    /// Finding the best host by all of Nova's filters and weighers.
    Nova,
    /// How fast this machine reads memory: what the other figures are to be held against.
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

/// A name that is none of those known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} {name}; it is one of {known}")]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    known: String,
}

pub(crate) fn named<T: Copy + fmt::Display>(
    kind: &'static str,
    known: &[T],
    name: &str,
) -> Result<T, UnknownName> {
    let text = |item: &T| item.to_string();
    known.iter().copied().find(|item| text(item) == name).ok_or_else(|| UnknownName {
        kind,
        name: name.to_owned(),
        known: known.iter().map(text).collect::<Vec<_>>().join(", "),
    })
}

impl FromStr for Suite {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named("suite", &Self::ALL, name)
    }
}

/// What deciders look for: a policy by its name, or `nova` for the weights Nova has by default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// RAM, CPU and disk weighers with min-max normalisation.
    Nova,
    /// A policy.
    Policy(Policy),
}

impl Goal {
    /// All goals.
    pub const ALL: [Self; 5] = [
        Self::Nova,
        Self::Policy(Policy::BestFit),
        Self::Policy(Policy::BestFitCpu),
        Self::Policy(Policy::FirstFit),
        Self::Policy(Policy::WorstFit),
    ];

    /// In the scheduler's words.
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

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Goal {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named("objective", &Self::ALL, name)
    }
}

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The suites.
    pub suites: Vec<Suite>,
    /// Hosts of the fleets.
    pub hosts: Vec<u32>,
    /// Percentages of the vCPUs that are held.
    pub fills: Vec<u32>,
    /// What deciders look for.
    pub goals: Vec<Goal>,
    /// What requests of the suite [`Suite::Nova`] ask for.
    pub variants: Vec<Variant>,
    /// Rounds over everything; a comparison at 99% needs at least five.
    pub rounds: u32,
    /// The seed of fleets and requests.
    pub seed: u64,
    /// How much is measured per row and round.
    pub effort: Effort,
}

/// How much is measured per row and round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// At most so many measurements.
    pub samples: u32,
    /// At most so long.
    pub time: Duration,
    /// VMs of a simulated workload.
    pub simulated_vms: u64,
}

impl Effort {
    /// The usual.
    pub const FULL: Self =
        Self { samples: 4_000, time: Duration::from_millis(1_000), simulated_vms: u64::MAX };
    /// To see that everything works.
    pub const QUICK: Self = Self { samples: 400, time: Duration::from_millis(100), simulated_vms: 50_000 };
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suites: Suite::ALL.to_vec(),
            hosts: vec![1_000, 10_000, 100_000],
            fills: vec![30, 80, 98, 99],
            goals: vec![Goal::Nova, Goal::Policy(Policy::BestFit)],
            variants: Variant::ALL.to_vec(),
            rounds: 7,
            seed: 1,
            effort: Effort::FULL,
        }
    }
}

/// Something that is measured round by round.
trait Case {
    /// For the progress line.
    fn label(&self) -> String;

    /// Measures one round.
    ///
    /// # Errors
    /// What was measured did something wrong.
    fn round(&mut self) -> Result<(), Failure>;

    /// The rows.
    fn finish(self: Box<Self>) -> Vec<Row>;
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The run was asked to end.
    #[error("ended early; nothing was written")]
    Stopped,
    /// A fleet cannot be built.
    #[error("cannot build a fleet of {hosts} hosts: {reason}")]
    Fleet {
        /// Its size.
        hosts: u32,
        /// Why.
        reason: String,
    },
    /// The checker found that a claim was lost, doubled or not granted as it was told.
    #[error("{name}: {found}")]
    Wrong {
        /// What was measured.
        name: &'static str,
        /// What the checker found.
        found: String,
    },
}

/// Runs the suites. `progress` hears what is done next and says whether to go on.
///
/// # Errors
/// See [`Failure`].
pub fn run(
    options: &Options,
    command: Vec<String>,
    progress: &mut dyn FnMut(&str) -> bool,
) -> Result<Report, Failure> {
    let (machine, commit, date) = (Machine::here(), commit(), date());
    let mut go_on = |what: &str| if progress(what) { Ok(()) } else { Err(Failure::Stopped) };
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    let mut fleets = Fleets::new(options.seed);
    for suite in &options.suites {
        match suite {
            Suite::Decisions => cases.extend(decisions::cases(options, &mut fleets, &mut go_on)?),
            Suite::Candidates => cases.extend(candidates::cases(options, &mut fleets, &mut go_on)?),
            Suite::Claims => cases.extend(claims::cases(options, &mut fleets, &mut go_on)?),
            Suite::Simulation => cases.extend(simulation::cases(options)),
            Suite::Nova => cases.extend(nova::cases(options, &mut go_on)?),
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
    Ok(Report { schema: SCHEMA, commit, command, date, machine, rows })
}
