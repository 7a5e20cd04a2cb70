//! Tasks that run as long as the service, and whether they still do.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::health::HealthCheck;

/// The state of a task that nothing restarts.
#[derive(Debug, Default)]
pub(crate) struct TaskState(AtomicU8);

const NOT_STARTED: u8 = 0;
const RUNS: u8 = 1;
const HAS_ENDED: u8 = 2;

impl TaskState {
    /// Notes that the task runs until the result is dropped, be it by a panic.
    pub(crate) fn start(&self) -> RunningTask<'_> {
        self.0.store(RUNS, Ordering::Relaxed);
        RunningTask(self)
    }

    /// The task as a part of the service; `None` if the process has not started it.
    pub(crate) fn check(&self, name: &str, running: &str, ended: &str) -> Option<HealthCheck> {
        match self.0.load(Ordering::Relaxed) {
            NOT_STARTED => None,
            RUNS => Some(HealthCheck::ok(name, running)),
            _ => Some(HealthCheck::failed(name, ended)),
        }
    }
}

/// A task that runs.
#[derive(Debug)]
pub(crate) struct RunningTask<'a>(&'a TaskState);

impl Drop for RunningTask<'_> {
    fn drop(&mut self) {
        self.0.0.store(HAS_ENDED, Ordering::Relaxed);
    }
}
