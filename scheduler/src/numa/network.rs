//! Affinity of networks to host cells.

use super::{HostCell, HostTopology, NetworkMetadata};

/// Whether the chosen cells are close to every network that some cell of the host is close to. A
/// network without any affinity is as good from everywhere.
pub(super) fn is_close(host: &HostTopology, chosen: &[usize], wanted: &NetworkMetadata) -> bool {
    wanted.physnets.iter().all(|name| chosen_if_any(host, chosen, |near| near.physnets.contains(name)))
        && (!wanted.tunneled || chosen_if_any(host, chosen, |near| near.tunneled))
}

fn chosen_if_any(host: &HostTopology, chosen: &[usize], is_near: impl Fn(&NetworkMetadata) -> bool) -> bool {
    let near = |cell: &HostCell| cell.network_metadata().is_some_and(&is_near);
    let cells = host.cells();
    chosen.iter().any(|&at| near(&cells[at])) || !cells.iter().any(near)
}
