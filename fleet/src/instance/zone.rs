//! The zone, host and node of a request.

use std::fmt;

/// The place that a request asks for: `zone`, `zone:host`, `zone:host:node`, or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestedZone {
    /// The availability zone; empty for any.
    pub zone: String,
    /// The host that an operator insists on.
    pub host: Option<String>,
    /// The node that an operator insists on.
    pub node: Option<String>,
}

impl RequestedZone {
    /// Parses the text of a request. Parts after the node are ignored.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split(':').map(str::to_owned);
        let zone = parts.next().unwrap_or_default();
        let mut part = || parts.next().filter(|part| !part.is_empty());
        Self { zone, host: part(), node: part() }
    }

    /// The zone without host and node.
    #[must_use]
    pub fn without_host(&self) -> Self {
        Self { zone: self.zone.clone(), host: None, node: None }
    }
}

impl fmt::Display for RequestedZone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.zone)?;
        match (&self.host, &self.node) {
            (None, None) => Ok(()),
            (Some(host), None) => write!(out, ":{host}"),
            (host, Some(node)) => write!(out, ":{}:{node}", host.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_parsed_and_written() {
        let zone = |zone: &str, host: Option<&str>, node: Option<&str>| RequestedZone {
            zone: zone.to_owned(),
            host: host.map(str::to_owned),
            node: node.map(str::to_owned),
        };
        let cases = [
            ("", zone("", None, None)),
            ("east", zone("east", None, None)),
            ("east:h1", zone("east", Some("h1"), None)),
            (":h1", zone("", Some("h1"), None)),
            ("east:h1:n1", zone("east", Some("h1"), Some("n1"))),
            ("east::n1", zone("east", None, Some("n1"))),
        ];
        for (text, expected) in cases {
            assert_eq!(RequestedZone::parse(text), expected, "{text}");
            assert_eq!(expected.to_string(), text);
        }
        assert_eq!(RequestedZone::parse("east:"), zone("east", None, None));
        assert_eq!(RequestedZone::parse("east:h1:n1").without_host(), zone("east", None, None));
    }
}
