//! Addresses to listen on.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer, de};

/// Reads `address:port`; the address may be the word `localhost`. Other names are not resolved:
/// what they stand for may change between a check and a start.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn parse(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    if let Some(port) = local {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        format!("{text:?} is no address with a port, such as 127.0.0.1:8778, [::1]:8778 or localhost:8778")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_an_address() {
        let parsed = |text: &str| parse(text).map(|address| address.to_string());
        assert_eq!(parsed("localhost:8778").as_deref(), Ok("127.0.0.1:8778"));
        assert_eq!(parsed("[::]:1").as_deref(), Ok("[::]:1"));
        for other in ["localhost", "localhost:", "localhost:99999", "8778", ":8778", "example.com:80"] {
            assert!(parsed(other).is_err_and(|error| error.contains("localhost:8778")), "{other}");
        }
    }
}
