//! What a node reports of its CPUs.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use crate::python::{Value, nearest_64};

/// A description of a node's CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CpuInfo {
    /// The text of a nova-compute service, usually JSON.
    Text(Arc<str>),
    /// The report of an agent of Berth.
    Report {
        /// Such as `x86_64`.
        architecture: Arc<str>,
        /// The CPU model of the hypervisor.
        model: Arc<str>,
    },
}

impl CpuInfo {
    /// A text, as Nova's database has it.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// The value that extra specs and JSON queries see.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(&**text),
            Self::Report { architecture, model } => Value::map([
                ("arch".to_owned(), Value::from(&**architecture)),
                ("model".to_owned(), Value::from(&**model)),
                ("topology".to_owned(), Value::Map(Vec::new())),
            ]),
        }
    }

    /// The number of physical address bits, if the node reports it.
    #[must_use]
    pub fn address_bits(&self) -> Option<i64> {
        let Self::Text(text) = self else { return None };
        match Value::parse(text).ok()?.get("maxphysaddr")?.get("bits")? {
            Value::Int(bits) if *bits != 0 => Some(nearest_64(*bits)),
            _ => None,
        }
    }
}

/// A text, or a structure whose text is its JSON.
impl<'de> Deserialize<'de> for CpuInfo {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(from)? {
            Value::Text(text) => Self::Text(text.into()),
            other => Self::Text(other.to_json().into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_nova_and_reports_of_agents_are_read() {
        let info: CpuInfo = serde_json::from_str(r#"{"maxphysaddr": {"bits": 46}}"#).unwrap();
        assert_eq!(info, CpuInfo::of_text(r#"{"maxphysaddr": {"bits": 46}}"#));
        assert_eq!(info.address_bits(), Some(46));
        for unknown in
            ["", "x", "{}", r#"{"maxphysaddr": {"bits": "46"}}"#, r#"{"maxphysaddr": {"bits": 0}}"#]
        {
            assert_eq!(CpuInfo::of_text(unknown).address_bits(), None, "{unknown}");
        }
        let report = CpuInfo::Report { architecture: "x86_64".into(), model: "EPYC".into() };
        assert_eq!(report.address_bits(), None);
        assert_eq!(report.value().get("model"), Some(&Value::from("EPYC")));
    }
}
