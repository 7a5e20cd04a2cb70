//! Exceptions as a caller receives them.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::python_json::dumps;

/// Where exceptions of Nova are defined.
const NOVA: &str = "nova.exception";
/// Where exceptions of Python itself are defined.
const PYTHON: &str = "builtins";
const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";

/// An exception for the caller, which rebuilds it as `class(*args, **kwargs)` if it knows the module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RpcFailure {
    class: &'static str,
    module: &'static str,
    message: String,
    /// No traceback: the caller appends it to the message, which users see.
    tb: [(); 0],
    args: Vec<Value>,
    kwargs: Keywords,
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
        let message = message.into();
        let args = vec![message.as_str().into()];
        Self { class, module, message, tb: [], args, kwargs: Keywords::default() }
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

    /// An exception by its class. One that neither Nova nor Python defines reaches the caller as `RemoteError`.
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

    /// The name of the exception's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        self.class
    }

    /// What the exception says.
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
        dumps(self)
    }
}
