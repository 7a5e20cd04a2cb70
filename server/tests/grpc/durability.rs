//! Acknowledged changes survive a crash of the process, and operations that have begun are
//! completed.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_server::{DataDir, DurabilityOptions, Keeper, Service};
use tempfile::TempDir;

use crate::support::{Running, claim, claims, options, provider, used, uuid};

fn start(directory: &Path, commit_delay: Duration) -> (Arc<Service>, Keeper) {
    let durability = DurabilityOptions { commit_delay, ..DurabilityOptions::default() };
    Keeper::start(DataDir::open(directory).unwrap(), options(), durability).unwrap()
}

/// Copies the current files of a service: what a crash would leave behind.
fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
        }
    }
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_a_crash() {
    let directory = TempDir::new().unwrap();
    let (service, keeper) = start(directory.path(), Duration::ZERO);
    let running = Running::over(service, None).await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 100)]).await;
    let granted = claims(&mut client, (0..50).map(|number| claim(number, &[(1, "VCPU", 1)])).collect()).await;
    assert!(granted.iter().all(|result| result.outcome() == v1::claim_result::Outcome::Granted));
    client.release(v1::ReleaseRequest { consumers: vec![uuid('c', 0)] }).await.unwrap();
    let crashed = copy(directory.path());
    drop(running);
    let (again, kept) = start(crashed.path(), Duration::ZERO);
    let running = Running::over(again, None).await;
    let mut client = running.placement().await;
    assert_eq!(used(&mut client, 1, "VCPU").await, 49);
    client.get_consumer(v1::GetConsumerRequest { uuid: uuid('c', 1) }).await.unwrap();
    kept.stop();
    keeper.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_client_stops_waiting_is_completed() {
    let directory = TempDir::new().unwrap();
    let (service, keeper) = start(directory.path(), Duration::from_millis(300));
    let running = Running::over(service, None).await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 100)]).await;
    let request = v1::ClaimRequest { claims: vec![claim(1, &[(1, "VCPU", 1)])], all_or_nothing: false };
    let cancelled = tokio::time::timeout(Duration::from_millis(100), client.claim(request)).await;
    assert!(cancelled.is_err(), "the claim did not wait until it was durable");
    let found = client.get_consumer(v1::GetConsumerRequest { uuid: uuid('c', 1) }).await;
    assert_eq!(found.unwrap().into_inner().generation, 1);
    drop(running);
    keeper.stop();
    let (again, keeper) = start(directory.path(), Duration::ZERO);
    assert_eq!(again.index().consumers(), 1);
    keeper.stop();
}
