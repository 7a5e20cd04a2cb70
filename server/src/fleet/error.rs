//! Why a fleet refuses something. Nothing was changed then.

/// Why a fleet refuses something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FleetError {
    /// A field of the request makes no sense.
    #[error("{field}: {problem}")]
    Field { field: String, problem: String },
    /// Something that is named is not there.
    #[error("there is no {kind} {name:?}")]
    NotFound { kind: &'static str, name: String },
    /// Something with this name is there already.
    #[error("there is a {kind} {name:?} already")]
    Exists { kind: &'static str, name: String },
    /// It cannot be done as things are.
    #[error("{message}")]
    Precondition { reason: &'static str, message: String },
    /// There is not enough. `counts` says for programs how many hosts each constraint removed.
    #[error("{message}")]
    Exhausted { reason: &'static str, message: String, counts: Vec<(String, usize)> },
}

impl FleetError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { kind, name: name.into() }
    }

    pub(crate) fn exists(kind: &'static str, name: impl Into<String>) -> Self {
        Self::Exists { kind, name: name.into() }
    }

    pub(crate) fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Precondition { reason, message: message.into() }
    }

    pub(crate) fn exhausted(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Exhausted { reason, message: message.into(), counts: Vec::new() }
    }

    /// Whether the scheduler found no host.
    pub(crate) fn is_no_valid_host(&self) -> bool {
        matches!(self, Self::Exhausted { reason: NO_VALID_HOST, .. })
    }
}

/// No host can take an instance.
pub(crate) const NO_VALID_HOST: &str = "NO_VALID_HOST";
/// A project would have more than it may.
pub(crate) const QUOTA_EXCEEDED: &str = "QUOTA_EXCEEDED";
/// It is still in use.
pub(crate) const IN_USE: &str = "IN_USE";
