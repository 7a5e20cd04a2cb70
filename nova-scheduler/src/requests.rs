//! Recent requests, for operators.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The chosen host of each instance.
    Placed(Vec<String>),
    /// No host, or an error.
    Refused {
        /// The exception that the caller received.
        class: String,
        /// Its message.
        message: String,
        /// How many hosts each constraint removed, in order.
        removed: Vec<(String, usize)>,
        /// How many hosts there were.
        hosts: usize,
    },
}

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSummary {
    /// When it arrived, microseconds since 1970.
    pub at: i64,
    /// How long it took, microseconds.
    pub took: i64,
    /// The id of the request to Nova's API.
    pub request_id: String,
    /// The instances.
    pub instances: Vec<String>,
    /// The project.
    pub project: String,
    /// The flavor.
    pub flavor: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// The last requests. The oldest is forgotten first; those that were refused are kept longer.
#[derive(Debug, Default)]
pub struct RecentRequests {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    placed: VecDeque<RequestSummary>,
    refused: VecDeque<RequestSummary>,
}

impl RecentRequests {
    /// Requests that are kept of each kind.
    const KEPT: usize = 1_000;

    /// Keeps a request.
    pub fn add(&self, request: RequestSummary) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let list = match request.outcome {
            Outcome::Placed(_) => &mut lists.placed,
            Outcome::Refused { .. } => &mut lists.refused,
        };
        list.push_back(request);
        if list.len() > Self::KEPT {
            list.pop_front();
        }
    }

    /// The requests that are kept, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<RequestSummary> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = lists.placed.iter().chain(&lists.refused).cloned().collect();
        all.sort_by_key(|request| request.at);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_requests_outlast_the_others() {
        let recent = RecentRequests::default();
        let request = |at, outcome| RequestSummary {
            at,
            took: 1,
            request_id: format!("req-{at}"),
            instances: Vec::new(),
            project: String::new(),
            flavor: String::new(),
            outcome,
        };
        let refused =
            Outcome::Refused { class: String::new(), message: String::new(), removed: Vec::new(), hosts: 0 };
        recent.add(request(0, refused));
        for at in 1..=1_001 {
            recent.add(request(at, Outcome::Placed(Vec::new())));
        }
        let all = recent.all();
        assert_eq!((all.len(), all[0].at, all[1].at), (1_001, 0, 2));
    }
}
