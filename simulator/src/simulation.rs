//! The run: arrivals from the trace, departures from the queue, decisions from the scheduler.

use std::io;
use std::sync::Arc;

use berth_placement::{ConsumerId, Index, Row, TopologyError};
use berth_scheduler::decider::DecideError;
use berth_scheduler::{PlaceError, Policy, Prepared, Request, Scheduler, Search};
use berth_traces::{Host, Micros, Resources, TraceError, Vm};
use rustc_hash::FxHashMap;

use crate::departures::{Departure, Departures};
use crate::fleet;
use crate::meter::Meter;
use crate::nova::{NovaOptions, NovaPlacer};
use crate::outcome::Outcome;

/// VMs between two questions to the observer whether to go on.
const VMS_BETWEEN_PAUSES: u64 = 4096;

/// Sizes of VMs that are remembered; a trace with more begins anew.
const MOST_PREPARED: usize = 1024;

/// How to replay.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Which of the hosts with enough room gets a VM.
    pub policy: Policy,
    /// How that host is found.
    pub search: Search,
}

/// Who watches a run.
pub trait Observer {
    /// A VM arrived and got the host, or none.
    ///
    /// # Errors
    /// End the run.
    fn decided(&mut self, vm: &Vm, host: Option<&Host>) -> io::Result<()>;

    /// Called every few thousand VMs: `false` ends the run here, with an outcome marked incomplete.
    fn proceed(&mut self, vms: u64, now: Micros) -> bool;
}

/// Why a run could not go on.
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
    /// The scheduler failed in a way that a single decider on its own index never should.
    #[error("VM {vm}: {reason}")]
    Scheduler {
        /// The trace's name of the VM.
        vm: String,
        /// What happened.
        reason: PlaceError,
    },
    /// Nova's pipeline cannot judge the VM.
    #[error("VM {vm}: {reason}")]
    Nova {
        /// The trace's name of the VM.
        vm: String,
        /// What happened.
        reason: Box<DecideError>,
    },
    /// The index and the simulator's own books differ.
    #[error("after the run the index is not what the events make it: {0}")]
    Inconsistent(String),
}

/// Replays `vms` on `hosts` under a placement policy, which looks at nothing but amounts.
///
/// Events run in order of (time, sequence). At equal times every departure comes before every arrival, and arrivals keep
/// their order in the trace. A VM that finds no host is rejected for good. The run ends with the last arrival.
///
/// # Errors
/// See [`SimulationError`].
pub fn simulate(
    hosts: &[Host],
    vms: impl IntoIterator<Item = Result<Vm, TraceError>>,
    options: Options,
    observer: &mut impl Observer,
) -> Result<Outcome, SimulationError> {
    let index = Arc::new(fleet::index_of(hosts)?);
    let placer = PolicyPlacer::new(Arc::clone(&index), options);
    Run::new(index, hosts, placer).replay(hosts, vms, options.policy.name(), observer)
}

/// [`simulate`], but by Nova's whole pipeline: filters and weighers, with the hosts' zones, aggregates and traits and the
/// VMs' extra specs. It is the decider of the service.
///
/// # Errors
/// See [`SimulationError`].
pub fn simulate_nova(
    hosts: &[Host],
    vms: impl IntoIterator<Item = Result<Vm, TraceError>>,
    options: NovaOptions,
    observer: &mut impl Observer,
) -> Result<Outcome, SimulationError> {
    let index = Arc::new(fleet::index_of(hosts)?);
    let name = options.preference.name();
    let placer = NovaPlacer::new(Arc::clone(&index), hosts, options);
    Run::new(index, hosts, placer).replay(hosts, vms, name, observer)
}

/// Places VMs on the index of a run.
pub(crate) trait Placer {
    /// Chooses a host for a VM and claims what it asks for; nothing if no host will do.
    fn place(&mut self, sequence: u64, vm: &Vm) -> Result<Option<Row>, SimulationError>;

    /// The VM has left the host.
    fn departed(&mut self, sequence: u64, host: Row);

    /// Compares what is kept with the index.
    fn check(&mut self) -> Result<(), String>;
}

/// Places VMs by amounts alone.
struct PolicyPlacer {
    scheduler: Scheduler,
    prepared: FxHashMap<Resources, Prepared>,
}

impl PolicyPlacer {
    fn new(index: Arc<Index>, options: Options) -> Self {
        Self {
            scheduler: Scheduler::new(index, options.policy, options.search),
            prepared: FxHashMap::default(),
        }
    }
}

impl Placer for PolicyPlacer {
    #[inline]
    fn place(&mut self, sequence: u64, vm: &Vm) -> Result<Option<Row>, SimulationError> {
        if self.prepared.len() > MOST_PREPARED {
            self.prepared.clear();
        }
        let prepared = self.prepared.entry(vm.resources).or_insert_with_key(|asked| {
            self.scheduler.prepare(Request::of(asked.vcpus, asked.memory_mb, asked.disk_gb))
        });
        match self.scheduler.place(consumer_of(sequence), prepared) {
            Ok(row) => Ok(Some(row)),
            Err(PlaceError::NoValidHost(_)) => Ok(None),
            Err(reason) => Err(SimulationError::Scheduler { vm: vm.id.to_string(), reason }),
        }
    }

    #[inline]
    fn departed(&mut self, _: u64, _: Row) {}

    fn check(&mut self) -> Result<(), String> {
        self.scheduler.check()
    }
}

struct Run<P> {
    index: Arc<Index>,
    placer: P,
    departures: Departures,
    meter: Meter,
}

impl<P: Placer> Run<P> {
    fn new(index: Arc<Index>, hosts: &[Host], placer: P) -> Self {
        Self { index, placer, departures: Departures::default(), meter: Meter::new(hosts) }
    }

    fn replay(
        mut self,
        hosts: &[Host],
        vms: impl IntoIterator<Item = Result<Vm, TraceError>>,
        name: &str,
        observer: &mut impl Observer,
    ) -> Result<Outcome, SimulationError> {
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

    /// Lets every VM leave whose time has come by `now`.
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
        let host = self.placer.place(sequence, vm)?;
        self.meter.arrived(&vm.resources, host.map(Row::index));
        if let (Some(Row(host)), Some(at)) = (host, vm.departure) {
            self.departures.plan(Departure { at, sequence, host });
        }
        Ok(host.map(Row::index))
    }

    /// Compares the index with the meter, which saw the same events.
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

/// The consumer of the VM with this place in the trace.
pub(crate) const fn consumer_of(sequence: u64) -> ConsumerId {
    ConsumerId(sequence as u128)
}
