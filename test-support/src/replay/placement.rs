//! Vectors of the Placement query: pre-filters, query text and errors.

use std::collections::{BTreeMap, BTreeSet};
use std::num::IntErrorKind;

use berth_scheduler::placement_query::{
    ComputeNode, DeviceRequest, PlacementQuery, PrefilterFacts, QueryError, RequestedNetwork, placement_query,
};
use berth_scheduler::request_spec::Destination;
use berth_scheduler::{AggregateRecord, Options, RequestSpec};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// One line of a vector file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    id: String,
    input: Case,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "schema")]
    _schema: String,
    #[serde(rename = "id")]
    _id: Option<String>,
    #[serde(default)]
    config: Options,
    #[serde(default)]
    aggregates: Vec<AggregateRecord>,
    #[serde(default)]
    computes: Vec<ComputeRecord>,
    #[serde(default = "every_compute_is_new")]
    min_compute_version: u32,
    networks: Option<Vec<NetworkRecord>>,
    request: Map<String, Value>,
}

fn every_compute_is_new() -> u32 {
    73
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComputeRecord {
    host: String,
    node: String,
    uuid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkRecord {
    aggregates: BTreeSet<Uuid>,
    remote_managed: bool,
}

#[derive(Deserialize)]
struct DeviceRecord {
    request_id: String,
    alias_name: Option<String>,
    count: u32,
    spec: Vec<BTreeMap<String, String>>,
}

/// Nova's answer: an error, or a query and what belongs to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(deserialize_with = "Option::deserialize")]
    error: Option<ExpectedError>,
    querystring: Option<String>,
    params: Option<Vec<(String, String)>>,
    fallback_querystring: Option<String>,
    cpu_pinning_requested: Option<bool>,
    destination: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedError {
    r#type: String,
    message: String,
}

/// Checks one line of a vector file.
///
/// # Errors
///
/// What differs, after the case's id.
pub fn check(line: &str) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(line);
    let vector: Vector = serde_path_to_error::deserialize(&mut reader).map_err(|error| error.to_string())?;
    vector
        .input
        .answer()
        .and_then(|answer| vector.expected.compare(answer))
        .map_err(|error| format!("{}: {error}", vector.id))
}

impl ComputeRecord {
    fn node(&self) -> Result<ComputeNode, String> {
        let uuid = self.uuid.parse().map_err(|_| format!("no UUID: {}", self.uuid))?;
        Ok(ComputeNode { host: self.host.clone(), node: self.node.clone(), uuid, cell_uuid: None })
    }
}

impl Case {
    fn answer(self) -> Result<(RequestSpec, Result<PlacementQuery, QueryError>), String> {
        let mut spec = self.spec()?;
        let computes = self.computes.iter().map(ComputeRecord::node).collect::<Result<Vec<_>, _>>()?;
        let networks: Option<Vec<_>> = self.networks.as_ref().map(|all| {
            let network = |n: &NetworkRecord| RequestedNetwork {
                aggregates: n.aggregates.clone(),
                remote_managed: n.remote_managed,
            };
            all.iter().map(network).collect()
        });
        let known = PrefilterFacts {
            aggregates: &self.aggregates,
            computes: &computes,
            oldest_compute: self.min_compute_version,
            networks: networks.as_deref(),
        };
        let answer = match self.add_device_groups(&mut spec)? {
            Ok(()) => placement_query(&mut spec, &self.config, &known),
            Err(error) => Err(error),
        };
        Ok((spec, answer))
    }

    fn spec(&self) -> Result<RequestSpec, String> {
        let request = Value::Object(self.request.clone());
        serde_path_to_error::deserialize(request).map_err(|error| error.to_string())
    }

    /// What the API adds to a request when devices are tracked in Placement.
    fn add_device_groups(&self, spec: &mut RequestSpec) -> Result<Result<(), QueryError>, String> {
        let wanted = self.request.get("generate_pci_groups") == Some(&Value::Bool(true));
        if !wanted || !self.config.filter_scheduler.pci_in_placement {
            return Ok(Ok(()));
        }
        let records = self.request.get("pci_requests").cloned().unwrap_or(Value::Array(Vec::new()));
        let records: Vec<DeviceRecord> =
            serde_json::from_value(records).map_err(|error| error.to_string())?;
        for record in records.into_iter().filter(|record| record.alias_name.is_some()) {
            let DeviceRecord { request_id, count, spec: specs, .. } = record;
            match (DeviceRequest { request_id, count, specs }).groups() {
                Ok(groups) => spec.requested_resources.extend(groups),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }
}

impl Expected {
    fn compare(
        &self,
        (spec, answer): (RequestSpec, Result<PlacementQuery, QueryError>),
    ) -> Result<(), String> {
        match (answer, &self.error) {
            (Ok(query), None) => self.compare_query(&spec, &query),
            (Err(error), Some(expected)) => {
                let query = (&self.querystring, &self.params, &self.fallback_querystring);
                equal("query beside an error", &(&None, &None, &None), &query)?;
                let rest = (&self.cpu_pinning_requested, &self.destination);
                equal("answer beside an error", &(&None, &None), &rest)?;
                expected.compare(&error)
            }
            (Ok(_), Some(expected)) => {
                Err(format!("no error, Nova raises {}: {}", expected.r#type, expected.message))
            }
            (Err(error), None) => Err(format!("{error}; Nova asks {:?}", self.querystring)),
        }
    }

    fn compare_query(&self, spec: &RequestSpec, query: &PlacementQuery) -> Result<(), String> {
        let nova = self.querystring.as_deref().map(within_64_bits);
        equal("query", &Some(query.request.to_query_string()), &nova)?;
        let named = query.request.to_parameters().into_iter().filter(|(_, value)| !value.is_empty());
        let nova: Option<Vec<(String, String)>> = self.params.as_ref().map(|params| {
            let bounded = |(name, value): &(String, String)| (name.clone(), within_64_bits(value));
            params.iter().map(bounded).collect()
        });
        equal("parameters", &Some(named.collect()), &nova)?;
        let fallback = query.fallback.as_ref().map(|request| request.to_query_string());
        let nova = self.fallback_querystring.as_deref().map(within_64_bits);
        equal("fallback", &fallback, &nova)?;
        equal("pinning", &Some(query.request.cpu_pinning_requested), &self.cpu_pinning_requested)?;
        let nova = self.destination.as_ref().filter(|destination| !destination.is_null());
        let nova = nova.map(read_destination).transpose()?;
        equal("destination", &spec.requested_destination.as_ref().map(plain), &nova.as_ref().map(plain))
    }
}

/// The text with the largest number of 64 bits in the place of larger ones: no provider has as much
/// (`docs/nova-differences.md`).
fn within_64_bits(text: &str) -> String {
    let digits = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    let mut parts: Vec<String> = Vec::new();
    for c in text.chars() {
        match parts.last_mut() {
            Some(part) if digits(part) == c.is_ascii_digit() => part.push(c),
            _ => parts.push(c.into()),
        }
    }
    let bounded = |part: String| match part.parse::<u64>() {
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => u64::MAX.to_string(),
        _ => part,
    };
    parts.into_iter().map(bounded).collect()
}

/// A destination of which every field has a reader.
fn read_destination(value: &Value) -> Result<Destination, String> {
    let mut unread = Vec::new();
    let read = serde_ignored::deserialize(value, |path| unread.push(path.to_string()));
    match unread.first() {
        Some(field) => Err(format!("nothing reads destination.{field}")),
        None => read.map_err(|error: serde_json::Error| error.to_string()),
    }
}

type PlainDestination = (Option<String>, Option<String>, Vec<BTreeSet<Uuid>>, BTreeSet<Uuid>);

/// What a request for candidates contains of a destination.
fn plain(destination: &Destination) -> PlainDestination {
    let Destination { host, node, aggregates, forbidden_aggregates, .. } = destination.clone();
    (host, node, aggregates, forbidden_aggregates)
}

impl ExpectedError {
    /// The class has to be Nova's, and the message where callers act on it or users know it.
    fn compare(&self, error: &QueryError) -> Result<(), String> {
        equal("error", &error.nova_class(), &self.r#type.as_str())?;
        match error {
            QueryError::RequestFilterFailed(_) | QueryError::NoSuchHost { .. } | QueryError::Invalid(_) => {
                equal("message", &error.to_string(), &self.message)
            }
            _ => Ok(()),
        }
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, novas: &T) -> Result<(), String> {
    if ours == novas { Ok(()) } else { Err(format!("{what} is\n  {ours:?}, Nova's\n  {novas:?}")) }
}
