//! Visits trees in order, and opens each when its first candidate is needed.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::index::Index;
use crate::topology::Topology;

use super::anchors::Anchors;
use super::candidate::Candidate;
use super::expansion::Expansion;
use super::plan::{Plan, Resolved, resolve};
use super::query::{Query, SearchOptions, Strategy, UnknownName, WorkExceeded};
use super::rows::Rows;
use super::work::Work;

/// An iterator over allocation candidates, computed on demand. Ends after the first error.
pub struct Candidates<'index> {
    pub(super) index: &'index Index,
    pub(super) topology: Arc<Topology>,
    pub(super) plan: Plan,
    pub(super) options: SearchOptions,
    anchors: Option<Anchors>,
    /// Trees that may have more candidates; the first one is next.
    opened: VecDeque<Box<Expansion>>,
    work: Work,
    /// The number of candidates that may still be returned.
    left: usize,
    /// Returned candidates that another tree may produce again.
    repeating: FxHashSet<Candidate>,
    /// The rows that returned candidates take from.
    pub(super) used: Rows,
    /// Whether every candidate has been returned.
    pub(super) complete: bool,
    pub(super) all_resources: bool,
}

impl Index {
    /// Finds the ways in which the query's request groups fit the fleet, as in Placement's
    /// `GET /allocation_candidates`.
    ///
    /// The topology is that of the call; amounts are read when a tree is opened.
    ///
    /// # Errors
    /// An unknown class or trait.
    pub fn candidates(&self, query: &Query, options: &SearchOptions) -> Result<Candidates<'_>, UnknownName> {
        let topology = self.topology();
        let plan = match resolve(self, &topology, query) {
            Resolved::Plan(plan) => Some(plan),
            Resolved::Nothing => None,
            Resolved::Unknown(unknown, before) => {
                let has_any =
                    |plan| Candidates::new(self, Arc::clone(&topology), Some(plan), options).next().is_some();
                if before.into_iter().all(has_any) {
                    return Err(unknown);
                }
                None
            }
        };
        let mut candidates = Candidates::new(self, topology, plan, options);
        candidates.left = query.limit.unwrap_or(usize::MAX).min(candidates.left);
        candidates.all_resources = query.all_resources;
        Ok(candidates)
    }
}

impl<'index> Candidates<'index> {
    fn new(
        index: &'index Index,
        topology: Arc<Topology>,
        plan: Option<Plan>,
        options: &SearchOptions,
    ) -> Self {
        let anchors = plan.as_ref().map(|plan| Anchors::new(&topology, plan, options.seed));
        Self {
            index,
            topology,
            plan: plan.unwrap_or_default(),
            options: options.clone(),
            anchors,
            opened: VecDeque::new(),
            work: Work::new(options),
            left: options.max_candidates.unwrap_or(usize::MAX),
            repeating: FxHashSet::default(),
            used: Rows::default(),
            complete: false,
            all_resources: true,
        }
    }

    /// The snapshot that resolves the candidates' rows and numbers.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether every tree was opened. With [`Strategy::BreadthFirst`], each tree has then returned
    /// its first candidate, and the latest candidate is not the first one of its tree.
    #[must_use]
    pub const fn has_opened_all(&self) -> bool {
        self.anchors.is_none()
    }

    /// Overwrites `candidate` with the next one and reuses its memory; returns whether there was
    /// one.
    ///
    /// # Errors
    /// The iterator's errors. No candidate follows an error.
    pub fn next_into(&mut self, candidate: &mut Candidate) -> Result<bool, WorkExceeded> {
        while self.left > 0 {
            match self.find(candidate) {
                Ok(Some(repeats)) if !repeats || self.repeating.insert(candidate.clone()) => {
                    self.left -= 1;
                    self.used.extend(candidate.allocations.iter().map(|allocation| allocation.row));
                    return Ok(true);
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.complete = true;
                    self.end();
                }
                Err(exceeded) => {
                    self.end();
                    return Err(exceeded);
                }
            }
        }
        Ok(false)
    }

    /// Finds the next candidate, and returns whether another tree may have produced it before.
    fn find(&mut self, candidate: &mut Candidate) -> Result<Option<bool>, WorkExceeded> {
        loop {
            let fresh = match self.options.strategy {
                Strategy::BreadthFirst => true,
                Strategy::DepthFirst => self.opened.is_empty(),
            };
            let opened = if fresh { self.open()? } else { None };
            let Some(mut expansion) = opened.or_else(|| self.opened.pop_front()) else { return Ok(None) };
            if let Some(repeats) = expansion.next(&self.plan, &mut self.work, candidate)? {
                match self.options.strategy {
                    _ if expansion.is_done() => {}
                    Strategy::BreadthFirst => self.opened.push_back(expansion),
                    Strategy::DepthFirst => self.opened.push_front(expansion),
                }
                return Ok(Some(repeats));
            }
        }
    }

    /// Opens the next tree in which every variable has a provider.
    fn open(&mut self) -> Result<Option<Box<Expansion>>, WorkExceeded> {
        let Some(anchors) = &mut self.anchors else { return Ok(None) };
        let lone = !self.topology.has_children() && self.topology.sharing.is_empty();
        for root in anchors.by_ref() {
            self.work.spend()?;
            if lone && !self.plan.has_capacity(self.index, root) {
                continue; // rejected without opening it
            }
            let opened = Expansion::open(self.index, &self.topology, &self.plan, root, self.options.seed);
            if opened.is_some() {
                return Ok(opened);
            }
        }
        self.anchors = None;
        Ok(None)
    }

    fn end(&mut self) {
        self.left = 0;
        self.anchors = None;
        self.opened.clear();
    }
}

impl Iterator for Candidates<'_> {
    type Item = Result<Candidate, WorkExceeded>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut candidate = Candidate::default();
        self.next_into(&mut candidate).map(|found| found.then_some(candidate)).transpose()
    }
}
