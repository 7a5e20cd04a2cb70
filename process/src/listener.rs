//! What listens at an address, for clients that expected something else there. A wrong port or
//! scheme is the likeliest mistake, and the libraries' errors for it ("invalid HTTP version",
//! "frame with invalid size") name neither.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::authority::host_and_port;

/// A protocol, as far as a client of Berth has to distinguish them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    /// The Placement API over HTTP/1.1, without TLS.
    PlacementApi,
    /// Another HTTP/1.1 server, without TLS.
    Http,
    /// HTTP/2 without TLS, which is what gRPC uses.
    Grpc,
    /// TLS, with anything inside.
    Tls,
}

/// How long connecting and answering may take, each.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of one read, and reads. The answers in question arrive in one or two parts.
const ENOUGH: usize = 4096;
const PARTS: usize = 4;

/// What a gRPC client has to change in its URL; nothing if what listens there is right, or nothing
/// does.
#[must_use]
pub fn grpc_advice(url: &str) -> Option<&'static str> {
    let (scheme, host, port) = parts(url)?;
    Listener::at(host, port)?.advice_for_grpc(scheme)
}

/// What a client of the Placement API has to change in its URL; nothing if what listens there is
/// right, or nothing does.
#[must_use]
pub fn placement_advice(url: &str) -> Option<&'static str> {
    let (scheme, host, port) = parts(url)?;
    Listener::at(host, port)?.advice_for_placement(scheme)
}

/// Scheme, host and port of a URL.
fn parts(url: &str) -> Option<(&str, &str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, port) = host_and_port(rest.split('/').next()?);
    let default = if scheme == "https" { 443 } else { 80 };
    Some((scheme, host, port.map_or(Some(default), |port| port.parse().ok())?))
}

impl Listener {
    /// Asks what listens at this host and port; nothing if nothing does, or it speaks another
    /// protocol.
    fn at(host: &str, port: u16) -> Option<Self> {
        let address = (host, port).to_socket_addrs().ok()?.next()?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        Self::of(&beginning(&mut stream))
    }

    /// The listener that answers a request in plain HTTP/1.1 with these bytes.
    fn of(answer: &[u8]) -> Option<Self> {
        // A record of an alert, version 3.x (RFC 8446, 5.1); a frame of settings or GOAWAY on
        // stream 0 (RFC 9113, 4.1).
        const SETTINGS: u8 = 4;
        const GOAWAY: u8 = 7;
        match answer {
            [0x15, 3, ..] => Some(Self::Tls),
            [_, _, _, SETTINGS | GOAWAY, _, 0, 0, 0, 0, ..] => Some(Self::Grpc),
            _ if answer.starts_with(b"HTTP/1.") => {
                let is_placement = answer.windows(13).any(|part| part == b"\"max_version\"");
                Some(if is_placement { Self::PlacementApi } else { Self::Http })
            }
            _ => None,
        }
    }

    const fn advice_for_grpc(self, scheme: &str) -> Option<&'static str> {
        match (self, scheme.as_bytes()) {
            (Self::PlacementApi, _) => Some(
                "this port is the Placement API; gRPC has a port of its own, by default 8779 (serve.grpc_listen)",
            ),
            (Self::Http, _) => Some("what listens there speaks HTTP/1.1, not gRPC"),
            (Self::Tls, b"http") => Some(
                "this port speaks TLS: the URL has to begin with https://, with --ca, --cert and --key (docs/tls.md)",
            ),
            (Self::Grpc, b"https") => {
                Some("this port speaks gRPC without TLS: the URL has to begin with http://")
            }
            (Self::Tls | Self::Grpc, _) => None,
        }
    }

    const fn advice_for_placement(self, scheme: &str) -> Option<&'static str> {
        match (self, scheme.as_bytes()) {
            (Self::Grpc, _) => Some(
                "this port is gRPC; the Placement API has a port of its own, by default 8778 (serve.listen)",
            ),
            (Self::Tls, b"http") => Some("this port speaks TLS: the URL has to begin with https://"),
            (Self::PlacementApi | Self::Http, b"https") => {
                Some("this port speaks HTTP without TLS: the URL has to begin with http://")
            }
            (Self::Tls | Self::PlacementApi | Self::Http, _) => None,
        }
    }
}

/// The beginning of what arrives, until it ends, stalls or is enough.
fn beginning(stream: &mut TcpStream) -> Vec<u8> {
    let (mut read, mut part) = (Vec::new(), [0; ENOUGH]);
    for _ in 0..PARTS {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(length) => read.extend_from_slice(&part[..length]),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn each_protocol_is_recognised_by_its_first_bytes() {
        let versions = b"HTTP/1.1 200 OK\r\n\r\n{\"versions\": [{\"max_version\": \"1.39\"}]}";
        for (answer, listener) in [
            (&[0x15, 3, 3, 0, 2, 2, 70][..], Some(Listener::Tls)),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5], Some(Listener::Grpc)),
            (&[0, 0, 8, 7, 0, 0, 0, 0, 0], Some(Listener::Grpc)),
            (versions, Some(Listener::PlacementApi)),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", Some(Listener::Http)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", None),
            (b"", None),
        ] {
            assert_eq!(Listener::of(answer), listener, "{answer:?}");
        }
    }

    #[test]
    fn a_url_is_split() {
        for (url, split) in [
            ("http://h:8778/placement", Some(("http", "h", 8778))),
            ("https://[::1]:8779", Some(("https", "::1", 8779))),
            ("https://h/", Some(("https", "h", 443))),
            ("http://h", Some(("http", "h", 80))),
            ("http://h:x", None),
            ("h:8779", None),
        ] {
            assert_eq!(parts(url), split, "{url}");
        }
    }

    #[test]
    fn a_peer_that_hangs_up_is_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = std::thread::spawn(move || drop(listener.accept().unwrap()));
        assert_eq!(Listener::at("127.0.0.1", port), None);
        peer.join().unwrap();
        assert_eq!(Listener::at("127.0.0.1", port), None, "nobody listens any more");
    }
}
