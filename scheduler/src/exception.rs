//! The exceptions that Nova raises where Berth returns an error.
//!
//! A caller of Nova's scheduler receives an exception by its class and message. Berth's own errors
//! name the field and the value instead, so each error knows both.

use super::filters::{FilterError, JsonQueryError, MatchError};
use super::numa::NumaFault;
use super::pci::PciFault;
use super::python::quoted;
use super::select::SelectError;
use super::weighers::WeighError;

/// An exception of Nova, or of Python within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NovaException {
    /// The name of its class.
    pub class: &'static str,
    /// Its message; none where Nova's says nothing that Berth's own message does not.
    pub message: Option<String>,
}

impl NovaException {
    fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self { class, message: Some(message.into()) }
    }

    const fn of_class(class: &'static str) -> Self {
        Self { class, message: None }
    }
}

impl FilterError {
    /// The exception that Nova raises for the same request.
    #[must_use]
    pub fn nova_exception(&self) -> NovaException {
        match self {
            Self::ExtraSpec { error: MatchError::NotANumber(text), .. } => NovaException::new(
                "ValueError",
                format!("could not convert string to float: {}", quoted(&text.0)),
            ),
            Self::ExtraSpec { error: MatchError::NoAlternative, .. } => {
                NovaException::new("IndexError", "pop from empty list")
            }
            Self::Query(error) => error.nova_exception(),
            Self::Network(text) => NovaException::new("AddrFormatError", format!("invalid IPNetwork {text}")),
            Self::Networks => NovaException::of_class("TypeError"),
            Self::Address(text) => NovaException::new(
                "AddrFormatError",
                format!("failed to detect a valid IP address from {}", quoted(text)),
            ),
            Self::NoAddress | Self::NotReported { .. } => NovaException::of_class("TypeError"),
            Self::GroupRule(text) => NovaException::new(
                "ValueError",
                format!("invalid literal for int() with base 10: {}", quoted(&text.0)),
            ),
            Self::NoImage => {
                NovaException::new("AttributeError", "'NoneType' object has no attribute 'properties'")
            }
            Self::AddressBits => NovaException::new("AttributeError", "'str' object has no attribute 'get'"),
            Self::Architecture(_) => NovaException::of_class("InvalidArchitectureName"),
            Self::Numa(NumaFault::NoSiblings(_)) => NovaException::of_class("ValueError"),
            Self::Numa(NumaFault::Pci(fault)) | Self::Pci(fault) => fault.nova_exception(),
        }
    }
}

impl PciFault {
    const fn nova_exception(self) -> NovaException {
        NovaException::of_class("TypeError")
    }
}

impl JsonQueryError {
    fn nova_exception(&self) -> NovaException {
        match self {
            Self::Several => NovaException::of_class("TypeError"),
            Self::Json(_) => NovaException::of_class("JSONDecodeError"),
            Self::Operator { operator, hashable: true } => NovaException::new("KeyError", operator),
            Self::Operator { .. } => NovaException::of_class("TypeError"),
            Self::Unordered { operator, left, right } => NovaException::new(
                "TypeError",
                format!("'{operator}' not supported between instances of '{left}' and '{right}'"),
            ),
            Self::NotAQuery { kind: "dict", .. } => NovaException::new("KeyError", "0"),
            Self::NotAQuery { kind, .. } => {
                NovaException::new("TypeError", format!("'{kind}' object is not subscriptable"))
            }
            Self::NoParts { kind, .. } => {
                NovaException::new("AttributeError", format!("'{kind}' object has no attribute 'get'"))
            }
        }
    }
}

impl WeighError {
    /// The exception that Nova raises for the same request.
    #[must_use]
    pub fn nova_exception(&self) -> NovaException {
        match self {
            Self::NoMetric { host, node, name } => NovaException::new(
                "ComputeHostMetricNotFound",
                format!("Metric {name} could not be found on the compute host node {host}.{node}."),
            ),
            Self::NotReported { .. } => {
                NovaException::new("TypeError", "unsupported operand type(s) for *: 'int' and 'NoneType'")
            }
            Self::StoredImage { .. } => NovaException::of_class("ValueError"),
        }
    }
}

impl SelectError {
    /// The exception that Nova raises for the same request; none for a refusal that only Berth has.
    #[must_use]
    pub fn nova_exception(&self) -> Option<NovaException> {
        match self {
            Self::NoValidHost { .. } => Some(NovaException::new("NoValidHost", self.to_string())),
            Self::Filter(failure) => Some(failure.error.nova_exception()),
            Self::Weigh(failure) => Some(failure.error.nova_exception()),
            Self::NoMapping(_) => Some(NovaException::of_class("KeyError")),
            Self::Outrun { .. } | Self::Refused(_) => None,
        }
    }
}
