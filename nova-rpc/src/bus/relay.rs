//! Calls that are passed on to another server of the same topic, on another bus.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::caller::{CallError, Caller};
use super::error::BusError;
use crate::failure::RpcFailure;
use crate::transport::BusOptions;

/// Why a call that was passed on has no reply.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// There is no connection to the other bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The other server did not reply.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Passes calls and casts on. It connects when it is needed first, and again after a connection was
/// lost.
pub struct Relay {
    options: BusOptions,
    patience: Duration,
    caller: Mutex<Option<Arc<Caller>>>,
}

impl Relay {
    /// A relay to the server on this bus, which has so long to reply.
    #[must_use]
    pub const fn new(options: BusOptions, patience: Duration) -> Self {
        Self { options, patience, caller: Mutex::const_new(None) }
    }

    /// Passes a call on, given its message, and waits for the reply: the result or the exception,
    /// both unchanged. It is passed on once: a call whose reply is lost is not repeated.
    ///
    /// # Errors
    /// [`RelayError`]
    pub async fn call(&self, message: &str) -> Result<Result<Box<RawValue>, RpcFailure>, RelayError> {
        Ok(self.caller().await?.relay(&self.options.topic, message, self.patience).await?)
    }

    /// Passes a cast on to all servers of the topic.
    ///
    /// # Errors
    /// [`RelayError`]
    pub async fn announce(&self, message: &str) -> Result<(), RelayError> {
        Ok(self.caller().await?.announce(&self.options.topic, message).await?)
    }

    /// The connection that exists, or a new one.
    async fn caller(&self) -> Result<Arc<Caller>, BusError> {
        let mut current = self.caller.lock().await;
        if let Some(caller) = current.as_ref().filter(|caller| caller.is_connected()) {
            return Ok(Arc::clone(caller));
        }
        let caller = Arc::new(Caller::connect(&self.options).await?);
        *current = Some(Arc::clone(&caller));
        Ok(caller)
    }
}
