//! A service of the test's own, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use berth_server::{CandidateOptions, Limits, Server, Service, ServiceOptions};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::client::Client;

/// How long requests that have begun may take when the test is over.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    pub(crate) service: Arc<Service>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// With the default limits, but for idle connections: a test's client may wait while others
    /// race.
    pub(crate) fn new() -> Self {
        Self::with(Limits { idle_time: Duration::from_secs(300), ..Limits::default() })
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::with_options(limits, CandidateOptions::default())
    }

    pub(crate) fn with_options(limits: Limits, candidates: CandidateOptions) -> Self {
        Self::of(ServiceOptions { limits, candidates, ..ServiceOptions::noauth2() })
    }

    pub(crate) fn of(options: ServiceOptions) -> Self {
        let service = Arc::new(Service::new(options));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = runtime.block_on(Server::bind(local, Arc::clone(&service))).unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let stop = async {
                let _ = stopped.await; // a sender that is gone means the same
            };
            runtime.block_on(server.run(stop, GRACE));
        });
        Self { service, address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Does the same on several threads at once; returns what each came to.
    pub(crate) fn race<T: Send>(
        &self,
        clients: usize,
        run: impl Fn(usize, &mut Client) -> T + Sync,
    ) -> Vec<T> {
        let start = std::sync::Barrier::new(clients);
        std::thread::scope(|scope| {
            let one = |number| {
                let (start, run) = (&start, &run);
                scope.spawn(move || {
                    let mut client = self.client();
                    start.wait();
                    run(number, &mut client)
                })
            };
            let threads: Vec<_> = (0..clients).map(one).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Everything derived is what it is derived from, in the index and as the API shows it, and
    /// nothing is overdrawn.
    pub(crate) fn check(&self) {
        self.service.index().check().unwrap();
        let mut client = self.client();
        let providers = client.get("/resource_providers");
        for provider in providers["resource_providers"].as_array().unwrap() {
            let path = format!("/resource_providers/{}", provider["uuid"].as_str().unwrap());
            let part = |name: &str, client: &mut Client| client.get(&format!("{path}/{name}"))[name].clone();
            let (usages, allocations) = (part("usages", &mut client), part("allocations", &mut client));
            let inventories = part("inventories", &mut client);
            for (class, used) in usages.as_object().unwrap() {
                let held = allocations.as_object().unwrap().values();
                let sum: i64 = held.filter_map(|held| held["resources"][class].as_i64()).sum();
                assert_eq!(used.as_i64(), Some(sum), "{class} of {provider}");
                assert!(
                    sum <= inventories[class]["total"].as_i64().unwrap(),
                    "{class} of {provider} is overdrawn"
                );
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// The UUID with this number, of a kind.
pub(crate) fn uuid(kind: char, number: usize) -> String {
    format!("{kind}0000000-0000-4000-8000-{number:012}")
}

/// Makes a provider with inventories of these classes and totals; returns its path.
pub(crate) fn provider(
    client: &mut Client,
    number: usize,
    parent: Option<usize>,
    totals: &[(&str, u32)],
) -> String {
    let id = uuid('a', number);
    let parent = parent.map(|number| uuid('a', number));
    let body = json!({ "name": id, "uuid": id, "parent_provider_uuid": parent });
    client.send("POST", "/resource_providers", &body).expect(200);
    let path = format!("/resource_providers/{id}");
    client.send("PUT", &format!("{path}/inventories"), &inventories(0, totals)).expect(200);
    path
}

pub(crate) fn inventories(generation: u64, totals: &[(&str, u32)]) -> Value {
    let records = totals.iter().map(|(class, total)| ((*class).to_owned(), json!({ "total": total })));
    let records: serde_json::Map<_, _> = records.collect();
    json!({ "resource_provider_generation": generation, "inventories": records })
}

/// What a consumer is to hold: (provider, class, amount).
pub(crate) fn holding(generation: Option<u64>, held: &[(usize, &str, u32)]) -> Value {
    let mut allocations = json!({});
    for &(provider, class, amount) in held {
        allocations[uuid('a', provider)]["resources"][class] = amount.into();
    }
    json!({
        "allocations": allocations, "consumer_generation": generation, "consumer_type": "INSTANCE",
        "project_id": "project", "user_id": "user",
    })
}
