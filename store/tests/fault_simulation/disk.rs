//! A disk that forgets, tears and fails as real ones do.
//!
//! It keeps what was synced, and the writes since. The process reads its own writes (the page
//! cache). When the power goes, any of the writes since the last sync may be on the disk, each as a
//! whole or torn, and the others are not. When only the process ends, all of them are still to
//! come. A sync that fails has written some, and **forgets the others**: Linux marks the pages
//! clean, so that a later sync succeeds without them, while readers may go on seeing them or not.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use redb::StorageBackend;

use crate::rng::SeededRng;

/// What may happen at a write, a sync or a change of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails once; of a write, a part may have been done.
    Broken,
    /// Makes the disk full from now on.
    Full,
    /// The process ends.
    Kill,
    /// The machine loses its power, and of the unsynced writes this is left.
    PowerCut(Survivors),
}

/// Which unsynced writes are on the disk after the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survivors {
    None,
    All,
    /// All but the first.
    NotTheFirst,
    /// All, the last of them torn.
    LastTorn,
    /// Any, in any order, any of them torn.
    Any,
}

/// Called before the disk changes.
pub(crate) trait Watcher: Send + Sync {
    fn disk_will_change(&self);
}

pub(crate) struct Disk {
    state: Mutex<State>,
    rng: SeededRng,
}

#[derive(Default)]
struct State {
    /// What readers see.
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Counts crashes and restarts; an operation that began before cannot use it any more.
    life: u64,
    /// After so many more changes.
    fault: Option<(u32, Fault)>,
    full: bool,
    changes: u64,
    faults: u64,
    watcher: Option<Weak<dyn Watcher>>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Disk {
    pub(crate) fn new(rng: SeededRng) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), rng })
    }

    pub(crate) fn watched_by(&self, watcher: Weak<dyn Watcher>) {
        self.state().watcher = Some(watcher);
    }

    /// The disk as a process of this time has it.
    pub(crate) fn handle(self: &Arc<Self>) -> Handle {
        Handle { disk: Arc::clone(self), life: self.life() }
    }

    pub(crate) fn life(&self) -> u64 {
        self.state().life
    }

    /// How often it was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// How many faults there were.
    pub(crate) fn faults(&self) -> u64 {
        self.state().faults
    }

    pub(crate) fn is_full(&self) -> bool {
        self.state().full
    }

    pub(crate) fn arm(&self, after: u32, fault: Fault) {
        self.state().fault = Some((after, fault));
    }

    /// Makes space available again, and stops all failures.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        (state.full, state.fault) = (false, None);
    }

    /// The process is gone; its writes are not.
    pub(crate) fn kill(&self) {
        self.state().life += 1;
    }

    pub(crate) fn cut_power(&self, survivors: Survivors) {
        self.state().cut_power(survivors, &self.rng);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, unless a fault comes in between.
    fn change(&self, life: u64, change: Option<Change>) -> io::Result<()> {
        let watcher = self.state().watcher.clone();
        if let Some(watcher) = watcher.and_then(|watcher| watcher.upgrade()) {
            watcher.disk_will_change();
        }
        let mut state = self.state();
        state.check(life)?;
        state.changes += 1;
        match state.fault_due() {
            None => {}
            Some(Fault::Full) => {
                state.faults += 1;
                state.full = true;
            }
            Some(fault) => return Err(state.fail(fault, change, &self.rng)),
        }
        match change {
            None => state.sync(),
            Some(_) if state.full => return Err(io::Error::from(ErrorKind::StorageFull)),
            Some(change) => state.enter(change),
        }
        Ok(())
    }
}

impl State {
    fn check(&self, life: u64) -> io::Result<()> {
        if self.life == life { Ok(()) } else { Err(io::Error::other("the process has ended")) }
    }

    fn fault_due(&mut self) -> Option<Fault> {
        let (after, fault) = self.fault?;
        self.fault = after.checked_sub(1).map(|after| (after, fault));
        self.fault.is_none().then_some(fault)
    }

    fn enter(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        let Self { durable, unsynced, .. } = self;
        unsynced.drain(..).for_each(|change| apply(durable, &change));
    }

    /// Fails in the middle of a change, or of a sync.
    fn fail(&mut self, fault: Fault, change: Option<Change>, rng: &SeededRng) -> io::Error {
        self.faults += 1;
        let is_sync = change.is_none();
        match (fault, change) {
            (Fault::Broken, None) => self.break_sync(rng),
            (Fault::Broken, Some(change)) => {
                if rng.one_in(2) {
                    torn(change, rng).into_iter().for_each(|part| self.enter(part));
                }
            }
            (_, change) => change.into_iter().for_each(|change| self.enter(change)),
        }
        match fault {
            Fault::Kill => self.life += 1,
            Fault::PowerCut(survivors) => self.cut_power(survivors, rng),
            Fault::Broken | Fault::Full => {}
        }
        io::Error::other(if is_sync { "a sync that failed" } else { "a write that failed" })
    }

    /// Some of it is on disk. The rest nobody will write again; it is seen until the pages are
    /// needed for something else.
    fn break_sync(&mut self, rng: &SeededRng) {
        let is_evicted = rng.one_in(2);
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Length(_) => self.unsynced.push(change),
                Change::Write { .. } if rng.one_in(2) => apply_within(&mut self.durable, &change),
                Change::Write { .. } => {}
            }
        }
        if is_evicted {
            self.live.clone_from(&self.durable);
            self.unsynced.iter().for_each(|change| apply(&mut self.live, change));
        }
    }

    fn cut_power(&mut self, survivors: Survivors, rng: &SeededRng) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        match survivors {
            Survivors::None => unsynced.clear(),
            Survivors::All => {}
            Survivors::NotTheFirst => drop((!unsynced.is_empty()).then(|| unsynced.remove(0))),
            Survivors::LastTorn => {
                let last = unsynced.pop();
                unsynced.extend(last.into_iter().flat_map(|last| torn(last, rng)));
            }
            Survivors::Any => unsynced = any_of(unsynced, rng),
        }
        unsynced.iter().for_each(|change| apply_within(&mut self.durable, change));
        self.live.clone_from(&self.durable);
        (self.full, self.fault) = (false, None);
        self.life += 1;
    }
}

fn any_of(mut changes: Vec<Change>, rng: &SeededRng) -> Vec<Change> {
    let (lost, torn_of) = (1 + rng.below(6), 1 + rng.below(4));
    if rng.one_in(2) {
        for place in (1..changes.len()).rev() {
            changes.swap(place, rng.place(place + 1));
        }
    }
    changes.retain(|_| !rng.one_in(lost + 1));
    let tear = |change| if rng.one_in(torn_of) { torn(change, rng) } else { vec![change] };
    changes.into_iter().flat_map(tear).collect()
}

/// What is left of a change that was cut off: its beginning, its end, or some of its sectors.
fn torn(change: Change, rng: &SeededRng) -> Vec<Change> {
    const SECTOR: usize = 512;
    let Change::Write { offset, data } = change else { return Vec::new() };
    if data.is_empty() {
        return Vec::new();
    }
    let cut = match rng.below(2) {
        0 => rng.place(data.len()),
        _ => rng.place(data.len()) / SECTOR * SECTOR,
    };
    match rng.below(3) {
        0 => vec![Change::Write { offset, data: data[..cut].to_vec() }],
        1 => vec![Change::Write { offset: offset + cut, data: data[cut..].to_vec() }],
        _ => {
            let sectors = data.chunks(SECTOR).enumerate().filter(|_| rng.one_in(2));
            let sector = |(place, data): (usize, &[u8])| Change::Write {
                offset: offset + place * SECTOR,
                data: data.to_vec(),
            };
            sectors.map(sector).collect()
        }
    }
}

fn apply(image: &mut Vec<u8>, change: &Change) {
    if let Change::Write { offset, data } = change {
        image.resize(image.len().max(offset + data.len()), 0);
    }
    apply_within(image, change);
}

/// What lies behind the end was written to no file.
fn apply_within(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => image.resize(*length, 0),
        Change::Write { offset, data } => {
            let end = image.len().min(offset + data.len());
            if let Some(place) = image.get_mut(*offset..end) {
                place.copy_from_slice(&data[..end - offset]);
            }
        }
    }
}

/// The disk, until the process that has it ends.
#[derive(Clone)]
pub(crate) struct Handle {
    disk: Arc<Disk>,
    life: u64,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the disk in life {}", self.life)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.check(self.life)?;
        Ok(state.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        state.check(self.life)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = state.live.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.disk.change(self.life, Some(Change::Length(length)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.change(self.life, None)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.disk.change(self.life, Some(Change::Write { offset, data: data.to_vec() }))
    }
}
