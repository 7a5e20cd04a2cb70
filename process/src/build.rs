//! What a program was built from.

/// The version and the commit of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The version, such as `0.1.0`.
    pub version: &'static str,
    /// The commit, shortened; `unknown` outside of release builds from a repository.
    pub commit: &'static str,
}

impl Build {
    /// A build whose commit is not known.
    pub const UNKNOWN: Self = Self { version: env!("CARGO_PKG_VERSION"), commit: "unknown" };
}
