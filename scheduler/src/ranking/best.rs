//! The best hosts that a search has found so far.

use berth_placement::Row;
use smallvec::SmallVec;

/// A host and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    pub(crate) score: f64,
    pub(crate) row: Row,
}

impl Scored {
    #[inline]
    pub(crate) fn beats(&self, other: &Self) -> bool {
        self.score > other.score || (self.score == other.score && self.row < other.row)
    }
}

/// The best hosts so far, best first, at most `most`.
pub(crate) struct Best {
    most: usize,
    hosts: SmallVec<[Scored; 4]>,
}

impl Best {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, hosts: SmallVec::new() }
    }

    /// The score below which no host would be among them.
    #[inline]
    pub(crate) fn bar(&self) -> f64 {
        if self.hosts.len() < self.most {
            f64::NEG_INFINITY
        } else {
            self.hosts.last().map_or(f64::INFINITY, |h| h.score)
        }
    }

    /// Whether a host like this would be among them.
    #[inline]
    pub(crate) fn admits(&self, candidate: &Scored) -> bool {
        self.hosts.len() < self.most || self.hosts.last().is_some_and(|worst| candidate.beats(worst))
    }

    pub(crate) fn into_rows(self) -> SmallVec<[Row; 4]> {
        self.hosts.into_iter().map(|host| host.row).collect()
    }

    /// The best of both; as many as this one keeps.
    pub(crate) fn join(mut self, other: Self) -> Self {
        other.hosts.into_iter().for_each(|host| self.offer(host));
        self
    }

    #[inline]
    pub(crate) fn offer(&mut self, candidate: Scored) {
        if self.admits(&candidate) {
            let at = self.hosts.partition_point(|host| host.beats(&candidate));
            self.hosts.insert(at, candidate);
            self.hosts.truncate(self.most);
        }
    }
}
