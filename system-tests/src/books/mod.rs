//! The state of instances according to the service and to the hosts, and the contradictions between
//! both.

mod action;

use std::collections::{BTreeMap, BTreeSet};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::server_group::Policy;
use berth_compute_agent::{Found, ObservedState};
use tonic::Status;
use tonic::transport::Channel;

pub use action::{Action, named};

/// A page size that no list of these tests exceeds.
const ALL: u32 = 1000;

/// Amounts by provider and resource class.
type Held = BTreeMap<(String, String), u64>;

/// The state of all instances, as the service and the hosts have it.
#[derive(Debug)]
pub struct Books {
    /// The instances, as the service has them.
    pub instances: Vec<v1::Instance>,
    hosts: Vec<v1::Host>,
    groups: Vec<v1::ServerGroup>,
    /// What each consumer holds.
    held: BTreeMap<String, Held>,
    /// The migrations that are open.
    moves: Vec<v1::Migration>,
    /// Of each host, the guests on it.
    guests: BTreeMap<String, Vec<Found>>,
}

impl Books {
    /// Reads the state of the service. The guests of the hosts are given.
    ///
    /// # Errors
    /// The status of a failed call.
    pub async fn read(channel: &Channel, guests: BTreeMap<String, Vec<Found>>) -> Result<Self, Status> {
        let mut fleet = FleetClient::new(channel.clone());
        let wanted = v1::ListHostsRequest { page_size: ALL, ..v1::ListHostsRequest::default() };
        let hosts = fleet.list_hosts(wanted).await?.into_inner().hosts;
        let wanted = v1::ListServerGroupsRequest { page_size: ALL, ..v1::ListServerGroupsRequest::default() };
        let groups = fleet.list_server_groups(wanted).await?.into_inner().groups;
        let held = held(channel, &hosts).await?;
        let wanted = v1::ListInstancesRequest { page_size: ALL, ..v1::ListInstancesRequest::default() };
        let instances = InstancesClient::new(channel.clone()).list(wanted).await?.into_inner().instances;
        let wanted = v1::ListMigrationsRequest { page_size: ALL, ..v1::ListMigrationsRequest::default() };
        let mut moves =
            InstancesClient::new(channel.clone()).list_migrations(wanted).await?.into_inner().migrations;
        moves.retain(|migration| {
            !["confirmed", "reverted", "failed", "completed", "cancelled"]
                .contains(&migration.status.as_str())
        });
        Ok(Self { instances, hosts, groups, held, moves, guests })
    }

    /// Violations of the rules that hold when nothing is in progress.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found: Vec<String> = self.hosts.iter().filter_map(|host| self.of_host(host)).collect();
        found.extend(self.hosts.iter().filter_map(|host| self.of_remains(host)));
        let is_known = |name: &&String| self.hosts.iter().any(|host| host.name == **name);
        let unknown = self.guests.keys().filter(|name| !is_known(name));
        found.extend(unknown.map(|name| format!("host {name} is not known")));
        found.extend(self.instances.iter().flat_map(|instance| self.of_instance(instance)));
        found.extend(self.groups.iter().filter_map(|group| self.of_group(group)));
        found.extend(self.moves.iter().flat_map(|migration| self.of_move(migration)));
        let instances = self.instances.iter().map(|instance| &instance.uuid);
        let known: BTreeSet<&String> =
            instances.chain(self.moves.iter().map(|migration| &migration.uuid)).collect();
        let unknown = self.held.iter().filter(|(consumer, _)| !known.contains(consumer));
        found.extend(unknown.map(|(consumer, held)| format!("{consumer} is no instance and holds {held:?}")));
        for (host, guests) in &self.guests {
            let strays = guests.iter().filter(|guest| !known.contains(&guest.instance.to_string()));
            found.extend(
                strays
                    .filter(|guest| guest.power != ObservedState::Absent)
                    .map(|guest| format!("on {host} there is a guest of no instance: {guest:?}")),
            );
        }
        found
    }

    fn of_host(&self, host: &v1::Host) -> Option<String> {
        let mut sums = BTreeMap::<&String, u64>::new();
        for ((provider, class), amount) in self.held.values().flatten() {
            if *provider == host.provider {
                *sums.entry(class).or_default() += amount;
            }
        }
        let is_sum = host.usages.iter().all(|(class, used)| sums.get(class).copied().unwrap_or(0) == *used);
        match (host.is_up, is_sum) {
            (true, true) => None,
            (false, _) => Some(format!("host {} is down", host.name)),
            (true, false) => {
                Some(format!("host {}: {:?} are used, {sums:?} are held", host.name, host.usages))
            }
        }
    }

    /// A host that has not reported yet that nothing is left of a guest is no target for it.
    fn of_remains(&self, host: &v1::Host) -> Option<String> {
        let moves = |instance: &v1::Instance| {
            let is_side = |of: &v1::Migration| [&of.source_host, &of.target_host].contains(&&host.name);
            self.moves.iter().any(|of| of.instance == instance.uuid && is_side(of))
        };
        let there = self.instances.iter().filter(|of| of.host == host.name || moves(of)).count();
        let name = &host.name;
        (host.instances as usize != there)
            .then(|| format!("host {name} may have {} instances instead of {there}", host.instances))
    }

    fn of_instance(&self, instance: &v1::Instance) -> Vec<String> {
        let v1::Instance { uuid, status, task_state, host, fault, .. } = instance;
        let mut wrong = Vec::new();
        if !task_state.is_empty() {
            wrong.push(format!("is still {task_state}"));
        }
        if status == "ERROR" && fault.is_empty() {
            wrong.push("is an error without reasons".to_owned());
        }
        let places = self.places(uuid);
        match state_of(status) {
            Some(power) if places != [(host.as_str(), power)] => wrong.push(format!("has guests {places:?}")),
            // One that was never built is nowhere; one whose guest failed is at most on its host.
            None if places.iter().any(|(place, _)| place != host) => {
                wrong.push(format!("has guests {places:?}"));
            }
            _ => {}
        }
        let (held, due) = (self.held.get(uuid).cloned().unwrap_or_default(), self.due(instance));
        if held != due {
            wrong.push(format!("holds {held:?} instead of {due:?}"));
        }
        let about = format!("{} ({uuid}) on {host:?}, {status}, {fault:?}:", instance.name);
        wrong.into_iter().map(|wrong| format!("{about} {wrong}")).collect()
    }

    /// Where guests of the instance are.
    fn places(&self, instance: &str) -> Vec<(&str, ObservedState)> {
        let all = self.guests.iter().flat_map(|(host, guests)| guests.iter().map(move |guest| (host, guest)));
        let its = all.filter(|(_, guest)| {
            guest.instance.to_string() == instance && guest.power != ObservedState::Absent
        });
        its.map(|(host, guest)| (host.as_str(), guest.power)).collect()
    }

    /// What the instance has to hold: its flavor on its host, unless it is shelved or has none.
    fn due(&self, instance: &v1::Instance) -> Held {
        let host = self.hosts.iter().find(|host| host.name == instance.host);
        let (Some(host), Some(flavor)) = (host, &instance.flavor) else { return Held::new() };
        if instance.status == "SHELVED_OFFLOADED" {
            return Held::new();
        }
        let amounts = [("VCPU", flavor.vcpus), ("MEMORY_MB", flavor.memory_mb), ("DISK_GB", flavor.root_gb)];
        let key = |class: &str| (host.provider.clone(), class.to_owned());
        amounts.into_iter().map(|(class, amount)| (key(class), amount.into())).collect()
    }

    /// While a move waits for its confirmation, the source has the former disks, and the migration
    /// holds it.
    fn of_move(&self, migration: &v1::Migration) -> Vec<String> {
        let mut wrong = Vec::new();
        let places = self.places(&migration.uuid);
        if migration.status != "finished"
            || places != [(migration.source_host.as_str(), ObservedState::Shelved)]
        {
            wrong.push(format!("is {}, with disks {places:?}", migration.status));
        }
        let source = self.hosts.iter().find(|host| host.name == migration.source_host);
        let held = self.held.get(&migration.uuid).into_iter().flatten();
        let providers: BTreeSet<_> = held.map(|((provider, _), _)| provider).collect();
        if !source.is_some_and(|source| providers.iter().eq([&&source.provider])) {
            wrong.push(format!("holds {providers:?}"));
        }
        let about = format!("migration {} from {}:", migration.uuid, migration.source_host);
        wrong.into_iter().map(|wrong| format!("{about} {wrong}")).collect()
    }

    fn of_group(&self, group: &v1::ServerGroup) -> Option<String> {
        let members = self.instances.iter().filter(|one| group.members.contains(&one.uuid));
        let hosts: Vec<&str> = members.map(|one| one.host.as_str()).filter(|host| !host.is_empty()).collect();
        let apart = hosts.iter().collect::<BTreeSet<_>>().len() == hosts.len();
        let is_broken = group.policy() == Policy::AntiAffinity && !apart;
        is_broken.then(|| format!("group {} is not apart: {hosts:?}", group.name))
    }
}

/// How the guest of an instance with this status is; nothing if that is not known.
fn state_of(status: &str) -> Option<ObservedState> {
    match status {
        // The tests move instances that run.
        "ACTIVE" | "VERIFY_RESIZE" => Some(ObservedState::Running),
        "SHUTOFF" => Some(ObservedState::ShutDown),
        "PAUSED" => Some(ObservedState::Paused),
        "SUSPENDED" => Some(ObservedState::Saved),
        "SHELVED_OFFLOADED" => Some(ObservedState::Shelved),
        _ => None,
    }
}

/// What is held on these hosts.
async fn held(channel: &Channel, hosts: &[v1::Host]) -> Result<BTreeMap<String, Held>, Status> {
    let mut placement = PlacementClient::new(channel.clone());
    let mut held = BTreeMap::<String, Held>::new();
    for host in hosts {
        let provider = host.provider.clone();
        let wanted =
            v1::ListConsumersRequest { page_size: ALL, provider, ..v1::ListConsumersRequest::default() };
        for consumer in placement.list_consumers(wanted).await?.into_inner().consumers {
            let amounts = consumer.allocations.into_iter().flat_map(|allocation| {
                let provider = allocation.provider;
                allocation
                    .resources
                    .into_iter()
                    .map(move |(class, amount)| ((provider.clone(), class), amount.into()))
            });
            held.insert(consumer.uuid, amounts.collect());
        }
    }
    Ok(held)
}
