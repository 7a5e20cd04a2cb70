//! The facts of Placement about hosts: an index, and the facts that Nova looks up before its query.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_placement::{ClassId, Index, Row, Topology, Units};
use uuid::Uuid;

use super::DISABLED;
use super::fleet::RecordedFleet;
use super::twin::empty_copy;
use crate::aggregates::AggregateRecord;
use crate::hosts::{HostRow, HostTable};
use crate::placement_query::{ComputeNode, PrefilterFacts};

/// The classes that a host's own figures cover.
pub(super) const OF_HOSTS: [&str; 3] = ["VCPU", "MEMORY_MB", "DISK_GB"];

/// The index that hosts are judged by, and where each host stands in it.
#[derive(Clone)]
pub struct PlacementFacts {
    index: Arc<Index>,
    topology: Arc<Topology>,
    aggregates: Arc<[AggregateRecord]>,
    computes: Arc<[ComputeNode]>,
    oldest_compute: u32,
    /// Whether a class that no provider has is unknown, not missing.
    is_partial: bool,
    /// The root of each host, by row of the host table.
    roots: Vec<Option<Row>>,
    /// Hosts whose root has the trait of a disabled service while the service is enabled.
    stale: BTreeSet<HostRow>,
    /// One more, empty host: the last row of the host table.
    twin: Option<Arc<(Index, Row)>>,
}

/// A host's provider tree.
pub(super) struct Tree<'a> {
    pub(super) index: &'a Index,
    pub(super) topology: Arc<Topology>,
    pub(super) root: Row,
}

impl PlacementFacts {
    /// The facts of an index that knows everything of these hosts.
    #[must_use]
    pub fn of_service(
        index: Arc<Index>,
        hosts: &HostTable,
        aggregates: Vec<AggregateRecord>,
        computes: Vec<ComputeNode>,
        oldest_compute: u32,
    ) -> Self {
        let topology = index.topology();
        let root = |row: HostRow| {
            let provider = index.find(hosts.uuid(row)?)?;
            topology.provider(provider).map(|provider| provider.root)
        };
        let roots: Vec<Option<Row>> = hosts.rows().map(root).collect();
        let disabled = topology.find_trait(DISABLED);
        let is_stale = |&row: &HostRow| {
            let provider = roots[row.index()].and_then(|root| topology.provider(root));
            let has = provider.zip(disabled).is_some_and(|(one, name)| one.traits.contains(&name));
            has && !hosts.service(row).disabled
        };
        let stale = hosts.rows().filter(is_stale).collect();
        Self {
            index,
            topology,
            aggregates: aggregates.into(),
            computes: computes.into(),
            oldest_compute,
            is_partial: false,
            roots,
            stale,
            twin: None,
        }
    }

    /// The facts of a file, which does not mention classes that no host has.
    pub(in crate::explain) fn of_file(fleet: RecordedFleet, hosts: &HostTable, oldest_compute: u32) -> Self {
        let RecordedFleet { index, aggregates, computes } = fleet;
        let facts = Self::of_service(Arc::new(index), hosts, aggregates, computes, oldest_compute);
        Self { is_partial: true, ..facts }
    }

    /// The facts with one more host, like another and empty.
    pub(in crate::explain) fn with_twin(&self, of: HostRow) -> Self {
        let twin = self.tree(of).map(|tree| Arc::new(empty_copy(&tree)));
        Self { twin, ..self.clone() }
    }

    /// The tree of a host; none if it never reported.
    pub(super) fn tree(&self, row: HostRow) -> Option<Tree<'_>> {
        match self.roots.get(row.index()) {
            Some(root) => {
                Some(Tree { index: &self.index, topology: Arc::clone(&self.topology), root: (*root)? })
            }
            None => {
                let (index, root) = &**self.twin.as_ref()?;
                Some(Tree { index, topology: index.topology(), root: *root })
            }
        }
    }

    /// The host with this root provider, by row of the host table.
    pub(in crate::explain) fn host_at(&self, provider: Row) -> Option<HostRow> {
        let at = self.roots.iter().position(|root| *root == Some(provider))?;
        u32::try_from(at).ok().map(HostRow)
    }

    /// The rules for one allocation of the class on a host: those of the first provider that has
    /// the class.
    pub(in crate::explain) fn units(&self, row: HostRow, class: &str) -> Option<Units> {
        let tree = self.tree(row)?;
        let class = tree.topology.class(class)?;
        let mut providers = tree.providers().into_iter();
        providers.find_map(|row| tree.index.inventory(row, class)).map(|inventory| inventory.units)
    }

    /// Whether each host is one provider and nothing is shared: then no choice of providers has to
    /// suit.
    pub(super) fn is_flat(&self) -> bool {
        !self.topology.has_children() && self.topology.sharing().is_none_or(|rows| rows.is_empty())
    }

    pub(super) fn is_stale(&self, row: HostRow) -> bool {
        self.stale.contains(&row)
    }

    /// The facts that pre-filters may look up.
    pub(super) fn known(&self) -> PrefilterFacts<'_> {
        PrefilterFacts {
            aggregates: &self.aggregates,
            computes: &self.computes,
            oldest_compute: self.oldest_compute,
            networks: None,
        }
    }

    /// Ids of the aggregates that make the zone.
    pub(super) fn aggregates_of_zone(&self, zone: &str) -> BTreeSet<Uuid> {
        super::aggregates_of_zone(&self.aggregates, zone)
    }

    /// Whether some provider has inventory of the class.
    pub(super) fn some_offer(&self, class: &str) -> bool {
        let members = self.topology.class(class).and_then(|class| self.topology.with_class(class));
        members.is_some_and(|members| !members.rows().is_empty())
    }

    /// Whether the index knows everything of the hosts, so that its candidates are those of a
    /// decision.
    pub(super) const fn is_complete(&self) -> bool {
        !self.is_partial
    }

    /// Whether anything is known of the class.
    pub(super) fn is_known(&self, class: &str) -> bool {
        !self.is_partial || OF_HOSTS.contains(&class) || self.some_offer(class)
    }
}

impl Tree<'_> {
    /// The providers that may serve the tree: its own, and those that share what they have with it.
    pub(super) fn providers(&self) -> Vec<Row> {
        let own = self.topology.tree(self.root);
        let mut rows = own.to_vec();
        let aggregates = |row: &Row| self.topology.provider(*row).map(|provider| &provider.aggregates);
        let shared_with = |row: &Row| {
            let mut of_own = own.iter().filter_map(aggregates).flat_map(|ids| ids.iter());
            aggregates(row).is_some_and(|ids| of_own.any(|id| ids.contains(id)))
        };
        let sharing = self.topology.sharing().into_iter().flat_map(|rows| rows.iter()).map(Row);
        rows.extend(sharing.filter(|row| !own.contains(row)).filter(shared_with));
        rows
    }

    pub(super) fn has_class(&self, row: Row, class: ClassId) -> bool {
        self.topology.provider(row).is_some_and(|provider| provider.classes.contains(&class))
    }

    pub(super) fn has_trait(&self, row: Row, name: &str) -> bool {
        let provider = self.topology.provider(row);
        let wanted = self.topology.find_trait(name);
        provider.zip(wanted).is_some_and(|(provider, name)| provider.traits.contains(&name))
    }

    /// Whether the provider is in one of the aggregates.
    pub(super) fn is_in(&self, row: Row, aggregates: &BTreeSet<Uuid>) -> bool {
        self.aggregate_in(row, aggregates).is_some()
    }

    /// An aggregate of the provider that is among these.
    pub(super) fn aggregate_in(&self, row: Row, aggregates: &BTreeSet<Uuid>) -> Option<Uuid> {
        let provider = self.topology.provider(row)?;
        aggregates.iter().copied().find(|id| provider.aggregates.binary_search(id).is_ok())
    }
}
