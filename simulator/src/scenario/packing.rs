//! Packing by lifetimes or shapes, on an index.

use std::sync::Arc;

use berth_placement::Index;
use berth_scheduler::PlaceError;
use berth_scheduler::decider::DecideError;
use berth_scheduler::packing::{PackingEngine, PackingRequest, PackingRule};
use berth_traces::Vm;

use crate::scenario::engine::{Engine, Leaving, block, row_of, unblock};
use crate::simulation::{SimulationError, Starting, consumer_of};

/// A packing engine on an index of its own.
pub(crate) struct Packing {
    index: Arc<Index>,
    engine: PackingEngine,
}

impl Packing {
    pub(crate) fn new(index: Arc<Index>, rule: PackingRule) -> Self {
        Self { engine: PackingEngine::new(Arc::clone(&index), rule), index }
    }
}

fn request(job: u32, vm: &Vm, start: Starting) -> PackingRequest {
    PackingRequest {
        instance: consumer_of(job.into()),
        amounts: [vm.resources.vcpus, vm.resources.memory_mb, vm.resources.disk_gb],
        lifetime_s: start.lifetime_s,
        now_s: start.now.as_secs_f64(),
    }
}

impl Engine for Packing {
    fn place(&mut self, job: u32, vm: &Vm, start: Starting) -> Result<Option<usize>, SimulationError> {
        match self.engine.place(&request(job, vm, start)) {
            Ok(row) => Ok(Some(row.index())),
            Err(PlaceError::NoValidHost(_)) => Ok(None),
            Err(error) => Err(SimulationError::Decision {
                vm: vm.id.to_string(),
                reason: Box::new(DecideError::Place(error)),
            }),
        }
    }

    fn adopt(&mut self, job: u32, vm: &Vm, host: usize, start: Starting) {
        self.engine.adopt(&request(job, vm, start), row_of(host));
    }

    fn remove(&mut self, job: u32, _: &Vm, host: usize, leave: Leaving) {
        let instance = consumer_of(job.into());
        self.index.release(instance).expect("only placed VMs are removed");
        self.engine.departed(instance, row_of(host), leave.now.as_secs_f64(), leave.has_ended);
    }

    fn block(&mut self, host: usize) {
        block(&self.index, host);
    }

    fn unblock(&mut self, host: usize) {
        unblock(&self.index, host);
    }

    fn check(&mut self) -> Result<(), SimulationError> {
        self.engine.check().map_err(SimulationError::Inconsistent)?;
        self.index.check().map_err(|found| SimulationError::Inconsistent(found.to_string()))
    }
}
