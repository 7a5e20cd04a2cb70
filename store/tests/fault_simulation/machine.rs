//! The service without its threads: an index, its queue, its committer and its store, on a disk
//! that fails.
//!
//! Everything happens on one thread, in an order that the seed decides. What is concurrent in the
//! service happens in the middle of an operation here: between the steps in which the index
//! notifies its recorder of a change ([`Moment`]), the committer may commit, another client may do
//! something, the process or the machine may end.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use berth_placement::{
    ClassId, Index, Inventory, ProviderState, Recorder, Row, StateChange, Ticket, Timestamp,
};
use berth_store::{Committer, Contents, Durability, DurabilityMode, EmbeddedStore, Queue, fill, load};

use crate::clients::{Draw, Locks, Operation, uuid};
use crate::disk::{Disk, Fault, Survivors, Watcher};
use crate::followers::Followers;
use crate::history::{Acknowledged, History};
use crate::kept::Unit;
use crate::rng::SeededRng;

/// Without a fleet.
pub(crate) type NoFleet = BTreeMap<Vec<u8>, Vec<u8>>;
type Loaded = berth_store::Loaded<NoFleet>;

/// How deep operations happen inside of each other.
const DEPTH: usize = 3;

/// Where an operation can be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// It holds no lock but the writer's.
    Outside,
    /// Its consumers are locked, and it may keep claims waiting.
    Inside,
}

pub(crate) struct Machine {
    rng: SeededRng,
    pub(crate) disk: Arc<Disk>,
    history: Mutex<History>,
    run: Mutex<Option<Arc<Run>>>,
    /// Responses that wait until their content is durable.
    answers: Mutex<Vec<Answer>>,
    /// What the operations under way have locked.
    under_way: Mutex<Vec<Locks>>,
    /// Whether operations are interrupted.
    is_interrupted: bool,
    now: Mutex<u64>,
    trace: bool,
}

struct Answer {
    acknowledged: Acknowledged,
    durable: Pin<Box<dyn Future<Output = Result<(), Arc<str>>> + Send>>,
}

/// From the opening of the store to its end.
struct Run {
    life: u64,
    index: Arc<Index>,
    durability: Arc<Durability>,
    committer: Mutex<Option<Committer>>,
    followers: Mutex<Followers>,
    has_failed: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    /// A machine with a store that was just made.
    pub(crate) fn new(seed: u64, is_interrupted: bool, trace: bool) -> Arc<Self> {
        let (rng, disk) = (SeededRng::new(seed, 0), Disk::new(SeededRng::new(seed, 1)));
        let index = first_fleet(&rng, is_interrupted);
        let history = Mutex::new(History::beginning_with(&index));
        let store = EmbeddedStore::on(disk.handle()).expect("an empty disk");
        fill(&store, &Contents::<NoFleet>::from(index)).expect("no fault yet");
        drop(store);
        let (run, answers, under_way, now) = Default::default();
        let machine =
            Arc::new(Self { rng, disk, history, run, answers, under_way, is_interrupted, now, trace });
        let watcher: Weak<Self> = Arc::downgrade(&machine);
        machine.disk.watched_by(watcher);
        machine.recover();
        machine
    }

    fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("life {}, change {}: {}", self.disk.life(), self.disk.changes(), what());
        }
    }

    /// One event.
    pub(crate) fn happen(self: &Arc<Self>) {
        match self.rng.below(40) {
            0 => self.cut_power(),
            1 => self.kill(),
            2 => self.restart(),
            3..6 => self.arm(30),
            6..14 => self.step(),
            _ => {
                let run = self.run();
                let draw = Draw { rng: &self.rng, index: &run.index, may_look: true };
                self.perform(&draw.operation());
            }
        }
        self.recover_if_ended();
    }

    /// An operation, and a commit if wanted, whatever fails.
    pub(crate) fn carry_on(self: &Arc<Self>, operation: &Operation, commits: bool) {
        self.perform(operation);
        if commits {
            self.step();
        }
        self.recover_if_ended();
    }

    /// Stops all failures, and sends every waiting response.
    pub(crate) fn settle(self: &Arc<Self>) {
        self.disk.mend();
        self.step();
        self.recover_if_ended();
        self.step();
        self.listen();
        assert!(locked(&self.answers).is_empty(), "all is committed, and answers still wait");
        self.check_followers();
        self.cut_power();
        self.recover_if_ended();
    }

    /// All is committed: a follower of the store has the same state.
    fn check_followers(&self) {
        let run = self.run();
        locked(&run.followers).check(&run.index);
    }

    fn arm(&self, within: u32) {
        let survivors = *self.rng.pick(&[
            Survivors::None,
            Survivors::All,
            Survivors::NotTheFirst,
            Survivors::LastTorn,
            Survivors::Any,
            Survivors::Any,
        ]);
        let power_cut = Fault::PowerCut(survivors);
        let fault = *self.rng.pick(&[Fault::Broken, Fault::Broken, Fault::Full, Fault::Kill, power_cut]);
        let after = self.rng.below(within);
        self.log(|| format!("after {after} changes of the disk: {fault:?}"));
        self.disk.arm(after, fault);
    }

    fn cut_power(&self) {
        self.log(|| "the power is cut".into());
        self.listen();
        self.disk.cut_power(Survivors::Any);
    }

    fn kill(&self) {
        self.log(|| "the process is killed".into());
        self.listen();
        self.disk.kill();
    }

    /// The service stops as it should, and starts again.
    fn restart(self: &Arc<Self>) {
        self.log(|| "a restart".into());
        self.step();
        if !self.has_ended() {
            self.check_followers();
        }
        let run = self.run();
        *locked(&run.committer) = None;
        self.listen();
        self.disk.kill();
    }

    fn run(&self) -> Arc<Run> {
        Arc::clone(locked(&self.run).as_ref().expect("it runs"))
    }

    fn has_ended(&self) -> bool {
        let run = self.run();
        run.life != self.disk.life() || run.has_failed.load(Ordering::Relaxed)
    }

    /// Commits what waits.
    pub(crate) fn step(&self) {
        let run = self.run();
        if self.has_ended() {
            return;
        }
        self.commit(&run);
        self.listen();
    }

    fn commit(&self, run: &Run) {
        // A committer that is at work already is on this very thread.
        let Ok(mut committer) = run.committer.try_lock() else { return };
        let Some(committer) = committer.as_mut() else { return };
        locked(&self.history).begin_commit();
        match committer.step() {
            Ok(_) => {
                locked(&self.history).end_commit();
                locked(&run.followers).catch_up();
            }
            Err(error) => {
                self.log(|| format!("the commit fails: {error}"));
                run.has_failed.store(true, Ordering::Relaxed);
                committer.fail("it failed");
            }
        }
    }

    /// Runs an operation of a client. Its response waits until its content is durable.
    pub(crate) fn perform(self: &Arc<Self>, operation: &Operation) {
        let run = self.run();
        if self.has_ended() {
            return;
        }
        let depth = {
            let mut under_way = locked(&self.under_way);
            under_way.push(operation.locks());
            under_way.len()
        };
        self.log(|| format!("{:>depth$}{operation:?}", ""));
        let done = operation.perform(&run.index, self.time());
        self.log(|| format!("{:>depth$}{}", "", if done { "done" } else { "refused" }));
        locked(&self.under_way).pop();
        if self.has_ended() {
            return;
        }
        self.answer(&run, operation);
        if depth == 1 {
            locked(&self.history).see(run.index.snapshot().records().collect());
        }
    }

    fn answer(&self, run: &Run, operation: &Operation) {
        let generations = operation.rows().into_iter().map(|row| (row, run.index.generation(row)));
        let known = generations.filter(|(row, _)| run.index.topology().provider(*row).is_some());
        let acknowledged =
            Acknowledged { units: locked(&self.history).units(), generations: known.collect() };
        let durability = Arc::clone(&run.durability);
        let durable = Box::pin(async move { durability.wait_durable().await });
        locked(&self.answers).push(Answer { acknowledged, durable });
        self.listen();
    }

    /// Sends the answers that may be sent. Those that wait for a process that has ended never will.
    fn listen(&self) {
        let mut answers = locked(&self.answers);
        let mut context = Context::from_waker(Waker::noop());
        answers.retain_mut(|answer| match answer.durable.as_mut().poll(&mut context) {
            Poll::Pending => true,
            Poll::Ready(Ok(())) => {
                locked(&self.history).acknowledge(answer.acknowledged.clone());
                false
            }
            Poll::Ready(Err(_)) => false,
        });
    }

    /// A clock that mostly goes forwards.
    fn time(&self) -> Timestamp {
        let mut now = locked(&self.now);
        *now = match self.rng.below(20) {
            0 => self.rng.below(1 << 20).into(),
            1 => *now + u64::from(self.rng.below(1 << 20)),
            _ => *now + 1,
        };
        Timestamp(*now)
    }

    /// Checks that the visible state is consistent when the only running change has ended, because
    /// responses may contain all of it.
    fn check_when_quiet(&self) {
        let is_quiet = matches!(&locked(&self.under_way)[..], [Locks { topology: false, held: false, .. }]);
        if is_quiet && !self.has_ended() && !std::thread::panicking() {
            self.run().index.check().expect("the visible state is consistent");
        }
    }

    /// Something else happens in the middle of an operation.
    fn interrupt(self: &Arc<Self>, moment: Moment) {
        if !self.is_interrupted || self.has_ended() || locked(&self.under_way).is_empty() {
            return;
        }
        self.hold(moment == Moment::Inside);
        self.do_something_else();
        self.hold(false);
    }

    /// Says whether the operation under way that began last holds its locks.
    fn hold(&self, held: bool) {
        if let Some(locks) = locked(&self.under_way).last_mut() {
            locks.held = held;
        }
    }

    fn is_inside(&self) -> bool {
        locked(&self.under_way).iter().any(|locks| locks.held)
    }

    fn do_something_else(self: &Arc<Self>) {
        match self.rng.below(40) {
            0 => self.cut_power(),
            1 => self.kill(),
            2 => self.arm(10),
            3..9 => self.step(),
            9..14 => self.perform_another(),
            _ => {}
        }
    }

    /// Another client does something now, if it need not wait.
    fn perform_another(self: &Arc<Self>) {
        let run = self.run();
        let draw = Draw { rng: &self.rng, index: &run.index, may_look: !self.is_inside() };
        let other = Operation::OnConsumers(draw.on_consumers());
        let is_free = {
            let under_way = locked(&self.under_way);
            let waits = |locks: &Locks| locks.held && (locks.topology || locks.meet(&other.locks()));
            under_way.len() < DEPTH && !under_way.iter().any(waits)
        };
        if is_free {
            self.perform(&other);
        }
    }

    fn recover_if_ended(self: &Arc<Self>) {
        if self.has_ended() {
            self.recover();
        }
    }

    /// Opens the store again, through whatever goes wrong meanwhile, and checks what it has.
    fn recover(self: &Arc<Self>) {
        locked(&self.answers).clear();
        let before = locked(&self.run).take();
        // A store that is dropped may still write: as it does in the service, before it is opened
        // again.
        drop(before);
        loop {
            if self.is_interrupted && self.rng.one_in(6) {
                self.arm(40);
            }
            let (life, faults) = (self.disk.life(), self.disk.faults());
            match self.open() {
                Ok((store, loaded)) => return self.resume(life, store, loaded),
                Err(reason) => {
                    self.log(|| format!("not opened: {reason}"));
                    let disk = &self.disk;
                    let is_explained = disk.life() != life || disk.faults() != faults || disk.is_full();
                    assert!(is_explained, "the store does not open: {reason}");
                    if self.rng.one_in(3) {
                        self.disk.mend();
                    }
                }
            }
        }
    }

    fn open(&self) -> Result<(EmbeddedStore, Loaded), String> {
        let store = EmbeddedStore::on(self.disk.handle()).map_err(|error| error.to_string())?;
        let loaded = load(&store).map_err(|error| error.to_string())?;
        Ok((store, loaded.expect("it was filled")))
    }

    fn resume(self: &Arc<Self>, life: u64, store: EmbeddedStore, loaded: Loaded) {
        let Loaded { contents: Contents { index, .. }, encoder, .. } = loaded;
        self.log(|| "opened".into());
        locked(&self.history).resume(&index);
        let queue = Arc::new(Queue::default());
        let recorder = Arc::new(Interrupting {
            machine: Arc::downgrade(self),
            queue: Arc::clone(&queue),
            index: OnceLock::new(),
        });
        let index = Arc::new(index.recorded_by(Arc::<Interrupting>::clone(&recorder)));
        recorder.index.set(Arc::downgrade(&index)).expect("it is set once");
        let (store, followers) = Followers::of(store);
        let committer = Committer::new(Arc::clone(&index), Arc::clone(&queue), Box::new(store), encoder);
        let durability = Arc::new(Durability::new(queue, committer.progress(), DurabilityMode::Strict));
        let (committer, has_failed) = (Mutex::new(Some(committer)), AtomicBool::new(false));
        let followers = Mutex::new(followers);
        *locked(&self.run) =
            Some(Arc::new(Run { life, index, durability, committer, followers, has_failed }));
    }
}

/// Everything acknowledged before a disk changes was durable before.
impl Watcher for Machine {
    fn disk_will_change(&self) {
        self.listen();
    }
}

/// A queue, with the events that happen while it receives changes.
struct Interrupting {
    machine: Weak<Machine>,
    queue: Arc<Queue>,
    index: OnceLock<Weak<Index>>,
}

impl Interrupting {
    fn interrupt(&self, moment: Moment) {
        // A failure is reported unchanged.
        let machine = self.machine.upgrade().filter(|_| !std::thread::panicking());
        if let Some(machine) = machine {
            machine.interrupt(moment);
        }
    }
}

impl Recorder for Interrupting {
    fn begin(&self) -> Ticket {
        self.interrupt(Moment::Outside);
        let ticket = self.queue.begin();
        self.interrupt(Moment::Outside);
        ticket
    }

    fn record(&self, changes: Vec<StateChange>) {
        self.interrupt(Moment::Inside);
        let machine = self.machine.upgrade().expect("it runs this");
        let index = self.index.get().and_then(Weak::upgrade).expect("it is recorded");
        if !machine.has_ended() {
            locked(&machine.history).record(Unit::new(&changes, &index));
        }
        self.queue.record(changes);
        self.interrupt(Moment::Inside);
    }

    fn end(&self, ticket: Ticket) {
        self.interrupt(Moment::Outside);
        self.queue.end(ticket);
        if let Some(machine) = self.machine.upgrade() {
            machine.check_when_quiet();
        }
        self.interrupt(Moment::Outside);
    }
}

/// A few providers, side by side or far from each other.
fn first_fleet(rng: &SeededRng, any: bool) -> Index {
    const ROWS: [[u32; 3]; 5] = [[0, 1, 2], [0, 1, 2], [254, 255, 256], [3, 300, 700], [0, 255, 511]];
    let index = Index::with_holders();
    let rows = if any { *rng.pick(&ROWS) } else { ROWS[0] };
    let mut rebuild = index.rebuild();
    for (number, row) in (0..).zip(rows.map(Row)) {
        let (parent, traits, aggregates) = (None, [].into(), [].into());
        let name = format!("p{number}").into();
        let state = ProviderState { uuid: uuid(number), name, parent, traits, aggregates };
        rebuild.provider(row, &state).expect("they differ");
        rebuild.inventories(row, vec![(ClassId::VCPU, Inventory::of(8))]).expect("it may be");
    }
    rebuild.finish().expect("nobody has a parent");
    index
}
