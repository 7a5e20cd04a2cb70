//! The providers that the search of one tree considers: those of the tree and those that share with
//! it, and the variables that each can serve.

use smallvec::SmallVec;

use crate::consumers::Allocation;
use crate::ids::{ClassId, Row};
use crate::index::Index;
use crate::topology::{Provider, Topology};

use super::assignment::{FreeAmounts, Providers};
use super::bits::Bits;
use super::need::has_any;
use super::order::mix;
use super::plan::{Plan, Pool, Variable};
use super::restrictions::Domains;

/// The providers that variables may choose, numbered from 0: the tree's own and those that share
/// with it.
pub(super) struct Scope<'a> {
    index: &'a Index,
    topology: &'a Topology,
    plan: &'a Plan,
    root: &'a Provider,
    rows: SmallVec<[Row; 4]>,
    providers: SmallVec<[&'a Provider; 4]>,
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
        let provider = |row: &Row| topology.provider(*row).expect("rows of one snapshot");
        let providers = rows.iter().map(provider).collect();
        Some(Self { index, topology, plan, root, rows, providers })
    }

    /// The number of providers.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// For each variable, the providers that can serve it by themselves; `None` when a variable has
    /// no provider.
    pub(super) fn domains(&self) -> Option<Domains> {
        let mut domains = Domains::with_capacity(self.plan.variables.len());
        for variable in &self.plan.variables {
            let domain = match variable.like {
                Some(earlier) => domains[earlier].clone(),
                None => self.filled(|row, provider| self.may_serve(variable, row, provider)),
            };
            if domain.is_empty() {
                return None;
            }
            domains.push(domain);
        }
        Some(domains)
    }

    /// The positions of the providers that satisfy the predicate.
    fn filled(&self, belongs: impl Fn(Row, &Provider) -> bool) -> Bits {
        let mut bits = Bits::none(self.rows.len());
        for (place, (&row, provider)) in self.rows.iter().zip(&self.providers).enumerate() {
            if belongs(row, provider) {
                bits.insert(place);
            }
        }
        bits
    }

    fn may_serve(&self, variable: &Variable, row: Row, provider: &Provider) -> bool {
        variable.takes.iter().all(|(class, _)| provider.classes.contains(class))
            && self.plan.needs[variable.group].suits(provider, self.root)
            && variable.takes.iter().all(|&(class, amount)| self.has(row, class, amount))
    }

    fn has(&self, row: Row, class: ClassId, amount: u32) -> bool {
        self.index.ledger.check(&[Allocation { row, class, amount }]).is_ok()
    }

    /// For each list of required traits of the group without suffix, the providers that have any of
    /// them.
    pub(super) fn covers(&self) -> impl Iterator<Item = Bits> {
        let loose = self.plan.needs.iter().filter(|need| !need.granular);
        let lists = loose.flat_map(|need| &need.required);
        lists.map(|any| self.filled(|_, provider| has_any(&provider.traits, any)))
    }

    /// For each provider, its descendants and itself.
    pub(super) fn subtrees(&self) -> Vec<Bits> {
        let len = self.rows.len();
        (0..len).map(|top| Bits::filled(len, |place| self.is_below(place, self.rows[top]))).collect()
    }

    fn is_below(&self, place: usize, top: Row) -> bool {
        let parent = |row: &Row| self.topology.provider(*row).and_then(|provider| provider.parent);
        std::iter::successors(Some(self.rows[place]), parent).any(|row| row == top)
    }

    /// The amount that each provider can give to all variables together, pool by pool.
    pub(super) fn free(&self) -> FreeAmounts {
        let mut free = FreeAmounts::with_capacity(self.plan.pools.len() * self.rows.len());
        for pool in &self.plan.pools {
            let total = pool.total();
            let rows = self.rows.iter().zip(&self.providers);
            free.extend(rows.map(|(&row, provider)| self.free_of(pool, total, row, provider)));
        }
        free
    }

    fn free_of(&self, pool: &Pool, total: u32, row: Row, provider: &Provider) -> i64 {
        let Some(class) = pool.class else { return 1 };
        if !provider.classes.contains(&class) {
            return 0;
        }
        if self.has(row, class, total) {
            return total.into(); // an upper bound of what is needed
        }
        let units = self.index.inventory(row, class).map_or(0, |inventory| inventory.units.max_unit);
        self.index.free(row, class).map_or(0, |free| free.min(units.into()))
    }

    fn roots(&self) -> SmallVec<[Row; 4]> {
        self.providers.iter().map(|provider| provider.root).collect()
    }

    /// The properties of the providers that the search for choices needs.
    pub(super) fn providers(&self) -> Providers {
        // Without a sharing provider in an aggregate, no tree can use another tree's providers.
        let shares = if self.topology.sharing.is_empty() { None } else { self.topology.sharing() };
        let is_sharing = |row: Row, _: &Provider| shares.is_some_and(|shares| shares.contains(row.0));
        Providers {
            rows: self.rows.clone(),
            roots: if self.plan.flat { self.roots() } else { SmallVec::new() },
            sharing: self.filled(is_sharing),
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
