//! Recent requests, for operators.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The outcome of a request.
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
        /// How many of the instances had found a host before one found none.
        placed: usize,
        /// Why no host serves an instance of the request, as `berth explain --json` prints it. None
        /// where the request is not explained yet, could not be, or came with too many others that
        /// were refused.
        explanation: Option<Arc<str>>,
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
    /// Its outcome.
    pub outcome: Outcome,
}

impl RequestSummary {
    /// The memory that it uses, in bytes, without what is the same for each.
    fn bytes(&self) -> usize {
        let texts = [&self.request_id, &self.project, &self.flavor];
        let lists = |list: &[String]| list.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>();
        let outcome = match &self.outcome {
            Outcome::Placed(hosts) => lists(hosts),
            Outcome::Refused { class, message, removed, explanation, .. } => {
                let removed = removed.iter().map(|(step, _)| step.len() + size_of::<(String, usize)>());
                class.len()
                    + message.len()
                    + removed.sum::<usize>()
                    + explanation.as_ref().map_or(0, |text| text.len())
            }
        };
        texts.iter().map(|text| text.len()).sum::<usize>() + lists(&self.instances) + outcome
    }
}

/// The last requests, bounded by number and by memory. The oldest is forgotten first; those that
/// were refused are kept longer.
#[derive(Debug, Default)]
pub(crate) struct RecentRequests {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    placed: Recent,
    refused: Recent,
}

/// Requests in the order of their arrival, each with its number.
#[derive(Debug, Default)]
struct Recent {
    requests: VecDeque<(u64, RequestSummary)>,
    next: u64,
    bytes: usize,
}

impl Recent {
    fn add(&mut self, request: RequestSummary) -> u64 {
        let number = self.next;
        self.next += 1;
        self.bytes += request.bytes();
        self.requests.push_back((number, request));
        self.shrink();
        number
    }

    fn shrink(&mut self) {
        while self.requests.len() > RecentRequests::KEPT || self.bytes > RecentRequests::KEPT_BYTES {
            let Some((_, oldest)) = self.requests.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    fn explain(&mut self, number: u64, text: Arc<str>) {
        let Ok(at) = self.requests.binary_search_by_key(&number, |(number, _)| *number) else { return };
        let request = &mut self.requests[at].1;
        let before = request.bytes();
        if let Outcome::Refused { explanation, .. } = &mut request.outcome {
            *explanation = Some(text);
        }
        self.bytes = self.bytes - before + request.bytes();
        self.shrink();
    }
}

impl RecentRequests {
    /// Requests of each outcome that are kept at most.
    pub(crate) const KEPT: usize = 1_000;
    /// The memory for requests of each outcome, in bytes.
    pub(crate) const KEPT_BYTES: usize = 16 << 20;

    /// Keeps a request; returns its number among those of its outcome.
    pub(crate) fn add(&self, request: RequestSummary) -> u64 {
        let mut lists = self.lock();
        match request.outcome {
            Outcome::Placed(_) => lists.placed.add(request),
            Outcome::Refused { .. } => lists.refused.add(request),
        }
    }

    /// Adds its explanation to the refused request with this number, unless it is forgotten
    /// already.
    pub(crate) fn explain(&self, number: u64, explanation: Arc<str>) {
        self.lock().refused.explain(number, explanation);
    }

    /// The requests that are kept, oldest first.
    pub(crate) fn all(&self) -> Vec<RequestSummary> {
        let lists = self.lock();
        let both = lists.placed.requests.iter().chain(&lists.refused.requests);
        let mut all: Vec<_> = both.map(|(_, request)| request.clone()).collect();
        all.sort_by_key(|request| request.at);
        all
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(at: i64, outcome: Outcome) -> RequestSummary {
        RequestSummary {
            at,
            took: 1,
            request_id: format!("req-{at}"),
            instances: Vec::new(),
            project: String::new(),
            flavor: String::new(),
            outcome,
        }
    }

    fn refused() -> Outcome {
        Outcome::Refused {
            class: String::new(),
            message: String::new(),
            removed: Vec::new(),
            hosts: 0,
            placed: 0,
            explanation: None,
        }
    }

    #[test]
    fn refused_requests_outlast_the_others() {
        let recent = RecentRequests::default();
        recent.add(request(0, refused()));
        for at in 1..=1_001 {
            recent.add(request(at, Outcome::Placed(Vec::new())));
        }
        let all = recent.all();
        assert_eq!((all.len(), all[0].at, all[1].at), (1_001, 0, 2));
    }

    #[test]
    fn explanations_are_kept_within_the_memory() {
        let recent = RecentRequests::default();
        let numbers: Vec<u64> = (0..4).map(|at| recent.add(request(at, refused()))).collect();
        let explanation: Arc<str> = "x".repeat(RecentRequests::KEPT_BYTES / 3).into();
        for number in numbers {
            recent.explain(number, Arc::clone(&explanation));
        }
        let kept: Vec<i64> = recent.all().iter().map(|request| request.at).collect();
        assert_eq!(kept, [2, 3], "the oldest made way");
        recent.explain(0, Arc::clone(&explanation));
        assert_eq!(recent.all().len(), 2, "what is forgotten is not explained");
        recent.add(request(9, Outcome::Placed(vec!["c1".to_owned()])));
        assert_eq!(recent.all().len(), 3, "other outcomes have memory of their own");
    }
}
