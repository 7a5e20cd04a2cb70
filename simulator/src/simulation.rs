//! The run: arrivals from the trace, departures from the queue, decisions from a scheduler.

use std::io;
use std::sync::Arc;

use berth_placement::{ConsumerId, Index, Row, TopologyError};
use berth_scheduler::decider::DecideError;
use berth_scheduler::{Policy, Search};
use berth_traces::{Micros, Resources, TraceError, TraceHost, Vm};

use crate::departures::{Departure, Departures};
use crate::fleet;
use crate::meter::Meter;
use crate::nova::{NovaOptions, NovaPlacer};
use crate::outcome::SimulationOutcome;
use crate::policy::PolicyPlacer;

/// The number of VMs between two calls of [`Observer::proceed`].
const VMS_BETWEEN_PAUSES: u64 = 4096;

/// The options of a replay under a placement policy.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimulationOptions {
    /// The policy that chooses among the hosts that fit.
    pub policy: Policy,
    /// The search that finds the host.
    pub search: Search,
}

/// Observes a run.
pub trait Observer {
    /// A VM arrived and got the host, or none.
    ///
    /// # Errors
    /// An error ends the run.
    fn decided(&mut self, vm: &Vm, host: Option<&TraceHost>) -> io::Result<()>;

    /// Called every few thousand VMs. `false` ends the run, with an outcome marked incomplete.
    fn proceed(&mut self, vms: u64, now: Micros) -> bool;
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The fleet cannot be built.
    #[error("the fleet cannot be built")]
    Fleet(#[from] TopologyError),
    /// The observer failed.
    #[error("the placements cannot be written")]
    Observer(#[source] io::Error),
    /// The decider cannot evaluate the VM.
    #[error("VM {vm}: {reason}")]
    Decision {
        /// The trace's name of the VM.
        vm: String,
        /// The reason.
        reason: Box<DecideError>,
    },
    /// The fleet has more GPUs or models than can be distinguished.
    #[error("fleet: {0}")]
    Gpus(String),
    /// A VM that is on a host when the run begins cannot be there.
    #[error("fleet.snapshot: VM {vm}: {reason}")]
    Resident {
        /// The VM.
        vm: String,
        /// The reason.
        reason: String,
    },
    /// The index differs from the meter.
    #[error("after the run, the index does not match the events: {0}")]
    Inconsistent(String),
}

/// Replays `vms` on `hosts` under a placement policy, which considers amounts only.
///
/// Events run in order of (time, sequence). At equal times, departures precede arrivals, and
/// arrivals keep their order in the trace. A VM that fits no host is rejected for good. The run
/// ends with the last arrival.
///
/// # Errors
/// See [`SimulationError`].
pub fn simulate(
    hosts: &[TraceHost],
    vms: impl IntoIterator<Item = Result<Vm, TraceError>>,
    options: SimulationOptions,
    observer: &mut impl Observer,
) -> Result<SimulationOutcome, SimulationError> {
    simulate_stream(hosts, &mut vms.into_iter(), options, observer)
}

/// Replays like [`simulate`], but with Nova's whole pipeline, which is the decider of the service:
/// filters and weighers, with the hosts' zones, aggregates and traits and the VMs' extra specs.
///
/// # Errors
/// See [`SimulationError`].
pub fn simulate_nova(
    hosts: &[TraceHost],
    vms: impl IntoIterator<Item = Result<Vm, TraceError>>,
    options: NovaOptions,
    observer: &mut impl Observer,
) -> Result<SimulationOutcome, SimulationError> {
    simulate_stream_nova(hosts, &mut vms.into_iter(), options, observer)
}

// The run itself is compiled here, with this crate's optimisation, and not once per caller.

type Vms<'a> = &'a mut dyn Iterator<Item = Result<Vm, TraceError>>;

fn simulate_stream(
    hosts: &[TraceHost],
    vms: Vms<'_>,
    options: SimulationOptions,
    observer: &mut dyn Observer,
) -> Result<SimulationOutcome, SimulationError> {
    let index = Arc::new(fleet::index_of(hosts)?);
    let placer = PolicyPlacer::new(&index, options);
    Run::new(index, hosts, placer).replay(hosts, vms, options.policy.name(), observer)
}

fn simulate_stream_nova(
    hosts: &[TraceHost],
    vms: Vms<'_>,
    options: NovaOptions,
    observer: &mut dyn Observer,
) -> Result<SimulationOutcome, SimulationError> {
    let index = Arc::new(fleet::index_of(hosts)?);
    let name = options.preference.name();
    let placer = NovaPlacer::new(Arc::clone(&index), hosts, options);
    Run::new(index, hosts, placer).replay(hosts, vms, name, observer)
}

/// A VM that starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Starting {
    pub(crate) now: Micros,
    /// How many seconds it is predicted to live from now on.
    pub(crate) lifetime_s: Option<f64>,
}

/// Places VMs on the index of a run.
pub(crate) trait Placer {
    /// Chooses a host for a VM and claims its resources; returns `None` if no host fits.
    fn place(&mut self, sequence: u64, vm: &Vm, start: Starting) -> Result<Option<Row>, SimulationError>;

    /// Adds a VM that is on the host since before the run; the index has its allocations.
    fn adopt(&mut self, sequence: u64, vm: &Vm, host: Row, start: Starting);

    /// Records that the VM has left the host.
    fn departed(&mut self, sequence: u64, host: Row);

    /// Compares the placer's state with the index.
    fn check(&mut self) -> Result<(), String>;
}

struct Run<P> {
    index: Arc<Index>,
    placer: P,
    departures: Departures,
    meter: Meter,
}

impl<P: Placer> Run<P> {
    fn new(index: Arc<Index>, hosts: &[TraceHost], placer: P) -> Self {
        Self { index, placer, departures: Departures::default(), meter: Meter::new(hosts) }
    }

    fn replay(
        mut self,
        hosts: &[TraceHost],
        vms: Vms<'_>,
        name: &str,
        observer: &mut dyn Observer,
    ) -> Result<SimulationOutcome, SimulationError> {
        let mut complete = true;
        for (sequence, vm) in (0..).zip(vms) {
            let vm = vm?;
            if sequence % VMS_BETWEEN_PAUSES == 0 && !observer.proceed(sequence, vm.arrival) {
                complete = false;
                break;
            }
            self.depart_until(vm.arrival);
            let host = self.arrive(sequence, &vm)?;
            observer.decided(&vm, host.map(|host| &hosts[host])).map_err(SimulationError::Observer)?;
        }
        self.check()?;
        Ok(self.meter.finish(name, complete))
    }

    /// Processes every departure due by `now`.
    fn depart_until(&mut self, now: Micros) {
        while let Some(Departure { at, sequence, host }) = self.departures.next_until(now) {
            self.meter.advance(at);
            let held =
                self.index.release(consumer_of(sequence)).expect("only placed VMs are planned to leave");
            let mut resources = Resources::default();
            for allocation in &held {
                match allocation.class.index() {
                    0 => resources.vcpus = allocation.amount,
                    1 => resources.memory_mb = allocation.amount,
                    _ => resources.disk_gb = allocation.amount,
                }
            }
            self.placer.departed(sequence, Row(host));
            self.meter.departed(&resources, host as usize);
        }
        self.meter.advance(now);
    }

    /// Places one VM, and plans its departure.
    fn arrive(&mut self, sequence: u64, vm: &Vm) -> Result<Option<usize>, SimulationError> {
        let host = self.placer.place(sequence, vm, Starting { now: vm.arrival, lifetime_s: None })?;
        self.meter.arrived(&vm.resources, host.map(Row::index));
        if let (Some(Row(host)), Some(at)) = (host, vm.departure) {
            self.departures.plan(Departure { at, sequence, host });
        }
        Ok(host.map(Row::index))
    }

    /// Compares the index with the meter, which observed the same events.
    fn check(&mut self) -> Result<(), SimulationError> {
        self.placer.check().map_err(SimulationError::Inconsistent)?;
        self.index.check().map_err(|found| SimulationError::Inconsistent(found.to_string()))?;
        for (row, metered) in (0..).map(Row).zip(self.meter.free()) {
            let [vcpus, memory_mb, disk_gb] = berth_placement::HOST_CLASSES.map(|class| {
                self.index.free(row, class).map_or(0, |free| u32::try_from(free).unwrap_or(u32::MAX))
            });
            if metered != (Resources { vcpus, memory_mb, disk_gb }) {
                return Err(SimulationError::Inconsistent(format!(
                    "{row} differs from the meter: {metered:?}"
                )));
            }
        }
        Ok(())
    }
}

/// The consumer of the VM at this position of the trace.
pub(crate) const fn consumer_of(sequence: u64) -> ConsumerId {
    ConsumerId(sequence as u128)
}
