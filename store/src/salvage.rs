//! What can still be read of a damaged store.
//!
//! The tree is followed from the root of the latest commit. Every record has a checksum of its own, so what is read is what
//! was once written. Where a page of the tree cannot be read, the records that it led to are looked for in all leaves of the
//! file: those in use are among them, but older versions of them as well, and the two cannot be distinguished with certainty.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;

use crate::embedded::{TABLE, entry};
use crate::fleet_records::FleetRecords;
use crate::pages::{Node, PageNumber, Pages, Pairs, table_root};
use crate::record::words;
use crate::store::Revision;

/// What was read.
pub(crate) struct Salvage {
    pub(crate) records: BTreeMap<Vec<u8>, Stored>,
    pub(crate) damages: Vec<Damage>,
}

/// A record that is as it was written.
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    pub(crate) value: Vec<u8>,
}

/// Records that cannot be read where they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The key of the last record before, in words; `None` at the start.
    pub after: Option<String>,
    /// The key of the last record that can be among them; `None` when nothing follows.
    pub up_to: Option<String>,
    /// What is known to be among them.
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

/// Keys after the first and up to the second.
type Range = (Option<Vec<u8>>, Option<Vec<u8>>);

fn contains((after, up_to): &Range, key: &[u8]) -> bool {
    after.as_ref().is_none_or(|after| key > &after[..])
        && up_to.as_ref().is_none_or(|up_to| key <= &up_to[..])
}

/// Reads all that can be read, of the latest commit if it was acknowledged.
///
/// # Errors
/// A file that cannot be opened.
pub(crate) fn salvage<F: FleetRecords>(path: &Path, is_acknowledged: bool) -> io::Result<Salvage> {
    let pages = Pages::open(path)?;
    let mut trees: Vec<Tree> = pages.roots.iter().map(|&root| Tree::of_records(&pages, root)).collect();
    // After a crash, a commit that was not acknowledged may be there in part, and the one before is whole.
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

/// A range of keys in which something is missing, and keys that are known to be.
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

/// What a tree leads to.
#[derive(Default)]
struct Tree {
    records: BTreeMap<Vec<u8>, Stored>,
    missing: Vec<Missing>,
}

impl Tree {
    /// Of which nothing is known.
    fn nowhere() -> Self {
        let missing = vec![Missing { range: (None, None), known: Vec::new() }];
        Self { missing, ..Self::default() }
    }

    /// The tree of records, found in the tree of tables.
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

    /// A leaf, or none where there has to be one.
    fn enter(&mut self, range: Range, leaf: Option<Pairs>) {
        let Some(pairs) = leaf else {
            self.missing.push(Missing { range, known: Vec::new() });
            return;
        };
        // Where records are damaged, their keys may be: what is missing lies between the good ones around them.
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
                        // It belongs elsewhere, or the way here is damaged.
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

    /// Searches all leaves of the file for what is missing, the latest first. Where a leaf covers the keys between two keys,
    /// older ones are ignored.
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

    /// What a leaf has of what is missing.
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

/// Visits the leaves of a tree with the keys that each can have; none for pages that cannot be read.
fn walk(pages: &Pages, root: PageNumber, mut visit: impl FnMut(Range, Option<Pairs>)) {
    let (mut seen, mut open) = (BTreeSet::new(), vec![(root, (None, None))]);
    while let Some((number, range)) = open.pop() {
        // A damaged page may lead back to one above it.
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

/// A leaf with something that is missing.
struct Found {
    /// Of the revisions of its records.
    latest: Revision,
    records: Vec<(Vec<u8>, Stored)>,
    /// Its first key and its last.
    span: (Vec<u8>, Vec<u8>),
    is_whole: bool,
}

/// Spans of keys, apart from each other, each by its first key.
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
