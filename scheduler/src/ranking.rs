//! Hosts in the order of a policy, in blocks that tell what fits in them: an exact best host by skipping.
//!
//! ```text
//! summaries   64 groups a block: the largest free amount of each class in each group
//!   groups    up to 64 leaves each, in order of rank; per leaf its lowest rank and largest free amounts
//!     leaves  up to 64 hosts each, in no order; all ranks of a leaf lie below the next leaf's lowest
//! ```
//!
//! Because neighbours in rank have similar amounts free, the largest amounts of a leaf say nearly exactly what fits
//! in it: a search looks at one or two leaves, whatever the size of the fleet. The first host in order that fits is the
//! best host, so the search is exact. Every level is compared 64 at a time by the same kernel.

use berth_placement::kernel::{CLASSES, EMPTY, Lanes, NOTHING, fits, lane_of, largest, set_lane, summarise};
use berth_placement::{Change, HostFree, Row, View};

use crate::mask::{first_lanes, lanes};
use crate::policy::{Policy, Rank};

/// Hosts of a leaf, leaves of a group, groups of a summary.
const FANOUT: usize = 64;
/// A block this small joins a neighbour ...
const SMALL: usize = 16;
/// ... if the two have no more than this: joining and splitting then never alternate.
const JOINED: usize = 48;

type Block = [Lanes; CLASSES];

#[derive(Clone)]
struct Leaf {
    len: usize,
    rows: [Row; FANOUT],
    free: Block,
}

#[derive(Clone)]
struct Group {
    len: usize,
    lowest: [Rank; FANOUT],
    leaves: [u32; FANOUT],
    largest: Block,
}

/// Where a rank belongs: the group, and the leaf within it.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    leaf: usize,
}

/// The hosts of a view, ordered by a policy.
#[derive(Clone)]
pub struct Ranking {
    policy: Policy,
    summaries: Vec<Block>,
    groups: Vec<Group>,
    leaves: Vec<Leaf>,
    spare: Vec<u32>,
}

impl Leaf {
    const NEW: Self = Self { len: 0, rows: [Row(0); FANOUT], free: EMPTY };

    fn lane(&self, row: Row) -> usize {
        self.rows[..self.len].iter().position(|&r| r == row).expect("the leaf holds the row")
    }

    fn push(&mut self, row: Row, free: HostFree) {
        self.rows[self.len] = row;
        set_lane(&mut self.free, self.len, free);
        self.len += 1;
    }

    fn swap_remove(&mut self, lane: usize) {
        self.len -= 1;
        self.rows[lane] = self.rows[self.len];
        let last = lane_of(&self.free, self.len);
        set_lane(&mut self.free, lane, last);
        set_lane(&mut self.free, self.len, NOTHING);
    }

    fn hosts(&self) -> impl Iterator<Item = (Row, HostFree)> {
        (0..self.len).map(|lane| (self.rows[lane], lane_of(&self.free, lane)))
    }
}

impl Group {
    const NEW: Self = Self { len: 0, lowest: [Rank::LOWEST; FANOUT], leaves: [0; FANOUT], largest: EMPTY };

    fn insert(&mut self, at: usize, lowest: Rank, leaf: u32, amounts: HostFree) {
        self.lowest.copy_within(at..self.len, at + 1);
        self.leaves.copy_within(at..self.len, at + 1);
        for lanes in &mut self.largest {
            lanes.0.copy_within(at..self.len, at + 1);
        }
        self.len += 1;
        self.lowest[at] = lowest;
        self.leaves[at] = leaf;
        set_lane(&mut self.largest, at, amounts);
    }

    /// Removes a leaf that is not the first; its neighbour before it takes over its range.
    fn remove(&mut self, at: usize) -> u32 {
        let leaf = self.leaves[at];
        self.lowest.copy_within(at + 1..self.len, at);
        self.leaves.copy_within(at + 1..self.len, at);
        for lanes in &mut self.largest {
            lanes.0.copy_within(at + 1..self.len, at);
        }
        self.len -= 1;
        set_lane(&mut self.largest, self.len, NOTHING);
        leaf
    }

    fn amounts(&self) -> HostFree {
        amounts(&self.largest)
    }
}

fn amounts(block: &Block) -> HostFree {
    [largest(&block[0]), largest(&block[1]), largest(&block[2])]
}

impl Ranking {
    /// Ranks all hosts of the view.
    #[must_use]
    pub fn new(policy: Policy, view: &View) -> Self {
        let mut ranking =
            Self { policy, summaries: Vec::new(), groups: Vec::new(), leaves: Vec::new(), spare: Vec::new() };
        ranking.groups.push(Group::NEW);
        let first = ranking.new_leaf();
        ranking.groups[0].insert(0, Rank::LOWEST, first, NOTHING);
        ranking.summarise_groups();
        for (row, free) in view.iter() {
            ranking.insert(row, free);
        }
        ranking
    }

    /// Moves a host whose free amounts changed.
    #[inline]
    pub fn update(&mut self, change: Change) {
        let Change { row, before, after } = change;
        match (before, after) {
            (Some(before), Some(after)) => {
                let place = self.place_of(self.policy.rank(before, row));
                if self.in_range(place, self.policy.rank(after, row)) {
                    let leaf = &mut self.leaves[self.groups[place.group].leaves[place.leaf] as usize];
                    let lane = leaf.lane(row);
                    set_lane(&mut leaf.free, lane, after);
                    self.summarise_leaf(place, before, after);
                } else {
                    self.remove_at(place, row, before);
                    self.insert(row, after);
                }
            }
            (Some(before), None) => self.remove_at(self.place_of(self.policy.rank(before, row)), row, before),
            (None, Some(after)) => self.insert(row, after),
            (None, None) => {}
        }
    }

    /// The best host that has `need` free and is acceptable.
    #[inline]
    #[must_use]
    pub fn best(&self, need: [i32; CLASSES], mut acceptable: impl FnMut(Row) -> bool) -> Option<Rank> {
        for (block, summary) in self.summaries.iter().enumerate() {
            for group in lanes(fits(summary, need) & first_lanes(self.groups.len() - block * FANOUT)) {
                let group = &self.groups[block * FANOUT + group as usize];
                for leaf in lanes(fits(&group.largest, need) & first_lanes(group.len)) {
                    let leaf = &self.leaves[group.leaves[leaf as usize] as usize];
                    let best = lanes(fits(&leaf.free, need) & first_lanes(leaf.len))
                        .map(|lane| lane as usize)
                        .filter(|&lane| acceptable(leaf.rows[lane]))
                        .map(|lane| self.policy.rank(lane_of(&leaf.free, lane), leaf.rows[lane]))
                        .min();
                    if best.is_some() {
                        return best;
                    }
                }
            }
        }
        None
    }

    /// Compares the structure with its own rules and with the view it follows.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, view: &View) -> Result<(), String> {
        let mut found = Vec::new();
        let mut previous = None;
        for (number, group) in self.groups.iter().enumerate() {
            if lane_of(&self.summaries[number / FANOUT], number % FANOUT) != group.amounts() {
                return Err(format!("group {number}: wrong summary"));
            }
            for at in 0..group.len {
                let leaf = &self.leaves[group.leaves[at] as usize];
                let lowest = group.lowest[at];
                if lane_of(&group.largest, at) != amounts(&leaf.free) {
                    return Err(format!("leaf {at} of group {number}: wrong summary"));
                }
                if leaf.hosts().any(|(row, free)| {
                    let rank = self.policy.rank(free, row);
                    rank < lowest || !self.in_range(Place { group: number, leaf: at }, rank)
                }) {
                    return Err(format!("leaf {at} of group {number}: a rank out of range"));
                }
                if previous.replace(lowest).is_some_and(|previous| previous >= lowest) {
                    return Err(format!("leaf {at} of group {number}: ranges out of order"));
                }
                found.extend(leaf.hosts());
            }
        }
        found.sort_unstable();
        if found.into_iter().eq(view.iter()) { Ok(()) } else { Err("other hosts than the view's".to_owned()) }
    }

    fn place_of(&self, rank: Rank) -> Place {
        let group = self.groups.partition_point(|group| group.lowest[0] <= rank) - 1;
        let lowest = &self.groups[group].lowest[..self.groups[group].len];
        Place { group, leaf: lowest.partition_point(|&lowest| lowest <= rank) - 1 }
    }

    /// Whether the rank belongs to the leaf: not below its lowest, and below the next leaf's.
    fn in_range(&self, Place { group, leaf }: Place, rank: Rank) -> bool {
        let next = match self.groups[group].lowest[..self.groups[group].len].get(leaf + 1) {
            Some(&lowest) => Some(lowest),
            None => self.groups.get(group + 1).map(|group| group.lowest[0]),
        };
        self.groups[group].lowest[leaf] <= rank && next.is_none_or(|next| rank < next)
    }

    fn insert(&mut self, row: Row, free: HostFree) {
        let rank = self.policy.rank(free, row);
        let mut place = self.place_of(rank);
        if self.leaf_at(place).len == FANOUT {
            self.split_leaf(place);
            place = self.place_of(rank);
        }
        self.leaf_at(place).push(row, free);
        self.summarise_leaf(place, NOTHING, free);
    }

    fn remove_at(&mut self, place: Place, row: Row, free: HostFree) {
        let leaf = self.leaf_at(place);
        let lane = leaf.lane(row);
        leaf.swap_remove(lane);
        let len = leaf.len;
        self.summarise_leaf(place, free, NOTHING);
        if len <= SMALL {
            self.join_leaf(place);
        }
    }

    fn leaf_at(&mut self, Place { group, leaf }: Place) -> &mut Leaf {
        &mut self.leaves[self.groups[group].leaves[leaf] as usize]
    }

    fn new_leaf(&mut self) -> u32 {
        self.spare.pop().unwrap_or_else(|| {
            self.leaves.push(Leaf::NEW);
            u32::try_from(self.leaves.len() - 1).expect("fewer leaves than rows")
        })
    }

    /// Brings the summaries above a leaf up to date with one of its lanes.
    #[inline]
    fn summarise_leaf(&mut self, Place { group: number, leaf }: Place, old: HostFree, new: HostFree) {
        let group = &mut self.groups[number];
        let before = lane_of(&group.largest, leaf);
        let block = &self.leaves[group.leaves[leaf] as usize].free;
        summarise(&mut group.largest, leaf, block, old, new);
        let after = lane_of(&group.largest, leaf);
        if before != after {
            summarise(&mut self.summaries[number / FANOUT], number % FANOUT, &group.largest, before, after);
        }
    }

    /// Works all group summaries out again: groups come and go once in thousands of changes.
    fn summarise_groups(&mut self) {
        self.summaries.clear();
        self.summaries.resize(self.groups.len().div_ceil(FANOUT), EMPTY);
        for (number, group) in self.groups.iter().enumerate() {
            set_lane(&mut self.summaries[number / FANOUT], number % FANOUT, group.amounts());
        }
    }

    /// Moves the better half of a full leaf's successors into a leaf of their own.
    fn split_leaf(&mut self, place: Place) {
        let place = if self.groups[place.group].len == FANOUT { self.split_group(place) } else { place };
        let leaf = self.leaf_at(place).clone();
        let mut hosts: Vec<(Rank, HostFree)> =
            leaf.hosts().map(|(row, free)| (self.policy.rank(free, row), free)).collect();
        hosts.sort_unstable_by_key(|&(rank, _)| rank);
        let (lower, upper) = hosts.split_at(FANOUT / 2);
        let fill = |hosts: &[(Rank, HostFree)]| {
            let mut leaf = Leaf::NEW;
            hosts.iter().for_each(|&(rank, free)| leaf.push(rank.row, free));
            leaf
        };
        let (lower_leaf, upper_leaf) = (fill(lower), fill(upper));
        let upper_amounts = amounts(&upper_leaf.free);
        let lower_amounts = amounts(&lower_leaf.free);
        let number = self.new_leaf();
        self.leaves[number as usize] = upper_leaf;
        *self.leaf_at(place) = lower_leaf;
        let group = &mut self.groups[place.group];
        set_lane(&mut group.largest, place.leaf, lower_amounts);
        group.insert(place.leaf + 1, upper[0].0, number, upper_amounts);
    }

    /// Moves the upper half of a full group into a group of its own; returns where the leaf is now.
    fn split_group(&mut self, place: Place) -> Place {
        let mut upper = Group::NEW;
        let lower = &mut self.groups[place.group];
        for at in FANOUT / 2..FANOUT {
            upper.insert(upper.len, lower.lowest[at], lower.leaves[at], lane_of(&lower.largest, at));
            set_lane(&mut lower.largest, at, NOTHING);
        }
        lower.len = FANOUT / 2;
        self.groups.insert(place.group + 1, upper);
        self.summarise_groups();
        match place.leaf.checked_sub(FANOUT / 2) {
            None => place,
            Some(leaf) => Place { group: place.group + 1, leaf },
        }
    }

    /// Joins a small leaf with a neighbour in its group, if the two are small enough together.
    fn join_leaf(&mut self, Place { group, leaf }: Place) {
        let candidates = [leaf.checked_sub(1), (leaf + 1 < self.groups[group].len).then_some(leaf)];
        let lower = candidates.into_iter().flatten().find(|&lower| {
            let len = |at: usize| self.leaves[self.groups[group].leaves[at] as usize].len;
            joinable(len(lower), len(lower + 1), FANOUT)
        });
        let Some(lower) = lower else { return };
        let number = self.groups[group].remove(lower + 1);
        let upper = std::mem::replace(&mut self.leaves[number as usize], Leaf::NEW);
        self.spare.push(number);
        let place = Place { group, leaf: lower };
        let leaf = self.leaf_at(place);
        upper.hosts().for_each(|(row, free)| leaf.push(row, free));
        let joined = amounts(&leaf.free);
        // The group's own largest amounts stay as they are: no host came or went.
        set_lane(&mut self.groups[group].largest, lower, joined);
        if self.groups[group].len <= SMALL {
            self.join_group(group);
        }
    }

    fn join_group(&mut self, group: usize) {
        let candidates = [group.checked_sub(1), (group + 1 < self.groups.len()).then_some(group)];
        let lower = candidates
            .into_iter()
            .flatten()
            .find(|&lower| joinable(self.groups[lower].len, self.groups[lower + 1].len, FANOUT));
        let Some(lower) = lower else { return };
        let upper = self.groups.remove(lower + 1);
        let lower = &mut self.groups[lower];
        for at in 0..upper.len {
            lower.insert(lower.len, upper.lowest[at], upper.leaves[at], lane_of(&upper.largest, at));
        }
        self.summarise_groups();
    }
}

/// Whether two neighbours become one. An empty one always gives way.
const fn joinable(a: usize, b: usize, room: usize) -> bool {
    a + b <= if a == 0 || b == 0 { room } else { JOINED }
}
