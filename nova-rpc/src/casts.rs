//! Announcements of nova-api and nova-compute to all schedulers.

use std::collections::BTreeMap;

use berth_scheduler::AggregateRecord;
use berth_scheduler::hosts::InstanceRecord;
use berth_scheduler::python::Value;
use serde::Deserialize;
use uuid::Uuid;

use crate::object::{Object, Objects};

/// `update_aggregates`: aggregates as they are now.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateAggregates {
    pub(crate) aggregates: Vec<Object<AggregateRecord>>,
}

/// `delete_aggregate`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteAggregate {
    pub(crate) aggregate: Object<AggregateRecord>,
}

/// `update_instance_info`: instances of a host that are new or have changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateInstanceInfo {
    pub(crate) host_name: String,
    pub(crate) instance_info: Object<Objects<Instance>>,
}

/// `delete_instance_info`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteInstanceInfo {
    pub(crate) host_name: String,
    pub(crate) instance_uuid: Uuid,
}

/// `sync_instance_info`: all instances of a host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyncInstanceInfo {
    pub(crate) host_name: String,
    pub(crate) instance_uuids: Vec<Uuid>,
}

/// `Instance`, as far as filters and weighers look at it.
#[derive(Debug, Deserialize)]
pub(crate) struct Instance {
    uuid: Uuid,
    #[serde(default)]
    system_metadata: Option<BTreeMap<String, Option<String>>>,
}

/// The key of the system metadata begins with this where it is a property of the image.
const IMAGE: &str = "image_";

impl Instance {
    pub(crate) fn record(self) -> InstanceRecord {
        let metadata = self.system_metadata.unwrap_or_default().into_iter();
        let property = |(key, value): (String, Option<String>)| {
            Some((key.strip_prefix(IMAGE)?.to_owned(), Value::Text(value?)))
        };
        let image_properties = metadata.filter_map(property).collect();
        InstanceRecord { image_properties, ..InstanceRecord::new(self.uuid) }
    }
}
