//! What a failed call means.

use std::error::Error;
use std::io;

use tonic::{Code, Status};

/// The reason why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    /// No member accepted the request. It has changed nothing, and will not.
    #[error("no member of etcd can be reached: {0}")]
    Unavailable(String),
    /// A member received the request, and no response came. It may have been applied, and may still
    /// be applied.
    #[error("etcd did not respond: {0}")]
    Unknown(String),
    /// The requested revision is compacted.
    #[error("the revision is compacted")]
    Compacted,
    /// The database has reached its quota; members accept no writes until an operator has freed
    /// space and disarmed the alarm.
    #[error("etcd's database is full (alarm NOSPACE)")]
    NoSpace,
    /// A member refused the request, which has changed nothing.
    #[error("etcd refused the request: {0}")]
    Refused(String),
    /// The options cannot be used.
    #[error("{0}")]
    Options(String),
}

impl EtcdError {
    /// Whether the request may have been applied.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Report it: another member would answer the same.
    Final(EtcdError),
    /// The token of authentication has expired: authenticate again.
    Token(String),
    /// The member did not accept the request: try the next one.
    Rejected(String),
    /// The member may have accepted the request.
    Lost(String),
}

impl Failure {
    pub(crate) fn of(status: &Status) -> Self {
        let message = status.message();
        let refused = || Self::Final(EtcdError::Refused(message.to_owned()));
        match status.code() {
            Code::Unavailable if message.contains("no leader") || never_left(status) => {
                Self::Rejected(words(status))
            }
            Code::ResourceExhausted if message.contains("database space exceeded") => {
                Self::Final(EtcdError::NoSpace)
            }
            Code::ResourceExhausted if message.contains("too many requests") => Self::Rejected(words(status)),
            // A connection that the member closed is reported with this code as well.
            Code::ResourceExhausted
                if !message.starts_with("etcdserver") && !message.contains("larger than max") =>
            {
                Self::Lost(words(status))
            }
            Code::OutOfRange if message.contains("compacted") => Self::Final(EtcdError::Compacted),
            Code::Unauthenticated => Self::Token(words(status)),
            Code::InvalidArgument if message.contains("revision of auth store is old") => {
                Self::Token(words(status))
            }
            Code::ResourceExhausted
            | Code::OutOfRange
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Unimplemented => refused(),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Lost(words(status)),
        }
    }
}

/// Whether the connection was refused, so that the request never left this host.
fn never_left(status: &Status) -> bool {
    causes(status).any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |error: &&'_ (dyn Error + 'static)| (*error).source())
}

/// The message of a status with its innermost cause: "transport error" alone helps nobody.
fn words(status: &Status) -> String {
    match causes(status).last() {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_certain_or_not() {
        let of = |code, message: &str| Failure::of(&Status::new(code, message));
        let unavailable = |message: &str| of(Code::Unavailable, message);
        assert!(matches!(unavailable("etcdserver: no leader"), Failure::Rejected(_)));
        assert!(matches!(unavailable("etcdserver: request timed out"), Failure::Lost(_)));
        assert!(matches!(unavailable("etcdserver: leader changed"), Failure::Lost(_)));
        let full = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert_eq!(full, Failure::Final(EtcdError::NoSpace));
        let calm = of(Code::ResourceExhausted, "h2 protocol error: http2 error");
        assert!(matches!(calm, Failure::Lost(_)), "the connection was closed: {calm:?}");
        let large = of(Code::ResourceExhausted, "grpc: received message larger than max (3 vs. 2)");
        assert!(matches!(large, Failure::Final(EtcdError::Refused(_))));
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        assert_eq!(of(Code::OutOfRange, compacted), Failure::Final(EtcdError::Compacted));
        let future = of(Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision");
        assert!(matches!(future, Failure::Final(EtcdError::Refused(_))));
        assert!(matches!(of(Code::Unauthenticated, "invalid auth token"), Failure::Token(_)));
    }
}
