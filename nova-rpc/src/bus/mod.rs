//! The connection to the brokers: consumers, deliveries, replies.
//!
//! [`serve`] connects to one broker after the other, declares the queues, and passes each message
//! to a [`Handler`]. It acknowledges a message before the work on it begins, as oslo.messaging
//! does: a message is worked on once at most. When the connection is lost, work that has begun goes
//! on, and its replies wait for the next connection.
//!
//! ```text
//! broker ─► consumers ─► acknowledge ─► duplicate? ─► task: Handler ─► Replies ─► broker
//!    ▲                                                  └─ keep-alives ──┘
//!    └── connect ◄── pause ◄── connection lost
//! ```

mod caller;
mod connect;
mod error;
mod relay;
mod replies;
mod serve;
mod statistics;
mod work;

use std::future::Future;
use std::sync::Arc;

use crate::call::Call;
use crate::failure::RpcFailure;
use serde_json::value::RawValue;

pub use caller::{CallError, Caller};
pub use error::BusError;
pub use relay::{Relay, RelayError};
pub use serve::serve;
pub use statistics::BusStatistics;

/// The facts about a call that a handler gets besides the call itself.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The id of the request to Nova's API.
    pub request_id: Option<String>,
    /// The id under which the caller logs the request.
    pub local_request_id: Option<String>,
    /// The message as JSON, for a handler that passes it on.
    pub message: Arc<str>,
}

/// Serves calls. Many may be served at once.
pub trait Handler: Send + Sync + 'static {
    /// The result of a call. A cast has none, and whatever is returned for it is dropped.
    fn handle(
        &self,
        call: Call,
        context: Context,
    ) -> impl Future<Output = Result<Box<RawValue>, RpcFailure>> + Send;

    /// The answer to a call of a method or version that no scheduler serves, or with arguments that
    /// make no sense: this failure, unless the handler passes calls on.
    fn refuse(
        &self,
        failure: RpcFailure,
        _context: Context,
    ) -> impl Future<Output = Result<Box<RawValue>, RpcFailure>> + Send {
        std::future::ready(Err(failure))
    }

    /// A connection exists again. Casts may have been lost before.
    fn connected(&self) {}
}
