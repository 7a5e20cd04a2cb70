//! One caller with more connections than there are descriptors, each of which is busy.
//!
//! Before the caller with the most connections lost some, 909 streams of one certificate, or as
//! many unfinished bodies of one user, kept everybody out at a limit of 1,024 descriptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_system_tests::service::Service;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::idle::service_with_descriptors;
use crate::scene::{p99, runtime, sized};

const DESCRIPTORS: u32 = 200;

/// Connections of the attacker.
const BUSY: usize = 400;

/// The pause of an attacker before it opens a connection again.
const PAUSE: Duration = Duration::from_millis(100);

/// A call without an end, whose message is sent and followed by nothing; ends with its connection.
async fn endless_call(address: &str, path: &str, message: &'static [u8]) -> Option<()> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (client, connection) = h2::client::handshake(stream).await.ok()?;
    let mut client = client.ready().await.ok()?;
    let request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(());
    let (_response, mut body) = client.send_request(request.ok()?, false).ok()?;
    body.send_data(Bytes::from_static(message), false).ok()?;
    connection.await.ok() // answers pings
}

/// A request of one user with the first byte of its body; ends with its connection.
async fn endless_body(address: &str) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = "POST /reshaper HTTP/1.1\r\nHost: berth\r\nX-Auth-Token: admin:hostile\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.read_to_end(&mut Vec::new()).await.ok().map(drop)
}

/// What keeps a connection busy.
#[derive(Debug, Clone, Copy)]
enum Occupation {
    Call(&'static str, &'static [u8]),
    Body,
}

impl Occupation {
    async fn keep(self, service: &Service) {
        let _ = match self {
            Self::Call(path, message) => endless_call(&service.grpc_address, path, message).await,
            Self::Body => endless_body(&service.address).await,
        };
    }
}

/// How long new clients over REST and gRPC wait, at most, while connections are kept busy.
fn longest_wait(service: &Arc<Service>, occupation: Occupation) -> [Duration; 2] {
    let runtime = runtime();
    let (stop, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut busy = JoinSet::new();
    for _ in 0..BUSY {
        let (service, stop, opened) = (Arc::clone(service), Arc::clone(&stop), Arc::clone(&opened));
        let keep = async move {
            while !stop.load(Relaxed) {
                opened.fetch_add(1, Relaxed);
                occupation.keep(&service).await;
                tokio::time::sleep(PAUSE).await;
            }
        };
        busy.spawn_on(keep, runtime.handle());
    }
    while opened.load(Relaxed) < BUSY || service.resources().descriptors < u64::from(DESCRIPTORS) / 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut waits = [Duration::ZERO; 2];
    for _ in 0..sized(5, 50) {
        let start = Instant::now();
        service
            .client()
            .ask("GET", "/resource_providers", None)
            .expect("a new client is answered")
            .expect(200);
        waits[0] = waits[0].max(start.elapsed());
        let start = Instant::now();
        runtime.block_on(async {
            // The attacker has the same address, so a connection may end before its first call, as
            // one of the attacker's: the client connects again, and the wait counts.
            for attempt in 1.. {
                let endpoint =
                    Endpoint::new(format!("http://{}", service.grpc_address)).expect("a valid URL");
                let mut fleet = FleetClient::new(endpoint.connect().await.expect("it listens"));
                match fleet.list_flavors(v1::ListFlavorsRequest::default()).await {
                    Ok(_) => break,
                    Err(status) => assert!(attempt < 5, "a new client is answered: {status}"),
                }
            }
        });
        waits[1] = waits[1].max(start.elapsed());
    }
    stop.store(true, Relaxed);
    busy.abort_all();
    println!(
        "{BUSY} connections with {occupation:?}, {DESCRIPTORS} descriptors: REST {:?}, gRPC {:?} at most",
        waits[0], waits[1]
    );
    waits
}

#[test]
fn a_caller_with_many_busy_connections_keeps_nobody_out() {
    // The longest of all waits; on a busy machine, a lost handshake alone costs a second. Before,
    // nobody got in for 23 s.
    let most = 5 * p99(Duration::from_millis(40));
    let empty = &[0; 5];
    for occupation in [
        Occupation::Call("/grpc.health.v1.Health/Watch", empty),
        Occupation::Call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &[]),
        Occupation::Call("/berth.v1.Agents/Join", &[]),
        Occupation::Call("/berth.v1.Placement/Claim", &[0, 0]),
        Occupation::Body,
    ] {
        let service = Arc::new(service_with_descriptors(DESCRIPTORS));
        let waits = longest_wait(&service, occupation);
        assert!(waits.iter().all(|wait| *wait < most), "{occupation:?}: {waits:?}");
        assert!(service.resources().descriptors <= DESCRIPTORS.into());
    }
}
