//! Everything that is not an amount: providers, their trees, traits and aggregates, as one
//! immutable snapshot.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

use uuid::Uuid;

use crate::ids::{ClassId, Row, Timestamp, TraitId};
use crate::members::{Members, set_member};
use crate::names::Names;
use crate::row_set::RowSet;

/// Providers per shared chunk: a change copies one chunk, not the fleet.
const CHUNK: usize = 256;

/// The trait of providers that share their inventories with every tree in one of their aggregates.
pub const SHARES_VIA_AGGREGATE: &str = "MISC_SHARES_VIA_AGGREGATE";

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
    /// Its traits, in order.
    pub traits: Arc<[TraitId]>,
    /// Its aggregates, in order.
    pub aggregates: Arc<[Uuid]>,
    /// The classes of its inventories, in order.
    pub classes: Arc<[ClassId]>,
    /// For a root with children: all rows of the tree, in order. Otherwise empty.
    pub(crate) tree: Arc<[Row]>,
}

impl Provider {
    pub(crate) fn new(uuid: Uuid, name: Arc<str>, parent: Option<Row>, root: Row) -> Self {
        let (traits, aggregates, classes, tree) = Default::default();
        Self { uuid, name, parent, root, traits, aggregates, classes, tree }
    }
}

type Chunk = Arc<Vec<Option<Provider>>>;

/// A snapshot of the fleet's topology. Cheap to clone: large parts are shared until they change.
#[derive(Debug, Clone)]
pub struct Topology {
    pub(crate) version: u64,
    pub(crate) classes: Arc<Names>,
    pub(crate) traits: Arc<Names>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) rows: usize,
    pub(crate) roots: Arc<RowSet>,
    /// The number of providers that have a parent.
    pub(crate) children: usize,
    pub(crate) with_class: Vec<Members>,
    pub(crate) with_trait: Vec<Members>,
    pub(crate) in_aggregate: BTreeMap<Uuid, Members>,
    /// For each aggregate with sharing providers, their rows.
    pub(crate) sharing: Arc<BTreeMap<Uuid, Arc<RowSet>>>,
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
            with_class: vec![Members::default(); classes.len()],
            classes: Arc::new(classes),
            traits: Arc::default(),
            chunks: Vec::new(),
            rows: 0,
            roots: Arc::default(),
            children: 0,
            with_trait: Vec::new(),
            in_aggregate: BTreeMap::new(),
            sharing: Arc::default(),
        }
    }
}

impl Topology {
    /// The version, which every published change increments.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The number of rows ever used: every row is below this.
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

    /// The rows that are roots of trees: the hosts.
    #[must_use]
    pub fn roots(&self) -> &RowSet {
        &self.roots
    }

    pub(crate) fn shared_roots(&self) -> Arc<RowSet> {
        Arc::clone(&self.roots)
    }

    /// Whether any provider has a parent.
    #[must_use]
    pub const fn has_children(&self) -> bool {
        self.children > 0
    }

    /// All rows of the tree below `root`, including `root`, in order; empty when it is not a root.
    #[must_use]
    pub fn tree(&self, root: Row) -> &[Row] {
        match self.provider(root) {
            Some(provider) if provider.parent.is_some() => &[],
            Some(provider) if provider.tree.is_empty() => slice::from_ref(&provider.root),
            Some(provider) => &provider.tree,
            None => &[],
        }
    }

    /// The provider in `row` and all its descendants, parents before children.
    #[must_use]
    pub fn subtree(&self, row: Row) -> Vec<Row> {
        let Some(root) = self.provider(row).map(|provider| provider.root) else { return Vec::new() };
        let mut children: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
        for &other in self.tree(root) {
            if let Some(parent) = self.provider(other).and_then(|provider| provider.parent) {
                children.entry(parent).or_default().push(other);
            }
        }
        let mut rows = vec![row];
        let mut next = 0;
        while let Some(parent) = rows.get(next) {
            rows.extend(children.remove(parent).unwrap_or_default());
            next += 1;
        }
        rows
    }

    /// The known resource classes; a class's number is its [`ClassId`].
    #[must_use]
    pub fn classes(&self) -> &Names {
        &self.classes
    }

    /// The class with this name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<ClassId> {
        self.classes.find(name).map(|number| ClassId(u16::try_from(number).expect("bounded by the ledger")))
    }

    /// The providers with inventory of the class.
    #[must_use]
    pub fn with_class(&self, class: ClassId) -> Option<&Members> {
        self.with_class.get(class.index())
    }

    /// The known traits; a trait's number is its [`TraitId`].
    #[must_use]
    pub fn traits(&self) -> &Names {
        &self.traits
    }

    /// The trait with this name.
    #[must_use]
    #[inline]
    pub fn find_trait(&self, name: &str) -> Option<TraitId> {
        self.traits.find(name).map(TraitId)
    }

    /// The providers with the trait.
    #[must_use]
    pub fn with_trait(&self, wanted: TraitId) -> Option<&Members> {
        self.with_trait.get(wanted.0 as usize)
    }

    /// The rows that have the trait.
    #[must_use]
    pub fn rows_with_trait(&self, wanted: TraitId) -> Option<&RowSet> {
        self.with_trait(wanted).map(Members::rows)
    }

    /// The providers in the aggregate.
    #[must_use]
    pub fn in_aggregate(&self, aggregate: Uuid) -> Option<&Members> {
        self.in_aggregate.get(&aggregate)
    }

    /// The rows in the aggregate.
    #[must_use]
    #[inline]
    pub fn rows_in_aggregate(&self, aggregate: Uuid) -> Option<&RowSet> {
        self.in_aggregate(aggregate).map(Members::rows)
    }

    /// The rows in the aggregate that share their inventories with all its other members.
    pub(crate) fn sharing_in_aggregate(&self, aggregate: Uuid) -> Option<&RowSet> {
        self.sharing.get(&aggregate).map(AsRef::as_ref)
    }

    /// The rows with the trait [`SHARES_VIA_AGGREGATE`].
    #[must_use]
    pub fn sharing(&self) -> Option<&RowSet> {
        self.rows_with_trait(self.find_trait(SHARES_VIA_AGGREGATE)?)
    }

    pub(crate) fn set_provider(&mut self, row: Row, provider: Option<Provider>) {
        let (chunk, place) = (row.index() / CHUNK, row.index() % CHUNK);
        // A rebuilt topology may have no provider in all the rows of a chunk.
        while chunk >= self.chunks.len() {
            self.chunks.push(Arc::new(vec![None; CHUNK]));
        }
        Arc::make_mut(&mut self.chunks[chunk])[place] = provider;
    }

    fn provider_mut(&mut self, row: Row) -> &mut Provider {
        let chunk = Arc::make_mut(&mut self.chunks[row.index() / CHUNK]);
        chunk[row.index() % CHUNK].as_mut().expect("a known provider")
    }

    /// Adds a new provider to its tree.
    pub(crate) fn insert_provider(&mut self, row: Row, provider: Provider) {
        let root = provider.root;
        let is_root = provider.parent.is_none();
        self.set_provider(row, Some(provider));
        if is_root {
            set_member(&mut self.roots, row, true);
            return;
        }
        self.children += 1;
        let mut tree = self.tree(root).to_vec();
        tree.insert(tree.partition_point(|&other| other < row), row);
        self.provider_mut(root).tree = tree.into();
    }

    /// Removes a provider without properties and children.
    pub(crate) fn remove_provider(&mut self, row: Row) {
        let root = self.provider_mut(row).root;
        if root == row {
            set_member(&mut self.roots, row, false);
        } else {
            self.children -= 1;
            let rest: Vec<Row> = self.tree(root).iter().copied().filter(|&other| other != row).collect();
            self.provider_mut(root).tree = if rest.len() > 1 { rest.into() } else { Arc::default() };
        }
        self.set_provider(row, None);
    }

    /// Moves a known provider and its descendants below `parent`, which is not one of them, or
    /// makes it a root.
    pub(crate) fn move_provider(&mut self, row: Row, parent: Option<Row>) {
        let moved = self.subtree(row);
        let root = parent.map_or(row, |parent| self.provider_mut(parent).root);
        let before: Vec<Provider> = moved.iter().map(|&row| self.provider_mut(row).clone()).collect();
        for &row in moved.iter().rev() {
            self.clear_provider(row);
            self.remove_provider(row);
        }
        for (&place, provider) in moved.iter().zip(before) {
            let parent = if place == row { parent } else { provider.parent };
            self.insert_provider(place, Provider::new(provider.uuid, provider.name, parent, root));
            self.set_traits(place, provider.traits.to_vec());
            self.set_aggregates(place, provider.aggregates.to_vec());
            provider.classes.iter().for_each(|&class| self.set_class(place, class, true));
        }
    }

    /// Removes the traits, aggregates and classes of a known provider.
    pub(crate) fn clear_provider(&mut self, row: Row) {
        self.set_traits(row, Vec::new());
        self.set_aggregates(row, Vec::new());
        self.set_classes(row, &[]);
    }

    /// Renames a known provider.
    pub(crate) fn rename(&mut self, row: Row, name: Arc<str>) {
        self.provider_mut(row).name = name;
    }

    /// Sets the classes of which a known provider has inventory.
    pub(crate) fn set_classes(&mut self, row: Row, present: &[ClassId]) {
        let before = Arc::clone(&self.provider_mut(row).classes);
        before
            .iter()
            .filter(|class| !present.contains(class))
            .for_each(|&gone| self.set_class(row, gone, false));
        present.iter().for_each(|&class| self.set_class(row, class, true));
    }

    /// Replaces the traits of a known provider.
    pub(crate) fn set_traits(&mut self, row: Row, mut traits: Vec<TraitId>) {
        traits.sort_unstable();
        traits.dedup();
        let before = self.provider_mut(row).clone();
        for &gone in before.traits.iter().filter(|old| traits.binary_search(old).is_err()) {
            let Self { with_trait, chunks, .. } = self;
            with_trait[gone.0 as usize].remove(row, before.root, tree_in(chunks, before.root));
        }
        for &new in traits.iter().filter(|new| before.traits.binary_search(new).is_err()) {
            self.with_trait[new.0 as usize].add(row, before.root);
        }
        self.provider_mut(row).traits = traits.into();
        self.update_sharing(row, &before);
    }

    /// Replaces the aggregates of a known provider.
    pub(crate) fn set_aggregates(&mut self, row: Row, mut aggregates: Vec<Uuid>) {
        aggregates.sort_unstable();
        aggregates.dedup();
        let before = self.provider_mut(row).clone();
        for gone in before.aggregates.iter().filter(|old| aggregates.binary_search(old).is_err()) {
            let Self { in_aggregate, chunks, .. } = self;
            let members = in_aggregate.get_mut(gone).expect("the provider is in it");
            members.remove(row, before.root, tree_in(chunks, before.root));
            if members.rows().is_empty() {
                in_aggregate.remove(gone);
            }
        }
        for &new in aggregates.iter().filter(|new| before.aggregates.binary_search(new).is_err()) {
            self.in_aggregate.entry(new).or_default().add(row, before.root);
        }
        self.provider_mut(row).aggregates = aggregates.into();
        self.update_sharing(row, &before);
    }

    /// Sets whether a known provider has inventory of a known class.
    pub(crate) fn set_class(&mut self, row: Row, class: ClassId, present: bool) {
        let Provider { classes, root, .. } = self.provider(row).expect("a known provider");
        let (root, before) = (*root, Arc::clone(classes));
        if before.contains(&class) == present {
            return;
        }
        let Self { with_class, chunks, .. } = self;
        let after: Vec<ClassId> = if present {
            with_class[class.index()].add(row, root);
            let place = before.partition_point(|&other| other < class);
            before[..place].iter().chain([&class]).chain(&before[place..]).copied().collect()
        } else {
            with_class[class.index()].remove(row, root, tree_in(chunks, root));
            before.iter().copied().filter(|&other| other != class).collect()
        };
        self.provider_mut(row).classes = after.into();
    }

    /// Updates the sharing rows of every aggregate after a provider changed from `before`.
    fn update_sharing(&mut self, row: Row, before: &Provider) {
        let Some(shares) = self.find_trait(SHARES_VIA_AGGREGATE) else { return };
        let is_sharing = |provider: &Provider| provider.traits.binary_search(&shares).is_ok();
        let after = self.provider(row).expect("a known provider").clone();
        if !is_sharing(before) && !is_sharing(&after) {
            return;
        }
        let sharing = Arc::make_mut(&mut self.sharing);
        for aggregate in before.aggregates.iter().filter(|_| is_sharing(before)) {
            let rows = sharing.get_mut(aggregate).expect("it shares there");
            set_member(rows, row, false);
            if rows.is_empty() {
                sharing.remove(aggregate);
            }
        }
        for aggregate in after.aggregates.iter().filter(|_| is_sharing(&after)) {
            set_member(sharing.entry(*aggregate).or_default(), row, true);
        }
    }
}

/// [`Topology::tree`] of a known root, for use while other parts of the topology are borrowed.
fn tree_in(chunks: &[Chunk], root: Row) -> &[Row] {
    let provider = chunks[root.index() / CHUNK][root.index() % CHUNK].as_ref().expect("a known root");
    if provider.tree.is_empty() { slice::from_ref(&provider.root) } else { &provider.tree }
}
