//! Errors of commands. A command that fails has changed nothing.

/// The reason why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// A field of the request is invalid.
    #[error("{field}: {problem}")]
    Field {
        /// The field, as in `flavor.vcpus`.
        field: String,
        /// The problem, as in `is 0; 1 to 9 are allowed`.
        problem: String,
    },
    /// A named object is missing.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// Its kind, as in `flavor`.
        kind: &'static str,
        /// Its name or UUID.
        name: String,
    },
    /// An object with this name exists.
    #[error("there is a {kind} {name:?} already")]
    Exists {
        /// Its kind, as in `flavor`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The present state does not allow it.
    #[error("{message}")]
    Precondition {
        /// The reason, for programs.
        reason: &'static str,
        /// The reason, for people.
        message: String,
    },
    /// Capacity or a quota is exhausted.
    #[error("{message}")]
    Exhausted {
        /// The reason, for programs.
        reason: &'static str,
        /// The reason, for people.
        message: String,
        /// How many hosts each constraint removed.
        counts: Vec<(String, usize)>,
    },
}

impl FleetError {
    /// An invalid field.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    /// A missing object.
    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { kind, name: name.into() }
    }

    /// A name that is taken.
    pub fn exists(kind: &'static str, name: impl Into<String>) -> Self {
        Self::Exists { kind, name: name.into() }
    }

    /// A state that does not allow the command.
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Precondition { reason, message: message.into() }
    }

    /// Exhausted capacity or quota.
    pub fn exhausted(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Exhausted { reason, message: message.into(), counts: Vec::new() }
    }

    /// Whether the scheduler found no host.
    #[must_use]
    pub fn is_no_valid_host(&self) -> bool {
        matches!(self, Self::Exhausted { reason: NO_VALID_HOST, .. })
    }

    /// Whether a second agent tried to join for a host.
    #[must_use]
    pub fn is_other_agent(&self) -> bool {
        matches!(self, Self::Precondition { reason: OTHER_AGENT, .. })
    }
}

/// The reason of a request that no host can satisfy.
pub const NO_VALID_HOST: &str = "NO_VALID_HOST";
/// The reason of a request that would exceed a quota.
pub const QUOTA_EXCEEDED: &str = "QUOTA_EXCEEDED";
/// The reason of a deletion of something that is in use.
pub const IN_USE: &str = "IN_USE";
/// The reason of an operation that needs a host which is down.
pub const HOST_DOWN: &str = "HOST_DOWN";
/// The reason of an operation that needs a host which is up to be down.
pub const HOST_UP: &str = "HOST_UP";
/// The reason of an evacuation from a host that may still run its guests.
pub const NOT_FENCED: &str = "NOT_FENCED";
/// The reason of an evacuation of disks that only the host which is down has.
pub const LOCAL_DISKS: &str = "LOCAL_DISKS";
/// The reason of a live migration to a host that cannot receive the guest.
pub const NO_RECEIVER: &str = "NO_RECEIVER";
/// The reason of an abort that comes after the guest has gone.
pub const TOO_LATE: &str = "TOO_LATE";
/// The reason of a join while another agent of the host is connected.
pub const OTHER_AGENT: &str = "OTHER_AGENT";

/// Checks a name of 1 to `longest` characters, without control characters and without blanks at an
/// end.
pub(crate) fn check_name(field: &str, name: &str, longest: usize) -> Result<(), FleetError> {
    let length = name.chars().count();
    if length == 0 || length > longest {
        return Err(FleetError::field(field, format!("has {length} characters; 1 to {longest} are allowed")));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Err(FleetError::field(field, "has control characters, or blanks at an end"));
    }
    Ok(())
}

/// Checks the name of a project.
///
/// # Errors
/// An empty name, a long one, or one with control characters.
pub fn check_project(project: &str) -> Result<(), FleetError> {
    check_name("project", project, 255)
}
