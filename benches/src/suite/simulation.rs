//! Measures replays of the reference workloads by the simulator, from memory.

use std::io;
use std::time::Instant;

use berth_scheduler::Policy;
use berth_simulator::{Observer, SimulationOptions as Replay, simulate};
use berth_traces::{Micros, TraceHost, Vm, reference};

use super::{Case, SuiteFailure, SuiteOptions};
use crate::report::{ReportRow, RowUnit};
use crate::series::{Series, parameters};

const SETS: [&str; 2] = ["s1k", "s10k"];

pub(super) fn cases(options: &SuiteOptions) -> Vec<Box<dyn Case>> {
    SETS.into_iter().map(|name| Box::new(Simulation::new(name, options)) as Box<dyn Case>).collect()
}

struct Simulation {
    name: &'static str,
    most: u64,
    hosts: Vec<TraceHost>,
    /// Generated on first use, because a million VMs take a moment.
    vms: Vec<Vm>,
    placements: Series,
}

impl Simulation {
    fn new(name: &'static str, options: &SuiteOptions) -> Self {
        let hosts = reference::set(name).expect("a known name").hosts();
        let mut parameters = parameters([("set", name.into()), ("policy", Policy::BestFit.name().into())]);
        if options.effort.simulated_vms < u64::MAX {
            parameters.insert("vms".to_owned(), options.effort.simulated_vms.into());
        }
        let placements = Series::new("simulation/placements", &parameters, RowUnit::PerSecond);
        Self { name, most: options.effort.simulated_vms, hosts, vms: Vec::new(), placements }
    }
}

impl Case for Simulation {
    fn label(&self) -> String {
        format!("simulation of {}", self.name)
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        if self.vms.is_empty() {
            let vms = reference::set(self.name).expect("a known name").vms();
            let most = usize::try_from(self.most).unwrap_or(usize::MAX);
            self.vms = vms.take(most).collect::<Result<_, _>>().expect("nothing is read");
        }
        let options = Replay { policy: Policy::BestFit, ..Replay::default() };
        let started = Instant::now();
        let outcome = simulate(&self.hosts, self.vms.iter().cloned().map(Ok), options, &mut Nobody);
        let took = started.elapsed();
        let outcome =
            outcome.map_err(|error| SuiteFailure::Wrong { name: "simulation", found: error.to_string() })?;
        self.placements.rate(outcome.totals.placed, took);
        self.placements.end_round();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<ReportRow> {
        self.placements.finish().into_iter().collect()
    }
}

/// An observer that does nothing.
struct Nobody;

impl Observer for Nobody {
    fn decided(&mut self, _vm: &Vm, _host: Option<&TraceHost>) -> io::Result<()> {
        Ok(())
    }

    fn proceed(&mut self, _vms: u64, _now: Micros) -> bool {
        true
    }
}
