//! Large answers that nobody reads.

use std::time::Duration;

use berth_system_tests::http::Client;
use berth_system_tests::service::Service;
use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

use crate::scene::{Ceiling, attack, p99, runtime, service, service_with, sized};
use crate::searches::{search, tree};

/// Before there was a bound, 64 of them took 2.5 GB.
#[test]
fn unread_answers_take_no_more_than_one_caller_may() {
    let service = service();
    tree(&service);
    let ceiling = Ceiling { memory_mib: 1_200, p99: p99(Duration::from_millis(50)) };
    let count = sized(24, 64);
    attack(&format!("{count} unread answers"), &service, &ceiling, || {
        let clients: Vec<Client> = (0..count)
            .map(|_| {
                let mut client = service.client();
                // Some 255,000 candidates.
                client.send("GET", &search(4), None).expect("it listens");
                client
            })
            .collect();
        std::thread::sleep(Duration::from_secs(sized(15, 60) as u64));
        drop(clients);
    });
}

/// Providers whose list has some 60 KB.
fn providers(service: &Service) {
    let mut client = service.client();
    for number in 0..300 {
        let provider = json!({"name": format!("{number:0>180}")});
        client.ask("POST", "/resource_providers", Some(&provider)).expect("it is answered").expect(200);
    }
}

/// Asks so often for the list of providers on one connection, and reads no answer; done when the
/// connection has ended.
async fn list_without_reading(address: String, calls: usize) {
    let stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
    let mut builder = h2::client::Builder::new();
    let (client, connection) =
        builder.initial_window_size(1).handshake::<_, Bytes>(stream).await.expect("it speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.expect("it takes calls");
    let mut begun = JoinSet::new();
    for _ in 0..calls {
        let request = http::Request::post(format!("http://{address}/berth.v1.Placement/ListProviders"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a valid request");
        let Ok((response, mut body)) = client.send_request(request, false) else { break };
        let _ = body.send_data(Bytes::from_static(&[0; 5]), true);
        begun.spawn(async move {
            let _unread = response.await;
            std::future::pending::<()>().await;
        });
    }
    drop(connection.await.expect("it does not panic"));
}

/// Answers up to 64 KiB were not counted, and one connection took 65 MB for as long as it liked;
/// with a window of one byte, none was counted.
#[test]
fn unread_short_answers_take_no_more_than_one_caller_may_and_end() {
    let service = service_with("IN_FLIGHT_CALLER_BYTES", 64 << 20);
    providers(&service);
    let ceiling = Ceiling { memory_mib: 150, p99: p99(Duration::from_millis(50)) };
    let connections = sized(4, 20);
    attack(&format!("{connections} x 1000 unread answers over gRPC"), &service, &ceiling, || {
        runtime().block_on(async {
            let lists = (0..connections).map(|_| list_without_reading(service.grpc_address.clone(), 1_000));
            let mut lists: JoinSet<()> = lists.collect();
            let ended = async { while lists.join_next().await.is_some() {} };
            // Twice `write_time`, and as much again on a busy machine.
            tokio::time::timeout(Duration::from_secs(120), ended).await.expect("the connections end");
        });
    });
}
