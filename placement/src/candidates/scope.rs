//! What one tree's search deals with: its providers, those that share with it, and what each could serve.

use smallvec::SmallVec;

use crate::consumers::Allocation;
use crate::ids::Row;
use crate::index::Index;
use crate::topology::{Provider, Topology};

use super::assignment::Providers;
use super::bits::Bits;
use super::need::has_any;
use super::order::mix;
use super::plan::{Plan, Pool};

/// Providers that variables may choose, numbered from 0: the tree's own and those that share with it.
pub(super) struct Scope<'a> {
    index: &'a Index,
    topology: &'a Topology,
    plan: &'a Plan,
    root: &'a Provider,
    pub(super) rows: SmallVec<[Row; 4]>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        index: &'a Index,
        topology: &'a Topology,
        plan: &'a Plan,
        root: Row,
        seed: Option<u64>,
    ) -> Option<Self> {
        let mut rows: SmallVec<[Row; 4]> = SmallVec::from_slice(topology.tree(root));
        if !topology.sharing.is_empty() {
            add_sharing(topology, &mut rows);
        }
        if let Some(seed) = seed {
            rows.sort_unstable_by_key(|row| mix(seed, row.0.into()));
        }
        let root = topology.provider(root)?;
        Some(Self { index, topology, plan, root, rows })
    }

    fn provider(&self, place: usize) -> &'a Provider {
        self.topology.provider(self.rows[place]).expect("rows of one snapshot")
    }

    /// For each variable, the providers that may serve it by themselves; `None` when there is none for one.
    pub(super) fn domains(&self) -> Option<Vec<Bits>> {
        (0..self.plan.variables.len()).map(|variable| self.domain(variable)).collect()
    }

    fn domain(&self, variable: usize) -> Option<Bits> {
        let domain = Bits::filled(self.rows.len(), |place| self.may_serve(variable, place));
        (!domain.is_empty()).then_some(domain)
    }

    fn may_serve(&self, variable: usize, place: usize) -> bool {
        let variable = &self.plan.variables[variable];
        let (provider, row) = (self.provider(place), self.rows[place]);
        let has = |&(class, amount)| {
            provider.classes.binary_search(&class).is_ok()
                && self.index.ledger.look(&[Allocation { row, class, amount }]).is_ok()
        };
        variable.takes.iter().all(has) && self.plan.needs[variable.group].suits(provider, self.root)
    }

    /// The providers with any of the traits that the group without suffix requires, list by list.
    pub(super) fn covers(&self) -> Vec<Bits> {
        let loose = self.plan.needs.iter().filter(|need| !need.granular);
        let lists = loose.flat_map(|need| &need.required);
        let having = |any| Bits::filled(self.rows.len(), |place| has_any(&self.provider(place).traits, any));
        lists.map(|any| having(any)).collect()
    }

    /// For each provider, those below it, and itself.
    pub(super) fn subtrees(&self) -> Vec<Bits> {
        let len = self.rows.len();
        (0..len).map(|top| Bits::filled(len, |place| self.is_below(place, self.rows[top]))).collect()
    }

    fn is_below(&self, place: usize, top: Row) -> bool {
        let parent = |row: &Row| self.topology.provider(*row).and_then(|provider| provider.parent);
        std::iter::successors(Some(self.rows[place]), parent).any(|row| row == top)
    }

    /// How much each provider may give to all variables together, pool by pool.
    fn room(&self) -> Vec<i64> {
        let rooms = |pool: &'a Pool| (0..self.rows.len()).map(move |place| self.room_of(pool, place));
        self.plan.pools.iter().flat_map(rooms).collect()
    }

    fn room_of(&self, pool: &Pool, place: usize) -> i64 {
        let Some(class) = pool.class else { return 1 };
        let row = self.rows[place];
        let units = self.index.inventory(row, class).map_or(0, |inventory| inventory.units.max_unit);
        self.index.free(row, class).map_or(0, |free| free.min(units.into()))
    }

    /// What the search for choices needs to know of them.
    pub(super) fn providers(&self) -> Providers {
        let shares = self.topology.sharing();
        let is_sharing = |place: usize| shares.is_some_and(|shares| shares.contains(self.rows[place].0));
        Providers {
            rows: self.rows.clone(),
            roots: (0..self.rows.len()).map(|place| self.provider(place).root).collect(),
            sharing: Bits::filled(self.rows.len(), is_sharing),
            room: self.room(),
        }
    }
}

/// Adds the providers that share with any of the rows.
fn add_sharing(topology: &Topology, rows: &mut SmallVec<[Row; 4]>) {
    let own = rows.len();
    for place in 0..own {
        let aggregates = topology.provider(rows[place]).map_or(&[][..], |provider| &provider.aggregates);
        for sharing in aggregates.iter().filter_map(|id| topology.sharing_in_aggregate(*id)) {
            rows.extend(sharing.iter().map(Row));
        }
    }
    let (own, shared) = rows.split_at_mut(own);
    shared.sort_unstable();
    let mut rows_of_all: SmallVec<[Row; 4]> = SmallVec::from_slice(own);
    for &mut row in shared {
        if rows_of_all.last() != Some(&row) && own.binary_search(&row).is_err() {
            rows_of_all.push(row);
        }
    }
    *rows = rows_of_all;
}
