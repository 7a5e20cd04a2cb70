//! Placement policies on the amounts of a trace, by the decider.

use std::sync::Arc;

use berth_placement::{Index, Owner, Row, Timestamp};
use berth_scheduler::RequestSpec;
use berth_scheduler::decider::{Decider, IndexOnly, PreparedPlacement, Rules};
use berth_scheduler::request_spec::RequestedFlavor;
use berth_scheduler::select::Claimant;
use berth_traces::{Resources, Vm};
use rustc_hash::FxHashMap;

use crate::simulation::{Placer, SimulationError, SimulationOptions, Starting, consumer_of};

/// The number of VM sizes whose prepared requests are cached; the cache is cleared when a trace has
/// more.
const MOST_PREPARED: usize = 1024;

/// Places VMs by a policy, from amounts only.
pub(crate) struct PolicyPlacer {
    decider: Decider,
    prepared: FxHashMap<Resources, PreparedPlacement>,
    claimant: Claimant,
}

impl PolicyPlacer {
    pub(crate) fn new(index: &Arc<Index>, SimulationOptions { policy, search }: SimulationOptions) -> Self {
        let rules = Rules::Amounts { objective: policy.into(), search };
        let owner = Owner { project: "trace".into(), user: "trace".into(), consumer_type: None };
        Self {
            decider: Decider::new(Arc::clone(index), rules),
            prepared: FxHashMap::default(),
            claimant: Claimant {
                owner: Arc::new(owner),
                group: None,
                keeps_allocations: false,
                migration: None,
                now: Timestamp(0),
            },
        }
    }
}

impl Placer for PolicyPlacer {
    #[inline]
    fn place(&mut self, sequence: u64, vm: &Vm, _: Starting) -> Result<Option<Row>, SimulationError> {
        let Self { decider, prepared, claimant } = self;
        if prepared.len() > MOST_PREPARED {
            prepared.clear();
        }
        let prepared = prepared.entry(vm.resources).or_insert_with_key(|size| decider.prepare(spec(size)));
        let placed = decider.place(&IndexOnly, prepared, consumer_of(sequence), claimant, &mut first);
        placed.map_err(|reason| SimulationError::Decision { vm: vm.id.to_string(), reason: Box::new(reason) })
    }

    fn adopt(&mut self, _: u64, _: &Vm, _: Row, _: Starting) {}

    #[inline]
    fn departed(&mut self, _: u64, _: Row) {}

    fn check(&mut self) -> Result<(), String> {
        self.decider.check()
    }
}

fn spec(size: &Resources) -> RequestSpec {
    let flavor = RequestedFlavor {
        vcpus: size.vcpus.into(),
        memory_mb: size.memory_mb.into(),
        root_gb: size.disk_gb.into(),
        ..RequestedFlavor::default()
    };
    RequestSpec { flavor, ..RequestSpec::default() }
}

/// The choice among ties, which a policy does not have: the lowest row comes first.
fn first(_: usize) -> usize {
    0
}
