//! Records from and to the types of the crate `fleet`.

use std::sync::Arc;

use berth_fleet::{
    AgentProvider, Aggregate, CpuFeatures, Desired, Event, Flavor, Group, Host, HostStatus, HypervisorInfo,
    Image, Instance, InstanceSpec, KeyPair, Location, Lock, MigrationTarget, Observed, Operation, Power,
    Quota, RebuildRecord, RequestedZone, ServerGroupPolicy, VmState,
};
use berth_placement::Timestamp;
use berth_scheduler::request_spec::SchedulerHints;
use uuid::Uuid;

use super::{
    StoredAgentProvider, StoredAggregate, StoredEvent, StoredFlavor, StoredGroup, StoredHints, StoredHost,
    StoredHostStatus, StoredHypervisor, StoredImage, StoredInstance, StoredKeyPair, StoredMigrationTarget,
    StoredPolicy, StoredPower, StoredQuota, StoredRebuild, StoredTask, StoredVmState,
};
use crate::fleet::group_hint;

pub(super) fn bytes(uuid: Uuid) -> Vec<u8> {
    uuid.into_bytes().to_vec()
}

/// The UUID of a record. It was valid when the record was written.
pub(super) fn uuid(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).unwrap_or_default()
}

impl From<&Host> for StoredHost {
    fn from(host: &Host) -> Self {
        let status = match host.status {
            HostStatus::Enabled => StoredHostStatus::Enabled,
            HostStatus::Disabled => StoredHostStatus::Disabled,
            HostStatus::Maintenance => StoredHostStatus::Maintenance,
        };
        Self {
            name: host.name.clone(),
            uuid: bytes(host.uuid),
            status: status.into(),
            reason: host.reason.clone(),
            hypervisor: host.hypervisor.clone().map(Into::into),
            providers: host.providers.iter().map(Into::into).collect(),
            fence: host.fence.as_ref().map(Into::into),
            evacuation: host.evacuation.as_ref().map(Into::into),
        }
    }
}

impl From<StoredHost> for Host {
    fn from(record: StoredHost) -> Self {
        let status = match record.status() {
            StoredHostStatus::Enabled => HostStatus::Enabled,
            StoredHostStatus::Disabled => HostStatus::Disabled,
            StoredHostStatus::Maintenance => HostStatus::Maintenance,
        };
        Self {
            uuid: uuid(&record.uuid),
            name: record.name,
            status,
            reason: record.reason,
            hypervisor: record.hypervisor.map(Into::into),
            providers: record.providers.into_iter().map(Into::into).collect(),
            fence: record.fence.map(Into::into),
            evacuation: record.evacuation.map(Into::into),
        }
    }
}

impl From<HypervisorInfo> for StoredHypervisor {
    fn from(of: HypervisorInfo) -> Self {
        Self {
            kind: of.kind,
            version: of.version,
            libvirt_version: of.libvirt_version,
            is_accelerated: of.is_accelerated,
            architecture: of.architecture,
            cpu_model: of.cpu_model,
            address: of.address,
            agent_version: of.agent_version,
            disks_port: of.disks_port,
            cpu_features: of.cpu_features.to_string(),
            storage: if of.storage.is_nil() { Vec::new() } else { bytes(of.storage) },
            migration_target: of.migration_target.map(|of| StoredMigrationTarget {
                uri: of.uri,
                instances_directory: of.instances_directory,
                images_directory: of.images_directory,
            }),
        }
    }
}

impl From<StoredHypervisor> for HypervisorInfo {
    fn from(of: StoredHypervisor) -> Self {
        Self {
            kind: of.kind,
            version: of.version,
            libvirt_version: of.libvirt_version,
            is_accelerated: of.is_accelerated,
            architecture: of.architecture,
            cpu_model: of.cpu_model,
            address: of.address,
            agent_version: of.agent_version,
            disks_port: of.disks_port,
            cpu_features: CpuFeatures::new(of.cpu_features.split(' ')),
            storage: uuid(&of.storage),
            migration_target: of.migration_target.map(|of| MigrationTarget {
                uri: of.uri,
                instances_directory: of.instances_directory,
                images_directory: of.images_directory,
            }),
        }
    }
}

impl From<&AgentProvider> for StoredAgentProvider {
    fn from(provider: &AgentProvider) -> Self {
        Self {
            uuid: bytes(provider.uuid),
            traits: provider.traits.clone(),
            retired_classes: provider.retired_classes.clone(),
            is_retired: provider.is_retired,
        }
    }
}

impl From<StoredAgentProvider> for AgentProvider {
    fn from(record: StoredAgentProvider) -> Self {
        Self {
            uuid: uuid(&record.uuid),
            traits: record.traits,
            retired_classes: record.retired_classes,
            is_retired: record.is_retired,
        }
    }
}

impl From<&Aggregate> for StoredAggregate {
    fn from(aggregate: &Aggregate) -> Self {
        Self {
            name: aggregate.name.clone(),
            uuid: bytes(aggregate.uuid),
            hosts: aggregate.hosts.clone(),
            metadata: aggregate.metadata.clone(),
        }
    }
}

impl From<StoredAggregate> for Aggregate {
    fn from(record: StoredAggregate) -> Self {
        Self { uuid: uuid(&record.uuid), name: record.name, hosts: record.hosts, metadata: record.metadata }
    }
}

impl From<&Flavor> for StoredFlavor {
    fn from(flavor: &Flavor) -> Self {
        Self {
            name: flavor.name.clone(),
            vcpus: flavor.vcpus,
            memory_mb: flavor.memory_mb,
            root_gb: flavor.root_gb,
            ephemeral_gb: flavor.ephemeral_gb,
            swap_mb: flavor.swap_mb,
            extra_specs: flavor.extra_specs.clone(),
        }
    }
}

impl From<StoredFlavor> for Flavor {
    fn from(record: StoredFlavor) -> Self {
        let StoredFlavor { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs } = record;
        Self { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs }
    }
}

impl From<(Uuid, &Group)> for StoredGroup {
    fn from((uuid, group): (Uuid, &Group)) -> Self {
        let policy = match group.policy {
            ServerGroupPolicy::Affinity => StoredPolicy::Affinity,
            ServerGroupPolicy::AntiAffinity => StoredPolicy::AntiAffinity,
            ServerGroupPolicy::SoftAffinity => StoredPolicy::SoftAffinity,
            ServerGroupPolicy::SoftAntiAffinity => StoredPolicy::SoftAntiAffinity,
        };
        Self {
            uuid: bytes(uuid),
            name: group.name.clone(),
            policy: policy.into(),
            max_server_per_host: group.max_server_per_host,
            project: group.project.clone(),
            idempotency_key: group.idempotency_key.clone(),
        }
    }
}

impl From<StoredGroup> for Group {
    fn from(record: StoredGroup) -> Self {
        let policy = match record.policy() {
            StoredPolicy::Affinity => ServerGroupPolicy::Affinity,
            StoredPolicy::AntiAffinity => ServerGroupPolicy::AntiAffinity,
            StoredPolicy::SoftAffinity => ServerGroupPolicy::SoftAffinity,
            StoredPolicy::SoftAntiAffinity => ServerGroupPolicy::SoftAntiAffinity,
        };
        Self {
            name: record.name,
            policy,
            max_server_per_host: record.max_server_per_host,
            project: record.project,
            idempotency_key: record.idempotency_key,
        }
    }
}

impl From<&Quota> for StoredQuota {
    fn from(quota: &Quota) -> Self {
        let Quota { instances, vcpus, memory_mb, key_pairs } = *quota;
        Self { instances, vcpus, memory_mb, key_pairs }
    }
}

impl From<StoredQuota> for Quota {
    fn from(record: StoredQuota) -> Self {
        let StoredQuota { instances, vcpus, memory_mb, key_pairs } = record;
        Self { instances, vcpus, memory_mb, key_pairs }
    }
}

impl From<&KeyPair> for StoredKeyPair {
    fn from(pair: &KeyPair) -> Self {
        let KeyPair { name, project, public_key, created_at } = pair.clone();
        Self { name, project, public_key, created_at: created_at.0 }
    }
}

impl From<StoredKeyPair> for KeyPair {
    fn from(record: StoredKeyPair) -> Self {
        let StoredKeyPair { name, project, public_key, created_at } = record;
        Self { name, project, public_key, created_at: Timestamp(created_at) }
    }
}

impl From<&Event> for StoredEvent {
    fn from(event: &Event) -> Self {
        Self {
            at: event.at.0,
            action: event.action.clone(),
            user: event.user.clone(),
            message: event.message.clone(),
        }
    }
}

impl From<StoredEvent> for Event {
    fn from(record: StoredEvent) -> Self {
        let StoredEvent { at, action, user, message } = record;
        Self { at: Timestamp(at), action, user, message }
    }
}

impl From<&Image> for StoredImage {
    fn from(image: &Image) -> Self {
        Self { name: image.name.clone(), properties: image.properties.clone() }
    }
}

impl From<StoredImage> for Image {
    fn from(StoredImage { name, properties }: StoredImage) -> Self {
        Self { name, properties }
    }
}

impl From<&Instance> for StoredInstance {
    fn from(instance: &Instance) -> Self {
        let Instance { spec, desired, observed, location, lock, .. } = instance;
        let hints = spec.hints.iter();
        Self {
            uuid: bytes(instance.uuid),
            name: spec.name.clone(),
            project: spec.project.clone(),
            user: spec.user.clone(),
            flavor: (&spec.flavor).into(),
            image: spec.image.as_ref().map(Into::into),
            availability_zone: spec.availability_zone.to_string(),
            hints: hints
                .map(|(name, values)| (name.clone(), StoredHints { values: values.clone() }))
                .collect(),
            user_data: spec.user_data.clone(),
            metadata: spec.metadata.clone(),
            key_pair: spec.key_pair.as_ref().map(Into::into),
            idempotency_key: spec.idempotency_key.clone(),
            created_at: spec.created_at.0,
            updated_at: instance.updated_at.0,
            generation: desired.generation,
            vm_state: StoredVmState::from(instance.vm_state).into(),
            task: StoredTask::from(instance.operation).into(),
            power: StoredPower::from(observed.power).into(),
            host: location.host.clone(),
            leftovers: location.leftovers.clone(),
            failures: location.failures.clone(),
            boot: desired.boot,
            hard: desired.hard,
            fault: observed.fault.clone(),
            locked: lock.is_some(),
            locked_reason: lock.as_ref().map(|lock| lock.reason.clone()).unwrap_or_default(),
            events: instance.events.iter().map(|event| (&**event).into()).collect(),
            locked_by_operator: lock.as_ref().is_some_and(|lock| lock.by_operator),
            stopped_by_itself: observed.stopped_by_itself,
            missing_cpu_features: observed.missing_cpu_features.to_string(),
            migrations: instance.migrations.iter().map(|migration| (&**migration).into()).collect(),
            rescue: instance.rescue.as_ref().map(|image| (&**image).into()),
            rebuild: instance.rebuild.as_ref().map(|of| StoredRebuild {
                image_before: of.image_before.as_ref().map(Into::into),
                generation: of.generation,
            }),
        }
    }
}

impl StoredInstance {
    /// The instance with the UUID of its key.
    pub(super) fn instance(self, uuid: Uuid) -> Instance {
        let (vm_state, operation) = (self.vm_state().into(), self.task().into());
        let observed = Observed {
            power: self.power().into(),
            fault: self.fault,
            stopped_by_itself: self.stopped_by_itself,
            missing_cpu_features: CpuFeatures::new(self.missing_cpu_features.split(' ')),
        };
        // Earlier versions recorded internal hints with those of the user.
        let hints = self.hints.into_iter().filter(|(name, _)| !SchedulerHints::is_internal(name));
        let hints = hints.map(|(name, hint)| (name, hint.values)).collect();
        let spec = InstanceSpec {
            name: self.name,
            project: self.project,
            user: self.user,
            flavor: self.flavor.into(),
            image: self.image.map(Into::into),
            availability_zone: RequestedZone::parse(&self.availability_zone),
            // It was valid when the instance was created.
            group: group_hint(&hints).ok().flatten(),
            hints,
            user_data: self.user_data,
            metadata: self.metadata,
            key_pair: self.key_pair.map(Into::into),
            idempotency_key: self.idempotency_key,
            created_at: Timestamp(self.created_at),
        };
        let lock = Lock { reason: self.locked_reason, by_operator: self.locked_by_operator };
        Instance {
            uuid,
            spec: Arc::new(spec),
            desired: Desired { generation: self.generation, boot: self.boot, hard: self.hard },
            observed,
            vm_state,
            operation,
            location: Location { host: self.host, leftovers: self.leftovers, failures: self.failures },
            migrations: self.migrations.into_iter().map(|migration| Arc::new(migration.into())).collect(),
            rescue: self.rescue.map(|image| Arc::new(image.into())),
            rebuild: self.rebuild.map(|of| RebuildRecord {
                image_before: of.image_before.map(Into::into),
                generation: of.generation,
            }),
            lock: self.locked.then_some(lock),
            events: self.events.into_iter().map(|event| Arc::new(event.into())).collect(),
            updated_at: Timestamp(self.updated_at),
        }
    }
}

impl From<VmState> for StoredVmState {
    fn from(state: VmState) -> Self {
        match state {
            VmState::Building => Self::Building,
            VmState::Active => Self::Active,
            VmState::Stopped => Self::Stopped,
            VmState::Paused => Self::Paused,
            VmState::Suspended => Self::Suspended,
            VmState::ShelvedOffloaded => Self::ShelvedOffloaded,
            VmState::Error => Self::Error,
            VmState::Deleted => Self::Deleted,
            VmState::Resized => Self::Resized,
            VmState::Rescued => Self::Rescued,
        }
    }
}

impl From<StoredVmState> for VmState {
    fn from(state: StoredVmState) -> Self {
        match state {
            StoredVmState::Building => Self::Building,
            StoredVmState::Active => Self::Active,
            StoredVmState::Stopped => Self::Stopped,
            StoredVmState::Paused => Self::Paused,
            StoredVmState::Suspended => Self::Suspended,
            StoredVmState::ShelvedOffloaded => Self::ShelvedOffloaded,
            StoredVmState::Error => Self::Error,
            StoredVmState::Deleted => Self::Deleted,
            StoredVmState::Resized => Self::Resized,
            StoredVmState::Rescued => Self::Rescued,
        }
    }
}

impl From<Option<Operation>> for StoredTask {
    fn from(operation: Option<Operation>) -> Self {
        match operation {
            None => Self::None,
            Some(Operation::Schedule) => Self::Scheduling,
            Some(Operation::Spawn) => Self::Spawning,
            Some(Operation::Start) => Self::PoweringOn,
            Some(Operation::Stop) => Self::PoweringOff,
            Some(Operation::Reboot { hard: false }) => Self::Rebooting,
            Some(Operation::Reboot { hard: true }) => Self::RebootingHard,
            Some(Operation::Pause) => Self::Pausing,
            Some(Operation::Unpause) => Self::Unpausing,
            Some(Operation::Suspend) => Self::Suspending,
            Some(Operation::Resume) => Self::Resuming,
            Some(Operation::Shelve) => Self::ShelvingOffloading,
            Some(Operation::Unshelve) => Self::Unshelving,
            Some(Operation::Delete) => Self::Deleting,
            Some(Operation::ResizePrep) => Self::ResizePrep,
            Some(Operation::ResizeMigrating) => Self::ResizeMigrating,
            Some(Operation::ResizeFinish) => Self::ResizeFinish,
            Some(Operation::ResizeConfirming) => Self::ResizeConfirming,
            Some(Operation::ResizeReverting) => Self::ResizeReverting,
            Some(Operation::ResizeRestoring) => Self::ResizeRestoring,
            Some(Operation::EvacuatePrep) => Self::EvacuatePrep,
            Some(Operation::EvacuateFinish) => Self::EvacuateFinish,
            Some(Operation::LiveQueued) => Self::LiveQueued,
            Some(Operation::LivePreparing) => Self::LivePreparing,
            Some(Operation::LiveRunning) => Self::LiveRunning,
            Some(Operation::LiveAborting) => Self::LiveAborting,
            Some(Operation::LiveSettling) => Self::LiveSettling,
            Some(Operation::Rebuild) => Self::Rebuilding,
            Some(Operation::Rescue) => Self::Rescuing,
            Some(Operation::Unrescue) => Self::Unrescuing,
        }
    }
}

impl From<StoredTask> for Option<Operation> {
    fn from(task: StoredTask) -> Self {
        Some(match task {
            StoredTask::None => return None,
            StoredTask::Scheduling => Operation::Schedule,
            StoredTask::Spawning => Operation::Spawn,
            StoredTask::PoweringOn => Operation::Start,
            StoredTask::PoweringOff => Operation::Stop,
            StoredTask::Rebooting => Operation::Reboot { hard: false },
            StoredTask::RebootingHard => Operation::Reboot { hard: true },
            StoredTask::Pausing => Operation::Pause,
            StoredTask::Unpausing => Operation::Unpause,
            StoredTask::Suspending => Operation::Suspend,
            StoredTask::Resuming => Operation::Resume,
            StoredTask::ShelvingOffloading => Operation::Shelve,
            StoredTask::Unshelving => Operation::Unshelve,
            StoredTask::Deleting => Operation::Delete,
            StoredTask::ResizePrep => Operation::ResizePrep,
            StoredTask::ResizeMigrating => Operation::ResizeMigrating,
            StoredTask::ResizeFinish => Operation::ResizeFinish,
            StoredTask::ResizeConfirming => Operation::ResizeConfirming,
            StoredTask::ResizeReverting => Operation::ResizeReverting,
            StoredTask::ResizeRestoring => Operation::ResizeRestoring,
            StoredTask::EvacuatePrep => Operation::EvacuatePrep,
            StoredTask::EvacuateFinish => Operation::EvacuateFinish,
            StoredTask::LiveQueued => Operation::LiveQueued,
            StoredTask::LivePreparing => Operation::LivePreparing,
            StoredTask::LiveRunning => Operation::LiveRunning,
            StoredTask::LiveAborting => Operation::LiveAborting,
            StoredTask::LiveSettling => Operation::LiveSettling,
            StoredTask::Rebuilding => Operation::Rebuild,
            StoredTask::Rescuing => Operation::Rescue,
            StoredTask::Unrescuing => Operation::Unrescue,
        })
    }
}

impl From<Power> for StoredPower {
    fn from(power: Power) -> Self {
        match power {
            Power::NoState => Self::NoState,
            Power::Running => Self::Running,
            Power::Paused => Self::Paused,
            Power::Shutdown => Self::Shutdown,
            Power::Crashed => Self::Crashed,
            Power::Suspended => Self::Suspended,
        }
    }
}

impl From<StoredPower> for Power {
    fn from(power: StoredPower) -> Self {
        match power {
            StoredPower::NoState => Self::NoState,
            StoredPower::Running => Self::Running,
            StoredPower::Paused => Self::Paused,
            StoredPower::Shutdown => Self::Shutdown,
            StoredPower::Crashed => Self::Crashed,
            StoredPower::Suspended => Self::Suspended,
        }
    }
}
