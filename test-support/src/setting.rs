//! Settings of tests: environment variables that `cargo xtask` sets.

/// The number in the environment variable; `None` if it is not set.
pub fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}: '{value}' is not a number")))
}
