//! Where a state is kept in etcd.

use std::fmt;
use std::str::FromStr;

/// The port that etcd's members use unless they are configured otherwise.
const PORT: u16 = 2379;

/// The members of an etcd cluster, and the prefix below which all keys are.
///
/// As text: `etcd://HOST[:PORT][,HOST[:PORT]…]/PREFIX`, or `etcds://…` for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdLocation {
    /// `HOST:PORT` of each member.
    pub members: Vec<String>,
    /// The prefix, without a slash at its begin or end.
    pub prefix: String,
    /// Whether connections are encrypted.
    pub is_tls: bool,
}

/// A text that is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    /// Another scheme, or none.
    #[error("does not begin with etcd:// or etcds://")]
    Scheme,
    /// A user in the location: it would be printed with it.
    #[error("names a user; user and password have settings of their own")]
    User,
    /// No member, or an empty one.
    #[error("names no host before or after a comma")]
    NoHost,
    /// A host with a character that no host name has.
    #[error("{0:?} is not HOST or HOST:PORT; an IPv6 address is in brackets")]
    Host(String),
    /// No prefix.
    #[error("has no prefix: two fleets in one etcd would be one; write etcd://HOST:PORT/PREFIX")]
    NoPrefix,
    /// A prefix that cannot be typed in one way only.
    #[error(
        "the prefix {0:?} has an empty segment or a character other than A-Z, a-z, 0-9, `.`, `_`, `-` and `/`"
    )]
    Prefix(String),
}

impl FromStr for EtcdLocation {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let (rest, is_tls) = match (text.strip_prefix("etcd://"), text.strip_prefix("etcds://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return Err(InvalidLocation::Scheme),
        };
        let (members, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if members.contains('@') {
            return Err(InvalidLocation::User);
        }
        let members = members.split(',').map(member).collect::<Result<_, _>>()?;
        if prefix.is_empty() {
            return Err(InvalidLocation::NoPrefix);
        }
        let is_segment = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|byte| is_host_byte(byte) || byte == b'_')
        };
        if !prefix.split('/').all(is_segment) {
            return Err(InvalidLocation::Prefix(prefix.to_owned()));
        }
        Ok(Self { members, prefix: prefix.to_owned(), is_tls })
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

/// A member with its port.
fn member(text: &str) -> Result<String, InvalidLocation> {
    let invalid = || InvalidLocation::Host(text.to_owned());
    if text.is_empty() {
        return Err(InvalidLocation::NoHost);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| invalid())?),
        _ => (text, PORT),
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_host_byte),
    };
    if is_host && port > 0 { Ok(format!("{host}:{port}")) } else { Err(invalid()) }
}

impl fmt::Display for EtcdLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "etcds" } else { "etcd" };
        write!(f, "{scheme}://{}/{}", self.members.join(","), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, InvalidLocation> {
        text.parse::<EtcdLocation>().map(|location| location.to_string())
    }

    #[test]
    fn locations_are_read_and_printed() {
        for (text, printed) in [
            ("etcd://a/berth", "etcd://a:2379/berth"),
            ("etcd://10.0.0.1:2379,b.example:1,c/x/y/", "etcd://10.0.0.1:2379,b.example:1,c:2379/x/y"),
            ("etcds://[2001:db8::1]/f_1", "etcds://[2001:db8::1]:2379/f_1"),
            ("etcd://[::1]:2380/f-1.x", "etcd://[::1]:2380/f-1.x"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(printed), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (text, words) in [
            ("/var/lib/berth", "does not begin"),
            ("http://a/b", "does not begin"),
            ("etcd://", "no host"),
            ("etcd:///b", "no host"),
            ("etcd://a,,c/b", "no host"),
            ("etcd://a", "no prefix"),
            ("etcd://a//", "no prefix"),
            ("etcd://root:secret@a/b", "settings of their own"),
            ("etcd://a/b//c", "empty segment"),
            ("etcd://a/b?c", "character other"),
            ("etcd://a/ü", "character other"),
            ("etcd://a:0/b", "\"a:0\" is not HOST"),
            ("etcd://a:65536/b", "is not HOST"),
            ("etcd://a b/b", "is not HOST"),
            ("etcd://::1/b", "in brackets"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
