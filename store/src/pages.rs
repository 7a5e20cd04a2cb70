//! The pages of a redb file (file format 3), read without redb: for files that redb refuses to
//! open.
//!
//! A file consists of a header page and *regions* of pages. The header has two slots, each with the
//! root of a tree that maps the names of tables to their roots. A tree consists of branches and
//! leaves. This module trusts none of these: it ignores every page that is not valid.
//!
//! This layout is internal to redb. redb opens a file completely or not at all, and cannot read
//! single records of a damaged file. `Cargo.toml` therefore pins the version of redb, and a test
//! below fails if a new version changes the layout.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub(crate) const PAGE: u64 = 4096;

/// The size of the largest page that is read. redb's pages grow with the record in them, and
/// Berth's records are small.
const MOST_BYTES: u64 = 64 << 20;

const HEADER: usize = 320;
const PRIMARY: u8 = 1;
const RECOVERY_REQUIRED: u8 = 2;

/// A file and the layout of its pages.
pub(crate) struct Pages {
    file: File,
    bytes: u64,
    region_bytes: u64,
    region_header: u64,
    /// The roots in the slots of the header, the current one first.
    pub(crate) roots: Vec<PageNumber>,
    /// Whether the last writer did not close the file.
    pub(crate) is_open: bool,
}

/// The location of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PageNumber(u64);

/// Keys and values.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A page of a tree.
pub(crate) enum Node {
    Leaf(Pairs),
    /// Child pages, and between each two of them a key: at least as large as every key before it,
    /// smaller than every key after it.
    Branch {
        children: Vec<PageNumber>,
        separators: Vec<Vec<u8>>,
    },
}

impl Pages {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut header = [0; HEADER];
        let there = usize::try_from(bytes).unwrap_or(HEADER).min(HEADER);
        file.read_exact_at(&mut header[..there], 0)?;
        let number = |place: usize| u64::from(u32_at(&header, place).unwrap_or_default());
        let region_header = number(16) * PAGE;
        let (region_bytes, flags) = (region_header + number(20) * PAGE, header[9]);
        let is_open = flags & RECOVERY_REQUIRED != 0;
        let mut slots = [slot(&header[64..192]), slot(&header[192..320])];
        let is_second = if is_open { slots[1].0 > slots[0].0 } else { flags & PRIMARY != 0 };
        if is_second {
            slots.reverse();
        }
        let roots = slots.into_iter().filter_map(|(_, root)| root).collect();
        Ok(Self { file, bytes, region_bytes, region_header, roots, is_open })
    }

    /// The page at this location; `None` if it is not valid or cannot be read.
    pub(crate) fn node(&self, PageNumber(number): PageNumber) -> Option<Node> {
        let (order, region) = (number >> 59, (number >> 20) & 0xF_FFFF);
        let index = number & (0xF_FFFF_u64 >> order.min(20));
        let size = PAGE << order.min(20);
        let start = region.saturating_mul(self.region_bytes).saturating_add(self.region_header + PAGE);
        let start = start.saturating_add(index * size);
        let bytes = self.read(start, size)?;
        match bytes.first()? {
            1 => leaf(&bytes).map(Node::Leaf),
            2 => branch(&bytes),
            _ => None,
        }
    }

    /// Every leaf in the file, including unused ones.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = Pairs> {
        (1..self.bytes.div_ceil(PAGE)).filter_map(|page| self.leaf_at(page * PAGE))
    }

    fn leaf_at(&self, start: u64) -> Option<Pairs> {
        let bytes = self.read(start, PAGE)?;
        if bytes.first() != Some(&1) {
            return None;
        }
        let needed = leaf_bytes(&bytes)?;
        if needed > PAGE { leaf(&self.read(start, needed)?) } else { leaf(&bytes) }
    }

    /// The readable part of the range.
    fn read(&self, start: u64, size: u64) -> Option<Vec<u8>> {
        let there = self.bytes.saturating_sub(start).min(size).min(MOST_BYTES);
        let mut bytes = vec![0; usize::try_from(there).ok()?];
        self.file.read_exact_at(&mut bytes, start).ok()?;
        Some(bytes)
    }
}

/// The commit number of a slot, and the root that it names.
fn slot(bytes: &[u8]) -> (u64, Option<PageNumber>) {
    let root = (bytes[1] != 0).then(|| page_number(bytes, 8)).flatten();
    (u64_at(bytes, 104).unwrap_or_default(), root)
}

/// The root of a table, from its entry in the tree of tables; `None` if the table is empty or the
/// entry cannot be read.
pub(crate) fn table_root(definition: &[u8]) -> Option<PageNumber> {
    let exists = *definition.get(9)? != 0;
    exists.then(|| page_number(definition, 10)).flatten()
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn page_number(bytes: &[u8], place: usize) -> Option<PageNumber> {
    u64_at(bytes, place).map(PageNumber)
}

fn count(bytes: &[u8]) -> Option<usize> {
    Some(u16::from_le_bytes(*bytes.get(2..)?.first_chunk()?).into())
}

fn end(bytes: &[u8], place: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, place)?).ok()
}

/// The length that the leaf declares.
fn leaf_bytes(bytes: &[u8]) -> Option<u64> {
    let last_value = 4 * (2 * count(bytes)?).checked_sub(1)? + 4;
    u32_at(bytes, last_value).map(u64::from)
}

/// Layout: type, number of pairs, ends of the keys, ends of the values, keys, values. A pair with
/// an invalid position is empty.
fn leaf(bytes: &[u8]) -> Option<Pairs> {
    let pairs = count(bytes)?;
    let start = 4 + 8 * pairs;
    let (mut key, mut value) = (start, end(bytes, 4 * pairs)?);
    bytes.get(..start)?;
    let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default().to_vec();
    let pair = |pair: usize| {
        let (key_end, value_end) = (end(bytes, 4 + 4 * pair)?, end(bytes, 4 + 4 * (pairs + pair))?);
        let read = (part(key, key_end), part(value, value_end));
        (key, value) = (key_end, value_end);
        Some(read)
    };
    (0..pairs).map(pair).collect()
}

/// Layout: type, number of keys, checksums of the children, their numbers, ends of the keys, keys.
fn branch(bytes: &[u8]) -> Option<Node> {
    let keys = count(bytes)?;
    let numbers = 8 + 16 * (keys + 1);
    let children = (0..=keys).map(|child| page_number(bytes, numbers + 8 * child));
    let children = children.collect::<Option<_>>()?;
    let ends = numbers + 8 * (keys + 1);
    let mut start = ends + 4 * keys;
    let mut separators = Vec::with_capacity(keys);
    for key in 0..keys {
        let end = end(bytes, ends + 4 * key)?;
        separators.push(bytes.get(start..end)?.to_vec());
        start = end;
    }
    Some(Node::Branch { children, separators })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedStore;
    use crate::salvage::salvage;
    use crate::store::Store;

    /// Records of many sizes on many pages, some of them replaced and removed.
    #[test]
    fn this_release_of_redb_writes_what_is_read_here() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("store");
        let store = EmbeddedStore::open(&path).unwrap();
        for round in 0..3_u32 {
            let key = |number: u32| [b"k", &number.to_be_bytes()[..]].concat();
            let value = |number: u32| vec![7; (number * 7919 % 9000) as usize];
            let changes = (round * 100..1000)
                .map(|number| (key(number), (number % (round + 2) != 1).then(|| value(number + round))));
            store.commit(changes.collect()).unwrap();
        }
        let mut expected = std::collections::BTreeMap::new();
        let visit = &mut |entry: crate::store::StoreEntry<'_>| {
            expected.insert(entry.key.to_vec(), entry.value.to_vec());
            Ok(())
        };
        store.load(visit).unwrap();
        drop(store);
        let mut version = [0];
        File::open(&path).unwrap().read_exact_at(&mut version, 64).unwrap();
        assert_eq!(version, [3], "redb's file format is another: this module has to be looked at");
        let read = salvage::<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>(&path, false).unwrap();
        assert_eq!(read.damages, []);
        assert!(read.records.into_iter().map(|(key, stored)| (key, stored.value)).eq(expected));
    }
}
