//! The desired guest of an instance, which follows from its record alone.

use std::sync::Arc;

use uuid::Uuid;

use super::{Desired, Image, Instance, InstanceSpec, VmState};
use crate::migration::LiveOptions;
use crate::operation::Operation;

/// The state that an agent is to bring a guest to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It runs.
    Running,
    /// It is off.
    Stopped,
    /// It is paused.
    Paused,
    /// Its memory is saved on disk.
    Suspended,
    /// Only its disk is kept.
    Shelved,
    /// Nothing of it is left.
    Absent,
    /// It is off, and its disks are set aside for its migration.
    Outgoing,
    /// It stays as it is, and is sent to another host or not, as the transfer says.
    Leaving,
    /// It is not on the host yet, and another host may send it.
    Arriving,
}

/// Where the disks of a guest go to or come from, in a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskMove {
    /// They are set aside under the UUID of the migration.
    SetAside {
        /// The migration.
        migration: Uuid,
    },
    /// A missing guest is built from the disks that the migration has on another host, or on its
    /// own.
    Fetch {
        /// The migration.
        migration: Uuid,
        /// Admits the host to these disks.
        ticket: Uuid,
        /// The host that has them.
        source: String,
    },
    /// A missing guest is built from the disks that the migration has on this host, which are no
    /// longer the migration's then.
    TakeBack {
        /// The migration.
        migration: Uuid,
    },
    /// A missing guest is built from its disks on the storage that the host shares with others,
    /// whichever host had them. They are the host's from then on.
    Adopt {
        /// The migration.
        migration: Uuid,
        /// Whether disks that are missing are built: the guest may not have been built before.
        may_build: bool,
    },
    /// They belong to the host again that had them before the migration.
    Return {
        /// The migration.
        migration: Uuid,
    },
    /// They are offered to the host that has the ticket.
    Offer {
        /// The ticket.
        ticket: Uuid,
    },
}

/// A live migration, as both sides need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The migration.
    pub migration: Uuid,
    /// Admits the target to the description of the guest's disks.
    pub ticket: Uuid,
    /// The host that has the guest.
    pub source: String,
    /// The host that gets it.
    pub target: String,
    /// Whether both share its disks. Else they are sent.
    pub is_shared: bool,
    /// How far it is.
    pub phase: TransferPhase,
    /// Whether the guest is to pause until its memory is on the target.
    pub is_forced: bool,
    /// How it was requested.
    pub options: LiveOptions,
}

/// How far a live migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferPhase {
    /// The target makes disks, which the source describes. In no other phase may the target touch
    /// them.
    Preparing,
    /// The source sends the guest.
    Sending,
    /// The source is to stop sending it.
    Stopping,
}

/// What a host's agent is to do for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredGuest {
    /// The host.
    pub host: String,
    /// The UUID of the guest: that of the instance, or of its migration for disks that are set
    /// aside.
    pub instance: Uuid,
    /// Generation and boots.
    pub desired: Desired,
    /// The state to bring it to.
    pub goal: Goal,
    /// Whether the guest was built before: one that is missing is lost.
    pub must_exist: bool,
    /// What the user asked for; `None` where nothing is to be left.
    pub spec: Option<Arc<InstanceSpec>>,
    /// Where its disks go to or come from; `None` if they stay.
    pub disks: Option<DiskMove>,
    /// The live migration of [`Goal::Leaving`] and [`Goal::Arriving`].
    pub transfer: Option<Transfer>,
    /// Whether its disks are to be built again, once for this generation.
    pub rebuilds: bool,
    /// The image that the guest boots instead of its own disks.
    pub rescue: Option<Arc<Image>>,
}

impl Instance {
    /// The state that the host's agent is to bring the guest to; `None` if it is unknown or nothing
    /// is desired.
    #[must_use]
    pub fn goal(&self) -> Option<Goal> {
        match self.operation {
            Some(operation) => operation.rules().goal(self),
            None if self.vm_state == VmState::Resized => self.migration()?.state_before.goal(),
            None => self.vm_state.goal(),
        }
    }

    /// The desired guests for all hosts on which the instance is or may have remains.
    #[must_use]
    pub fn desired_guests(&self) -> Vec<DesiredGuest> {
        let leftovers = self.location.leftovers.iter();
        let mut guests: Vec<DesiredGuest> = leftovers.map(|host| self.leftover(host)).collect();
        guests.extend(self.desired_guest());
        guests.extend(self.desired_set_aside());
        guests.extend(self.desired_arrival());
        guests
    }

    /// The live migration, while both sides take part in it.
    fn transfer(&self) -> Option<Transfer> {
        let phase = match self.operation? {
            Operation::LivePreparing => TransferPhase::Preparing,
            Operation::LiveRunning => TransferPhase::Sending,
            Operation::LiveAborting => TransferPhase::Stopping,
            _ => return None,
        };
        let migration = self.migration()?;
        Some(Transfer {
            migration: migration.uuid,
            ticket: migration.ticket,
            source: migration.source.clone(),
            target: migration.target.clone(),
            is_shared: migration.live.is_shared,
            phase,
            is_forced: migration.live.is_forced,
            options: migration.live.options.clone(),
        })
    }

    /// The guest on the target of a live migration, before it has arrived.
    fn desired_arrival(&self) -> Option<DesiredGuest> {
        let transfer = self.transfer()?;
        Some(DesiredGuest {
            desired: self.desired,
            goal: Goal::Arriving,
            spec: Some(Arc::clone(&self.spec)),
            transfer: Some(transfer.clone()),
            ..self.absent(&transfer.target, self.uuid)
        })
    }

    /// Nothing of the guest is to be left on the host. A host that took disks over in an evacuation
    /// that goes on returns them.
    fn leftover(&self, host: &str) -> DesiredGuest {
        let absent = self.absent(host, self.uuid);
        match self.migration() {
            Some(migration) if self.is_evacuating() && migration.failures.contains_key(host) => {
                let disks =
                    Some(DiskMove::Return { migration: migration.uuid }).filter(|_| !migration.rebuilds);
                let goal = if disks.is_some() { Goal::Outgoing } else { Goal::Absent };
                let spec = disks.is_some().then(|| Arc::clone(&self.spec));
                DesiredGuest { goal, spec, disks, ..absent }
            }
            _ => absent,
        }
    }

    /// Nothing of a guest is to be left on the host.
    fn absent(&self, host: &str, guest: Uuid) -> DesiredGuest {
        DesiredGuest {
            host: host.to_owned(),
            instance: guest,
            desired: Desired { generation: self.desired.generation, ..Desired::default() },
            goal: Goal::Absent,
            must_exist: false,
            spec: None,
            disks: None,
            transfer: None,
            rebuilds: false,
            rescue: None,
        }
    }

    /// The guest on the host where it is, or is to be.
    fn desired_guest(&self) -> Option<DesiredGuest> {
        let (host, goal) = (self.acting_host(), self.goal()?);
        if host.is_empty() {
            return None;
        }
        Some(DesiredGuest {
            host: host.to_owned(),
            instance: self.uuid,
            desired: self.desired,
            goal,
            must_exist: self.must_exist(),
            spec: (goal != Goal::Absent).then(|| self.acting_spec()),
            disks: self.disk_move(),
            transfer: self.transfer(),
            rebuilds: self.operation == Some(Operation::Rebuild),
            rescue: self.rescue_image(),
        })
    }

    fn must_exist(&self) -> bool {
        // A target whose guest ends before it has taken the shared disks over has nothing of it
        // yet.
        let may_be_missing = self.operation == Some(Operation::LiveSettling)
            && self.migration().is_some_and(|migration| migration.live.is_shared);
        !may_be_missing && self.operation.is_none_or(|operation| operation.rules().expects_guest())
    }

    /// Where the disks of the guest go to or come from.
    fn disk_move(&self) -> Option<DiskMove> {
        let migration = self.migration()?;
        let uuid = migration.uuid;
        match self.operation? {
            Operation::ResizeMigrating => Some(DiskMove::SetAside { migration: uuid }),
            Operation::ResizeFinish => {
                let (ticket, source) = (migration.ticket, migration.source.clone());
                Some(DiskMove::Fetch { migration: uuid, ticket, source })
            }
            Operation::ResizeRestoring => Some(DiskMove::TakeBack { migration: uuid }),
            Operation::LiveSettling if migration.live.is_shared => {
                Some(DiskMove::Adopt { migration: uuid, may_build: false })
            }
            Operation::EvacuateFinish if !migration.rebuilds => {
                Some(DiskMove::Adopt { migration: uuid, may_build: self.vm_state == VmState::Building })
            }
            _ => None,
        }
    }

    /// The disks that the source of the open migration has set aside.
    fn desired_set_aside(&self) -> Option<DesiredGuest> {
        let migration = self.migration().filter(|migration| migration.kind.sets_disks_aside())?;
        let absent = || Some(self.absent(&migration.source, migration.uuid));
        let ticket = match self.operation {
            Some(Operation::ResizeConfirming) => return absent(),
            // Last: a step that is still running may set them aside.
            Some(Operation::Delete) if !self.has_remains_on(&migration.source) => return absent(),
            Some(Operation::ResizeFinish) if !migration.target.is_empty() => Some(migration.ticket),
            Some(Operation::ResizeFinish | Operation::ResizeReverting) | None => None,
            Some(_) => return None,
        };
        Some(DesiredGuest {
            goal: Goal::Shelved,
            must_exist: true,
            spec: Some(Arc::clone(&self.spec)),
            disks: ticket.map(|ticket| DiskMove::Offer { ticket }),
            ..self.absent(&migration.source, migration.uuid)
        })
    }
}

impl VmState {
    /// The goal of an instance at rest.
    pub(crate) const fn goal(self) -> Option<Goal> {
        match self {
            Self::Active | Self::Rescued => Some(Goal::Running),
            Self::Stopped => Some(Goal::Stopped),
            Self::Paused => Some(Goal::Paused),
            Self::Suspended => Some(Goal::Suspended),
            Self::ShelvedOffloaded => Some(Goal::Shelved),
            Self::Building | Self::Resized | Self::Error | Self::Deleted => None,
        }
    }
}
