//! Connections that are opened and do nothing.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use crate::scene::{Ceiling, attack, p99, service, sized};

/// Idle connections keep nobody out.
#[test]
fn idle_connections_keep_nobody_out() {
    let service = service();
    let ceiling = Ceiling { memory_mib: 200, p99: p99(Duration::from_millis(20)) };
    let count = sized(500, 5_000);
    let name = format!("{count} idle connections");
    attack(&name, &service, &ceiling, || {
        let idle: Vec<TcpStream> =
            (0..count).map(|_| TcpStream::connect(&service.address).expect("it listens")).collect();
        for _ in 0..20 {
            service.client().ask("GET", "/", None).expect("a new client is answered").expect(200);
        }
        drop(idle);
    });
}

/// A gRPC connection without a preface is closed, after ten seconds.
#[test]
fn a_grpc_client_that_says_nothing_loses_its_connection() {
    let service = service();
    let mut silent = TcpStream::connect(&service.grpc_address).expect("it listens");
    silent.set_read_timeout(Some(Duration::from_secs(60))).expect("a positive time");
    match silent.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}
