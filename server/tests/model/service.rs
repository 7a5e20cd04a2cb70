//! The service without a socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request as HttpRequest;
use berth_server::{Service, ServiceOptions};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::model::{ConsumerState, ProviderState, State};
use crate::request::{AGGREGATES, CONSUMERS, PROVIDERS, Request, uuid};

pub(crate) struct InProcess {
    service: Arc<Service>,
    runtime: Runtime,
}

impl InProcess {
    pub(crate) fn new() -> Self {
        let options = ServiceOptions::noauth2();
        // As in production: some handlers hand their thread's other work to another one.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        Self { service: Arc::new(Service::new(options)), runtime }
    }

    pub(crate) fn check(&self) {
        self.service.index().check().unwrap();
    }

    pub(crate) fn send(&self, request: &Request) -> (u16, Value) {
        let (method, path, body) = request.to_http();
        let request = HttpRequest::builder()
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

    fn get(&self, path: String) -> Value {
        self.send(&Request::Get(path)).1
    }

    /// Everything that the API shows.
    pub(crate) fn state(&self) -> State {
        let list = self.get("/resource_providers".to_owned());
        let providers = list["resource_providers"].as_array().unwrap().iter();
        let providers = providers.map(|provider| self.provider(provider)).collect();
        let consumers = (0..CONSUMERS).filter_map(|number| Some((number, self.consumer(number)?))).collect();
        State { providers, consumers }
    }

    fn provider(&self, provider: &Value) -> (u8, ProviderState) {
        let of = number('a', &provider["uuid"]).unwrap();
        let path = |part: &str| format!("/resource_providers/{}/{part}", uuid('a', of));
        let part = |name: &str| self.get(path(name))[name].clone();
        let (inventories, usages) = (part("inventories"), part("usages"));
        let totals = numbers(&inventories, |record| record["total"].as_i64());
        let aggregates = part("aggregates");
        let allocations = part("allocations");
        let state = ProviderState {
            name: provider["name"].as_str().unwrap().to_owned(),
            generation: provider["generation"].as_u64().unwrap(),
            parent: number('a', &provider["parent_provider_uuid"]),
            root: number('a', &provider["root_provider_uuid"]).unwrap(),
            totals,
            used: numbers(&usages, Value::as_i64),
            traits: texts(&part("traits")),
            aggregates: (0..AGGREGATES).filter(|&one| texts(&aggregates).contains(&uuid('e', one))).collect(),
            holders: (0..CONSUMERS).filter(|&one| allocations.get(uuid('c', one)).is_some()).collect(),
        };
        (of, state)
    }

    fn consumer(&self, of: u8) -> Option<ConsumerState> {
        let found = self.get(format!("/allocations/{}", uuid('c', of)));
        let generation = found["consumer_generation"].as_u64()?;
        let mut held = BTreeMap::new();
        for (provider, part) in found["allocations"].as_object()? {
            for (class, amount) in part["resources"].as_object()? {
                held.insert((number('a', &Value::from(&**provider))?, class.clone()), amount.as_i64()?);
            }
        }
        Some(ConsumerState { generation, project: found["project_id"].as_str()?.to_owned(), held })
    }
}

fn number(kind: char, text: &Value) -> Option<u8> {
    (0..PROVIDERS).find(|&number| uuid(kind, number) == *text)
}

fn numbers(object: &Value, number: impl Fn(&Value) -> Option<i64>) -> BTreeMap<String, i64> {
    object
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), number(value)?)))
        .collect()
}

fn texts(list: &Value) -> std::collections::BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
