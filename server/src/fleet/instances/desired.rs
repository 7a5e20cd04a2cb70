//! The desired guest of an instance, computed from its record alone.

use berth_api::v1;

use crate::fleet::entry::{Flavor, Image, Instance, Task, VmState};

impl Instance {
    /// The goal for the agent of its host. None while it has no host, and where no state is desired.
    pub(crate) fn goal(&self) -> Option<v1::desired_guest::Goal> {
        use v1::desired_guest::Goal;
        Some(match (self.task(), self.vm_state()) {
            (Task::Scheduling, _) => return None,
            (
                Task::Spawning
                | Task::PoweringOn
                | Task::Rebooting
                | Task::RebootingHard
                | Task::Unpausing
                | Task::Resuming
                | Task::Unshelving,
                _,
            ) => Goal::Running,
            (Task::PoweringOff, _) => Goal::Stopped,
            (Task::Pausing, _) => Goal::Paused,
            (Task::Suspending, _) => Goal::Suspended,
            (Task::ShelvingOffloading, _) => Goal::Shelved,
            (Task::Deleting, _) => Goal::Absent,
            (Task::None, VmState::Active) => Goal::Running,
            (Task::None, VmState::Stopped) => Goal::Stopped,
            (Task::None, VmState::Paused) => Goal::Paused,
            (Task::None, VmState::Suspended) => Goal::Suspended,
            (Task::None, VmState::ShelvedOffloaded) => Goal::Shelved,
            (Task::None, VmState::Building | VmState::Error | VmState::Deleted) => return None,
        })
    }

    /// The desired guest on its host; `allocations` is what the instance holds.
    pub(crate) fn desired_guest(&self, allocations: Vec<v1::Allocation>) -> Option<v1::DesiredGuest> {
        let goal = self.goal()?;
        let spec = (goal != v1::desired_guest::Goal::Absent).then(|| self.spec(allocations));
        let instance = self.uuid().to_string();
        Some(v1::DesiredGuest {
            instance,
            generation: self.generation,
            goal: goal.into(),
            boot: self.boot,
            hard: self.hard,
            must_exist: self.task() != Task::Spawning,
            spec,
        })
    }

    /// The desired guest on a host that it has left: none.
    pub(crate) fn absent_guest(&self) -> v1::DesiredGuest {
        v1::DesiredGuest {
            instance: self.uuid().to_string(),
            generation: self.generation,
            goal: v1::desired_guest::Goal::Absent.into(),
            ..v1::DesiredGuest::default()
        }
    }

    fn spec(&self, allocations: Vec<v1::Allocation>) -> v1::GuestSpec {
        v1::GuestSpec {
            name: self.name.clone(),
            project: self.project.clone(),
            user: self.user.clone(),
            flavor: Some(self.flavor.clone().into()),
            image: self.image.clone().map(Into::into),
            user_data: self.user_data.clone().into(),
            metadata: self.metadata.clone().into_iter().collect(),
            availability_zone: self.availability_zone.split(':').next().unwrap_or_default().to_owned(),
            allocations,
        }
    }
}

impl From<Flavor> for v1::Flavor {
    fn from(flavor: Flavor) -> Self {
        let Flavor { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs } = flavor;
        let extra_specs = extra_specs.into_iter().collect();
        Self { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs }
    }
}

impl From<v1::Flavor> for Flavor {
    fn from(flavor: v1::Flavor) -> Self {
        let v1::Flavor { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs } = flavor;
        let extra_specs = extra_specs.into_iter().collect();
        Self { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs }
    }
}

impl From<Image> for v1::Image {
    fn from(Image { name, properties }: Image) -> Self {
        Self { name, properties: properties.into_iter().collect() }
    }
}

impl From<v1::Image> for Image {
    fn from(v1::Image { name, properties }: v1::Image) -> Self {
        Self { name, properties: properties.into_iter().collect() }
    }
}
