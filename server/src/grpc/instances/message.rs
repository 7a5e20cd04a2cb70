//! Instances as messages.

use berth_api::v1;

use crate::fleet::Fleet;
use crate::fleet::entry::{Event, Instance};
use crate::fleet::instances::{power_state, status, task_state, vm_state};

pub(super) fn instance(fleet: &Fleet, known: Instance) -> v1::Instance {
    let uuid = known.uuid();
    v1::Instance {
        uuid: uuid.to_string(),
        status: status(&known).to_owned(),
        vm_state: vm_state(known.vm_state()).to_owned(),
        task_state: task_state(known.task()).to_owned(),
        power_state: power_state(known.power()).to_owned(),
        availability_zone: fleet.zone_of_instance(&known),
        server_group: fleet.group_of_instance(uuid).map(|group| group.to_string()).unwrap_or_default(),
        name: known.name,
        project: known.project,
        user: known.user,
        host: known.host,
        flavor: Some(known.flavor.into()),
        image: known.image.map(Into::into),
        locked: known.locked,
        locked_reason: known.locked_reason,
        fault: known.fault,
        created_at: known.created_at,
        updated_at: known.updated_at,
        generation: known.generation,
        metadata: known.metadata.into_iter().collect(),
    }
}

pub(super) fn event(known: Event) -> v1::InstanceEvent {
    let Event { at, action, user, message } = known;
    v1::InstanceEvent { at, action, user, message }
}
