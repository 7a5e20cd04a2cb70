//! The state that requests use: which requests it admits, and until when a response waits.

use std::sync::Arc;

use berth_placement::Index;
use berth_store::Durability;

use crate::fleet::FleetHandle;

/// An index with its fleet, and how it can be used: from the time it was loaded until its store fails.
pub(crate) struct Epoch {
    pub(crate) index: Arc<Index>,
    pub(crate) fleet: Arc<FleetHandle>,
    pub(crate) access: Access,
}

/// How an index can be used.
pub(crate) enum Access {
    /// Read and written. It ends with the process.
    Volatile,
    /// Read and written; a response waits until the state that it shows is durable.
    Durable(Durability),
    /// Read only. It is durable, but a change would not be, for this reason.
    ReadOnly(Arc<str>),
    /// Not at all: it is not the durable state, for this reason.
    Down(Arc<str>),
}

/// What a request does with the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
    /// A read whose response is advice that need not be durable: a later request checks it again.
    Advise,
}

/// Why a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    #[error("the state is being read again, because {0}")]
    Down(Arc<str>),
    #[error("nothing can be changed for the moment: it would not be durable, because {0}")]
    ReadOnly(Arc<str>),
}

/// Why a response cannot be sent: the store failed before the state was durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the state of this moment could not be made durable, because {0}; what was asked for may have been taken back"
)]
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

    /// Waits until the state that is visible now is durable, so that a response can show it, or a refusal can refer to it.
    pub(crate) async fn settled(&self) -> Result<(), OutcomeUnknown> {
        match &self.access {
            Access::Durable(durability) => durability.settled().await.map_err(OutcomeUnknown),
            Access::Volatile | Access::ReadOnly(_) | Access::Down(_) => Ok(()),
        }
    }

    /// Waits until the state that is visible now is on disk, whatever responses wait for: an agent acts on what it is sent, and no crash may
    /// undo the reason.
    pub(crate) async fn on_disk(&self) -> Result<(), OutcomeUnknown> {
        match &self.access {
            Access::Durable(durability) => durability.on_disk().await.map_err(OutcomeUnknown),
            Access::Volatile | Access::ReadOnly(_) | Access::Down(_) => Ok(()),
        }
    }

    /// [`Self::settled`], where the purpose requires it.
    pub(crate) async fn settle(&self, purpose: Purpose) -> Result<(), OutcomeUnknown> {
        if purpose == Purpose::Advise { Ok(()) } else { self.settled().await }
    }
}

impl Access {
    /// Whether requests are served at all.
    pub(crate) const fn serves(&self) -> bool {
        !matches!(self, Self::Down(_))
    }
}
