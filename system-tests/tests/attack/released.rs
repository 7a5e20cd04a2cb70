//! Claims that are released, each of a project and a user of its own.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::claim_result::Outcome;
use berth_api::v1::placement_client::PlacementClient;
use berth_system_tests::service::{Service, command};
use tempfile::TempDir;
use uuid::Uuid;

use crate::lengthy::{PROVIDER, populate};
use crate::scene::{Ceiling, attack, p99, runtime, sized};
use crate::watching::connect;

/// Claims of one call.
const BATCH: usize = 10_000;

/// Their projects and users were remembered: 600,000 left 192 MB of memory and a file of 37 MB.
#[test]
fn released_claims_leave_nothing() {
    let data = TempDir::new().expect("a directory");
    let service =
        Service::start(command(data.path())).unwrap_or_else(|log| panic!("it does not start: {log}"));
    populate(&service, 0);
    let claims = sized(3, 60) * BATCH;
    let ceiling = Ceiling { memory_mib: 200, p99: p99(Duration::from_millis(100)) };
    let before = service.resources().resident_kib;
    attack(&format!("{claims} claims made and released"), &service, &ceiling, || {
        runtime().block_on(async {
            let mut client = PlacementClient::new(connect(&service.grpc_address).await);
            for first in (0..claims).step_by(BATCH) {
                let consumers = || (first..first + BATCH).map(|number| Uuid::from_u128(number as u128 + 1));
                let claims = consumers().map(|consumer| v1::ConsumerClaim {
                    consumer: consumer.to_string(),
                    project: format!("project {consumer}"),
                    user: format!("user {consumer}"),
                    allocations: vec![v1::Allocation {
                        provider: PROVIDER.to_owned(),
                        resources: [("VCPU".to_owned(), 1)].into(),
                    }],
                    ..v1::ConsumerClaim::default()
                });
                let claim = v1::ClaimRequest { claims: claims.collect(), all_or_nothing: true };
                let granted = client.claim(claim).await.expect("it is answered").into_inner().results;
                assert!(granted.iter().all(|result| result.outcome() == Outcome::Granted));
                let consumers: Vec<_> = consumers().map(|consumer| consumer.to_string()).collect();
                let released = client.release(v1::ReleaseRequest { consumers }).await;
                assert_eq!(released.expect("it is answered").into_inner().released.len(), BATCH);
            }
        });
    });
    let grown_mib = service.resources().resident_kib.saturating_sub(before) / 1024;
    let file_mib = std::fs::metadata(data.path().join("state.redb")).expect("it exists").len() >> 20;
    println!("{claims} claims made and released: {grown_mib} MiB stay, the file has {file_mib} MiB");
    assert!(grown_mib <= 100, "{grown_mib} MiB stay");
    assert!(file_mib <= 24, "the file has {file_mib} MiB");
}
