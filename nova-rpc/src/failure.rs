//! Exceptions as a caller receives them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::python_json::dumps;

/// The module of Nova's exceptions.
const NOVA: &str = "nova.exception";
/// The module of Python's own exceptions.
const PYTHON: &str = "builtins";
const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";

/// An exception for the caller, which rebuilds it as `class(*args, **kwargs)` if it knows the
/// module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RpcFailure {
    class: Cow<'static, str>,
    module: &'static str,
    message: Box<str>,
    /// No traceback: the caller appends it to the message, which users see.
    tb: [(); 0],
    args: Vec<Value>,
    kwargs: Keywords,
    /// The text of another server, which the caller receives unchanged.
    #[serde(skip)]
    relayed: Option<Box<str>>,
}

/// Arguments by name, in the order in which Nova writes them.
#[derive(Debug, Clone, Default, PartialEq)]
struct Keywords(Vec<(&'static str, Value)>);

impl Serialize for Keywords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl RpcFailure {
    fn new(class: &'static str, module: &'static str, message: impl Into<String>) -> Self {
        let message = message.into().into_boxed_str();
        let args = vec![message.as_ref().into()];
        let class = Cow::Borrowed(class);
        Self { class, module, message, tb: [], args, kwargs: Keywords::default(), relayed: None }
    }

    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.kwargs.0.push((key, value.into()));
        self
    }

    /// No host could be found. Conductor shows the reason to the user.
    #[must_use]
    pub fn no_valid_host(reason: &str) -> Self {
        let message = format!("No valid host was found. {reason}");
        Self::new("NoValidHost", NOVA, message).with("reason", reason).with("code", 500)
    }

    /// The allocations of an instance could not be written.
    #[must_use]
    pub fn allocation_update_failed(consumer: &str, error: &str) -> Self {
        let message = format!("Failed to update allocations for consumer {consumer}. Error: {error}");
        let failure = Self::new("AllocationUpdateFailed", NOVA, message);
        failure.with("consumer_uuid", consumer).with("error", error).with("code", 500)
    }

    /// An exception by its class. One that neither Nova nor Python defines reaches the caller as
    /// `RemoteError`.
    #[must_use]
    pub fn exception(class: &'static str, message: &str) -> Self {
        match class {
            "NoValidHost" => {
                Self::no_valid_host(message.strip_prefix("No valid host was found. ").unwrap_or(message))
            }
            "ValueError" | "TypeError" | "IndexError" | "KeyError" | "AttributeError" | "RuntimeError" => {
                Self::new(class, PYTHON, message)
            }
            "JSONDecodeError" => Self::new(class, "json.decoder", message),
            "AddrFormatError" => Self::new(class, "netaddr.core", message),
            _ => Self::new(class, NOVA, message).with("code", 500),
        }
    }

    /// The method is unknown.
    #[must_use]
    pub fn no_such_method(method: &str) -> Self {
        Self::new("NoSuchMethod", DISPATCHER, format!("Endpoint does not support RPC method {method}"))
    }

    /// No endpoint has this version, or this namespace.
    #[must_use]
    pub fn unsupported_version(version: &str, method: &str) -> Self {
        let message = format!("Endpoint does not support RPC version {version}. Attempted method: {method}");
        Self::new("UnsupportedVersion", DISPATCHER, message)
    }

    /// The arguments of a call make no sense.
    #[must_use]
    pub fn bad_arguments(problem: &str) -> Self {
        Self::new("TypeError", PYTHON, problem)
    }

    /// No answer came in time.
    #[must_use]
    pub fn timeout(message: &str) -> Self {
        Self::new("MessagingTimeout", "oslo_messaging.exceptions", message)
    }

    /// The exception that another server replied with: the caller receives it unchanged.
    ///
    /// # Errors
    /// The text is no exception of oslo.messaging.
    pub fn relayed(text: &str) -> Result<Self, serde_json::Error> {
        let Foreign { class, message } = serde_json::from_str(text)?;
        let mut failure = Self::new("", "", message);
        failure.class = Cow::Owned(class);
        failure.relayed = Some(text.into());
        Ok(failure)
    }

    /// The name of the exception's class.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The message of the exception.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the caller expects it as an ordinary answer.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.class == "NoValidHost"
    }

    /// The JSON text that a reply has as `failure`.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.relayed.as_ref().map_or_else(|| dumps(self), ToString::to_string)
    }
}

/// The parts of another server's exception that are read.
#[derive(Deserialize)]
struct Foreign {
    class: String,
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_of_another_server_stays_as_it_is() {
        let text = r#"{"class": "NoValidHost", "module": "nova.exception", "message": "No valid host was found. x",
            "tb": ["Traceback"], "args": [], "kwargs": {"reason": "x", "code": 500}}"#;
        let failure = RpcFailure::relayed(text).expect("an exception");
        assert_eq!((failure.class(), failure.message()), ("NoValidHost", "No valid host was found. x"));
        assert!(failure.is_expected());
        assert_eq!(failure.to_text(), text);
        assert!(RpcFailure::relayed("[]").is_err());
    }
}
