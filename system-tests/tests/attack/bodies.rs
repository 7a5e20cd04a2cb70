//! Bodies of REST requests that are begun and not finished.

use std::path::Path;
use std::time::Duration;

use berth_system_tests::http::Client;
use berth_system_tests::service::{Service, command};

use crate::messages::{LONG, begin_calls};
use crate::scene::{Ceiling, attack, p99, runtime, service, service_with, sized};

/// What each client sends of its body; the limit is 8 MiB.
const PART: usize = 7 << 20;

/// Clients that send most of a body and then nothing. The service may hang up.
fn unfinished(service: &Service, token: &str, count: usize) -> Vec<Client> {
    let part = vec![b' '; PART];
    (0..count)
        .map(|_| {
            let mut client = Client::with_token(&service.address, token).expect("it listens");
            let head = client.head("POST", "/reshaper", 8 << 20);
            let _ = client.write(head.as_bytes()).and_then(|()| client.write(&part));
            client
        })
        .collect()
}

/// Before there was a bound, 250 of them took 1.6 GB.
#[test]
fn unfinished_bodies_take_no_more_than_one_caller_may() {
    let service = service();
    let ceiling = Ceiling { memory_mib: 700, p99: p99(Duration::from_millis(50)) };
    let count = sized(100, 250);
    attack(&format!("{count} unfinished bodies"), &service, &ceiling, || {
        let clients = unfinished(&service, "admin", count);
        std::thread::sleep(Duration::from_secs(2));
        drop(clients);
    });
}

/// 2,000 of half a megabyte took 1.1 GB, before anybody had shown a token.
#[test]
fn unfinished_heads_take_no_more_than_one_address_may() {
    let service = service_with("IN_FLIGHT_CALLER_BYTES", 16 << 20);
    let ceiling = Ceiling { memory_mib: 64, p99: p99(Duration::from_millis(50)) };
    let count = sized(400, 2_000);
    for bytes in [100_000, 500_000] {
        attack(&format!("{count} unfinished heads of {bytes} bytes"), &service, &ceiling, || {
            let head = format!("GET /?{} HTTP/1.1\r\nx: {}", "x".repeat(1_000), "x".repeat(bytes - 1_000));
            let clients: Vec<Client> = (0..count)
                .map(|_| {
                    let mut client = Client::with_token(&service.address, "admin").expect("it listens");
                    let _ = client.write(head.as_bytes()); // the service may hang up
                    client
                })
                .collect();
            std::thread::sleep(Duration::from_secs(1));
            drop(clients);
        });
    }
}

/// Bodies over REST together with messages over gRPC took 1.8 GB of a budget of 1 GiB, and the
/// memory was not returned: blocks of growing size stayed with the allocator.
#[test]
fn bodies_and_messages_share_one_budget_and_return_it() {
    const IN_FLIGHT: usize = 256 << 20;
    let mut command = command(Path::new("none"));
    command.env("BERTH_SERVE__LIMITS__IN_FLIGHT_BYTES", IN_FLIGHT.to_string());
    command.env("BERTH_SERVE__LIMITS__IN_FLIGHT_CALLER_BYTES", (IN_FLIGHT / 4 * 3).to_string());
    let service = Service::start(command).unwrap_or_else(|log| panic!("it does not start: {log}"));
    let before = service.resources();
    let ceiling = Ceiling { memory_mib: 256 + 64, p99: p99(Duration::from_millis(50)) };
    let rounds = sized(2, 6);
    attack("bodies and messages", &service, &ceiling, || {
        for _ in 0..rounds {
            let bodies = unfinished(&service, "admin", 60);
            let ended = runtime().block_on(async {
                let begin = |address: String| async move { begin_calls(&address, LONG, 12, 6).await };
                let begun: Vec<_> =
                    (0..8).map(|_| tokio::spawn(begin(service.grpc_address.clone()))).collect();
                let mut ended = 0;
                for calls in begun {
                    ended += calls.await.expect("they are begun");
                }
                ended
            });
            assert!(ended > 0, "the messages do not fill what the bodies leave");
            drop(bodies);
        }
    });
    let is_returned = || {
        let grown = service.resources().resident_kib.saturating_sub(before.resident_kib) / 1024;
        grown < 64
    };
    let tries = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        is_returned()
    });
    assert!(tries, "the memory is not returned");
}

/// A caller that may not send a body is refused before it is read.
#[test]
fn bodies_of_callers_without_the_right_are_not_kept() {
    let service = service();
    let ceiling = Ceiling { memory_mib: 100, p99: p99(Duration::from_millis(50)) };
    let count = sized(60, 250);
    attack(&format!("{count} bodies without the right"), &service, &ceiling, || {
        drop(unfinished(&service, "nobody", count));
    });
}
