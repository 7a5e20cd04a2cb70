//! Messages as oslo.messaging puts them on a bus.
//!
//! A body is an envelope, JSON whose `oslo.message` is a JSON text again. The message inside has
//! the method, its arguments, where to send the reply, and the context of the request in keys that
//! begin with `_context_`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A body that is no message.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The body is no envelope.
    #[error("the body is no envelope of oslo.messaging: {0}")]
    Envelope(serde_json::Error),
    /// The envelope is of a version that cannot be read.
    #[error("oslo.version is {0}, not 2.x")]
    Version(String),
    /// The envelope has no message.
    #[error("oslo.message is no message: {0}")]
    Message(serde_json::Error),
}

/// A call or a cast.
#[derive(Debug, Deserialize)]
pub struct Message {
    /// The method.
    pub method: String,
    /// The namespace of the method; the scheduler's own methods have none.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The version of the API that the caller speaks.
    #[serde(default = "first_version")]
    pub version: String,
    /// The arguments by name, as JSON.
    #[serde(default)]
    pub args: Option<Box<RawValue>>,
    #[serde(rename = "_msg_id", default)]
    msg_id: Option<String>,
    #[serde(rename = "_reply_q", default)]
    reply_queue: Option<String>,
    #[serde(rename = "_timeout", default)]
    timeout: Option<f64>,
    /// The id by which a message that is delivered twice is recognized.
    #[serde(rename = "_unique_id", default)]
    pub unique_id: Option<String>,
    #[serde(rename = "_context_request_id", default)]
    request_id: Option<String>,
    #[serde(rename = "_context_global_request_id", default)]
    global_request_id: Option<String>,
    #[serde(rename = "_context_user_id", default)]
    user_id: Option<String>,
    #[serde(skip)]
    text: Arc<str>,
}

/// The destination of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// The queue.
    pub queue: String,
    /// The call, for the caller.
    pub msg_id: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "oslo.version", borrow)]
    version: Cow<'a, str>,
    #[serde(rename = "oslo.message", borrow)]
    message: Cow<'a, str>,
}

fn first_version() -> String {
    "1.0".to_owned()
}

impl Message {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// [`EnvelopeError`]
    pub fn read(body: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(EnvelopeError::Envelope)?;
        if !envelope.version.starts_with("2.") {
            return Err(EnvelopeError::Version(envelope.version.into_owned()));
        }
        let message: Self = serde_json::from_str(&envelope.message).map_err(EnvelopeError::Message)?;
        Ok(Self { text: envelope.message.into(), ..message })
    }

    /// The message as JSON, without its envelope.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The destination of the reply; none for a cast.
    #[must_use]
    pub fn reply_to(&self) -> Option<ReplyTo> {
        let (queue, msg_id) = (self.reply_queue.clone()?, self.msg_id.clone()?);
        Some(ReplyTo { queue, msg_id })
    }

    /// Seconds within which the caller has to observe that work goes on; none if the caller does
    /// not monitor the call.
    #[must_use]
    pub fn monitor_timeout(&self) -> Option<f64> {
        self.timeout.filter(|seconds| seconds.is_finite() && *seconds > 0.0)
    }

    /// The id of the request to Nova's API, for the log and for operators.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.global_request_id.as_deref().or(self.request_id.as_deref())
    }

    /// The id under which Nova itself logs the request.
    #[must_use]
    pub fn local_request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The user of the request.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }
}
