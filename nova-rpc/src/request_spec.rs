//! Request specs as conductors send them.

use std::collections::{BTreeMap, BTreeSet};

use berth_scheduler::RequestSpec;
use berth_scheduler::numa::{InstanceCell, InstanceTopology, NetworkMetadata};
use berth_scheduler::pci::PciRequest;
use berth_scheduler::request_spec::{
    CheckType, Destination, GroupPolicyKind, GroupRules, RequestLevelParams, RequestedFlavor, RequesterGroup,
    ServerGroup,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::image::ImageMeta;
use crate::object::Object;

/// `RequestSpec`. A field that is absent has the same meaning as one that is null.
#[derive(Debug, Deserialize)]
pub(crate) struct WireSpec {
    #[serde(default)]
    image: Option<Object<ImageMeta>>,
    #[serde(default)]
    numa_topology: Option<Object<WireTopology>>,
    #[serde(default)]
    pci_requests: Option<Object<PciRequests>>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    availability_zone: Option<String>,
    flavor: Object<RequestedFlavor>,
    #[serde(default)]
    num_instances: Option<u32>,
    #[serde(default)]
    ignore_hosts: Option<Vec<String>>,
    #[serde(default)]
    force_hosts: Option<Vec<String>>,
    #[serde(default)]
    force_nodes: Option<Vec<String>>,
    #[serde(default)]
    requested_destination: Option<Object<WireDestination>>,
    #[serde(default)]
    instance_group: Option<Object<InstanceGroup>>,
    #[serde(default)]
    scheduler_hints: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    instance_uuid: Option<Uuid>,
    #[serde(default)]
    network_metadata: Option<Object<NetworkMetadata>>,
    #[serde(default)]
    is_bfv: Option<bool>,
    #[serde(default)]
    requested_resources: Option<Vec<Object<WireGroup>>>,
    #[serde(default)]
    request_level_params: Option<Object<LevelParams>>,
}

#[derive(Debug, Deserialize)]
struct WireTopology {
    cells: Vec<Object<InstanceCell>>,
    #[serde(default)]
    emulator_threads_policy: Option<berth_scheduler::numa::EmulatorThreadsPolicy>,
}

#[derive(Debug, Deserialize)]
struct PciRequests {
    #[serde(default)]
    requests: Vec<Object<PciRequest>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireDestination {
    host: Option<String>,
    node: Option<String>,
    // The rest of it, database and bus of the cell, is never read.
    cell: Option<Object<Cell>>,
    aggregates: Option<Vec<String>>,
    allow_cross_cell_move: Option<bool>,
    forbidden_aggregates: Option<BTreeSet<Uuid>>,
}

#[derive(Debug, Default, Deserialize)]
struct Cell {
    uuid: String,
}

/// `InstanceGroup`, which conductor filled with members and hosts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InstanceGroup {
    uuid: Option<Uuid>,
    policy: Option<String>,
    /// The field of versions before 1.11, and still sent.
    policies: Option<Vec<String>>,
    #[serde(rename = "_rules")]
    rules: Option<BTreeMap<String, String>>,
    members: Option<Vec<Uuid>>,
    hosts: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireGroup {
    requester_id: Option<String>,
    resources: BTreeMap<String, i64>,
    required_traits: BTreeSet<String>,
    forbidden_traits: BTreeSet<String>,
    aggregates: Vec<BTreeSet<Uuid>>,
    forbidden_aggregates: BTreeSet<Uuid>,
    in_tree: Option<Uuid>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LevelParams {
    root_required: BTreeSet<String>,
    root_forbidden: BTreeSet<String>,
    same_subtree: Vec<Vec<String>>,
}

impl WireSpec {
    /// The request as the decider reads it. The user is that of the context where the spec names
    /// none.
    pub(crate) fn spec(self, context_user: Option<&str>) -> Result<RequestSpec, String> {
        let image = self.image.map(|Object(image)| image.image()).transpose();
        let hints = self.scheduler_hints.unwrap_or_default();
        // Conductor alone can send this hint: nova-api refuses hints that begin with an underscore.
        let check_type = hints.get(CheckType::HINT).and_then(|values| CheckType::from_conductor(values));
        let destination = self.requested_destination.map(|Object(wire)| wire.destination());
        let defaults = RequestSpec::default();
        Ok(RequestSpec {
            instance_uuid: self.instance_uuid.unwrap_or_default(),
            project_id: self.project_id.unwrap_or_default(),
            user_id: self.user_id.or_else(|| context_user.map(str::to_owned)).unwrap_or_default(),
            num_instances: self.num_instances.unwrap_or(1),
            availability_zone: self.availability_zone.filter(|zone| !zone.is_empty()),
            flavor: self.flavor.0,
            image: image.map_err(|problem| format!("image.{problem}"))?,
            is_bfv: self.is_bfv.unwrap_or(false),
            scheduler_hints: hints.into_iter().collect(),
            instance_group: self.instance_group.map(|Object(group)| group.group()),
            ignore_hosts: self.ignore_hosts.unwrap_or_default(),
            force_hosts: self.force_hosts.unwrap_or_default(),
            force_nodes: self.force_nodes.unwrap_or_default(),
            requested_destination: destination.transpose()?,
            numa_topology: self.numa_topology.map(|Object(wire)| wire.topology()),
            pci_requests: self
                .pci_requests
                .map(|Object(list)| list.requests.into_iter().map(|Object(request)| request).collect()),
            requested_resources: self
                .requested_resources
                .unwrap_or_default()
                .into_iter()
                .map(|Object(group)| group.group())
                .collect(),
            request_level_params: self
                .request_level_params
                .map(|Object(params)| params.params())
                .unwrap_or_default(),
            network_metadata: self.network_metadata.map(|Object(metadata)| metadata),
            check_type,
            ..defaults
        })
    }
}

impl WireTopology {
    fn topology(self) -> InstanceTopology {
        InstanceTopology {
            cells: self.cells.into_iter().map(|Object(cell)| cell).collect(),
            emulator_threads_policy: self.emulator_threads_policy.unwrap_or_default(),
        }
    }
}

impl WireDestination {
    fn destination(self) -> Result<Destination, String> {
        let allow_cross_cell_move = self.allow_cross_cell_move.unwrap_or(false);
        let aggregates = self.aggregates.unwrap_or_default();
        let aggregates = aggregates.iter().map(|set| Destination::aggregate_set(set));
        Ok(Destination {
            host: self.host,
            node: self.node,
            is_cell_bound: self.cell.is_some() && !allow_cross_cell_move,
            cell_uuid: self.cell.map(|Object(cell)| cell.uuid),
            allow_cross_cell_move,
            aggregates: aggregates
                .collect::<Result<_, _>>()
                .map_err(|error| format!("requested_destination.aggregates: {error}"))?,
            forbidden_aggregates: self.forbidden_aggregates.unwrap_or_default(),
        })
    }
}

impl InstanceGroup {
    fn group(self) -> ServerGroup {
        let first = self.policies.and_then(|policies| policies.into_iter().next());
        let policy = self.policy.or(first);
        let rules = self.rules.unwrap_or_default();
        ServerGroup {
            uuid: self.uuid,
            policy: policy.and_then(|name| GroupPolicyKind::of_name(&name)),
            rules: GroupRules::of_text(rules.get("max_server_per_host").map(String::as_str)),
            members: self.members.unwrap_or_default(),
            hosts: self.hosts.unwrap_or_default(),
        }
    }
}

impl WireGroup {
    fn group(self) -> RequesterGroup {
        RequesterGroup {
            requester_id: self.requester_id,
            resources: self.resources,
            required_traits: self.required_traits,
            forbidden_traits: self.forbidden_traits,
            aggregates: self.aggregates,
            forbidden_aggregates: self.forbidden_aggregates,
            in_tree: self.in_tree,
        }
    }
}

impl LevelParams {
    fn params(self) -> RequestLevelParams {
        let Self { root_required, root_forbidden, same_subtree } = self;
        RequestLevelParams { root_required, root_forbidden, same_subtree }
    }
}
