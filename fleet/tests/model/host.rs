//! A host: what is on it, and what its agent knows.

use std::collections::{BTreeMap, VecDeque};

use berth_fleet::{
    CpuFeatures, DesiredGuest, DiskMove, Goal, GuestReport, GuestState, Session, Transfer, TransferPhase,
};
use uuid::Uuid;

/// What an agent knows of a guest, and what its disks contain.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) state: GuestState,
    /// The latest generation that was applied or failed.
    pub(crate) generation: u64,
    /// The latest generation for which its former disks were removed, to build them again.
    pub(crate) rebuilt: u64,
    /// Whether it is defined with the temporary disk of a rescue.
    pub(crate) is_rescue: bool,
    /// Why it failed; empty if it was applied.
    pub(crate) error: String,
    /// The content of its disks; each build writes another.
    pub(crate) data: u64,
    /// Whether it is only the disks of a guest that moved: without a domain, nothing of it can run.
    is_set_aside: bool,
    /// Whether its disks belong to another host of the same storage by now: only a domain is left.
    pub(crate) is_bereft: bool,
    /// The live migration for which the host is ready to receive it.
    pub(crate) expected_by: Option<Uuid>,
    /// The migration for which its disks were taken over, and the host that had them before.
    pub(crate) origin: Option<(Uuid, usize)>,
}

impl Guest {
    pub(crate) const NEW: Self = Self {
        state: GuestState::Absent,
        generation: 0,
        rebuilt: 0,
        is_rescue: false,
        error: String::new(),
        data: 0,
        is_set_aside: false,
        is_bereft: false,
        expected_by: None,
        origin: None,
    };

    pub(crate) fn report(&self, instance: Uuid) -> GuestReport {
        let Self { state, generation, rebuilt, is_rescue, ref error, .. } = *self;
        let error = error.clone();
        GuestReport {
            instance,
            generation,
            known_generation: generation,
            state,
            error,
            missing_cpu_features: CpuFeatures::default(),
            rebuilt,
            is_rescue,
        }
    }

    fn exists(&self) -> bool {
        self.state != GuestState::Absent
    }

    /// Builds its disks again. A failure leaves it as it was, or without disks, or with new ones.
    fn build_again(&mut self, desired: &DesiredGuest, attempt: Attempt) {
        let (state, removes) = match (attempt.fails, attempt.leaves) {
            (false, _) => (state(desired.goal), true),
            (true, 2) => (GuestState::Absent, true),
            (true, 3) => (GuestState::Shelved, true),
            (true, _) => (self.state, false),
        };
        if attempt.fails {
            "there is no such image".clone_into(&mut self.error);
        }
        self.state = state;
        if removes {
            self.is_rescue = false;
            (self.rebuilt, self.data) = (self.generation, attempt.data);
        }
    }

    /// Takes part in a live migration. A guest that is sent runs on the other host afterwards,
    /// which the world sees to.
    fn take_part(&mut self, goal: Goal, transfer: &Transfer, attempt: Attempt) {
        let is_sent = transfer.phase == TransferPhase::Sending;
        match (goal, self.state) {
            (Goal::Leaving, GuestState::Running | GuestState::Paused) if is_sent => match attempt.sent {
                Sent::Leaves => self.state = GuestState::Shelved, // its disks are left
                Sent::Stays | Sent::IsOnItsWay => "it was not received".clone_into(&mut self.error),
            },
            (Goal::Leaving, GuestState::Absent | GuestState::Shelved) => {}
            (Goal::Leaving, _) if is_sent => "it does not run".clone_into(&mut self.error),
            (Goal::Arriving, GuestState::Absent) if attempt.fails => {
                "there is no space".clone_into(&mut self.error);
            }
            (Goal::Arriving, GuestState::Absent | GuestState::Shelved) => {
                self.expected_by = Some(transfer.migration);
                if !transfer.is_shared && transfer.phase == TransferPhase::Preparing {
                    // Disks of the right size, without content.
                    (self.state, self.data) = (GuestState::Shelved, 0);
                }
            }
            _ => {}
        }
    }
}

/// A host with its agent.
pub(crate) struct HostModel {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
    pub(crate) session: Session,
    pub(crate) guests: BTreeMap<Uuid, Guest>,
    /// The latest desired state of each guest that was sent.
    pub(crate) inbox: BTreeMap<Uuid, DesiredGuest>,
    pub(crate) reports: VecDeque<GuestReport>,
}

/// How a desired state is applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) fails: bool,
    /// What a failure leaves.
    pub(crate) leaves: usize,
    /// The content of the disks of a new build.
    pub(crate) data: u64,
    /// The content of the disks that another host offers; `None` if it does not have them.
    pub(crate) fetched: Option<u64>,
    /// The content of the disks on the shared storage, and the host that had them before; `None` if
    /// there are none, or if a guest uses them.
    pub(crate) adopted: Option<(u64, usize)>,
    /// What becomes of a guest that is to be sent.
    pub(crate) sent: Sent,
}

/// What becomes of a guest that is to be sent to another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It has left.
    Leaves,
    /// It stays, with an error.
    Stays,
    /// It is still on its way.
    IsOnItsWay,
}

impl HostModel {
    pub(crate) fn has(&self, guest: Uuid) -> Option<&Guest> {
        self.guests.get(&guest).filter(|guest| guest.exists())
    }

    /// The agent applies the latest desired state that it received of a guest.
    pub(crate) fn apply(&mut self, uuid: Uuid, attempt: Attempt) {
        let Some(desired) = self.inbox.get(&uuid).cloned() else { return };
        let guest = self.guests.entry(uuid).or_insert(Guest::NEW);
        let generation = desired.desired.generation;
        if generation < guest.generation {
            return; // it knows a later one
        }
        // A repeated desired state is only reported again, but a removal is tried again.
        if generation > guest.generation || desired.goal == Goal::Absent {
            let is_sent = desired.transfer.as_ref().is_some_and(|of| of.phase == TransferPhase::Sending)
                && desired.goal == Goal::Leaving;
            if is_sent && is_alive(guest) && attempt.sent == Sent::IsOnItsWay {
                return; // it concludes later
            }
            self.bring_about(&desired, attempt);
        }
        self.reports.push_back(self.guests[&uuid].report(uuid));
    }

    fn bring_about(&mut self, desired: &DesiredGuest, attempt: Attempt) {
        let uuid = desired.instance;
        let mut guest = self.guests[&uuid].clone();
        guest.generation = desired.desired.generation;
        guest.error.clear();
        guest.expected_by = None;
        if let Some(transfer) = &desired.transfer {
            guest.take_part(desired.goal, transfer, attempt);
            self.guests.insert(uuid, guest);
            return;
        }
        if desired.rebuilds {
            guest.build_again(desired, attempt);
            self.guests.insert(uuid, guest);
            return;
        }
        let is_removed = desired.goal == Goal::Absent && !guest.exists();
        let outcome = match attempt.fails && !is_removed {
            true => Err("it failed"),
            false => self.provide_disks(&mut guest, desired, attempt),
        };
        match outcome {
            Ok(()) => {
                guest.state = state(desired.goal);
                guest.is_rescue = desired.rescue.is_some();
            }
            Err(error) => {
                error.clone_into(&mut guest.error);
                // A failure leaves the guest as it was, or another part of it. A removal starts
                // and defines nothing.
                let state = guest.state;
                let parts = match (desired.goal, state) {
                    (Goal::Absent, GuestState::Shelved) => [state; 4],
                    (Goal::Absent, _) => [state, state, GuestState::ShutDown, GuestState::Shelved],
                    _ => [state, GuestState::Running, GuestState::ShutDown, GuestState::Shelved],
                };
                if guest.exists() && !guest.is_set_aside {
                    // The agent checks the image first, and may fail later.
                    if attempt.leaves > 0 && desired.goal != Goal::Absent {
                        guest.is_rescue = desired.rescue.is_some();
                    }
                    guest.state = parts[attempt.leaves];
                } else if matches!(desired.goal, Goal::Running | Goal::Stopped) && !desired.must_exist {
                    // A build that fails.
                    guest.state = parts[attempt.leaves];
                    guest.data = attempt.data;
                    if desired.disks.is_some() {
                        // Disks are complete, or there are none.
                        guest.state = GuestState::Absent;
                    }
                }
            }
        }
        if guest.is_bereft && guest.state == GuestState::Shelved {
            guest.state = GuestState::Absent; // the disks are another host's
        }
        self.guests.insert(uuid, guest);
    }

    /// Provides the disks that the goal needs, or moves them away.
    fn provide_disks(
        &mut self,
        guest: &mut Guest,
        desired: &DesiredGuest,
        attempt: Attempt,
    ) -> Result<(), &'static str> {
        if desired.goal == Goal::Outgoing && matches!(desired.disks, Some(DiskMove::Return { .. })) {
            return Ok(()); // the world gives the disks to the host that had them
        }
        if desired.goal == Goal::Outgoing {
            let Some(DiskMove::SetAside { migration }) = desired.disks else { panic!("{desired:?}") };
            if guest.exists() {
                let set_aside = self.guests.entry(migration).or_insert(Guest::NEW);
                assert!(!set_aside.exists(), "set aside twice");
                (set_aside.state, set_aside.data, set_aside.is_set_aside) =
                    (GuestState::Shelved, guest.data, true);
            }
            return Ok(());
        }
        if guest.exists() || desired.goal == Goal::Absent {
            return Ok(());
        }
        if desired.must_exist {
            return Err("it is lost");
        }
        guest.data = match &desired.disks {
            Some(DiskMove::Fetch { .. }) => attempt.fetched.ok_or("the source has no such disks")?,
            Some(DiskMove::Adopt { migration, may_build }) => match attempt.adopted {
                Some((data, host)) => {
                    guest.origin = Some((*migration, host));
                    guest.is_bereft = false;
                    data
                }
                None if *may_build => attempt.data,
                None => return Err("the storage has no such disks, or they are in use"),
            },
            Some(DiskMove::TakeBack { migration }) => {
                let kept = self.guests.get_mut(migration).filter(|kept| kept.exists());
                let kept = kept.ok_or("there are no disks to take back")?;
                kept.state = GuestState::Absent;
                kept.data
            }
            _ => attempt.data,
        };
        Ok(())
    }
}

fn state(goal: Goal) -> GuestState {
    match goal {
        Goal::Running => GuestState::Running,
        Goal::Stopped => GuestState::ShutDown,
        Goal::Paused => GuestState::Paused,
        Goal::Suspended => GuestState::Saved,
        Goal::Shelved => GuestState::Shelved,
        Goal::Absent | Goal::Outgoing => GuestState::Absent,
        Goal::Leaving | Goal::Arriving => unreachable!("they change no state"),
    }
}

pub(crate) fn is_alive(guest: &Guest) -> bool {
    matches!(guest.state, GuestState::Running | GuestState::Paused)
}
