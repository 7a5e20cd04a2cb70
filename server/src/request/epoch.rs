//! The state that requests use: which requests it admits, and what responses wait for.

use std::sync::Arc;

use berth_placement::Index;
use berth_store::Durability;

use crate::fleet::FleetHandle;

/// An index with its fleet and the permitted access, from loading until the store fails.
pub(crate) struct Epoch {
    pub(crate) index: Arc<Index>,
    pub(crate) fleet: Arc<FleetHandle>,
    pub(crate) access: Access,
}

/// The permitted access to an index.
pub(crate) enum Access {
    /// Reads and writes. The state is lost when the process ends.
    Volatile,
    /// Reads and writes. A response waits until the state that it shows is durable.
    Durable(Durability),
    /// Reads only: changes would not be durable, for this reason.
    ReadOnly(Arc<str>),
    /// No access: the index differs from the durable state, for this reason.
    Down(Arc<str>),
}

/// How a request uses the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
    /// A read with an advisory response, which need not be durable because a later request checks
    /// it again.
    Advise,
}

/// The reason why a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    #[error("the service is reloading its state, because {0}")]
    Down(Arc<str>),
    #[error("changes are refused for now: they would not be durable, because {0}")]
    ReadOnly(Arc<str>),
}

/// The reason why a response cannot be sent: the store failed before the state was durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {0}; the outcome of this request is unknown, read the state again")]
pub(crate) struct OutcomeUnknown(pub(crate) Arc<str>);

impl Epoch {
    /// Checks that the index can be used for the purpose.
    pub(crate) fn admit(&self, purpose: Purpose) -> Result<(), NotAdmitted> {
        match &self.access {
            Access::Down(reason) => Err(NotAdmitted::Down(Arc::clone(reason))),
            Access::ReadOnly(reason) if purpose == Purpose::Write => {
                Err(NotAdmitted::ReadOnly(Arc::clone(reason)))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the currently visible state is durable. Afterwards a response may show it, and a
    /// refusal may refer to it.
    pub(crate) async fn wait_durable(&self) -> Result<(), OutcomeUnknown> {
        let Some(durability) = self.durability() else { return Ok(()) };
        durability.wait_durable().await.map_err(OutcomeUnknown)
    }

    /// Waits until the currently visible state is on disk, in any durability mode. Agents act on
    /// what they receive, so a crash must not revert the state that caused a message.
    pub(crate) async fn wait_on_disk(&self) -> Result<(), OutcomeUnknown> {
        let Some(durability) = self.durability() else { return Ok(()) };
        durability.wait_on_disk().await.map_err(OutcomeUnknown)
    }

    /// Calls [`Self::wait_durable`] if the purpose requires it.
    pub(crate) async fn wait_before_response(&self, purpose: Purpose) -> Result<(), OutcomeUnknown> {
        if purpose == Purpose::Advise { Ok(()) } else { self.wait_durable().await }
    }

    /// How changes become durable; `None` if nothing is written.
    fn durability(&self) -> Option<&Durability> {
        match &self.access {
            Access::Durable(durability) => Some(durability),
            Access::Volatile | Access::ReadOnly(_) | Access::Down(_) => None,
        }
    }
}

impl Access {
    /// Whether the service accepts requests.
    pub(crate) const fn serves(&self) -> bool {
        !matches!(self, Self::Down(_))
    }
}
