//! Explanations of refused requests, computed after the reply.

use std::sync::Arc;

use berth_scheduler::explain::{Case, ExplanationScope, explain};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::requests::RecentRequests;

/// Explains refused requests on threads of their own.
pub(crate) struct Explanations {
    requests: Arc<RecentRequests>,
    permits: Arc<Semaphore>,
}

/// Makes the case of a refused request, on a thread that may wait; none if that is not possible.
pub(crate) type MakeCase = Box<dyn FnOnce() -> Option<Case> + Send>;

/// A refused request that is to be explained.
pub(crate) struct Unexplained {
    make_case: MakeCase,
    permit: OwnedSemaphorePermit,
}

impl Explanations {
    /// At most so many explanations are computed at once: each has a copy of all hosts. When more
    /// requests are refused at the same time, the others are kept with the counts alone.
    pub(crate) fn new(requests: Arc<RecentRequests>, at_once: usize) -> Self {
        Self { requests, permits: Arc::new(Semaphore::new(at_once)) }
    }

    /// Copies what the explanation needs, unless too many are under way.
    pub(crate) fn prepare(&self, copy: impl FnOnce() -> Option<MakeCase>) -> Option<Unexplained> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Unexplained { make_case: copy()?, permit })
    }

    /// Explains the request with this number; returns at once.
    pub(crate) fn explain(&self, number: u64, unexplained: Unexplained) {
        let requests = Arc::clone(&self.requests);
        tokio::task::spawn_blocking(move || {
            let Unexplained { make_case, permit } = unexplained;
            if let Some(case) = make_case() {
                requests.explain(number, explained(&case).into());
            }
            drop(permit);
        });
    }
}

/// The explanation as `berth explain --json` prints it. No host was chosen, so there are no
/// standings.
fn explained(case: &Case) -> String {
    let scope = ExplanationScope { hosts: Vec::new(), standings: 0 };
    serde_json::to_string(&explain(&case.question(), &scope)).expect("it is JSON")
}
