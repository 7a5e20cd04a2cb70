//! The effects of a choice on the host and on the request.

use super::{
    CellAllocation, CellLimits, Fitting, HostTopology, InstanceTopology, NumaFault, NumaRefusal, Site,
    UsageFault,
};
use crate::pci::{Locality, PciRefusal, PciRequest, Pools, ProviderMapping};

/// An instance that comes to a host.
#[derive(Debug, Clone, Copy)]
pub struct NumaConsumer<'a> {
    /// The devices it wants.
    pub devices: &'a [PciRequest],
    /// The providers that its requested groups were claimed from; none if it has no such groups.
    pub mapping: Option<&'a ProviderMapping>,
    /// The limits the host was judged by, if it was.
    pub limits: Option<CellLimits<'a>>,
    /// Which host cells are tried first.
    pub allocation: CellAllocation,
}

/// Why a host could not be consumed to the end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConsumeFault {
    /// The fit cannot be judged.
    #[error(transparent)]
    Fit(#[from] NumaFault),
    /// The instance cannot be where the fit put it.
    #[error(transparent)]
    Usage(#[from] UsageFault),
    /// The host does not have the devices.
    #[error(transparent)]
    Pci(#[from] PciRefusal),
}

/// Takes what the instance needs from the host's cells and pools. `topology` becomes what was
/// fitted, which is where the next instance of the same request starts from; it becomes none if the
/// instance did not fit after all.
///
/// # Errors
/// [`ConsumeFault`] if something turned out impossible. What was done before it stays done, as in
/// Nova: the host is still chosen, and its later steps (here the devices, then the count of I/O
/// operations) are left out.
pub fn consume(
    host: &mut Option<HostTopology>,
    pools: &mut Option<Pools>,
    topology: &mut Option<InstanceTopology>,
    consumer: &NumaConsumer<'_>,
) -> Result<(), ConsumeFault> {
    take_cells(host, pools.as_ref(), topology, consumer)?;
    if let Some(pools) = pools.as_mut().filter(|_| !consumer.devices.is_empty()) {
        let cells: Vec<i64> = topology.iter().flat_map(|own| &own.cells).map(|cell| cell.id).collect();
        let locality = Locality { cells: &cells, host: host.as_ref() };
        pools.apply(consumer.devices, consumer.mapping, locality)?;
    }
    Ok(())
}

fn take_cells(
    host: &mut Option<HostTopology>,
    pools: Option<&Pools>,
    topology: &mut Option<InstanceTopology>,
    consumer: &NumaConsumer<'_>,
) -> Result<(), ConsumeFault> {
    let (Some(cells), Some(instance)) = (host, topology.as_ref()) else { return Ok(()) };
    if cells.cells().is_empty() || instance.cells.is_empty() {
        return Ok(());
    }
    let NumaConsumer { devices, mapping, limits, allocation } = *consumer;
    let mut fitting = Fitting::new(Site { host: cells, pools, instance, devices, limits }, allocation);
    let outcome = fitting.try_candidate(mapping);
    let fitted = fitting.into_topology();
    match outcome {
        Ok(()) => {
            let usage = cells.with_instance(&fitted);
            *topology = Some(fitted);
            *cells = usage?;
            Ok(())
        }
        Err(NumaRefusal::Misfit(_)) => {
            *topology = None;
            Ok(())
        }
        Err(NumaRefusal::Fault(fault)) => {
            *topology = Some(fitted);
            Err(fault.into())
        }
    }
}
