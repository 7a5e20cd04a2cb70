//! Everything that is not an amount: providers, their trees, traits and aggregates, as one immutable snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::ids::{ClassId, Row, Timestamp, TraitId};
use crate::names::Names;
use crate::row_set::RowSet;

/// Providers per shared chunk: a change copies one chunk, not the fleet.
const CHUNK: usize = 256;

/// A resource provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name, unique among providers.
    pub name: Arc<str>,
    /// Its parent in the provider tree; `None` for a root.
    pub parent: Option<Row>,
    /// The root of its tree; itself for a root.
    pub root: Row,
    /// The providers right below it, in the order in which they came.
    pub children: Vec<Row>,
}

type Chunk = Arc<Vec<Option<Provider>>>;

/// A snapshot of the fleet's topology. Cheap to clone: everything large is shared until it is changed.
#[derive(Debug, Clone)]
pub struct Topology {
    pub(crate) version: u64,
    pub(crate) classes: Arc<Names>,
    pub(crate) traits: Arc<Names>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) rows: usize,
    pub(crate) roots: Arc<RowSet>,
    pub(crate) trait_rows: Vec<Arc<RowSet>>,
    pub(crate) aggregate_rows: BTreeMap<Uuid, Arc<RowSet>>,
}

impl Default for Topology {
    fn default() -> Self {
        let mut classes = Names::default();
        for (name, id) in
            [("VCPU", ClassId::VCPU), ("MEMORY_MB", ClassId::MEMORY_MB), ("DISK_GB", ClassId::DISK_GB)]
        {
            let number = classes.intern(name, Timestamp::default());
            debug_assert_eq!(number, u32::from(id.0));
        }
        Self {
            version: 0,
            classes: Arc::new(classes),
            traits: Arc::default(),
            chunks: Vec::new(),
            rows: 0,
            roots: Arc::default(),
            trait_rows: Vec::new(),
            aggregate_rows: BTreeMap::new(),
        }
    }
}

impl Topology {
    /// Goes up by one with every published change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Rows ever used: every row is below this.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The provider in `row`.
    #[must_use]
    pub fn provider(&self, row: Row) -> Option<&Provider> {
        self.chunks.get(row.index() / CHUNK)?.get(row.index() % CHUNK)?.as_ref()
    }

    /// All providers in order of row.
    pub fn providers(&self) -> impl Iterator<Item = (Row, &Provider)> {
        let numbered = (0..).map(Row).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()));
        numbered.filter_map(|(row, provider)| Some((row, provider.as_ref()?)))
    }

    /// The rows that are roots of a tree: the hosts.
    #[must_use]
    pub fn roots(&self) -> &RowSet {
        &self.roots
    }

    /// The provider in `row` and all below it, parents before their children.
    #[must_use]
    pub fn subtree(&self, row: Row) -> Vec<Row> {
        let mut rows = vec![row];
        let mut next = 0;
        while let Some(&row) = rows.get(next) {
            rows.extend(self.provider(row).into_iter().flat_map(|provider| &provider.children));
            next += 1;
        }
        rows
    }

    /// The traits of the provider in `row`.
    pub fn traits_of(&self, row: Row) -> impl Iterator<Item = TraitId> {
        let numbered = (0..).map(TraitId).zip(&self.trait_rows);
        numbered.filter(move |(_, rows)| rows.contains(row.0)).map(|(id, _)| id)
    }

    /// The aggregates that the provider in `row` is in.
    pub fn aggregates_of(&self, row: Row) -> impl Iterator<Item = Uuid> {
        self.aggregate_rows.iter().filter(move |(_, rows)| rows.contains(row.0)).map(|(&id, _)| id)
    }

    /// The known resource classes; a class's number is its [`ClassId`].
    #[must_use]
    pub fn classes(&self) -> &Names {
        &self.classes
    }

    /// The class called `name`.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<ClassId> {
        self.classes.find(name).map(|number| ClassId(u16::try_from(number).expect("bounded by the ledger")))
    }

    /// The known traits; a trait's number is its [`TraitId`].
    #[must_use]
    pub fn traits(&self) -> &Names {
        &self.traits
    }

    /// The trait called `name`.
    #[must_use]
    pub fn find_trait(&self, name: &str) -> Option<TraitId> {
        self.traits.find(name).map(TraitId)
    }

    /// The rows that have the trait.
    #[must_use]
    pub fn rows_with_trait(&self, wanted: TraitId) -> Option<&RowSet> {
        self.trait_rows.get(wanted.0 as usize).map(AsRef::as_ref)
    }

    /// The rows in the aggregate.
    #[must_use]
    pub fn rows_in_aggregate(&self, aggregate: Uuid) -> Option<&RowSet> {
        self.aggregate_rows.get(&aggregate).map(AsRef::as_ref)
    }

    /// Kinds of membership, beside those of [`Self::memberships`].
    pub(crate) const SHAPES: u128 = 2;

    /// Every trait and aggregate with its rows: the kind, and a number that is its own among its kind.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = (u128, u128, &RowSet)> {
        let traits = (0..).zip(&self.trait_rows).map(|(id, rows)| (0, id, &**rows));
        traits.chain(self.aggregate_rows.iter().map(|(id, rows)| (1, id.as_u128(), &**rows)))
    }

    /// Changes the provider in `row`, which exists.
    pub(crate) fn edit_provider(&mut self, row: Row, edit: impl FnOnce(&mut Provider)) {
        let chunk = Arc::make_mut(&mut self.chunks[row.index() / CHUNK]);
        chunk[row.index() % CHUNK].as_mut().map(edit).expect("the provider was found before");
    }

    pub(crate) fn set_provider(&mut self, row: Row, provider: Option<Provider>) {
        let (chunk, place) = (row.index() / CHUNK, row.index() % CHUNK);
        if chunk == self.chunks.len() {
            self.chunks.push(Arc::new(vec![None; CHUNK]));
        }
        Arc::make_mut(&mut self.chunks[chunk])[place] = provider;
    }
}
