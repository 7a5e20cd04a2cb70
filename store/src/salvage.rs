//! Reads the intact records of a damaged store.
//!
//! The search follows the tree from the root of the latest commit. Every record has its own
//! checksum, so each record that is read was once written. Where a page of the tree cannot be read,
//! the search scans all leaves of the file for the records below it. The leaves contain older
//! versions of records as well, and the search cannot always distinguish them from current ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;

use crate::embedded::{TABLE, entry};
use crate::fleet_records::FleetRecords;
use crate::pages::{Node, PageNumber, Pages, Pairs, table_root};
use crate::record::words;
use crate::store::Revision;

/// The result of a salvage.
pub(crate) struct Salvage {
    pub(crate) records: BTreeMap<Vec<u8>, Stored>,
    pub(crate) damages: Vec<Damage>,
}

/// An intact record.
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    pub(crate) value: Vec<u8>,
}

/// A range of keys whose records cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Describes the last key before the range; `None` at the start.
    pub after: Option<String>,
    /// Describes the last key that may be in the range; `None` at the end.
    pub up_to: Option<String>,
    /// Keys that are known to be in the range.
    pub known: Vec<String>,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let after = self.after.as_deref().unwrap_or("the first record");
        let up_to = self.up_to.as_deref().unwrap_or("the last record");
        match &self.known[..] {
            [] => write!(f, "a page between {after} and {up_to}"),
            known => write!(f, "{} (between {after} and {up_to})", known.join(", ")),
        }
    }
}

/// The keys after the first key, up to and including the second.
type Range = (Option<Vec<u8>>, Option<Vec<u8>>);

fn contains((after, up_to): &Range, key: &[u8]) -> bool {
    after.as_ref().is_none_or(|after| key > &after[..])
        && up_to.as_ref().is_none_or(|up_to| key <= &up_to[..])
}

/// Reads every intact record of the latest commit. If that commit is incomplete and was not
/// acknowledged, reads the commit before it.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn salvage<F: FleetRecords>(path: &Path, is_acknowledged: bool) -> io::Result<Salvage> {
    let pages = Pages::open(path)?;
    let mut trees: Vec<Tree> = pages.roots.iter().map(|&root| Tree::of_records(&pages, root)).collect();
    // After a crash, an unacknowledged commit may be incomplete, and the commit before it is
    // intact.
    let latest_is_whole = trees.first().is_some_and(|tree| tree.missing.is_empty());
    let may_go_back = pages.is_open && !latest_is_whole && !is_acknowledged;
    let preferred = trees.iter().position(|tree| tree.missing.is_empty() && may_go_back);
    let readable = trees.iter().position(|tree| !tree.records.is_empty() || tree.missing.is_empty());
    let place = preferred.or(readable);
    let mut tree = place.map_or_else(Tree::nowhere, |place| trees.swap_remove(place));
    let damages = tree.missing.iter().map(Missing::damage::<F>).collect();
    if !tree.missing.is_empty() {
        tree.complete(&pages);
    }
    Ok(Salvage { records: tree.records, damages })
}

/// A range of keys with missing records, and the keys known to be missing.
struct Missing {
    range: Range,
    known: Vec<Vec<u8>>,
}

impl Missing {
    fn damage<F: FleetRecords>(&self) -> Damage {
        let place = |key: &Option<Vec<u8>>| key.as_deref().map(words::<F>);
        let known = self.known.iter().map(|key| words::<F>(key)).collect();
        Damage { after: place(&self.range.0), up_to: place(&self.range.1), known }
    }
}

/// The records and gaps found in a tree.
#[derive(Default)]
struct Tree {
    records: BTreeMap<Vec<u8>, Stored>,
    missing: Vec<Missing>,
}

impl Tree {
    /// A tree of which nothing is known.
    fn nowhere() -> Self {
        let missing = vec![Missing { range: (None, None), known: Vec::new() }];
        Self { missing, ..Self::default() }
    }

    /// The root of the tree of records, from the tree of tables.
    fn of_records(pages: &Pages, root: PageNumber) -> Self {
        let (mut definition, mut is_whole) = (None, true);
        walk(pages, root, |_, leaf| match leaf {
            Some(pairs) => {
                definition =
                    definition.take().or(pairs.into_iter().find(|(name, _)| name == TABLE.as_bytes()));
            }
            None => is_whole = false,
        });
        match definition.as_ref().and_then(|(_, definition)| table_root(definition)) {
            Some(root) => {
                let mut tree = Self::default();
                walk(pages, root, |range, leaf| tree.enter(range, leaf));
                tree
            }
            None if is_whole && definition.is_none() => Self::default(),
            None => Self::nowhere(),
        }
    }

    /// Adds a leaf, or a gap if the leaf cannot be read.
    fn enter(&mut self, range: Range, leaf: Option<Pairs>) {
        let Some(pairs) = leaf else {
            self.missing.push(Missing { range, known: Vec::new() });
            return;
        };
        // The key of a damaged record may be damaged, too: the gap extends to the intact records
        // around it.
        let (mut good, mut known, mut gap) = (range.0.clone(), Vec::new(), None);
        for (key, stored) in pairs {
            let record = read(&key, &stored);
            match record {
                Some(record) if contains(&range, &key) => {
                    if let Some(after) = gap.take() {
                        let range = (after, Some(key.clone()));
                        self.missing.push(Missing { range, known: std::mem::take(&mut known) });
                    }
                    good = Some(key.clone());
                    self.records.insert(key, record);
                }
                record => {
                    gap.get_or_insert_with(|| good.clone());
                    match record {
                        // The key is outside the leaf's range, or the path to the leaf is damaged.
                        Some(record) => self.offer(key, record),
                        None if contains(&range, &key) => known.push(key),
                        None => {}
                    }
                }
            }
        }
        if let Some(after) = gap {
            self.missing.push(Missing { range: (after, range.1), known });
        }
    }

    fn offer(&mut self, key: Vec<u8>, record: Stored) {
        let older = self.records.get(&key).is_none_or(|there| there.revision < record.revision);
        if older {
            self.records.insert(key, record);
        }
    }

    /// Scans all leaves of the file for missing records, the latest leaf first. Where a leaf covers
    /// a range of keys, older leaves are ignored for that range.
    fn complete(&mut self, pages: &Pages) {
        let mut leaves: Vec<Found> = pages.leaves().filter_map(|pairs| self.find(pairs)).collect();
        leaves.sort_by_key(|found| std::cmp::Reverse(found.latest));
        let mut covered = Spans::default();
        for Found { records, span, is_whole, .. } in leaves {
            for (key, record) in records {
                if !covered.has(&key) && !self.records.contains_key(&key) {
                    self.records.insert(key, record);
                }
            }
            if is_whole {
                covered.add(span);
            }
        }
    }

    /// The missing records that a leaf contains.
    fn find(&self, pairs: Pairs) -> Option<Found> {
        let (count, mut latest, mut span) = (pairs.len(), Revision(0), None);
        let (mut good, mut records) = (0, Vec::new());
        for (key, stored) in pairs {
            let Some(record) = read(&key, &stored) else { continue };
            good += 1;
            latest = latest.max(record.revision);
            let (first, _) = span.take().unwrap_or_else(|| (key.clone(), key.clone()));
            span = Some((first, key.clone()));
            if self.missing.iter().any(|missing| contains(&missing.range, &key)) {
                records.push((key, record));
            }
        }
        (!records.is_empty()).then_some(Found { latest, records, span: span?, is_whole: good == count })
    }
}

fn read(key: &[u8], stored: &[u8]) -> Option<Stored> {
    let entry = entry(key, stored).ok()?;
    Some(Stored { revision: entry.revision, value: entry.value.to_vec() })
}

/// Visits the leaves of a tree with their ranges of keys; `None` for pages that cannot be read.
fn walk(pages: &Pages, root: PageNumber, mut visit: impl FnMut(Range, Option<Pairs>)) {
    let (mut seen, mut open) = (BTreeSet::new(), vec![(root, (None, None))]);
    while let Some((number, range)) = open.pop() {
        // A damaged page may refer to one of its ancestors.
        let node = if seen.insert(number) { pages.node(number) } else { None };
        match node {
            None => visit(range, None),
            Some(Node::Leaf(pairs)) => visit(range, Some(pairs)),
            Some(Node::Branch { children, separators }) => {
                let starts = std::iter::once(range.0).chain(separators.iter().cloned().map(Some));
                let ends = separators.iter().cloned().map(Some).chain([range.1]);
                open.extend(children.into_iter().zip(starts.zip(ends)));
            }
        }
    }
}

/// A leaf that contains missing records.
struct Found {
    /// The latest revision of its records.
    latest: Revision,
    records: Vec<(Vec<u8>, Stored)>,
    /// Its first and last key.
    span: (Vec<u8>, Vec<u8>),
    is_whole: bool,
}

/// Disjoint ranges of keys, by first key.
#[derive(Default)]
struct Spans(BTreeMap<Vec<u8>, Vec<u8>>);

impl Spans {
    fn has(&self, key: &[u8]) -> bool {
        self.0
            .range::<[u8], _>((Unbounded, Included(key)))
            .next_back()
            .is_some_and(|(_, last)| key <= &last[..])
    }

    fn add(&mut self, (mut first, mut last): (Vec<u8>, Vec<u8>)) {
        while let Some((start, end)) = self.0.range(..=last.clone()).next_back()
            && *end >= first
        {
            (first, last) = (first.min(start.clone()), last.max(end.clone()));
            let start = start.clone();
            self.0.remove(&start);
        }
        self.0.insert(first, last);
    }
}
