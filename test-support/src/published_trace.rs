//! Published traces, which are not part of Berth.

use std::path::PathBuf;

use crate::skip::skip;

/// The variable that names the directory of published traces; docs/traces.md describes where each
/// comes from.
pub const DIRECTORY: &str = "BERTH_TRACES";

/// The directory of a published trace. Without it, the running test is noted as skipped.
pub fn published_trace(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os(DIRECTORY).map(|traces| PathBuf::from(traces).join(name));
    let found = directory.filter(|directory| directory.is_dir());
    if found.is_none() {
        skip(&format!("{DIRECTORY} names no directory with the published trace {name}"));
    }
    found
}
