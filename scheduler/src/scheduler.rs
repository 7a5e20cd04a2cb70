//! One decider: decides on its private view, claims on the shared index, and tries again when others were faster.

use std::sync::Arc;

use berth_placement::{ClaimError, ConsumerId, Index, Row, View};

use crate::filter::{Capacity, Eligible, Filter, OtherClasses, has_others};
use crate::mask::HostMask;
use crate::policy::{Policy, Rank};
use crate::prepare::Prepared;
use crate::ranking::Ranking;
use crate::request::Request;
use crate::select::lowest_rank;
use crate::weigh::Scores;

/// How often a placement looks for another host after losing one.
///
/// A claim is refused only when another claim took the room after this decider's last look, and each refusal makes it
/// look again. So losing 16 times in a row takes 16 successful claims by others within one placement's few
/// microseconds: the fleet is then filling faster than one decider can follow, and the caller should know.
const MAX_ATTEMPTS: usize = 16;

/// How the best host is found. The answer is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Search {
    /// By the ranking: looks at a few blocks of hosts.
    #[default]
    Ranked,
    /// By column passes over all hosts.
    Exhaustive,
}

/// No host satisfies the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no valid host was found")]
pub struct NoValidHost;

/// Why a VM was not placed; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No host satisfies the request.
    #[error(transparent)]
    NoValidHost(#[from] NoValidHost),
    /// Every host chosen was taken by others first.
    #[error("{attempts} hosts in a row were taken by others first")]
    Outrun {
        /// How many hosts were tried.
        attempts: usize,
    },
    /// The VM is placed already.
    #[error("consumer {:032x} has allocations already", .0.0)]
    ConsumerExists(ConsumerId),
}

/// A decider over an index. Any number of them may work side by side, each on a thread of its own.
pub struct Scheduler {
    index: Arc<Index>,
    view: View,
    ranking: Ranking,
    policy: Policy,
    search: Search,
}

impl Scheduler {
    /// A decider that places by `policy`.
    #[must_use]
    pub fn new(index: Arc<Index>, policy: Policy, search: Search) -> Self {
        let view = View::new(&index);
        let ranking = Ranking::new(policy, &view);
        Self { index, view, ranking, policy, search }
    }

    /// Works out a request once for many placements.
    #[must_use]
    pub fn prepare(&mut self, request: Request) -> Prepared {
        self.refresh();
        Prepared::new(request, &self.view)
    }

    /// The best host for the request at this moment. Takes nothing.
    ///
    /// # Errors
    /// No host satisfies it.
    #[inline]
    pub fn decide(&mut self, prepared: &mut Prepared) -> Result<Row, NoValidHost> {
        self.refresh();
        prepared.renew(&self.view);
        let best = match self.search {
            Search::Ranked => self.search_ranked(prepared),
            Search::Exhaustive => self.search_exhaustively(prepared),
        };
        best.map(|rank| rank.row).ok_or(NoValidHost)
    }

    /// Places a VM: decides, claims, and on a lost race decides again.
    ///
    /// # Errors
    /// No host satisfies the request, too many races were lost, or the consumer has allocations already.
    #[inline]
    pub fn place(&mut self, consumer: ConsumerId, prepared: &mut Prepared) -> Result<Row, PlaceError> {
        for _ in 0..MAX_ATTEMPTS {
            let row = self.decide(prepared)?;
            match self.index.claim(consumer, &prepared.allocations(row)) {
                Ok(()) => return Ok(row),
                Err(ClaimError::Refused(_)) => {
                    self.view.touch(&self.index, row, |change| self.ranking.update(change));
                }
                Err(ClaimError::ConsumerExists(consumer)) => {
                    return Err(PlaceError::ConsumerExists(consumer));
                }
            }
        }
        Err(PlaceError::Outrun { attempts: MAX_ATTEMPTS })
    }

    /// The decider's view of the fleet, as of its last decision.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Compares view and ranking with the index. For a moment without changes.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&mut self) -> Result<(), String> {
        self.refresh();
        self.view.check(&self.index)?;
        self.ranking.check(&self.view)
    }

    #[inline]
    fn refresh(&mut self) {
        self.view.refresh(&self.index, |change| self.ranking.update(change));
    }

    #[inline]
    fn search_ranked(&self, prepared: &Prepared) -> Option<Rank> {
        let (eligible, others) = (prepared.eligible(), prepared.others());
        if eligible.is_none() && others.is_empty() {
            return self.ranking.best(prepared.need(), |_| true);
        }
        self.ranking.best(prepared.need(), |row| {
            eligible.is_none_or(|mask| mask.contains(row))
                && (others.is_empty() || has_others(&self.index, prepared, row))
        })
    }

    fn search_exhaustively(&self, prepared: &Prepared) -> Option<Rank> {
        let mut mask = HostMask::from_words(self.view.hosts().to_vec());
        let filters: [&dyn Filter; 3] = [
            &Eligible(prepared),
            &Capacity { prepared, view: &self.view },
            &OtherClasses { prepared, index: &self.index },
        ];
        filters.iter().for_each(|filter| filter.narrow(&mut mask));
        lowest_rank(&Scores::weigh(&self.view, self.policy, &mask))
    }
}
