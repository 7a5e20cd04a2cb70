//! NUMATopologyFilter

use super::{Filter, FilterError, NumaLimits, PASS, RequestState, Scene, Verdict};
use crate::hosts::HostRow;
use crate::numa::{self, CellAllocation, CellLimits, Demand, NumaRefusal};

/// Passes hosts whose NUMA cells can take the instance's: CPUs, memory pages, and closeness to
/// networks and devices. Allocation candidates with which it does not fit are dropped.
pub(super) struct NumaTopologyFilter<'a> {
    scene: &'a Scene<'a>,
    demand: Demand<'a>,
    has_image: bool,
}

impl<'a> NumaTopologyFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let request = scene.request;
        let image = request.image_properties();
        let policies = |spec, property| {
            [request.flavor.extra_specs.get(spec), image.and_then(|properties| properties.text(property))]
        };
        let demand = Demand {
            topology: request.numa_topology.as_ref(),
            devices: request.pci_requests.as_deref().unwrap_or_default(),
            needs_threads: numa::asks_for_threads(
                policies("hw:cpu_policy", "hw_cpu_policy"),
                policies("hw:cpu_thread_policy", "hw_cpu_thread_policy"),
            ),
            allocation: cell_allocation(scene),
        };
        Self { scene, demand, has_image: image.is_some() }
    }
}

/// Which NUMA cells of a host are tried first.
pub(crate) const fn cell_allocation(scene: &Scene<'_>) -> CellAllocation {
    if scene.options.compute.packing_host_numa_cells_allocation_strategy {
        CellAllocation::Pack
    } else {
        CellAllocation::Spread
    }
}

impl Filter for NumaTopologyFilter<'_> {
    fn judge(&self, row: HostRow, state: &mut RequestState) -> Verdict {
        // Nova takes an image for granted.
        if !self.has_image && self.scene.options.keep_nova_faults {
            return Err(FilterError::NoImage);
        }
        let hosts = self.scene.hosts;
        let ratios = hosts.report(row).map(|report| report.ratios);
        let limits = NumaLimits {
            cpu_allocation_ratio: ratios.map_or(1.0, |ratios| ratios.cpu.get()),
            ram_allocation_ratio: ratios.map_or(1.0, |ratios| ratios.ram.get()),
        };
        let (candidates, left) = state.candidates_and_left(row);
        let bounds = CellLimits {
            cpu_allocation_ratio: limits.cpu_allocation_ratio,
            ram_allocation_ratio: limits.ram_allocation_ratio,
            network_metadata: self.scene.request.network_metadata.as_ref(),
        };
        match numa::retain_candidates(
            &self.demand,
            hosts.numa(row),
            hosts.pools(row),
            bounds,
            candidates,
            left,
        ) {
            Ok(judged) => {
                if judged {
                    state.set_limits(row, limits);
                }
                PASS
            }
            Err(NumaRefusal::Misfit(misfit)) => Ok(Err(misfit.into())),
            Err(NumaRefusal::Fault(fault)) => Err(fault.into()),
        }
    }
}
