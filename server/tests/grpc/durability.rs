//! What was told outlives the process, and what was begun is finished.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_server::{DataDir, DurabilityOptions, Keeper, Service};
use tempfile::TempDir;

use crate::support::{Running, claim, claims, options, provider, used, uuid};

fn start(folder: &Path, commit_delay: Duration) -> (Arc<Service>, Keeper) {
    let durability = DurabilityOptions { commit_delay, ..DurabilityOptions::default() };
    Keeper::start(DataDir::open(folder).unwrap(), options(), durability).unwrap()
}

/// The files of a service as they are now, as its end without a word would leave them.
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
async fn what_was_told_is_there_after_a_crash() {
    let folder = TempDir::new().unwrap();
    let (service, keeper) = start(folder.path(), Duration::ZERO);
    let running = Running::over(service, None).await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 100)]).await;
    let granted = claims(&mut client, (0..50).map(|number| claim(number, &[(1, "VCPU", 1)])).collect()).await;
    assert!(granted.iter().all(|result| result.outcome() == v1::claim_result::Outcome::Granted));
    client.release(v1::ReleaseRequest { consumers: vec![uuid('c', 0)] }).await.unwrap();
    let crashed = copy(folder.path());
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
async fn what_a_client_does_not_wait_for_is_done_all_the_same() {
    let folder = TempDir::new().unwrap();
    let (service, keeper) = start(folder.path(), Duration::from_millis(300));
    let running = Running::over(service, None).await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 100)]).await;
    let request = v1::ClaimRequest { claims: vec![claim(1, &[(1, "VCPU", 1)])], all_or_nothing: false };
    let cancelled = tokio::time::timeout(Duration::from_millis(100), client.claim(request)).await;
    assert!(cancelled.is_err(), "it did not wait until it was durable");
    let found = client.get_consumer(v1::GetConsumerRequest { uuid: uuid('c', 1) }).await;
    assert_eq!(found.unwrap().into_inner().generation, 1);
    drop(running);
    keeper.stop();
    let (again, keeper) = start(folder.path(), Duration::ZERO);
    assert_eq!(again.index().consumers(), 1);
    keeper.stop();
}
