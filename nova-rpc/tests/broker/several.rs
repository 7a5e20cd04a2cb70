//! Several brokers in `transport_url`.

use std::time::Duration;

use berth_nova_rpc::bus::Relay;
use berth_nova_rpc::transport::{BusOptions, RabbitOptions, TransportUrl};
use berth_test_support::port::free_ports;

use crate::{Served, options, ping, rabbit};

const TIME: Duration = Duration::from_secs(60);

/// Options with these brokers, in this order.
fn brokers(ports: &[u16]) -> BusOptions {
    let brokers: Vec<String> = ports.iter().map(|port| format!("guest:guest@127.0.0.1:{port}")).collect();
    let url = TransportUrl::parse(&format!("rabbit://{}/", brokers.join(","))).expect("a URL");
    let rabbit = RabbitOptions { rabbit_interval_max: 1, ..RabbitOptions::default() };
    BusOptions { url, ..options(ports[0], rabbit) }
}

/// Where the answer to a call on one broker comes from, the server has to be connected to it.
async fn is_answered_at(port: u16) {
    let relay = Relay::new(options(port, RabbitOptions::default()), TIME);
    let answer = relay.call(&ping("here")).await.expect("a reply").expect("a result");
    assert_eq!(answer.get(), "\"here\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_broker_serves_when_one_is_dead_or_dies() {
    let (Some(mut first), Some(mut second)) = (rabbit(), rabbit()) else { return };
    let [dead] = free_ports();
    let all = brokers(&[dead, first.port(), second.port()]);
    let served = Served::of(all.clone());
    served.connected().await;
    is_answered_at(first.port()).await;

    // Callers pass over dead brokers as well.
    let relay = Relay::new(all, TIME);
    let answer = relay.call(&ping("all")).await.expect("a reply").expect("a result");
    assert_eq!(answer.get(), "\"all\"");

    first.kill();
    served.until("connections", 2).await;
    served.connected().await;
    is_answered_at(second.port()).await;

    // The first comes back, and the second dies: it is served again.
    first.start_server();
    second.kill();
    served.until("connections", 3).await;
    served.connected().await;
    is_answered_at(first.port()).await;
    served.stop().await.expect("ends without an error");
}
