//! Which pools are close enough to an instance's NUMA cells.

use super::request::NumaAffinity;
use super::tally::Picks;
use super::{PciFault, PciRequest, Pool};
use crate::numa::HostTopology;

/// The host cells of the instance's NUMA cells.
#[derive(Debug, Clone, Copy, Default)]
pub struct Locality<'a> {
    /// Numbers of the host cells they are on; empty if the instance has none, and affinity means
    /// nothing.
    pub cells: &'a [i64],
    /// The host's cells, to know their sockets.
    pub host: Option<&'a HostTopology>,
}

impl Locality<'_> {
    /// Drops pools without the affinity the request needs. The strictest rule that leaves enough
    /// devices counts, down to the one that was asked for.
    pub(super) fn narrow(
        &self,
        request: &PciRequest,
        at: usize,
        pools: &[Pool],
        picks: &mut Picks,
    ) -> Result<(), PciFault> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let affinity = request.affinity();
        let local = |node: Option<i64>| node.is_some_and(|node| self.cells.contains(&node));
        let enough = |near: &dyn Fn(Option<i64>) -> bool, picks: &Picks| {
            picks.devices_where(|pool| near(pools[pool].numa_node())) >= request.count().into()
        };
        if affinity == NumaAffinity::Required || enough(&local, picks) {
            picks.retain(|pool| local(pools[pool].numa_node()));
            return Ok(());
        }
        if affinity == NumaAffinity::Socket {
            let host = self.host.ok_or(PciFault::NoHostTopology(at))?;
            picks.retain(|pool| self.shares_socket(host, pools[pool].numa_node()));
            return Ok(());
        }
        let local_or_unknown = |node: Option<i64>| node.is_none() || local(node);
        if affinity == NumaAffinity::Legacy || enough(&local_or_unknown, picks) {
            picks.retain(|pool| local_or_unknown(pools[pool].numa_node()));
        } else {
            picks.sort_by_key(|pool| !local_or_unknown(pools[pool].numa_node()));
        }
        Ok(())
    }

    /// Whether a node is in a socket of the instance. Nothing is if the host leaves out a cell's
    /// socket.
    fn shares_socket(&self, host: &HostTopology, node: Option<i64>) -> bool {
        let socket_of =
            |id: i64| host.cells().iter().find(|cell| cell.id() == id).and_then(|cell| cell.socket());
        host.cells().iter().all(|cell| cell.socket().is_some())
            && node
                .and_then(socket_of)
                .is_some_and(|socket| self.cells.iter().any(|&cell| socket_of(cell) == Some(socket)))
    }
}
