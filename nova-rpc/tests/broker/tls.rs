//! Encrypted connections, in which both sides verify the certificate of the other.

use std::sync::Arc;
use std::time::Duration;

use berth_nova_rpc::bus::{Caller, Relay};
use berth_nova_rpc::transport::{BusCertificates, BusOptions, RabbitOptions};
use berth_test_support::certificates::Certificates;
use berth_test_support::rabbit::Rabbit;

use crate::{Served, options, ping};

const TIME: Duration = Duration::from_secs(60);

fn encrypted(rabbit: &Rabbit, authority: &Certificates, identity: Option<(String, String)>) -> BusOptions {
    let identity = identity.map(|(certificate, key)| (certificate.into_bytes(), key.into_bytes()));
    let tls = BusCertificates { authorities: Some(authority.authority()), identity };
    BusOptions { tls: Some(tls), ..options(rabbit.tls_port(), RabbitOptions::default()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_over_encrypted_connections() {
    let (trusted, other) = (Certificates::new(), Certificates::new());
    let Some(rabbit) = Rabbit::start_with_tls(&trusted) else {
        berth_test_support::skip::skip("RabbitMQ is not installed");
        return;
    };
    let good = encrypted(&rabbit, &trusted, Some(trusted.client()));
    drop(Caller::connect(&good).await.expect("connects"));
    let served = Served::of(good.clone());
    served.connected().await;
    let relay = Arc::new(Relay::new(good, TIME));
    let answer = relay.call(&ping("a")).await.expect("a reply").expect("a result");
    assert_eq!(answer.get(), "\"a\"");

    // A broker whose authority is not trusted, and clients that the broker does not trust.
    for refused in [
        encrypted(&rabbit, &other, Some(trusted.client())),
        encrypted(&rabbit, &trusted, Some(other.client())),
        encrypted(&rabbit, &trusted, None),
    ] {
        let error = Caller::connect(&refused).await.err().expect("is refused");
        assert!(error.is_passing() && error.to_string().starts_with("127.0.0.1:"), "{error}");
    }
    // Nothing is sent in plain text to a port that expects TLS.
    let plain = options(rabbit.tls_port(), RabbitOptions::default());
    assert!(Caller::connect(&plain).await.is_err());
    served.stop().await.expect("ends without an error");
}
