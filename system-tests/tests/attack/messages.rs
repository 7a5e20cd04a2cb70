//! gRPC messages that are begun and not finished, and texts that are too long.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::instances_client::InstancesClient;
use bytes::Bytes;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::scene::{Ceiling, attack, p99, runtime, service, service_with, sized};

/// A message, and what a call sends of it, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unfinished {
    length: u32,
    sent: usize,
}

/// Most of a long message.
pub(crate) const LONG: Unfinished = Unfinished { length: 7 << 20, sent: 4 << 20 };

/// Nearly all of a short message.
const SHORT: Unfinished = Unfinished { length: 16_000, sent: 16_000 };

/// How long the service may take to end calls.
const PATIENCE: Duration = Duration::from_secs(60);

/// Begins calls on one connection, each with a part of a message, and waits until the service has
/// ended the `wanted` number of them; returns how many it ended.
pub(crate) async fn begin_calls(address: &str, what: Unfinished, calls: usize, wanted: usize) -> usize {
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let (client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.expect("it takes calls");
    let mut message = vec![0; what.sent];
    message[1..5].copy_from_slice(&what.length.to_be_bytes());
    let message = Bytes::from(message);
    let mut begun = JoinSet::new();
    for _ in 0..calls {
        let request = http::Request::post(format!("http://{address}/berth.v1.Placement/Claim"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a valid request");
        let Ok((response, body)) = client.send_request(request, false) else { break };
        let message = message.clone();
        begun.spawn(async {
            let sending = tokio::spawn(send(body, message));
            drop(response.await);
            sending.abort();
        });
    }
    let mut ended = 0;
    let enough = async {
        while ended < wanted && begun.join_next().await.is_some() {
            ended += 1;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, enough).await;
    connection.abort();
    ended
}

/// Sends as fast as the service permits, and never finishes.
async fn send(mut body: h2::SendStream<Bytes>, mut message: Bytes) {
    while !message.is_empty() {
        body.reserve_capacity(message.len());
        let Some(Ok(permitted)) = std::future::poll_fn(|context| body.poll_capacity(context)).await else {
            return;
        };
        let part = message.split_to(permitted.min(message.len()));
        if body.send_data(part, false).is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Before there was a bound, one connection took 724 MB, without a limit of time.
#[test]
fn unfinished_messages_take_no_more_than_one_connection_may() {
    let service = service();
    let ceiling = Ceiling { memory_mib: 200, p99: p99(Duration::from_millis(50)) };
    let calls = sized(60, 180);
    let (ended, _) = attack(&format!("{calls} unfinished messages"), &service, &ceiling, || {
        runtime().block_on(begin_calls(&service.grpc_address, LONG, calls, calls - 10))
    });
    assert!(ended >= calls - 10, "{ended} of {calls} calls were ended");
}

/// The first 16 KiB of a message were not counted, and 1,000 calls of a connection took 28 MB.
#[test]
fn unfinished_short_messages_take_no_more_than_one_caller_may() {
    let service = service_with("IN_FLIGHT_CALLER_BYTES", 32 << 20);
    let ceiling = Ceiling { memory_mib: 100, p99: p99(Duration::from_millis(50)) };
    let connections = sized(6, 40);
    attack(&format!("{connections} x 1000 unfinished short messages"), &service, &ceiling, || {
        runtime().block_on(async {
            let begin = |address: String| async move { begin_calls(&address, SHORT, 1_000, 800).await };
            let begun: Vec<_> =
                (0..connections).map(|_| tokio::spawn(begin(service.grpc_address.clone()))).collect();
            for ended in begun {
                ended.await.expect("it does not panic");
            }
        });
    });
}

/// An image with a name of 2 MB was stored with each of 100 instances.
#[test]
fn texts_that_are_too_long_are_refused_with_their_field() {
    let service = service();
    runtime().block_on(async {
        let endpoint = Endpoint::new(format!("http://{}", service.grpc_address)).expect("a valid URL");
        let mut instances = InstancesClient::new(endpoint.connect().await.expect("it listens"));
        let image = v1::Image { name: "i".repeat(2 << 20), ..v1::Image::default() };
        let creation = v1::CreateInstancesRequest {
            name: "it".to_owned(),
            project: "p".to_owned(),
            image: Some(image),
            max_count: 100,
            ..v1::CreateInstancesRequest::default()
        };
        let refused = instances.create(creation).await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.message(), "image.name: has 2097152 characters, and may have at most 255");
    });
}
