//! Explanations of refused requests, computed after the reply.

use std::sync::Arc;

use berth_scheduler::explain::{Case, ExplanationScope, explain};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::requests::RecentRequests;

/// Explanations that are computed at once. Each has a copy of all hosts; when more requests are
/// refused at the same time, the others are kept with the counts alone.
const AT_ONCE: usize = 8;

/// Explains refused requests on threads of their own.
pub(crate) struct Explanations {
    requests: Arc<RecentRequests>,
    permits: Arc<Semaphore>,
}

/// A refused request that is to be explained.
pub(crate) struct Unexplained {
    case: Case,
    permit: OwnedSemaphorePermit,
}

impl Explanations {
    pub(crate) fn new(requests: Arc<RecentRequests>) -> Self {
        Self { requests, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Copies what the explanation needs, unless too many are under way.
    pub(crate) fn prepare(&self, copy: impl FnOnce() -> Option<Case>) -> Option<Unexplained> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Unexplained { case: copy()?, permit })
    }

    /// Explains the request with this number; returns at once.
    pub(crate) fn explain(&self, number: u64, unexplained: Unexplained) {
        let requests = Arc::clone(&self.requests);
        tokio::task::spawn_blocking(move || {
            requests.explain(number, explained(&unexplained.case).into());
            drop(unexplained.permit);
        });
    }
}

/// The explanation as `berth explain --json` prints it. No host was chosen, so there are no
/// standings.
fn explained(case: &Case) -> String {
    let scope = ExplanationScope { hosts: Vec::new(), standings: 0 };
    serde_json::to_string(&explain(&case.question(), &scope)).expect("it is JSON")
}
