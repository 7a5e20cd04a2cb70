//! Rescue: the guest boots from a temporary disk over an image, with its own disks beside it.
//!
//! ```text
//!                          rescue, rescuing                  unrescue, unrescuing
//!   active, stopped, error ─────────────────► rescued ────────────────────────────► active
//!                            │      │            ▲              │
//!                            │      │            └──────────────┤ failed: rescued, or what its guest is
//!                            │      └─ failed, and the guest is defined with the temporary disk: error
//!                            └─ failed before: what its guest is
//! ```
//!
//! The agent checks the image before it shuts the guest down, and reports whether the guest is
//! defined with the temporary disk. A hard reboot of an instance in error boots its own disks.

use std::sync::Arc;

use berth_placement::Timestamp;

use super::{GuestReport, GuestState, Operation, Rules, not_found};
use crate::Fleet;
use crate::error::FleetError;
use crate::instance::{Goal, Image, Instance, Power, VmState};
use crate::named::Named;

/// Boots the temporary disk.
pub(super) struct Rescue;

/// Boots the guest's own disks again.
pub(super) struct Unrescue;

impl Rules for Rescue {
    fn name(&self) -> &'static str {
        "rescue"
    }

    fn task_state(&self) -> &'static str {
        "rescuing"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active, VmState::Stopped, VmState::Error]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Rescued)
    }
}

impl Rules for Unrescue {
    fn name(&self) -> &'static str {
        "unrescue"
    }

    fn task_state(&self) -> &'static str {
        "unrescuing"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Rescued]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}

impl Fleet {
    /// Begins to boot an instance from a temporary disk over this image, or over its own.
    ///
    /// # Errors
    /// An unknown instance; one that is locked, moving or in another state; no image.
    pub fn rescue(
        &mut self,
        named: Named<'_>,
        image: Option<Image>,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.instance(named)?;
        let uuid = instance.uuid;
        instance.check(Operation::Rescue, may_override)?;
        self.check_not_placing(uuid)?;
        let none = || FleetError::field("image", "has to be given: the instance has none");
        let image = image.or_else(|| instance.spec.image.clone()).ok_or_else(none)?;
        image.check()?;
        self.change_instance(uuid, |instance| {
            instance.begin(Operation::Rescue, user, now);
            instance.rescue = Some(Arc::new(image));
        });
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }
}

impl Instance {
    /// The image that its guest is to boot instead of its own disks.
    pub(crate) fn rescue_image(&self) -> Option<Arc<Image>> {
        let boots_own = matches!(
            self.operation,
            Some(Operation::Unrescue | Operation::EvacuatePrep | Operation::EvacuateFinish)
        );
        self.rescue.clone().filter(|_| !boots_own)
    }

    /// Ends a rescue, or its end, that has failed: the guest is what its agent reports.
    pub(super) fn end_rescue(&mut self, operation: Operation, report: &GuestReport, now: Timestamp) {
        if operation == Operation::Unrescue && report.is_rescue {
            return; // it is rescued still
        }
        self.rescue = None;
        if report.is_rescue {
            self.vm_state = VmState::Error;
        } else {
            operation.rules().apply_failure(self, report.state, now);
        }
    }
}
