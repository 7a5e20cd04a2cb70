//! Hosts in the order of a policy, in blocks that show what fits in them: an exact best host by
//! skipping.
//!
//! ```text
//! tops        64 groups each, with a summary of every group
//!   groups    up to 64 leaves each, in order of rank, with a summary of every leaf
//!     leaves  up to 64 hosts each, in no order; all ranks of a leaf lie below the next leaf's lowest
//!
//! summary     largest and smallest free amount of each class, lowest row
//! ```
//!
//! Because neighbours in rank have similar amounts free, the largest amounts of a leaf say nearly
//! exactly what fits in it: a search looks at one or two leaves, whatever the size of the fleet.
//! The first host in order that fits is the best host, so the search is exact. Every level is
//! compared 64 at a time by the same kernel.

use berth_placement::Row;
use berth_placement::kernel::{CLASSES, fits, lane_of, set_lane};

use crate::mask::{first_lanes, lanes};
use crate::policy::Rank;
use crate::ranking::group::Group;
use crate::ranking::leaf::{Leaf, Ordered};
use crate::ranking::order::Order;
use crate::ranking::summary::{Kept, Summaries, Summary};

/// Hosts of a leaf, leaves of a group, groups of a top.
pub(crate) const FANOUT: usize = 64;
/// A block this small joins a neighbour ...
const SMALL: usize = 16;
/// ... if the two have no more than this: joining and splitting then never alternate.
const JOINED: usize = 48;

/// The place of a rank: the group, and the leaf within it.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    leaf: usize,
}

/// Hosts in an order.
#[derive(Clone)]
pub(crate) struct Ranking<const N: usize> {
    pub(crate) order: Order<N>,
    kept: Kept,
    pub(crate) tops: Vec<Summaries<N>>,
    pub(crate) groups: Vec<Group<N>>,
    pub(crate) leaves: Vec<Leaf<N>>,
    spare: Vec<u32>,
}

impl<const N: usize> Ranking<N> {
    /// Ranks these hosts, whose ranks are by `order`.
    #[must_use]
    pub(crate) fn new(order: Order<N>, mut hosts: Vec<(Rank, [i32; N])>) -> Self {
        let kept = match order {
            Order::Policy(_) => Kept::Largest,
            Order::Capacity => Kept::Rows,
            Order::Linear(_) => Kept::All,
        };
        let (tops, groups, leaves, spare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut ranking = Self { order, kept, tops, groups, leaves, spare };
        hosts.sort_unstable_by_key(|&(rank, _)| rank);
        let leaves: Vec<&[(Rank, [i32; N])]> = hosts.chunks(JOINED).collect();
        for leaves in leaves.chunks(JOINED) {
            let mut group = Group::NEW;
            for hosts in leaves {
                let number = ranking.new_leaf();
                let leaf = Leaf::of(hosts);
                let lowest = if number == 0 { Rank::LOWEST } else { hosts[0].0 };
                group.insert(group.len, lowest, number, leaf.summary(&order));
                ranking.leaves[number as usize] = leaf;
            }
            ranking.groups.push(group);
        }
        if ranking.groups.is_empty() {
            let (mut group, number) = (Group::NEW, ranking.new_leaf());
            group.insert(0, Rank::LOWEST, number, Summary::NOTHING);
            ranking.groups.push(group);
        }
        ranking.summarise_groups();
        ranking
    }

    /// The summary of the whole ranking.
    pub(crate) fn summary(&self) -> Summary<N> {
        if let [_] = self.groups[..] {
            return self.tops[0].get(0);
        }
        self.tops.iter().map(Summaries::summary).fold(Summary::NOTHING, Summary::join)
    }

    /// Moves a host whose amounts changed; whether the summary of some group changed.
    #[inline]
    pub(crate) fn update(&mut self, row: Row, before: Option<[i32; N]>, after: Option<[i32; N]>) -> bool {
        match (before, after) {
            (Some(before), Some(after)) => {
                let place = self.place_of(self.order.rank(before, row));
                if self.in_range(place, self.order.rank(after, row)) {
                    let leaf = self.leaf_at(place);
                    let lane = leaf.lane(row);
                    set_lane(&mut leaf.free, lane, after);
                    self.follow(place, &self.of_host(row, before), &self.of_host(row, after))
                } else {
                    self.remove_at(place, row, before) | self.insert(row, after)
                }
            }
            (Some(before), None) => self.remove_at(self.place_of(self.order.rank(before, row)), row, before),
            (None, Some(after)) => self.insert(row, after),
            (None, None) => false,
        }
    }

    /// The best host that has `need` free and is acceptable.
    #[inline]
    #[must_use]
    pub(crate) fn best(&self, need: [i32; CLASSES], mut acceptable: impl FnMut(Row) -> bool) -> Option<Rank> {
        self.promising_leaves(need).find_map(|leaf| self.fitting(leaf, need, &mut acceptable).min())
    }

    /// The `most` best hosts that have `need` free and are acceptable, best first.
    pub(crate) fn first(
        &self,
        need: [i32; CLASSES],
        mut acceptable: impl FnMut(Row) -> bool,
        most: usize,
    ) -> Vec<Rank> {
        let mut best = Vec::new();
        for leaf in self.promising_leaves(need) {
            let from = best.len();
            best.extend(self.fitting(leaf, need, &mut acceptable));
            best[from..].sort_unstable();
            if best.len() >= most {
                break;
            }
        }
        best.truncate(most);
        best
    }

    /// The leaves that may hold a host with `need` free, in order of rank.
    #[inline]
    fn promising_leaves(&self, need: [i32; CLASSES]) -> impl Iterator<Item = &Leaf<N>> {
        let firsts = (0..self.groups.len()).step_by(FANOUT);
        let groups = firsts.zip(&self.tops).flat_map(move |(first, top)| {
            let promising = fits(&top.largest, need) & first_lanes(self.groups.len() - first);
            lanes(promising).map(move |lane| &self.groups[first + lane as usize])
        });
        groups.flat_map(move |group| {
            let promising = fits(&group.summaries.largest, need) & first_lanes(group.len);
            lanes(promising).map(move |lane| &self.leaves[group.leaves[lane as usize] as usize])
        })
    }

    /// The ranks of a leaf's hosts that have `need` free and are acceptable, in no order.
    #[inline]
    fn fitting(
        &self,
        leaf: &Leaf<N>,
        need: [i32; CLASSES],
        mut acceptable: impl FnMut(Row) -> bool,
    ) -> impl Iterator<Item = Rank> {
        lanes(fits(&leaf.free, need) & first_lanes(leaf.len))
            .map(|lane| lane as usize)
            .filter(move |&lane| acceptable(leaf.rows[lane]))
            .map(|lane| self.order.rank(lane_of(&leaf.free, lane), leaf.rows[lane]))
    }

    /// Some host of the ranking.
    pub(crate) fn any_host(&self) -> Option<Row> {
        self.leaves.iter().find(|leaf| leaf.len > 0).map(|leaf| leaf.rows[0])
    }

    /// Compares the structure with its own rules; returns its hosts.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn check(&self) -> Result<Vec<(Row, [i32; N])>, String> {
        let mut found = Vec::new();
        let mut previous = None;
        for (number, group) in self.groups.iter().enumerate() {
            if !self.agree(self.tops[number / FANOUT].get(number % FANOUT), group.summaries.summary()) {
                return Err(format!("group {number}: wrong summary"));
            }
            for at in 0..group.len {
                let leaf = &self.leaves[group.leaves[at] as usize];
                let lowest = group.lowest[at];
                if !self.agree(group.summaries.get(at), leaf.summary(&self.order)) {
                    return Err(format!("leaf {at} of group {number}: wrong summary"));
                }
                if leaf.hosts().any(|(row, free)| {
                    let rank = self.order.rank(free, row);
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
        Ok(found)
    }

    /// Whether what is kept of a summary is what it should be.
    fn agree(&self, kept: Summary<N>, expected: Summary<N>) -> bool {
        kept.largest == expected.largest
            && (self.kept == Kept::Largest || kept.first_row == expected.first_row)
            && (self.kept != Kept::All
                || (kept.smallest == expected.smallest && kept.highest == expected.highest))
    }

    fn place_of(&self, rank: Rank) -> Place {
        let group = self.groups.partition_point(|group| group.lowest[0] <= rank) - 1;
        Place { group, leaf: self.groups[group].leaf_for(rank) }
    }

    /// Whether the rank belongs to the leaf: not below its lowest, and below the next leaf's.
    fn in_range(&self, Place { group, leaf }: Place, rank: Rank) -> bool {
        let next = match self.groups[group].lowest[..self.groups[group].len].get(leaf + 1) {
            Some(&lowest) => Some(lowest),
            None => self.groups.get(group + 1).map(|group| group.lowest[0]),
        };
        self.groups[group].lowest[leaf] <= rank && next.is_none_or(|next| rank < next)
    }

    fn insert(&mut self, row: Row, free: [i32; N]) -> bool {
        let rank = self.order.rank(free, row);
        let mut place = self.place_of(rank);
        if self.leaf_at(place).len == FANOUT {
            self.split_leaf(place);
            place = self.place_of(rank);
        }
        self.leaf_at(place).push(row, free);
        self.follow(place, &Summary::NOTHING, &self.of_host(row, free))
    }

    fn remove_at(&mut self, place: Place, row: Row, free: [i32; N]) -> bool {
        let leaf = self.leaf_at(place);
        let lane = leaf.lane(row);
        leaf.swap_remove(lane);
        let len = leaf.len;
        let changed = self.follow(place, &self.of_host(row, free), &Summary::NOTHING);
        if len <= SMALL {
            self.join_leaf(place);
        }
        changed
    }

    fn of_host(&self, row: Row, free: [i32; N]) -> Summary<N> {
        Summary { largest: free, smallest: free, highest: self.order.sum(free), first_row: row }
    }

    fn leaf_at(&mut self, Place { group, leaf }: Place) -> &mut Leaf<N> {
        &mut self.leaves[self.groups[group].leaves[leaf] as usize]
    }

    fn new_leaf(&mut self) -> u32 {
        self.spare.pop().unwrap_or_else(|| {
            self.leaves.push(Leaf::NEW);
            u32::try_from(self.leaves.len() - 1).expect("fewer leaves than rows")
        })
    }

    /// Brings the summaries above a leaf up to date after one host in it went from `old` to `new`;
    /// whether its group's changed.
    #[inline]
    fn follow(
        &mut self,
        Place { group: number, leaf: at }: Place,
        old: &Summary<N>,
        new: &Summary<N>,
    ) -> bool {
        let group = &mut self.groups[number];
        let leaf = Ordered { leaf: &self.leaves[group.leaves[at] as usize], order: &self.order };
        let before = group.summaries.get(at);
        if !group.summaries.follow(at, &leaf, old, new, self.kept) {
            return false;
        }
        let after = group.summaries.get(at);
        self.tops[number / FANOUT].follow(number % FANOUT, &group.summaries, &before, &after, self.kept)
    }

    /// Works all group summaries out again: groups come and go once in thousands of changes.
    fn summarise_groups(&mut self) {
        self.tops.clear();
        self.tops.resize(self.groups.len().div_ceil(FANOUT), Summaries::EMPTY);
        for (number, group) in self.groups.iter().enumerate() {
            self.tops[number / FANOUT].set(number % FANOUT, group.summaries.summary());
        }
    }

    /// Moves the upper half of a full leaf into a leaf of its own.
    fn split_leaf(&mut self, place: Place) {
        let place = if self.groups[place.group].len == FANOUT { self.split_group(place) } else { place };
        let leaf = self.leaf_at(place).clone();
        let mut hosts: Vec<(Rank, [i32; N])> =
            leaf.hosts().map(|(row, free)| (self.order.rank(free, row), free)).collect();
        hosts.sort_unstable_by_key(|&(rank, _)| rank);
        let (lower, upper) = hosts.split_at(FANOUT / 2);
        let (lower_leaf, upper_leaf) = (Leaf::of(lower), Leaf::of(upper));
        let (lower_summary, upper_summary) =
            (lower_leaf.summary(&self.order), upper_leaf.summary(&self.order));
        let number = self.new_leaf();
        self.leaves[number as usize] = upper_leaf;
        *self.leaf_at(place) = lower_leaf;
        let group = &mut self.groups[place.group];
        group.summaries.set(place.leaf, lower_summary);
        group.insert(place.leaf + 1, upper[0].0, number, upper_summary);
    }

    /// Moves the upper half of a full group into a group of its own; returns where the leaf is now.
    fn split_group(&mut self, place: Place) -> Place {
        let upper = self.groups[place.group].split();
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
        let joined = self.leaves[self.groups[group].leaves[lower] as usize].summary(&self.order);
        // The group's own summary stays as it is: no host came or went.
        self.groups[group].summaries.set(lower, joined);
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
            lower.insert(lower.len, upper.lowest[at], upper.leaves[at], upper.summaries.get(at));
        }
        self.summarise_groups();
    }
}

/// Whether two neighbours become one. An empty one always gives way.
const fn joinable(a: usize, b: usize, capacity: usize) -> bool {
    a + b <= if a == 0 || b == 0 { capacity } else { JOINED }
}
