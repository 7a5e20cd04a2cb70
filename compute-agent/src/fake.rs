//! A hypervisor in memory.

mod directory;
mod network;
mod storage;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem::discriminant;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_api::v1;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

pub use network::FakeNetwork;
use network::Sending;
pub use storage::FakeStorage;

use crate::disks::{DiskPart, Incoming, IncomingPart};
use crate::{
    Facts, Fault, Found, GuestRecord, GuestStep, Hypervisor, Job, Notice, ObservedState, StepOutcome,
};

/// A hypervisor in memory: guests are entries of a map, and steps take effect at once.
///
/// Failures of a real one can be injected: steps that fail or take long, guests that stop, an
/// unreachable hypervisor. It outlives its agent, so an agent can be restarted on it.
#[derive(Debug)]
pub struct FakeHypervisor {
    world: Mutex<World>,
    released: Notify,
}

#[derive(Debug)]
struct World {
    facts: Facts,
    guests: BTreeMap<Uuid, Entry>,
    /// The directory of the guests' files, if any.
    directory: Option<PathBuf>,
    /// The storage that it shares with other hosts, if any.
    storage: Option<FakeStorage>,
    /// The hypervisors that guests are sent to, if any.
    network: Option<FakeNetwork>,
    /// The guests that are being sent.
    sending: BTreeMap<Uuid, Sending>,
    /// Guests that were to be sent and are still here: for which generation, and why.
    failed: BTreeMap<Uuid, (u64, Fault)>,
    holds_transfers: bool,
    faults: VecDeque<(GuestStep, Fault)>,
    delay: Duration,
    /// Steps of this kind wait.
    held: Option<GuestStep>,
    /// Steps that wait.
    waiting: u32,
    is_away: bool,
    steps: Vec<(Uuid, GuestStep)>,
    keeps_steps: bool,
    /// Disks that were built from images.
    built: u64,
    notices: Option<UnboundedSender<Notice>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    power: ObservedState,
    record: GuestRecord,
    /// The content of its disks: each guest that is built from an image has another.
    data: u64,
}

impl FakeHypervisor {
    /// A hypervisor without guests.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        Self::with(facts, BTreeMap::new(), None)
    }

    /// A hypervisor whose guests are files in a directory, so that they outlive the process.
    ///
    /// # Errors
    /// The directory cannot be created or read, or contains an invalid file of a guest.
    pub fn open(directory: PathBuf, facts: Facts) -> io::Result<Self> {
        let guests = directory::read(&directory)?;
        Ok(Self::with(facts, guests, Some(directory)))
    }

    fn with(facts: Facts, guests: BTreeMap<Uuid, Entry>, directory: Option<PathBuf>) -> Self {
        let world = World {
            facts,
            guests,
            directory,
            storage: None,
            network: None,
            sending: BTreeMap::new(),
            failed: BTreeMap::new(),
            holds_transfers: false,
            faults: VecDeque::new(),
            delay: Duration::ZERO,
            held: None,
            waiting: 0,
            is_away: false,
            steps: Vec::new(),
            keeps_steps: false,
            built: 0,
            notices: None,
        };
        Self { world: Mutex::new(world), released: Notify::new() }
    }

    /// Puts the disks of all guests on storage that this host shares with others.
    pub fn share(&self, storage: &FakeStorage, identity: Uuid) {
        let mut world = self.world();
        world.facts.hypervisor.storage = identity.to_string();
        world.storage = Some(storage.clone());
    }

    /// All guests are off at once, as after a loss of power.
    pub fn lose_power(&self) {
        self.cut_transfers();
        let mut world = self.world();
        for entry in world.guests.values_mut() {
            if matches!(entry.power, ObservedState::Running | ObservedState::Paused) {
                entry.power = ObservedState::ShutDown;
            }
        }
        if let Some(storage) = &world.storage {
            storage.unlock_all(world.facts.host_uuid);
        }
    }

    /// Makes the next step of this kind fail, whatever its arguments. Several calls queue up.
    pub fn fail_next(&self, step: GuestStep, fault: Fault) {
        self.world().faults.push_back((step, fault));
    }

    /// Makes each further step take this long.
    pub fn set_delay(&self, delay: Duration) {
        self.world().delay = delay;
    }

    /// Makes steps of this kind wait until [`Self::release`], whatever their arguments.
    pub fn hold(&self, step: GuestStep) {
        self.world().held = Some(step);
    }

    /// Whether a step waits because of [`Self::hold`].
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.world().waiting > 0
    }

    /// Ends [`Self::hold`]; steps that wait continue.
    pub fn release(&self) {
        self.world().held = None;
        self.released.notify_waiters();
    }

    async fn until_released(&self, step: GuestStep) {
        let is_held =
            |world: &World| world.held.is_some_and(|held| discriminant(&held) == discriminant(&step));
        if !is_held(&self.world()) {
            return;
        }
        self.world().waiting += 1;
        loop {
            let released = self.released.notified();
            if !is_held(&self.world()) {
                break;
            }
            released.await;
        }
        self.world().waiting -= 1;
    }

    /// Replaces the resources of the host.
    pub fn set_facts(&self, facts: Facts) {
        self.world().facts = facts;
    }

    /// Changes the state of a guest and notifies the agent.
    pub fn disturb(&self, instance: Uuid, power: ObservedState) {
        let mut world = self.world();
        let entry = Entry { power, ..world.entry(instance) };
        world.guests.insert(instance, entry);
        world.notify(Notice::Disturbed(instance));
    }

    /// Makes the hypervisor unreachable, or reachable again. Guests continue to run.
    pub fn set_away(&self, is_away: bool) {
        let mut world = self.world();
        world.is_away = is_away;
        world.notify(if is_away { Notice::Lost } else { Notice::Back });
    }

    /// The state of a guest and its record.
    #[must_use]
    pub fn guest(&self, instance: Uuid) -> (ObservedState, GuestRecord) {
        let entry = self.world().entry(instance);
        (entry.power, entry.record)
    }

    /// The content of a guest's disks: a number that differs for each build from an image; 0 if it
    /// has none.
    #[must_use]
    pub fn data(&self, instance: Uuid) -> u64 {
        self.world().entry(instance).data
    }

    /// Starts recording the steps that change a guest, for [`Self::steps`].
    pub fn keep_steps(&self) {
        self.world().keeps_steps = true;
    }

    /// The successful and failed steps since [`Self::keep_steps`], in order, without observations
    /// and records.
    #[must_use]
    pub fn steps(&self) -> Vec<(Uuid, GuestStep)> {
        self.world().steps.clone()
    }

    /// Runs a step. `fetched`: the content of the disks that it fetches.
    fn step(&self, job: &Job, fetched: u64) -> Result<(), Fault> {
        let mut world = self.world();
        world.begin(job)?;
        match job.step {
            GuestStep::Send { generation } => {
                drop(world);
                self.begin_sending(job.instance, generation, job.transfer.as_deref())
            }
            GuestStep::StopSending => {
                drop(world);
                self.fail_sending(job.instance, "sending it was stopped");
                Ok(())
            }
            GuestStep::Destroy if matches!(world.entry(job.instance).power, ObservedState::Leaving) => {
                drop(world);
                self.fail_sending(job.instance, "the guest was turned off");
                self.world().perform(job, fetched)
            }
            GuestStep::Destroy if matches!(world.entry(job.instance).power, ObservedState::Arriving) => {
                drop(world);
                self.destroy_received(job.instance);
                Ok(())
            }
            _ => world.perform(job, fetched),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    const NONE: Self = Self {
        power: ObservedState::Absent,
        record: GuestRecord { known: 0, fulfilled: 0, boot: 0, rebuilt: 0, is_rescue: false },
        data: 0,
    };
}

impl World {
    fn entry(&self, instance: Uuid) -> Entry {
        self.view(instance, self.guests.get(&instance).copied().unwrap_or(Entry::NONE))
    }

    /// A guest with the disks that it has now: another host may have taken them over, or returned
    /// them.
    fn view(&self, instance: Uuid, entry: Entry) -> Entry {
        let Some(storage) = &self.storage else { return entry };
        let data = storage.data_of(instance, self.facts.host_uuid);
        let power = match (entry.power, data) {
            (ObservedState::Shelved, None) => ObservedState::Absent,
            (ObservedState::Absent, Some(_)) => ObservedState::Shelved,
            (power, _) => power,
        };
        Entry { power, data: data.unwrap_or(0), ..entry }
    }

    fn put(&mut self, instance: Uuid, entry: Entry) -> Result<(), Fault> {
        if let Some(directory) = &self.directory {
            directory::write(directory, instance, &entry)
                .map_err(|error| Fault::transient(error.to_string()))?;
        }
        if let Some(storage) = &self.storage {
            storage.note(instance, self.facts.host_uuid, entry.power, entry.data);
        }
        self.guests.insert(instance, entry);
        Ok(())
    }

    /// The disks of one guest are those of another, before anything else of both changes: a process
    /// that is killed loses none.
    fn rename_file(&self, from: Uuid, to: Uuid) -> Result<(), Fault> {
        let Some(directory) = &self.directory else { return Ok(()) };
        directory::rename(directory, from, to).map_err(|error| Fault::transient(error.to_string()))
    }

    /// Takes disks over. Returns their content.
    fn adopt(&mut self, job: &Job) -> Result<u64, Fault> {
        let GuestStep::Adopt { migration, generation, may_build } = job.step else { return Ok(0) };
        let missing = || Fault::permanent("the storage has no disks of the guest");
        let storage = self.storage.as_ref().ok_or_else(missing)?;
        match storage.adopt(job.instance, self.facts.host_uuid, (migration, generation))? {
            Some(data) => Ok(data),
            None if may_build => Ok(self.build()),
            None => Err(missing()),
        }
    }

    fn build(&mut self) -> u64 {
        self.built += 1;
        self.facts.host_uuid.as_u64_pair().1 << 32 | self.built
    }

    fn notify(&self, notice: Notice) {
        if let Some(notices) = &self.notices {
            // No receiver exists while the agent is restarted.
            let _ = notices.send(notice);
        }
    }

    fn check(&self) -> Result<(), Fault> {
        if self.is_away { Err(Fault::lost("the hypervisor is unreachable")) } else { Ok(()) }
    }

    /// Begins a step: it may have to fail.
    fn begin(&mut self, job: &Job) -> Result<(), Fault> {
        self.check()?;
        if self.keeps_steps && !matches!(job.step, GuestStep::Look | GuestStep::Remember(_)) {
            self.steps.push((job.instance, job.step));
        }
        let is_this = |(step, _): &(GuestStep, Fault)| discriminant(step) == discriminant(&job.step);
        if let Some(at) = self.faults.iter().position(is_this) {
            return self.faults.remove(at).map_or(Ok(()), |(_, fault)| Err(fault));
        }
        if let Some(storage) = &self.storage {
            storage.check(job.instance, self.facts.host_uuid, job.step)?;
        }
        Ok(())
    }

    /// Runs a step that concerns this host alone. `fetched`: the content of the disks that it
    /// fetches.
    fn perform(&mut self, job: &Job, fetched: u64) -> Result<(), Fault> {
        let mut entry = self.entry(job.instance);
        if let GuestStep::Remember(record) = job.step {
            entry.record = record;
        } else {
            entry.power = after(job.step, entry.power).ok_or_else(|| {
                Fault::transient(format!("{:?} of a guest that is {:?}", job.step, entry.power))
            })?;
        }
        match job.step {
            GuestStep::Prepare => entry.data = self.build(),
            GuestStep::Adopt { .. } => entry.data = self.adopt(job)?,
            GuestStep::Return(migration) => {
                let (host, missing) = (self.facts.host_uuid, "the host shares no storage");
                let storage = self.storage.as_ref().ok_or_else(|| Fault::permanent(missing))?;
                storage.return_disks(job.instance, host, migration)?;
                entry.data = 0;
            }
            GuestStep::Fetch => entry.data = fetched,
            GuestStep::RemoveDisks => entry.data = 0,
            GuestStep::SetAside(other) => {
                self.rename_file(job.instance, other)?;
                if let Some(storage) = &self.storage {
                    storage.rename(job.instance, other);
                }
                self.put(
                    other,
                    Entry { power: ObservedState::Shelved, data: entry.data, ..self.entry(other) },
                )?;
                entry.data = 0;
            }
            GuestStep::TakeBack(other) => {
                let kept = self.entry(other);
                if kept.power != ObservedState::Shelved {
                    return Err(Fault::permanent("no disks are set aside"));
                }
                self.rename_file(other, job.instance)?;
                entry.data = kept.data;
                if let Some(storage) = &self.storage {
                    storage.rename(other, job.instance);
                }
                self.put(other, Entry { power: ObservedState::Absent, data: 0, ..kept })?;
            }
            _ => {}
        }
        self.put(job.instance, entry)
    }
}

/// The name of the only file of a fake guest.
const DISK: &str = "disk.qcow2";

/// Receives the disks of another host: the number that they contain.
async fn receive(incoming: &Incoming) -> Result<u64, Fault> {
    let mut parts = incoming.fetch();
    let mut content = Vec::new();
    while let Some(part) = parts.recv().await {
        match part? {
            IncomingPart::File(file) if file.name == DISK => {}
            IncomingPart::File(file) => {
                return Err(Fault::permanent(format!("{:?} is no file of a guest", file.name)));
            }
            IncomingPart::Data(data) => content.extend_from_slice(&data),
            IncomingPart::End => {
                let content = <[u8; 8]>::try_from(&*content);
                return content.map(u64::from_le_bytes).map_err(|_| Fault::permanent("the disk is damaged"));
            }
        }
    }
    Err(Fault::transient("the disks are incomplete"))
}

/// The state of a guest after a step; None if the step is impossible in its state.
pub(crate) fn after(step: GuestStep, power: ObservedState) -> Option<ObservedState> {
    use ObservedState::{Absent, Crashed, Leaving, Paused, Running, Saved, Shelved, ShutDown};
    Some(match (step, power) {
        (GuestStep::Look, _) => power,
        (GuestStep::CheckDisks, _) if power != Absent => power,
        (GuestStep::Prepare, Absent) => Shelved,
        (GuestStep::Define, Shelved) => ShutDown,
        (GuestStep::Start, ShutDown | Crashed)
        | (GuestStep::Resume, Paused)
        | (GuestStep::Restore, Saved) => Running,
        (GuestStep::Shutdown, Running)
        | (GuestStep::Destroy, Running | Paused)
        | (GuestStep::DiscardSave, Saved) => ShutDown,
        (GuestStep::Pause, Running) => Paused,
        (GuestStep::Save, Running | Paused) => Saved,
        (GuestStep::Undefine, ShutDown | Crashed | Saved) => Shelved,
        (GuestStep::RemoveDisks | GuestStep::SetAside(_) | GuestStep::Return(_), Shelved) => Absent,
        (GuestStep::Fetch | GuestStep::TakeBack(_) | GuestStep::Adopt { .. }, Absent) => Shelved,
        (GuestStep::Adopt { .. }, ShutDown | Crashed | Saved | Running | Paused) => power,
        (GuestStep::ForceSending, Leaving) => Leaving,
        _ => return None,
    })
}

impl Hypervisor for FakeHypervisor {
    async fn facts(&self) -> Result<Facts, Fault> {
        let world = self.world();
        world.check()?;
        Ok(world.facts.clone())
    }

    async fn guests(&self) -> Result<Vec<Found>, Fault> {
        let world = self.world();
        world.check()?;
        let found = |(&instance, entry): (&Uuid, &Entry)| {
            let Entry { power, record, .. } = world.view(instance, *entry);
            Found { instance, power, record }
        };
        Ok(world.guests.iter().map(found).collect())
    }

    async fn perform(&self, job: Job) -> StepOutcome {
        let delay = self.world().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.until_released(job.step).await;
        let fetched = match job.incoming.as_ref().filter(|_| job.step == GuestStep::Fetch) {
            Some(incoming) => receive(incoming).await,
            None => Ok(0),
        };
        let result = fetched.and_then(|fetched| self.step(&job, fetched));
        let world = self.world();
        let power = world.check().is_ok().then(|| world.entry(job.instance).power);
        StepOutcome { result, power }
    }

    async fn forget(&self, instance: Uuid) {
        let mut world = self.world();
        world.guests.remove(&instance);
        if let Some(directory) = &world.directory {
            let _ = directory::remove(directory, instance); // the file may never have been written
        }
    }

    async fn export(&self, guest: Uuid) -> Result<Vec<DiskPart>, Fault> {
        let world = self.world();
        world.check()?;
        let entry = world.entry(guest);
        let data = match entry.power {
            ObservedState::Shelved => entry.data,
            ObservedState::Running | ObservedState::Paused | ObservedState::Leaving => 0, // without content
            _ => return Err(Fault::transient("no disks are set aside")),
        };
        let content = data.to_le_bytes();
        let file =
            v1::DiskFile { name: DISK.to_owned(), bytes: content.len() as u64, ..v1::DiskFile::default() };
        Ok(vec![DiskPart { file, content: Box::new(io::Cursor::new(content)) }])
    }

    async fn console(&self, guest: Uuid, most_bytes: u32) -> Result<Vec<u8>, Fault> {
        let world = self.world();
        world.check()?;
        let Some(entry) = world.guests.get(&guest).filter(|entry| entry.power != ObservedState::Absent)
        else {
            return Err(Fault::permanent("the guest is not on this host"));
        };
        let output = format!("boot {}\n", entry.record.boot).into_bytes();
        Ok(output[output.len().saturating_sub(most_bytes as usize)..].to_vec())
    }

    fn disk_available_gb(&self) -> u32 {
        self.world().facts.disk_gb
    }

    fn notices(&self) -> UnboundedReceiver<Notice> {
        let (sender, receiver) = unbounded_channel();
        self.world().notices = Some(sender);
        receiver
    }
}
