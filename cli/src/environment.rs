//! The environment variables that this command reads.

use anyhow::{Result, bail};
use berth_process::environment::Known;

use crate::config;

/// What is logged; goes before `serve.log`.
pub(crate) const LOG: &str = "BERTH_LOG";

/// Variables that are no settings. `BERTH_COMMIT` is for the build, and may still be set in its
/// container.
const NAMES: [&str; 9] = [
    LOG,
    "BERTH_SERVICE",
    "BERTH_CA",
    "BERTH_CERT",
    "BERTH_KEY",
    "BERTH_PROJECT",
    "BERTH_USER",
    "BERTH_NOVA_DATABASE",
    "BERTH_COMMIT",
];

/// Refuses variables that begin with `BERTH_` and that no program of Berth reads.
///
/// # Errors
/// The variables, each with what is wrong with it.
pub(crate) fn check() -> Result<()> {
    let names = NAMES.map(ToOwned::to_owned).into_iter().chain(config::variables());
    let problems = Known::new(names).problems(std::env::vars_os());
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
