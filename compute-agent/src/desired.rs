//! The desired state of a guest.

use std::sync::Arc;

use berth_api::v1;
use uuid::Uuid;

use crate::disks::{DiskRole, DiskSource};

/// What is to become of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestGoal {
    /// Running.
    Running,
    /// Defined, not running.
    Stopped,
    /// Its vCPUs are halted.
    Paused,
    /// Its memory is saved on disk.
    Suspended,
    /// The host has neither a domain nor disks of it.
    Absent,
    /// Only its disks exist.
    Shelved,
    /// The host has nothing of it, and its disks are set aside, or returned.
    Outgoing,
    /// It stays as it is, and is sent to another host or is not.
    Leaving,
    /// Another host may send it.
    Arriving,
}

/// The desired state of a guest at a generation.
#[derive(Clone, PartialEq, Debug)]
pub struct DesiredState {
    /// Increases with every change of the desired state.
    pub generation: u64,
    /// The target power state.
    pub goal: GuestGoal,
    /// The number of the desired boot. A guest of an earlier boot is rebooted.
    pub boot: u32,
    /// Whether that reboot is a hard one.
    pub hard: bool,
    /// Whether the guest was built before. A missing guest is then lost, and is not created again.
    pub must_exist: bool,
    /// Its flavor, image and so on. None only for [`GuestGoal::Absent`].
    pub spec: Option<Arc<v1::GuestSpec>>,
    /// Where its disks go to or come from; None if they stay.
    pub disks: Option<DiskRole>,
    /// The live migration of [`GuestGoal::Leaving`] and [`GuestGoal::Arriving`].
    pub transfer: Option<Arc<v1::Transfer>>,
    /// Whether its disks are built again, once for this generation.
    pub rebuild: bool,
}

/// Why a [`v1::DesiredGuest`] is invalid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDesiredGuest {
    /// The instance is not a UUID.
    #[error("desired_guest.instance: {0:?} is not a UUID")]
    Instance(String),
    /// The generation is 0.
    #[error("desired_guest.generation: 0; generations start at 1")]
    Generation,
    /// The goal is unknown.
    #[error("desired_guest.goal: {0} is not a goal that this agent supports")]
    Goal(i32),
    /// The spec is missing.
    #[error("desired_guest.spec: missing; only the goal ABSENT has none")]
    Spec,
    /// The move of the disks is invalid.
    #[error("desired_guest.disks: {0}")]
    Disks(String),
    /// The live migration is missing.
    #[error("desired_guest.transfer: missing; the goals LEAVING and ARRIVING need it")]
    Transfer,
}

impl DesiredState {
    /// Parses the UUID of the instance.
    ///
    /// # Errors
    /// It is not a UUID.
    pub fn instance(message: &v1::DesiredGuest) -> Result<Uuid, InvalidDesiredGuest> {
        message.instance.parse().map_err(|_| InvalidDesiredGuest::Instance(message.instance.clone()))
    }

    /// Whether the guest is to boot the temporary disk of a rescue.
    pub(crate) fn is_rescue(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.rescue_image.is_some())
    }

    /// Whether it takes part in a live migration that is in this phase.
    pub(crate) fn is_in(&self, phase: v1::transfer::Phase) -> bool {
        self.transfer.as_ref().is_some_and(|transfer| transfer.phase() == phase)
    }

    /// The disks of another host that the guest `instance` is built from, or arrives with.
    pub(crate) fn disk_source(&self, instance: Uuid) -> Option<Arc<DiskSource>> {
        match (&self.disks, &self.transfer) {
            (Some(DiskRole::Fetch(source)), _) => Some(Arc::clone(source)),
            (_, Some(transfer)) => Some(Arc::new(DiskSource {
                migration: instance,
                ticket: transfer.ticket.clone(),
                host: transfer.source_host.clone(),
                address: transfer.source_address.clone(),
                port: u16::try_from(transfer.source_port).unwrap_or(0),
            })),
            _ => None,
        }
    }

    /// Parses the other fields.
    ///
    /// # Errors
    /// The generation is 0, the goal is unknown, or the spec is missing.
    pub fn read(message: v1::DesiredGuest) -> Result<Self, InvalidDesiredGuest> {
        if message.generation == 0 {
            return Err(InvalidDesiredGuest::Generation);
        }
        let goal = goal(message.goal)?;
        if message.spec.is_none() && goal != GuestGoal::Absent {
            return Err(InvalidDesiredGuest::Spec);
        }
        let disks = message.disks.as_ref().map(DiskRole::read).transpose()?.flatten();
        if goal == GuestGoal::Outgoing && !matches!(disks, Some(DiskRole::SetAside(_) | DiskRole::Return(_)))
        {
            let problem = "missing; the goal OUTGOING sets them aside, or returns them";
            return Err(InvalidDesiredGuest::Disks(problem.to_owned()));
        }
        let v1::DesiredGuest { generation, boot, hard, spec, must_exist, transfer, rebuild, .. } = message;
        if transfer.is_none() && matches!(goal, GuestGoal::Leaving | GuestGoal::Arriving) {
            return Err(InvalidDesiredGuest::Transfer);
        }
        let (spec, transfer) = (spec.map(Arc::new), transfer.map(Arc::new));
        Ok(Self { generation, goal, boot, hard, must_exist, spec, disks, transfer, rebuild })
    }
}

fn goal(number: i32) -> Result<GuestGoal, InvalidDesiredGuest> {
    use v1::desired_guest::Goal as Wire;
    Ok(match Wire::try_from(number) {
        Ok(Wire::Running) => GuestGoal::Running,
        Ok(Wire::Stopped) => GuestGoal::Stopped,
        Ok(Wire::Paused) => GuestGoal::Paused,
        Ok(Wire::Suspended) => GuestGoal::Suspended,
        Ok(Wire::Absent) => GuestGoal::Absent,
        Ok(Wire::Shelved) => GuestGoal::Shelved,
        Ok(Wire::Outgoing) => GuestGoal::Outgoing,
        Ok(Wire::Leaving) => GuestGoal::Leaving,
        Ok(Wire::Arriving) => GuestGoal::Arriving,
        Ok(Wire::Unspecified) | Err(_) => return Err(InvalidDesiredGuest::Goal(number)),
    })
}
