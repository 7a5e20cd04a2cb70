//! The address of a client behind proxies.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header to which each proxy appends the address from which it got a request.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose word on the addresses of their clients is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address, such as 192.0.2.10, nor a network, such as 192.0.2.0/24")]
pub struct InvalidNetwork(String);

impl TrustedProxies {
    /// Proxies with these addresses, or in these networks.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn new(networks: &[String]) -> Result<Self, InvalidNetwork> {
        let network = |text: &String| {
            let address = text.parse().map(|address: IpAddr| IpNet::from(address));
            address.or_else(|_| text.parse()).map_err(|_| InvalidNetwork(text.clone()))
        };
        networks.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client that sent a request to the peer, or is it. A client can put
    /// anything before what the first trusted proxy appends, so the header is read from its end.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values = headers.get_all(FORWARDED_FOR).into_iter().rev();
        let mut before = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        while self.contain(client)
            && let Some(address) = before.next().and_then(|text| address(text.trim()))
        {
            client = address.to_canonical();
        }
        client
    }
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|address: std::net::SocketAddr| address.ip());
    text.parse().ok().or_else(with_port)
}

/// What counts as one address: a client with IPv6 has all addresses of its network (/64).
pub(crate) fn one_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, headers: &[&str]) -> String {
        let proxies: Vec<String> = proxies.iter().map(|text| (*text).to_owned()).collect();
        let headers = headers.iter().map(|value| (FORWARDED_FOR.parse().unwrap(), value.parse().unwrap()));
        let headers = headers.collect();
        TrustedProxies::new(&proxies).unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        let own = ["192.0.2.1", "10.0.0.0/8", "fd00::/8"];
        for (peer, headers, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "198.51.100.7"),
            ("::ffff:192.0.2.1", &["198.51.100.7"], "198.51.100.7"),
            ("fd00::1", &["[2001:db8::7]:1234"], "2001:db8::7"),
            ("192.0.2.1", &["203.0.113.9, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
            ("192.0.2.1", &["203.0.113.9", "198.51.100.7:80"], "198.51.100.7"),
            ("192.0.2.1", &["198.51.100.7, unknown"], "192.0.2.1"),
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &["10.0.0.1"], "10.0.0.1"),
            ("203.0.113.9", &["198.51.100.7"], "203.0.113.9"),
        ] {
            assert_eq!(client(&own, peer, headers), expected, "{peer} {headers:?}");
        }
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        let invalid = TrustedProxies::new(&["10.0.0.0/33".to_owned()]).unwrap_err();
        assert!(invalid.to_string().starts_with("\"10.0.0.0/33\" is neither"), "{invalid}");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let one = |text: &str| one_address(text.parse().unwrap()).to_string();
        assert_eq!(one("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(one("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(one("192.0.2.1"), "192.0.2.1");
    }
}
