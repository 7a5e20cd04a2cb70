//! Connections that are opened and do nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_system_tests::service::{Service, command};
use tonic::transport::Endpoint;

use crate::scene::{Ceiling, attack, p99, runtime, service, sized};

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

/// A service that may have at most so many descriptors.
pub(crate) fn service_with_descriptors(most: u32) -> Service {
    let serve = command(Path::new("none"));
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" \"$@\"")).arg(serve.get_program());
    limited.args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.stdin(Stdio::null()).stdout(Stdio::null());
    Service::start(limited).unwrap_or_else(|log| panic!("it does not start: {log}"))
}

/// With 1,024 descriptors, a new client waited for 13 s behind 1,600 idle connections, because one
/// place came free every 100 ms. Connections over gRPC that sent their preface and nothing else did
/// not count at all.
#[test]
fn a_new_client_need_not_wait_for_descriptors() {
    const DESCRIPTORS: u32 = 200;
    const IDLE: usize = 400;
    for is_grpc in [false, true] {
        let service = service_with_descriptors(DESCRIPTORS);
        let address = if is_grpc { &service.grpc_address } else { &service.address };
        let idle: Vec<TcpStream> = (0..IDLE)
            .map(|_| {
                let mut idle = TcpStream::connect(address).expect("it listens");
                if is_grpc {
                    // The preface, and empty settings.
                    let _ = idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
                }
                idle
            })
            .collect();
        let start = Instant::now();
        service.client().ask("GET", "/", None).expect("a new client is answered").expect(200);
        let over_rest = start.elapsed();
        let start = Instant::now();
        runtime().block_on(async {
            let endpoint = Endpoint::new(format!("http://{}", service.grpc_address)).expect("a valid URL");
            let mut fleet = FleetClient::new(endpoint.connect().await.expect("it listens"));
            fleet.list_flavors(v1::ListFlavorsRequest::default()).await.expect("a new client is answered");
        });
        let over_grpc = start.elapsed();
        println!(
            "{IDLE} idle connections, {DESCRIPTORS} descriptors, gRPC {is_grpc}: {over_rest:?}, {over_grpc:?}"
        );
        let most = p99(Duration::from_millis(200));
        assert!(over_rest < most && over_grpc < most, "{over_rest:?}, {over_grpc:?}");
        assert!(service.resources().descriptors <= DESCRIPTORS.into());
        drop(idle);
    }
}
