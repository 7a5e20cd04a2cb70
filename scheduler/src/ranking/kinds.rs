//! Kinds of hosts: what some hosts have in common that requests ask about.
//!
//! Hosts differ in dozens of traits, but requests name few of them. Only what was named
//! distinguishes hosts here; so hosts of one kind satisfy a request, as far as named things go, all
//! or none.

use berth_placement::{Row, RowSet, Topology, TraitId, View};
use uuid::Uuid;

use crate::amounts::request::Request;

/// Something that hosts have or have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Trait(TraitId),
    Aggregate(Uuid),
}

impl Member {
    fn rows(self, topology: &Topology) -> Option<&RowSet> {
        match self {
            Self::Trait(id) => topology.rows_with_trait(id),
            Self::Aggregate(uuid) => topology.rows_in_aggregate(uuid),
        }
    }
}

/// The shape of some hosts, and which of the named things they have.
///
/// ```text
/// bits 127..32  one for each named thing, in the order in which they were named
/// bits 31..0    shape
/// ```
/// Nova's rankings number their own kinds: by class, and by whether the service is out (`ranked/`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostKind(pub(crate) u128);

/// The named properties, which distinguish hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kinds {
    named: Vec<Member>,
}

impl Kinds {
    const SHAPE_BITS: usize = 32;
    /// More than this are not distinguished by kind; each host is asked.
    const MOST: usize = 128 - Self::SHAPE_BITS;

    /// Adds what a request names; returns whether any of it is new.
    pub(crate) fn name(&mut self, request: &Request, topology: &Topology) -> bool {
        let known = self.named.len();
        let names = request.required_traits.iter().chain(&request.forbidden_traits);
        let traits = names.filter_map(|name| topology.find_trait(name)).map(Member::Trait);
        let aggregates = request.member_of.iter().flatten().chain(&request.forbidden_aggregates);
        for member in traits.chain(aggregates.copied().map(Member::Aggregate)) {
            if self.named.len() < Self::MOST && !self.named.contains(&member) {
                self.named.push(member);
            }
        }
        self.named.len() > known
    }

    /// Whether kinds differ by this trait. By one that does not exist, nothing differs.
    pub(crate) fn distinguishes_trait(&self, topology: &Topology, name: &str) -> bool {
        topology.find_trait(name).is_none_or(|id| self.named.contains(&Member::Trait(id)))
    }

    /// Whether kinds differ by this aggregate.
    pub(crate) fn distinguishes_aggregate(&self, uuid: Uuid) -> bool {
        self.named.contains(&Member::Aggregate(uuid))
    }

    /// The kind of the host in `row`.
    pub(crate) fn of(&self, view: &View, row: Row) -> HostKind {
        let has = |member: &Member| member.rows(view.topology()).is_some_and(|rows| rows.contains(row.0));
        let members = (Self::SHAPE_BITS..).zip(&self.named).filter(|(_, member)| has(member));
        HostKind(members.fold(u128::from(view.shape_of()[row.index()].0), |kind, (bit, _)| kind | 1 << bit))
    }

    /// The kinds of all rows.
    pub(crate) fn of_all(&self, view: &View) -> Vec<HostKind> {
        let mut kinds: Vec<HostKind> = view.shape_of().iter().map(|id| HostKind(u128::from(id.0))).collect();
        for (bit, member) in (Self::SHAPE_BITS..).zip(&self.named) {
            for row in member.rows(view.topology()).into_iter().flat_map(|rows| rows.iter()) {
                if let Some(kind) = kinds.get_mut(row as usize) {
                    kind.0 |= 1 << bit;
                }
            }
        }
        kinds
    }
}
