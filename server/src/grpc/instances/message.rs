//! Instances as messages.

use berth_api::v1;
use berth_fleet::{Event, Fleet, Instance, Migration, Operation, power_state, status, vm_state};

use crate::fleet::message::{flavor, image};

pub(super) fn instance(fleet: &Fleet, known: &Instance) -> v1::Instance {
    let Instance { spec, location, lock, .. } = known;
    v1::Instance {
        uuid: known.uuid.to_string(),
        status: status(known).to_owned(),
        vm_state: vm_state(known.vm_state).to_owned(),
        task_state: known.operation.map_or("", Operation::task_state).to_owned(),
        power_state: power_state(known.observed.power).to_owned(),
        availability_zone: fleet.zone_of_instance(known).to_owned(),
        server_group: fleet.group_of_instance(known.uuid).map(|group| group.to_string()).unwrap_or_default(),
        name: spec.name.clone(),
        project: spec.project.clone(),
        user: spec.user.clone(),
        host: location.host.clone(),
        flavor: Some(flavor(&spec.flavor)),
        image: spec.image.as_ref().map(image),
        locked: lock.is_some(),
        locked_reason: lock.as_ref().map(|lock| lock.reason.clone()).unwrap_or_default(),
        fault: known.observed.fault.clone(),
        created_at: spec.created_at.0,
        updated_at: known.updated_at.0,
        generation: known.desired.generation,
        metadata: spec.metadata.clone().into_iter().collect(),
        key_name: spec.key_pair.as_ref().map(|pair| pair.name.clone()).unwrap_or_default(),
    }
}

pub(super) fn migration(instance: &Instance, migration: &Migration) -> v1::Migration {
    v1::Migration {
        uuid: migration.uuid.to_string(),
        instance: instance.uuid.to_string(),
        kind: migration.kind_name().to_owned(),
        status: migration.status(instance).to_owned(),
        source_host: migration.source.clone(),
        target_host: migration.target.clone(),
        old_flavor: migration.old_flavor.name.clone(),
        new_flavor: migration.new_flavor.name.clone(),
        failures: migration.failures.clone().into_iter().collect(),
        error: migration.error.clone(),
        user: migration.user.clone(),
        project: instance.spec.project.clone(),
        created_at: migration.created_at.0,
        updated_at: migration.updated_at.0,
    }
}

pub(super) fn event(Event { at, action, user, message }: &Event) -> v1::InstanceEvent {
    v1::InstanceEvent { at: at.0, action: action.clone(), user: user.clone(), message: message.clone() }
}
