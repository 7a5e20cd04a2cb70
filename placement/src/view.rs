//! A decider's private copy of the free amounts, in plain memory.
//!
//! A decision scans millions of values, and compilers do not vectorise a scan of atomics. So each
//! decider keeps a copy, refreshes it from the change journal (a few rows between two decisions)
//! and scans that. The copy is advisory: the claim checks again.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::ids::{ClassId, Row};
use crate::index::Index;
use crate::inventory::Units;
use crate::journal::JournalRead;
use crate::kernel::{CLASSES, EMPTY, Lanes, NOTHING, lane_of, largest, set_lane, summarise};
use crate::topology::Topology;

/// The classes that every VM requests, in the order of [`HostFree`].
pub const HOST_CLASSES: [ClassId; CLASSES] = [ClassId::VCPU, ClassId::MEMORY_MB, ClassId::DISK_GB];

/// A host's free amounts of the [`HOST_CLASSES`], clamped to `i32`; `i32::MIN` without inventory.
///
/// Comparisons with a requested amount stay exact, because no allocation exceeds `i32::MAX`.
pub type HostFree = [i32; CLASSES];

/// The dense number of a host shape, private to one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeId(pub u32);

/// The properties of hosts that no claim changes: unit rules of the [`HOST_CLASSES`].
type Shape = [Option<Units>; CLASSES];

/// A host that changed; `None` means "not a host", before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostChange {
    /// The host.
    pub row: Row,
    /// The view's amounts before.
    pub before: Option<HostFree>,
    /// The view's amounts now.
    pub after: Option<HostFree>,
    /// Whether its unit rules, traits or aggregates may have changed too.
    pub layout: bool,
}

/// The free amounts of every host, in blocks of 64 rows, with the largest free amounts of every
/// block.
#[derive(Clone)]
pub struct View {
    cursor: u64,
    topology: Arc<Topology>,
    blocks: Vec<[Lanes; CLASSES]>,
    /// Lane `b % 64` of element `b / 64` summarises block `b`.
    summaries: Vec<[Lanes; CLASSES]>,
    hosts: Vec<u64>,
    shape_of: Vec<ShapeId>,
    shapes: Vec<Shape>,
    shape_ids: FxHashMap<Shape, ShapeId>,
    /// The number of hosts of each shape.
    shape_hosts: Vec<u32>,
    /// The rows whose layout was read again recently, oldest first, and the number of rows dropped
    /// before them.
    relayouts: VecDeque<Row>,
    forgotten: u64,
    changes: u64,
    gains: u64,
}

/// The number of recent layout changes that are remembered by row.
const REMEMBERED: usize = 1024;

impl View {
    /// A copy of the index's current state.
    #[must_use]
    pub fn new(index: &Index) -> Self {
        let mut view = Self {
            cursor: index.journal().end(),
            topology: index.topology(),
            blocks: Vec::new(),
            summaries: Vec::new(),
            hosts: Vec::new(),
            shape_of: Vec::new(),
            shapes: Vec::new(),
            shape_ids: FxHashMap::default(),
            shape_hosts: Vec::new(),
            relayouts: VecDeque::new(),
            forgotten: 0,
            changes: 0,
            gains: 0,
        };
        view.resync(index, &mut |_, _| ());
        view
    }

    /// Applies the changes since the last call; calls `on_change` for each host after the view has
    /// it.
    #[inline]
    pub fn refresh(&mut self, index: &Index, mut on_change: impl FnMut(&Self, HostChange)) {
        loop {
            match index.journal().read(&mut self.cursor) {
                JournalRead::Changed(entry) => {
                    if entry.layout {
                        self.topology = index.topology();
                        self.grow();
                        self.reread_layout(index, entry.row, &mut on_change);
                    } else {
                        self.reread(index, entry.row, &mut on_change);
                    }
                }
                JournalRead::Overrun => self.resync(index, &mut on_change),
                JournalRead::UpToDate => return,
            }
        }
    }

    /// Takes the latest topology after [`Self::refresh`], also if only names have changed since,
    /// which the journal does not say. As long as a view has an earlier one, the numbers of removed
    /// names are not used again.
    pub fn take_topology(&mut self, index: &Index) {
        self.topology = index.topology();
        self.grow();
    }

    /// Reads one row again, whether the journal has an entry for it or not.
    pub fn touch(&mut self, index: &Index, row: Row, mut on_change: impl FnMut(&Self, HostChange)) {
        self.reread(index, row, &mut on_change);
    }

    /// The topology of the last refresh.
    #[must_use]
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The free amounts, in blocks of 64 rows; rows that are not hosts have none.
    #[must_use]
    pub fn blocks(&self) -> &[[Lanes; CLASSES]] {
        &self.blocks
    }

    /// The largest free amounts of each block, 64 blocks per element.
    #[must_use]
    pub fn summaries(&self) -> &[[Lanes; CLASSES]] {
        &self.summaries
    }

    /// The rows that are hosts, 64 per word.
    #[must_use]
    pub fn hosts(&self) -> &[u64] {
        &self.hosts
    }

    /// The host's free amounts; `None` when the row is not a host.
    #[inline]
    #[must_use]
    pub fn host(&self, row: Row) -> Option<HostFree> {
        let (block, lane) = row.block_and_lane();
        let host = self.hosts.get(block)? >> lane & 1 == 1;
        host.then(|| lane_of(&self.blocks[block], lane))
    }

    /// All hosts in order of row.
    pub fn iter(&self) -> impl Iterator<Item = (Row, HostFree)> + Clone {
        (0..).map(Row).take(self.blocks.len() * 64).filter_map(|row| Some((row, self.host(row)?)))
    }

    /// The shape of every row; rows that are not hosts have a shape too.
    #[must_use]
    pub fn shape_of(&self) -> &[ShapeId] {
        &self.shape_of
    }

    /// The unit rules of every shape, by [`ShapeId`]; [`Units::ANY`] where free capacity implies
    /// them.
    #[must_use]
    pub fn shapes(&self) -> &[[Option<Units>; CLASSES]] {
        &self.shapes
    }

    /// Whether any host has the shape.
    #[must_use]
    pub fn shape_has_hosts(&self, shape: ShapeId) -> bool {
        self.shape_hosts[shape.0 as usize] > 0
    }

    /// The number of changes of free amounts. While it is unchanged, so is every decision.
    #[inline]
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The number of times that a host's free amounts grew. While it is unchanged, a request that
    /// found no host finds none.
    #[inline]
    #[must_use]
    pub const fn gains(&self) -> u64 {
        self.gains
    }

    /// A position in the sequence of layout changes, for [`Self::relayouts_since`].
    #[inline]
    #[must_use]
    pub fn layout_position(&self) -> u64 {
        self.forgotten + self.relayouts.len() as u64
    }

    /// The rows whose inventories, traits, aggregates or position in the tree may have changed
    /// since `position`; `None` when there were too many to remember.
    #[must_use]
    pub fn relayouts_since(&self, position: u64) -> Option<impl Iterator<Item = Row>> {
        let skip = usize::try_from(position.checked_sub(self.forgotten)?).ok()?;
        Some(self.relayouts.iter().copied().skip(skip))
    }

    /// Compares the copy with the index, and the summaries with the blocks. Call it only while
    /// nothing changes.
    ///
    /// # Errors
    /// The first row or block that differs.
    pub fn check(&self, index: &Index) -> Result<(), String> {
        for row in (0..).map(Row).take(self.blocks.len() * 64) {
            let expected = index.topology().roots().contains(row.0).then(|| free_of(index, row));
            if self.host(row) != expected {
                return Err(format!("{row}: view has {:?}, index {expected:?}", self.host(row)));
            }
        }
        for (number, block) in self.blocks.iter().enumerate() {
            let summary = lane_of(&self.summaries[number / 64], number % 64);
            let expected = [0, 1, 2].map(|class| largest(&block[class]));
            if summary != expected {
                return Err(format!("block {number}: summary {summary:?}, rows {expected:?}"));
            }
        }
        Ok(())
    }

    fn resync(&mut self, index: &Index, on_change: &mut impl FnMut(&Self, HostChange)) {
        self.topology = index.topology();
        self.grow();
        for row in (0..).map(Row).take(self.topology.rows()) {
            self.reread_layout(index, row, on_change);
        }
    }

    fn grow(&mut self) {
        let blocks = self.topology.rows().div_ceil(64);
        if blocks > self.blocks.len() {
            self.blocks.resize(blocks, EMPTY);
            self.summaries.resize(blocks.div_ceil(64), EMPTY);
            self.hosts.resize(blocks, 0);
            self.shape_of.resize(blocks * 64, ShapeId(0));
        }
    }

    /// Reads a row whose use may have changed.
    #[inline]
    fn reread(&mut self, index: &Index, row: Row, on_change: &mut impl FnMut(&Self, HostChange)) {
        if let Some(before) = self.host(row) {
            self.replace(row, Some(before), Some(free_of(index, row)), false, on_change);
        }
    }

    /// Reads a row of which anything may have changed.
    fn reread_layout(&mut self, index: &Index, row: Row, on_change: &mut impl FnMut(&Self, HostChange)) {
        if row.index() >= self.shape_of.len() {
            return; // published after this view's topology; another entry follows
        }
        // Unit rules that free capacity implies do not distinguish hosts, whatever their sizes.
        let shape = HOST_CLASSES.map(|class| {
            let inventory = index.inventory(row, class)?;
            Some(if inventory.capacity_implies_units() { Units::ANY } else { inventory.units })
        });
        let next = ShapeId(u32::try_from(self.shapes.len()).expect("at most one shape per row"));
        let id = *self.shape_ids.entry(shape).or_insert(next);
        if id == next {
            self.shapes.push(shape);
            self.shape_hosts.push(0);
        }
        if self.host(row).is_some() {
            self.shape_hosts[self.shape_of[row.index()].0 as usize] -= 1;
        }
        self.shape_of[row.index()] = id;
        self.remember(row);
        let after = self.topology.roots().contains(row.0).then(|| free_of(index, row));
        if after.is_some() {
            self.shape_hosts[id.0 as usize] += 1;
        }
        self.replace(row, self.host(row), after, true, on_change);
    }

    fn remember(&mut self, row: Row) {
        if self.relayouts.len() == REMEMBERED {
            self.relayouts.pop_front();
            self.forgotten += 1;
        }
        self.relayouts.push_back(row);
    }

    #[inline]
    fn replace(
        &mut self,
        row: Row,
        before: Option<HostFree>,
        after: Option<HostFree>,
        layout: bool,
        on_change: &mut impl FnMut(&Self, HostChange),
    ) {
        if before == after && (!layout || after.is_none()) {
            return;
        }
        let (block, lane) = row.block_and_lane();
        if before.is_some() != after.is_some() {
            self.hosts[block] ^= 1 << lane;
        }
        let (old, new) = (before.unwrap_or(NOTHING), after.unwrap_or(NOTHING));
        self.changes += 1;
        self.gains += u64::from(new.iter().zip(old).any(|(&new, old)| new > old));
        set_lane(&mut self.blocks[block], lane, new);
        summarise(&mut self.summaries[block / 64], block % 64, &self.blocks[block], old, new);
        on_change(self, HostChange { row, before, after, layout });
    }
}

/// The index's free amounts, clamped to `i32`.
#[inline]
fn free_of(index: &Index, row: Row) -> HostFree {
    index.host_free(row).map(|free| match free {
        None => i32::MIN,
        #[allow(clippy::cast_possible_truncation)]
        // clamped; the smallest value is reserved for "no inventory"
        Some(free) => free.clamp(i64::from(i32::MIN) + 1, i64::from(i32::MAX)) as i32,
    })
}
