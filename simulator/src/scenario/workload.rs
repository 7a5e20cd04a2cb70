//! The VMs of a scenario.

use berth_traces::scale::{Drawn, by_factor, growing, repeated, resample, unchanged};
use berth_traces::{Micros, Resources, Vm};
use compact_str::CompactString;
use rustc_hash::FxHashMap;

use crate::scenario::config::Workload;

/// The flavors of a trace.
#[derive(Debug, Clone, Default)]
pub struct Flavors {
    /// The name and size of each.
    pub flavors: Vec<(CompactString, Resources)>,
    /// The flavor of each VM of the trace.
    pub of_vm: Vec<u32>,
}

/// A trace that runs are made from.
#[derive(Debug, Clone)]
pub struct VmSet {
    /// The VMs, in order of arrival.
    pub vms: Vec<Vm>,
    /// Their flavors.
    pub flavors: Flavors,
}

impl VmSet {
    /// The trace, which has to be in order of arrival. With a horizon, growth or a factor, it is repeated, cut and scaled first.
    #[must_use]
    pub fn new(vms: Vec<Vm>, workload: &Workload) -> Self {
        let seed = workload.seed.unwrap_or(1);
        let mut drawn = unchanged(&vms);
        if let (Some(horizon), Some(first)) = (workload.horizon, vms.first()) {
            let end = first.arrival.0.saturating_add(horizon.0.0);
            drawn = if vms.last().is_some_and(|last| last.arrival.0 < end) {
                repeated(&drawn, horizon.0)
            } else {
                drawn.into_iter().take_while(|vm| vm.arrival.0 <= end).collect()
            };
        }
        let is_scaled = workload.scale.is_some_and(|scale| scale != 1.0);
        let mut vms = if drawn.len() == vms.len() { vms } else { berth_traces::scale::as_vms(&vms, &drawn) };
        if is_scaled {
            vms = berth_traces::scale::as_vms(&vms, &by_factor(&vms, workload.scale.unwrap_or(1.0), seed));
        }
        if workload.growth_per_month != 0.0 {
            vms = berth_traces::scale::as_vms(&vms, &growing(&vms, workload.growth_per_month, seed));
        }
        let flavors = flavors(&vms);
        Self { vms, flavors }
    }

    /// The VMs of run number `number`: the trace itself, or days of it drawn with a seed of their own.
    #[must_use]
    pub fn draw(&self, resamples: u32, number: u32, seed: u64) -> Vec<Drawn> {
        if resamples == 0 {
            unchanged(&self.vms)
        } else {
            resample(&self.vms, seed.wrapping_add(u64::from(number)))
        }
    }

    /// The time of the first arrival.
    #[must_use]
    pub fn start(&self) -> Micros {
        self.vms.first().map_or(Micros(0), |vm| vm.arrival)
    }
}

fn flavors(vms: &[Vm]) -> Flavors {
    let mut numbers: FxHashMap<(CompactString, Resources), u32> = FxHashMap::default();
    let mut flavors = Flavors::default();
    for vm in vms {
        let key = (vm.flavor.clone(), vm.resources);
        let next = u32::try_from(flavors.flavors.len()).expect("fewer flavors than VMs");
        let number = *numbers.entry(key.clone()).or_insert_with(|| {
            flavors.flavors.push(key);
            next
        });
        flavors.of_vm.push(number);
    }
    flavors
}
