//! The kinds of requests.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::RequestError;
use super::client::Client;
use super::fleet::{Providers, TRAIT};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    OneCandidate,
    ThousandCandidates,
    WithTrait,
    InAggregate,
    /// Writes allocations of a new consumer, then removes them: two rows.
    Allocate,
    /// Writes allocations of many new consumers in one request, then removes them in another: two
    /// rows.
    AllocateMany,
}

/// The number of consumers in a request of [`Operation::AllocateMany`].
const MANY: u64 = 50;

impl Operation {
    pub(super) const ALL: [Self; 6] = [
        Self::OneCandidate,
        Self::ThousandCandidates,
        Self::WithTrait,
        Self::InAggregate,
        Self::Allocate,
        Self::AllocateMany,
    ];

    /// The name of its row.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OneCandidate => "api/allocation_candidates/limit-1",
            Self::ThousandCandidates => "api/allocation_candidates/limit-1000",
            Self::WithTrait => "api/allocation_candidates/required",
            Self::InAggregate => "api/allocation_candidates/member_of",
            Self::Allocate => "api/allocations/put",
            Self::AllocateMany => "api/allocations/post-50",
        }
    }

    /// The name of the row of a pair's second request.
    pub(super) const fn second_name(self) -> &'static str {
        match self {
            Self::AllocateMany => "api/allocations/post-50-gone",
            _ => "api/allocations/delete",
        }
    }

    /// The name of the row of requests per second, or of consumers per second for requests with
    /// many. Both requests of a pair count.
    pub(super) fn rate_name(self) -> String {
        let name = match self {
            Self::Allocate => "api/allocations",
            Self::AllocateMany => "api/allocations/post-50/consumers",
            _ => self.name(),
        };
        format!("{name}/rate")
    }

    /// The number that one request adds to that row.
    pub(super) const fn consumers(self) -> u64 {
        if matches!(self, Self::AllocateMany) { MANY } else { 1 }
    }

    /// The query of a request for candidates; `None` for another kind of request.
    fn query(self, providers: &Providers<'_>) -> Option<String> {
        Some(match self {
            Self::OneCandidate => "&limit=1".to_owned(),
            Self::ThousandCandidates => "&limit=1000".to_owned(),
            Self::WithTrait => format!("&limit=1&required={TRAIT}"),
            Self::InAggregate => format!("&limit=1&member_of={}", providers.aggregate()),
            Self::Allocate | Self::AllocateMany => return None,
        })
    }
}

/// The repeated requests on one connection.
pub(super) struct Sender<'a> {
    client: Client,
    providers: &'a Providers<'a>,
    operation: Operation,
    /// The path of a request for candidates.
    path: Option<String>,
    /// The next consumer number; no other sender uses the same numbers.
    next: u64,
    step: u64,
}

/// The latency of a request, and that of the pair's second request.
pub(super) struct Sent {
    pub(super) first: Duration,
    pub(super) second: Option<Duration>,
}

impl<'a> Sender<'a> {
    /// The sender with this number, among `of` senders.
    pub(super) fn new(operation: Operation, providers: &'a Providers<'a>, number: u32, of: u32) -> Self {
        let resources = "/allocation_candidates?resources=VCPU:2,MEMORY_MB:4096,DISK_GB:40";
        Self {
            client: providers.client.another(),
            path: operation.query(providers).map(|query| format!("{resources}{query}")),
            providers,
            operation,
            next: 1 << 41 | u64::from(number),
            step: of.into(),
        }
    }

    pub(super) fn send(&mut self) -> Result<Sent, RequestError> {
        if let Some(path) = &self.path {
            let started = Instant::now();
            self.client.get(path)?;
            return Ok(Sent { first: started.elapsed(), second: None });
        }
        if self.operation == Operation::AllocateMany {
            return self.send_many();
        }
        let (consumer, body) = self.consumer();
        let path = format!("/allocations/{consumer}");
        let started = Instant::now();
        self.client.put(&path, &body)?;
        let between = Instant::now();
        // A leftover consumer would prevent the removal of its provider.
        let removed = self.client.delete(&path).or_else(|_| self.client.delete(&path));
        removed?;
        Ok(Sent { first: between - started, second: Some(between.elapsed()) })
    }

    fn send_many(&mut self) -> Result<Sent, RequestError> {
        let mut bodies: Map<String, Value> = (0..MANY).map(|_| self.consumer()).collect();
        let claims = Value::Object(bodies.clone());
        for body in bodies.values_mut() {
            body["allocations"] = json!({});
            body["consumer_generation"] = json!(1);
        }
        let removals = Value::Object(bodies);
        let started = Instant::now();
        self.client.post("/allocations", &claims)?;
        let between = Instant::now();
        let removed = self.client.post("/allocations", &removals);
        removed.or_else(|_| self.client.post("/allocations", &removals))?;
        Ok(Sent { first: between - started, second: Some(between.elapsed()) })
    }

    /// A new consumer and its allocations on some provider.
    fn consumer(&mut self) -> (String, Value) {
        let uuids = self.providers.uuids();
        self.next += self.step;
        #[allow(clippy::cast_possible_truncation)] // any provider is fine
        let provider = uuids[scattered(self.next) as usize % uuids.len()];
        let body = json!({
            "allocations": { provider.to_string(): { "resources": { "VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 40 } } },
            "consumer_generation": null,
            "project_id": "berth-bench",
            "user_id": "berth-bench",
        });
        (self.providers.uuid(self.next).to_string(), body)
    }
}

/// Mixes the bits, so that consecutive numbers select distant providers.
const fn scattered(number: u64) -> u64 {
    let mixed = (number ^ number >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed >> 32
}
