//! Rebuild: the disks of an instance are built again, from its image or another. Host, UUID and
//! capacity stay.
//!
//! ```text
//!                     rebuild, rebuilding
//!   active, error ────────────────────────► active
//!   stopped ──────────────────────────────► stopped
//!                       │    │
//!                       │    └─ failed after the former disks were removed: error, or what its guest is
//!                       └─ failed before: as before, with the former image
//! ```
//!
//! The agent checks that it can build the disks before it touches the guest. It names the
//! generation for which it has removed the former disks, which says what a failure has left.

use std::sync::Arc;

use berth_placement::Timestamp;

use super::{GuestReport, GuestState, Operation, Rules, not_found};
use crate::Fleet;
use crate::error::FleetError;
use crate::instance::{Goal, Image, Instance, InstanceSpec, Power, VmState};
use crate::named::Named;

/// Builds the disks again.
pub(super) struct Rebuild;

/// What a rebuild that fails early restores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildRecord {
    /// The image before.
    pub image_before: Option<Image>,
    /// Its generation.
    pub generation: u64,
}

impl Rules for Rebuild {
    fn name(&self) -> &'static str {
        "rebuild"
    }

    fn task_state(&self) -> &'static str {
        "rebuilding"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active, VmState::Stopped, VmState::Error]
    }

    fn goal(&self, instance: &Instance) -> Option<Goal> {
        Some(if instance.vm_state == VmState::Stopped { Goal::Stopped } else { Goal::Running })
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn expects_guest(&self) -> bool {
        false
    }

    fn done(&self, found: GuestState) -> Option<VmState> {
        match found {
            GuestState::Running | GuestState::Paused => Some(VmState::Active),
            GuestState::ShutDown | GuestState::Crashed => Some(VmState::Stopped),
            GuestState::Saved
            | GuestState::Shelved
            | GuestState::Absent
            | GuestState::Arriving
            | GuestState::Unknown => None,
        }
    }

    fn apply_failure(&self, instance: &mut Instance, found: GuestState, now: Timestamp) {
        if found == GuestState::Absent {
            instance.vm_state = VmState::Error;
        } else {
            instance.follow_failed(found, now);
        }
    }
}

impl Fleet {
    /// Checks that an instance can be rebuilt, and returns it.
    ///
    /// # Errors
    /// An unknown instance; one that is locked, moving or in another state; a host that is down.
    pub fn check_rebuild(
        &self,
        named: Named<'_>,
        image: Option<&Image>,
        may_override: bool,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.instance(named)?;
        instance.check(Operation::Rebuild, may_override)?;
        self.check_not_placing(instance.uuid)?;
        if let Some(image) = image {
            image.check()?;
        }
        let why = "its agent has to build the disks again. `evacuate --rebuild` builds them elsewhere";
        self.check_up(&instance.location.host, why)?;
        Ok(instance)
    }

    /// Begins to build the disks of an instance again: from this image, or from its own.
    ///
    /// # Errors
    /// As [`Self::check_rebuild`].
    pub fn rebuild(
        &mut self,
        named: Named<'_>,
        image: Option<Image>,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let uuid = self.check_rebuild(named, image.as_ref(), may_override)?.uuid;
        self.change_instance(uuid, |instance| {
            instance.begin(Operation::Rebuild, user, now);
            let image_before = instance.spec.image.clone();
            if let Some(image) = image {
                instance.set_image(Some(image));
            }
            let generation = instance.desired.generation;
            instance.rebuild = Some(RebuildRecord { image_before, generation });
        });
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }
}

impl Instance {
    fn set_image(&mut self, image: Option<Image>) {
        if self.spec.image != image {
            self.spec = Arc::new(InstanceSpec { image, ..InstanceSpec::clone(&self.spec) });
        }
    }

    /// Ends a rebuild that has failed. Unless its former disks are gone, it keeps its former image.
    pub(super) fn end_rebuild(&mut self, report: &GuestReport) {
        match &self.rebuild {
            Some(rebuild) if report.rebuilt >= rebuild.generation => self.rebuild = None,
            _ => self.keep_image(),
        }
    }

    /// Whether a failed evacuation has left it open how far a rebuild had come: its host, which is
    /// back, knows.
    pub(super) fn has_abandoned_rebuild(&self) -> bool {
        self.rebuild.is_some() && self.operation != Some(Operation::Rebuild) && self.migration().is_none()
    }

    /// Ends a rebuild whose disks are those of the former image.
    pub(super) fn keep_image(&mut self) {
        if let Some(rebuild) = self.rebuild.take() {
            self.set_image(rebuild.image_before);
        }
    }

    /// The spec with the image that its disks have, unless a rebuild has gone further.
    pub(crate) fn spec_before_rebuild(&self) -> Arc<InstanceSpec> {
        match &self.rebuild {
            Some(RebuildRecord { image_before, .. }) if self.spec.image != *image_before => {
                Arc::new(InstanceSpec { image: image_before.clone(), ..InstanceSpec::clone(&self.spec) })
            }
            _ => Arc::clone(&self.spec),
        }
    }
}
