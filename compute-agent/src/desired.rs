//! How a guest shall be.

use std::sync::Arc;

use berth_api::v1;
use uuid::Uuid;

/// What shall become of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goal {
    /// It runs.
    Running,
    /// Defined, not running.
    Stopped,
    /// There, its vCPUs halted.
    Paused,
    /// Its memory saved on disk.
    Suspended,
    /// Nothing of it is left.
    Absent,
    /// Its disks are kept, and nothing else.
    Shelved,
}

/// How a guest shall be, as of a generation.
#[derive(Clone, PartialEq, Debug)]
pub struct DesiredState {
    /// Goes up with every change of the wish.
    pub generation: u64,
    /// What shall become of it.
    pub goal: Goal,
    /// Which boot is wished.
    pub boot: u32,
    /// Whether a guest of an earlier boot is turned off by force.
    pub hard: bool,
    /// Whether it was built before, so that nothing is made where nothing is left of it.
    pub must_exist: bool,
    /// What it is made of. None only for [`Goal::Absent`].
    pub spec: Option<Arc<v1::GuestSpec>>,
}

/// A wish that makes no sense, field by field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDesiredGuest {
    /// The instance is no UUID.
    #[error("desired_guest.instance: {0:?} is not a UUID")]
    Instance(String),
    /// Generations begin with 1.
    #[error("desired_guest.generation: 0; generations begin with 1")]
    Generation,
    /// The goal is none of those known.
    #[error("desired_guest.goal: {0} is not a goal that this agent knows")]
    Goal(i32),
    /// There is no spec.
    #[error("desired_guest.spec: missing; only ABSENT goes without")]
    Spec,
}

impl DesiredState {
    /// Reads the UUID of the instance that a message is about.
    ///
    /// # Errors
    /// It is no UUID.
    pub fn instance(message: &v1::DesiredGuest) -> Result<Uuid, InvalidDesiredGuest> {
        message.instance.parse().map_err(|_| InvalidDesiredGuest::Instance(message.instance.clone()))
    }

    /// Reads the rest of a message.
    ///
    /// # Errors
    /// The generation is 0, the goal is unknown, or the spec is missing.
    pub fn read(message: v1::DesiredGuest) -> Result<Self, InvalidDesiredGuest> {
        if message.generation == 0 {
            return Err(InvalidDesiredGuest::Generation);
        }
        let goal = goal(message.goal)?;
        if message.spec.is_none() && goal != Goal::Absent {
            return Err(InvalidDesiredGuest::Spec);
        }
        let v1::DesiredGuest { generation, boot, hard, spec, must_exist, .. } = message;
        Ok(Self { generation, goal, boot, hard, must_exist, spec: spec.map(Arc::new) })
    }
}

fn goal(number: i32) -> Result<Goal, InvalidDesiredGuest> {
    use v1::desired_guest::Goal as Wire;
    Ok(match Wire::try_from(number) {
        Ok(Wire::Running) => Goal::Running,
        Ok(Wire::Stopped) => Goal::Stopped,
        Ok(Wire::Paused) => Goal::Paused,
        Ok(Wire::Suspended) => Goal::Suspended,
        Ok(Wire::Absent) => Goal::Absent,
        Ok(Wire::Shelved) => Goal::Shelved,
        Ok(Wire::Unspecified) | Err(_) => return Err(InvalidDesiredGuest::Goal(number)),
    })
}
