//! The hosts that can serve a request, regardless of claims, and the free amounts that they need.

use berth_placement::candidates::{self, Query, TreeQuery};
use berth_placement::kernel::{CLASSES, NOT_ASKED};
use berth_placement::{HOST_CLASSES, HostFree, Index, Row, View};
use smallvec::SmallVec;

use super::places::Places;
use crate::HostMask;
use crate::placement_query::{CandidateExtent, PlacementQuery, needs_mappings, taken};
use crate::select::AllocationCandidate;

/// A request or its fallback, compiled for queries of single trees.
struct Asked {
    query: Query,
    tree: TreeQuery,
}

/// The result of a query for one host.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer {
    /// Whether candidates take anything from the host's tree. Only then can the host be chosen.
    pub(super) is_host: bool,
    /// The first candidate that takes something from the host itself: the allocations to claim.
    pub(super) candidate: Option<AllocationCandidate>,
}

/// The hosts that can serve a request, regardless of claims.
pub(super) struct Eligible {
    asked: SmallVec<[Asked; 1]>,
    mask: HostMask,
    need: HostFree,
    is_exact: bool,
    /// The version of the topology, and the position in the view's layout changes, for which the
    /// mask is valid.
    version: u64,
    position: u64,
    /// [`Places::moves`] for which the mask is valid.
    moves: u64,
    /// How often the mask was built or changed.
    changes: u64,
}

impl Eligible {
    pub(super) fn new(query: &PlacementQuery, index: &Index, view: &View, places: &Places) -> Self {
        let version = index.topology().version();
        let asked = asked(query, index);
        let (need, is_exact) = (need(&asked), is_exact(&asked));
        let (position, moves) = (view.layout_position(), places.moves());
        let mask = HostMask::default();
        let mut eligible = Self { asked, mask, need, is_exact, version, position, moves, changes: 0 };
        for (host, place) in places.iter() {
            let admits = eligible.admits(index, place);
            eligible.mask.set(host.slot(), admits);
        }
        eligible
    }

    /// Applies changes of the topology. Examines only the changed hosts if hosts are independent of
    /// each other.
    pub(super) fn renew(&mut self, query: &PlacementQuery, index: &Index, view: &View, places: &Places) {
        let version = index.topology().version();
        if (version, view.layout_position(), places.moves()) == (self.version, self.position, self.moves) {
            return;
        }
        let asked = asked(query, index);
        let is_alike =
            self.is_exact && is_exact(&asked) && need(&asked) == self.need && places.moves() == self.moves;
        let Some(rows) = view.relayouts_since(self.position).filter(|_| is_alike) else {
            *self = Self { changes: self.changes + 1, ..Self::new(query, index, view, places) };
            return;
        };
        self.changes += 1;
        (self.asked, self.version, self.position) = (asked, version, view.layout_position());
        for place in rows {
            if let Some(host) = places.host_at(place) {
                let admits = self.admits(index, place);
                self.mask.set(host.slot(), admits);
            }
        }
    }

    /// The hosts that can serve the request if they have enough free capacity.
    pub(super) const fn mask(&self) -> &HostMask {
        &self.mask
    }

    /// A number that changes with the mask.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// The amounts that must be free on the host itself.
    pub(super) const fn need(&self) -> HostFree {
        self.need
    }

    /// Whether every host in the mask with these amounts free serves the request. If not, the index
    /// must be queried for each host.
    pub(super) const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Queries the candidates of one host, which may take from its children and from sharing
    /// providers. An error is what was found before the search took too many steps.
    pub(super) fn offer(&self, index: &Index, place: Row) -> Result<Offer, Offer> {
        let mut offer = Offer::default();
        for Asked { query, tree } in &self.asked {
            let topology = tree.topology();
            let is_own = |row| topology.provider(row).is_some_and(|provider| provider.root == place);
            for candidate in tree.candidates(index, place) {
                let Ok(candidate) = candidate else { return Err(offer) };
                offer.is_host |= candidate.allocations.iter().any(|allocation| is_own(allocation.row));
                if candidate.allocations.iter().any(|allocation| allocation.row == place) {
                    let with_mappings = needs_mappings(query, CandidateExtent::First);
                    offer.candidate = taken(&candidate, query, topology, with_mappings);
                    return Ok(offer);
                }
            }
        }
        Ok(offer)
    }

    fn admits(&self, index: &Index, place: Row) -> bool {
        self.asked.iter().any(|asked| asked.tree.admits(index, place))
    }
}

/// The steps of the search for one host's candidate, at most: about a millisecond. A first
/// candidate takes some steps for each request group and provider; the limit is reached where none
/// of very many candidates takes from the host itself.
const HOST_WORK: u64 = 10_000;

/// The request and its fallback, as far as Placement would evaluate them.
fn asked(query: &PlacementQuery, index: &Index) -> SmallVec<[Asked; 1]> {
    let requests = std::iter::once(&query.request).chain(&query.fallback);
    let options = candidates::SearchOptions { work: HOST_WORK, ..candidates::SearchOptions::default() };
    let asked = requests.filter_map(|request| {
        let query = request.to_index_query(&index.topology()).ok()?;
        let tree = index.tree_query(&query, &options).ok()?;
        Some(Asked { query, tree })
    });
    asked.collect()
}

/// The smallest amounts that any of the requests needs.
fn need(asked: &[Asked]) -> HostFree {
    let of_class = |class: usize| {
        let amount = |asked: &Asked| {
            let on_root = asked.tree.on_root().iter().find(|(on_root, _)| *on_root == HOST_CLASSES[class]);
            on_root.map_or(NOT_ASKED, |(_, amount)| i32::try_from(*amount).unwrap_or(i32::MAX))
        };
        asked.iter().map(amount).min().unwrap_or(NOT_ASKED)
    };
    let mut need = [NOT_ASKED; CLASSES];
    (0..CLASSES).for_each(|class| need[class] = of_class(class));
    need
}

/// Whether a host's own free amounts of the host classes determine whether it has a candidate.
fn is_exact(asked: &[Asked]) -> bool {
    match asked {
        [] => true,
        [Asked { tree, .. }] => {
            tree.is_all_on_root() && tree.on_root().iter().all(|(class, _)| HOST_CLASSES.contains(class))
        }
        _ => false,
    }
}
