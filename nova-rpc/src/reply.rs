//! Replies to calls.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::envelope::ReplyTo;
use crate::failure::RpcFailure;
use crate::python_json::dumps;

/// A reply to a caller.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The result, as JSON.
    Result(Box<RawValue>),
    /// An exception.
    Failure(RpcFailure),
    /// Work goes on: the caller waits for another `_timeout` seconds.
    KeepAlive,
}

#[derive(Serialize)]
struct Inner<'a> {
    result: Option<&'a RawValue>,
    failure: Option<String>,
    ending: bool,
    _msg_id: &'a str,
    _unique_id: &'a str,
}

#[derive(Serialize)]
struct Envelope {
    #[serde(rename = "oslo.version")]
    version: &'static str,
    #[serde(rename = "oslo.message")]
    message: String,
}

impl Reply {
    /// The body of the message. `unique_id` is 32 hexadecimal digits that no other message has.
    #[must_use]
    pub fn body(&self, to: &ReplyTo, unique_id: &str) -> Vec<u8> {
        let (result, failure, ending) = match self {
            Self::Result(result) => (Some(&**result), None, true),
            Self::Failure(failure) => (None, Some(failure.to_text()), true),
            Self::KeepAlive => (None, None, false),
        };
        let inner = Inner { result, failure, ending, _msg_id: &to.msg_id, _unique_id: unique_id };
        dumps(&Envelope { version: "2.0", message: dumps(&inner) }).into_bytes()
    }
}
