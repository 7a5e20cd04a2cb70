//! Methods that a scheduler serves, by namespace and version.

use berth_scheduler::hosts::InstanceRecord;
use berth_scheduler::{AggregateRecord, RequestSpec};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::casts::{
    DeleteAggregate, DeleteInstanceInfo, SyncInstanceInfo, UpdateAggregates, UpdateInstanceInfo,
};
use crate::envelope::Message;
use crate::failure::RpcFailure;
use crate::object::Object;
use crate::request_spec::WireSpec;

/// A request or an announcement.
#[derive(Debug)]
pub enum Call {
    /// Whether the service lives; the argument comes back.
    Ping(serde_json::Value),
    /// The port of a debugger: there is none.
    BackdoorPort,
    /// Hosts for instances.
    SelectDestinations(Box<DestinationsRequest>),
    /// Aggregates that are new or have changed.
    UpdateAggregates(Vec<AggregateRecord>),
    /// An aggregate that is gone, by its number.
    DeleteAggregate(u64),
    /// Instances of a host that are new or have changed.
    UpdateInstances {
        /// The service host.
        host: String,
        /// The instances.
        instances: Vec<InstanceRecord>,
    },
    /// An instance that is gone.
    DeleteInstance {
        /// The service host.
        host: String,
        /// The instance.
        uuid: Uuid,
    },
    /// All instances of a host.
    SyncInstances {
        /// The service host.
        host: String,
        /// The instances.
        uuids: Vec<Uuid>,
    },
}

/// A request for hosts.
#[derive(Debug)]
pub struct DestinationsRequest {
    /// The needs of each instance, and the restrictions of its host.
    pub spec: RequestSpec,
    /// The instances. None where the caller is a conductor of before version 4.4, which claims
    /// nothing either.
    pub instances: Option<Vec<Uuid>>,
    /// Whether the caller reads Selection objects.
    pub returns_objects: bool,
    /// Whether the caller reads alternates.
    pub returns_alternates: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectArguments {
    spec_obj: Option<Object<WireSpec>>,
    #[serde(default)]
    instance_uuids: Option<Vec<Uuid>>,
    #[serde(default)]
    return_objects: Option<bool>,
    #[serde(default)]
    return_alternates: Option<bool>,
    #[serde(default, rename = "request_spec")]
    _request_spec: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "filter_properties")]
    _filter_properties: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PingArguments {
    arg: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

/// The minor version up to which a namespace is served, all of one major version.
const SCHEDULER: (u32, u32) = (4, 5);
const BASE: (u32, u32) = (1, 1);

impl Call {
    /// Reads a message.
    ///
    /// # Errors
    /// The exception for a namespace, a version, a method or arguments that the scheduler does not
    /// serve.
    pub fn read(message: &Message) -> Result<Self, RpcFailure> {
        let Message { method, namespace, version, .. } = message;
        match namespace.as_deref() {
            None | Some("") if serves(SCHEDULER, version) => scheduler(message),
            Some("baseapi") if serves(BASE, version) => base(message),
            _ => Err(RpcFailure::unsupported_version(version, method)),
        }
    }
}

/// Whether a server of this version serves a caller of that: the same major version, and no newer
/// minor one.
fn serves((major, minor): (u32, u32), asked: &str) -> bool {
    let mut parts = asked.split('.').map(str::parse::<u32>);
    let (Some(Ok(asked_major)), Some(Ok(asked_minor))) = (parts.next(), parts.next()) else { return false };
    asked_major == major && asked_minor <= minor
}

fn base(message: &Message) -> Result<Call, RpcFailure> {
    match message.method.as_str() {
        "ping" => arguments(message).map(|PingArguments { arg }| Call::Ping(arg)),
        "get_backdoor_port" => arguments(message).map(|NoArguments {}| Call::BackdoorPort),
        other => Err(RpcFailure::no_such_method(other)),
    }
}

fn scheduler(message: &Message) -> Result<Call, RpcFailure> {
    match message.method.as_str() {
        "select_destinations" => select(message),
        "update_aggregates" => {
            let UpdateAggregates { aggregates } = arguments(message)?;
            Ok(Call::UpdateAggregates(aggregates.into_iter().map(|Object(one)| one).collect()))
        }
        "delete_aggregate" => {
            arguments(message).map(|DeleteAggregate { aggregate }| Call::DeleteAggregate(aggregate.0.id))
        }
        "update_instance_info" => {
            let UpdateInstanceInfo { host_name: host, instance_info } = arguments(message)?;
            let instances = instance_info.0.objects.into_iter().map(|Object(one)| one.record()).collect();
            Ok(Call::UpdateInstances { host, instances })
        }
        "delete_instance_info" => {
            let DeleteInstanceInfo { host_name: host, instance_uuid: uuid } = arguments(message)?;
            Ok(Call::DeleteInstance { host, uuid })
        }
        "sync_instance_info" => {
            let SyncInstanceInfo { host_name: host, instance_uuids: uuids } = arguments(message)?;
            Ok(Call::SyncInstances { host, uuids })
        }
        other => Err(RpcFailure::no_such_method(other)),
    }
}

fn select(message: &Message) -> Result<Call, RpcFailure> {
    let arguments: SelectArguments = arguments(message)?;
    // The dictionaries of version 4.0 were last sent by Nova 12.
    let Some(Object(wire)) = arguments.spec_obj else {
        return Err(RpcFailure::exception(
            "ValueError",
            "spec_obj is needed: no supported conductor omits it",
        ));
    };
    let spec = wire.spec(message.user_id());
    let spec = spec.map_err(|problem| RpcFailure::exception("ValueError", &format!("spec_obj.{problem}")))?;
    let returns_objects = arguments.return_objects.unwrap_or(false);
    Ok(Call::SelectDestinations(Box::new(DestinationsRequest {
        spec,
        instances: arguments.instance_uuids,
        returns_objects,
        returns_alternates: returns_objects && arguments.return_alternates.unwrap_or(false),
    })))
}

fn arguments<T: DeserializeOwned>(message: &Message) -> Result<T, RpcFailure> {
    let text = message.args.as_ref().map_or("{}", |args| args.get());
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| RpcFailure::bad_arguments(&format!("{}(): {error}", message.method)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_minor_and_other_major_versions_are_refused() {
        let served = ["4.5", "4.0", "4.3"];
        assert!(served.iter().all(|version| serves(SCHEDULER, version)));
        let refused = ["4.6", "5.0", "3.9", "4", "", "four.five", "1.0"];
        assert!(!refused.iter().any(|version| serves(SCHEDULER, version)));
    }
}
