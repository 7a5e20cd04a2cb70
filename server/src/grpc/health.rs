//! The standard health service. Its answer follows the store: without it, nothing is served.

use std::sync::Arc;

use berth_api::v1;
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, HealthService};

use super::stopped;
use crate::service::Service;

/// The names that a health check may have: the whole, and each service.
const NAMES: [&str; 6] = [
    "",
    v1::placement_server::SERVICE_NAME,
    v1::scheduler_server::SERVICE_NAME,
    v1::fleet_server::SERVICE_NAME,
    v1::instances_server::SERVICE_NAME,
    v1::agents_server::SERVICE_NAME,
];

/// A health service that reports until it is time to stop.
pub(super) async fn serve(
    service: &Arc<Service>,
    stopping: watch::Receiver<bool>,
) -> HealthServer<impl Health> {
    let mut reporter = HealthReporter::new();
    let health = HealthService::from_health_reporter(reporter.clone());
    let mut serving = service.serving();
    let is_serving = *serving.borrow_and_update();
    set(&reporter, is_serving).await;
    tokio::spawn(async move {
        tokio::select! {
            () = follow(&reporter, serving) => {}
            () = stopped(stopping) => {}
        }
        // Ends the streams of watchers: nothing more follows.
        for name in NAMES {
            reporter.clear_service_status(name).await;
        }
    });
    HealthServer::new(health)
}

async fn follow(reporter: &HealthReporter, mut serving: watch::Receiver<bool>) {
    while serving.changed().await.is_ok() {
        let is_serving = *serving.borrow_and_update();
        set(reporter, is_serving).await;
    }
}

async fn set(reporter: &HealthReporter, is_serving: bool) {
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_reported_status_follows_the_store() {
        let reporter = HealthReporter::new();
        let health = HealthService::from_health_reporter(reporter.clone());
        let (store, serving) = watch::channel(true);
        let follow = tokio::spawn(async move { follow(&reporter, serving).await });
        let request = || tonic::Request::new(tonic_health::pb::HealthCheckRequest::default());
        let status = async || health.check(request()).await.unwrap().into_inner().status();
        for is_serving in [false, true, false] {
            store.send_replace(is_serving);
            while (status().await == tonic_health::pb::health_check_response::ServingStatus::Serving)
                != is_serving
            {
                tokio::task::yield_now().await;
            }
        }
        drop(store);
        follow.await.unwrap();
    }
}
