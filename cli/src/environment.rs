//! The environment variables that this command reads.

use anyhow::{Result, bail};
use berth_process::environment::Known;

use crate::config;

/// What is logged; goes before `serve.log`.
pub(crate) const LOG: &str = "BERTH_LOG";

/// Variables that are no settings. `BERTH_COMMIT` is for the build, and may still be set in its container.
const NAMES: [&str; 8] = [
    LOG,
    "BERTH_SERVICE",
    "BERTH_CA",
    "BERTH_CERT",
    "BERTH_KEY",
    "BERTH_PROJECT",
    "BERTH_USER",
    "BERTH_COMMIT",
];

/// Variables of programs that start Berth and hand their environment on, as minicloud does.
const OF_OTHERS: [&str; 2] = ["BERTH_DATA", "BERTH_OPTIONS"];

/// Refuses variables that begin with `BERTH_` and are not understood.
///
/// # Errors
/// The variables, each with what is wrong with it.
pub(crate) fn check() -> Result<()> {
    let names = NAMES.map(ToOwned::to_owned).into_iter().chain(config::variables());
    let own = std::env::vars_os().filter(|(name, _)| !OF_OTHERS.iter().any(|other| name == other));
    let problems = Known::new(names).problems(own);
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
