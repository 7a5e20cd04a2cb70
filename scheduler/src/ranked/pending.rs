//! Hosts whose place in the rankings is not up to date.
//!
//! A decision and what follows from it change a host several times: the decision takes from it and
//! undoes that, the index reports what is free on it, and its source what it uses. The rankings
//! follow once, before the next search, and not at all where the amounts are what they were.

use crate::hosts::HostRow;

/// Changed hosts, each with the amounts by which the rankings know it.
#[derive(Debug, Clone)]
pub(super) struct Pending<A> {
    hosts: Vec<(HostRow, A)>,
    /// By row.
    is_pending: Vec<bool>,
}

impl<A> Pending<A> {
    pub(super) fn new(hosts: usize) -> Self {
        Self { hosts: Vec::new(), is_pending: vec![false; hosts] }
    }

    /// The host had these amounts before a change.
    pub(super) fn note(&mut self, row: HostRow, before: A) {
        if !std::mem::replace(&mut self.is_pending[row.index()], true) {
            self.hosts.push((row, before));
        }
    }

    /// All of them; none is left.
    pub(super) fn take(&mut self) -> Vec<(HostRow, A)> {
        self.hosts.iter().for_each(|(row, _)| self.is_pending[row.index()] = false);
        std::mem::take(&mut self.hosts)
    }
}
