//! A service whose state is kept, asked without a socket.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use berth_server::{DurabilityOptions, Keeper, Service, ServiceOptions, StateHome};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) struct Running {
    service: Arc<Service>,
    pub(crate) keeper: Keeper,
    pub(crate) runtime: Runtime,
}

impl Running {
    /// Waits until the service may write.
    pub(crate) fn start(home: impl StateHome) -> Self {
        let (service, keeper) =
            Keeper::start(home, ServiceOptions::noauth2(), DurabilityOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { service, keeper, runtime: runtime.unwrap() }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-auth-token", "admin")
            .header("content-type", "application/json")
            .header("openstack-api-version", "placement latest")
            .body(Body::from(body.map_or_else(String::new, |body| body.to_string())))
            .unwrap();
        self.runtime.block_on(async {
            let answer = self.service.answer(request).await;
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap_or_default())
        })
    }

    /// Creates a resource provider; returns the status.
    pub(crate) fn add(&self, name: &str) -> u16 {
        self.ask("POST", "/resource_providers", Some(json!({"name": name}))).0
    }

    /// The names of all resource providers, if the service answers.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let (status, body) = self.ask("GET", "/resource_providers", None);
        let name = |provider: &Value| provider["name"].as_str().unwrap().to_owned();
        (status == 200).then(|| body["resource_providers"].as_array().unwrap().iter().map(name).collect())
    }
}
