//! The environment variables that this command reads.

use std::ffi::OsString;

use anyhow::{Result, bail};
use berth_process::environment::{Known, Problem};

/// The log filter.
pub(crate) const LOG: &str = "BERTH_LOG";

const NAMES: [&str; 5] = ["BERTH_SERVICE", "BERTH_CA", "BERTH_CERT", "BERTH_KEY", LOG];

/// Refuses variables that begin with `BERTH_` and that no program of Berth reads.
///
/// # Errors
/// The variables, each with what is wrong with it.
pub(crate) fn check() -> Result<()> {
    let problems = problems(std::env::vars_os());
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The service and the operator's command may run on the same machine, with their own variables.
fn problems(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<Problem> {
    Known::new(NAMES).beside_berth().problems(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `BERTH_SERVICE` was ignored, and the agent went to the default address.
    #[test]
    fn a_variable_that_is_not_understood_is_named() {
        let found = |name: &str, value: &str| problems(std::iter::once((name.into(), value.into()))).len();
        for (name, value, count) in [
            ("BERTH_SERVICE", "http://127.0.0.1:1", 0),
            ("BERTH_SERVICE", "", 1),
            ("BERTH_Service", "http://127.0.0.1:1", 1),
            ("BERTH_HOST_NAME", "h1", 1),
            ("BERTH_SERVE__AUTH", "keystone", 0),
            ("BERTH_NOVA__SCHEDULER__WORKERS", "", 0),
            ("BERTH_PROJECT", "shop", 0),
            ("RUST_LOG", "", 0),
        ] {
            assert_eq!(found(name, value), count, "{name}={value}");
        }
    }
}
