//! How many files, connections among them, the process may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The present limit of descriptors, if there is one.
pub(crate) fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit to what the process may have; returns it, if there is one.
///
/// The usual soft limit of 1,024 is for programs that use `select`.
#[must_use]
pub fn raise_file_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let is_raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    if is_raised { maximum } else { current }
}
