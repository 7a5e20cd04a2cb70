//! Every interleaving of small claims, releases and inventory changes.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p berth-placement --test loom`. Each
//! model states the race that it covers; `docs/claim-protocol.md` has the argument in prose.

#![cfg(loom)]

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, GroupError, GroupId, GroupPolicy,
    Index, Inventory, Journal, JournalRead, Ledger, Member, Owner, Recorder, Refusal, Rewrite, Row,
    StateChange, Ticket, Timestamp, TransferError, Units,
};
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

const HOST: Row = Row(0);
const CPU: ClassId = ClassId::VCPU;
const MEMORY: ClassId = ClassId::MEMORY_MB;

fn ledger(inventories: &[(ClassId, u32)]) -> Arc<Ledger> {
    let ledger = Ledger::default();
    for &(class, total) in inventories {
        ledger.set_inventory(HOST, class, Some(&Inventory::of(total))).unwrap();
    }
    Arc::new(ledger)
}

fn take(class: ClassId, amount: u32) -> Allocation {
    Allocation { row: HOST, class, amount }
}

/// Explores every interleaving with up to three preemptions: more find nothing further here and
/// take hours.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// Runs the closures concurrently and returns their results.
fn race<T: Send + 'static>(parties: Vec<Box<dyn FnOnce() -> T + Send>>) -> Vec<T> {
    let threads: Vec<_> = parties.into_iter().map(|party| thread::spawn(party)).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn the_last_unit_goes_to_exactly_one() {
    model(|| {
        let ledger = ledger(&[(CPU, 3)]);
        let claim = |ledger: Arc<Ledger>| -> Box<dyn FnOnce() -> bool + Send> {
            Box::new(move || ledger.reserve(&[take(CPU, 2)]).is_ok())
        };
        let granted = race(vec![claim(ledger.clone()), claim(ledger.clone())]);
        assert_eq!(granted.iter().filter(|&&granted| granted).count(), 1);
        assert_eq!(ledger.used(HOST, CPU), 2);
    });
}

#[test]
fn a_refused_claim_leaves_nothing_behind() {
    model(|| {
        let ledger = ledger(&[(CPU, 4), (MEMORY, 1)]);
        let claim = |ledger: Arc<Ledger>| -> Box<dyn FnOnce() -> bool + Send> {
            Box::new(move || ledger.reserve(&[take(CPU, 1), take(MEMORY, 1)]).is_ok())
        };
        let granted = race(vec![claim(ledger.clone()), claim(ledger.clone())]);
        assert_eq!(
            granted.iter().filter(|&&granted| granted).count(),
            1,
            "both classes have capacity for one"
        );
        assert_eq!((ledger.used(HOST, CPU), ledger.used(HOST, MEMORY)), (1, 1));
    });
}

#[test]
fn released_capacity_can_be_claimed_again() {
    model(|| {
        let ledger = ledger(&[(CPU, 1)]);
        ledger.reserve(&[take(CPU, 1)]).unwrap();
        let (releaser, claimer) = (ledger.clone(), ledger.clone());
        let granted = race(vec![
            Box::new(move || {
                releaser.release(&[take(CPU, 1)]);
                false
            }),
            Box::new(move || claimer.reserve(&[take(CPU, 1)]).is_ok()),
        ]);
        assert_eq!(ledger.used(HOST, CPU), i64::from(granted[1]));
        assert!(granted[1] || ledger.reserve(&[take(CPU, 1)]).is_ok());
    });
}

/// The inventory is removed while a claim reserves from it: one of the two must observe the other.
#[test]
fn no_claim_survives_on_a_removed_inventory() {
    model(|| {
        let ledger = ledger(&[(CPU, 1)]);
        let (remover, claimer) = (ledger.clone(), ledger.clone());
        let done = race(vec![
            Box::new(move || remover.set_inventory(HOST, CPU, None).is_ok()),
            Box::new(move || claimer.reserve(&[take(CPU, 1)]).is_ok()),
        ]);
        let (removed, granted) = (done[0], done[1]);
        assert!(!(removed && granted));
        assert_eq!(ledger.used(HOST, CPU), i64::from(granted));
        assert_eq!(ledger.inventory(HOST, CPU).is_none(), removed);
    });
}

/// The inventory shrinks while a claim reserves from it: the claim is judged by the old record or
/// by the new one.
#[test]
fn a_claim_is_judged_by_one_version_of_the_inventory() {
    model(|| {
        let ledger = ledger(&[(CPU, 4)]);
        let shrunk = Arc::new(AtomicU32::new(0));
        let (writer, claimer) = (ledger.clone(), ledger.clone());
        let (set, seen) = (shrunk.clone(), shrunk.clone());
        let smaller =
            Inventory { units: Units { min_unit: 1, max_unit: 2, step_size: 2 }, ..Inventory::of(8) };
        let verdicts = race(vec![
            Box::new(move || {
                writer.set_inventory(HOST, CPU, Some(&smaller)).unwrap();
                set.store(1, Ordering::SeqCst);
                None
            }),
            Box::new(move || {
                let after = seen.load(Ordering::SeqCst) == 1;
                Some((after, claimer.reserve(&[take(CPU, 3)])))
            }),
        ]);
        let (after, verdict) = verdicts[1].unwrap();
        match verdict {
            Ok(()) => assert!(!after, "granted by a removed record"),
            Err(Refusal::Units { units, .. }) => assert_eq!(units, smaller.units),
            Err(other) => panic!("no version of the inventory gives {other}"),
        }
    });
}

/// A rewrite that expects the newest generation runs while a claim reserves: either the claim is
/// counted first and the rewrite is refused, or the new inventory, which does not allow the claim,
/// judges it.
#[test]
fn a_rewrite_never_overlooks_a_claim() {
    model(|| {
        let ledger = ledger(&[(CPU, 2)]);
        let strict =
            Inventory { units: Units { min_unit: 2, max_unit: 2, step_size: 2 }, ..Inventory::of(2) };
        let generation = Some(ledger.generation(HOST));
        let rewrite = Rewrite { row: HOST, generation, inventories: vec![(CPU, strict)] };
        let (writer, claimer) = (ledger.clone(), ledger.clone());
        let done = race(vec![
            Box::new(move || writer.rewrite(&rewrite, 1).is_ok()),
            Box::new(move || claimer.reserve(&[take(CPU, 1)]).is_ok()),
        ]);
        let (rewritten, granted) = (done[0], done[1]);
        assert!(!(rewritten && granted), "the rewrite expected a state without the claim");
        assert_eq!(ledger.used(HOST, CPU), i64::from(granted));
    });
}

/// A rewrite returns the generation that it made itself. If that could include a concurrent
/// release, the caller would wrongly assume that it has seen the release.
#[test]
fn a_rewrite_returns_the_very_next_generation() {
    model(|| {
        let ledger = ledger(&[(CPU, 4)]);
        ledger.reserve(&[take(CPU, 2)]).unwrap();
        let before = ledger.generation(HOST);
        let rewrite =
            Rewrite { row: HOST, generation: Some(before), inventories: vec![(CPU, Inventory::of(3))] };
        let (writer, releaser) = (ledger.clone(), ledger.clone());
        let generations: Vec<Option<u64>> = race(vec![
            Box::new(move || writer.rewrite(&rewrite, 1).ok()),
            Box::new(move || {
                releaser.release(&[take(CPU, 2)]);
                None
            }),
        ]);
        assert!(
            generations[0].is_none_or(|generations| generations == before + 1),
            "{generations:?} after {before}"
        );
    });
}

/// A reader of a journal entry observes its change; two writers never overwrite each other's
/// entries.
#[test]
fn a_journal_entry_follows_its_change() {
    model(|| {
        let (ledger, journal) = (ledger(&[(CPU, 2)]), Arc::new(Journal::default()));
        let writer = || -> Box<dyn FnOnce() -> i64 + Send> {
            let (ledger, journal) = (ledger.clone(), journal.clone());
            Box::new(move || {
                ledger.reserve(&[take(CPU, 1)]).unwrap();
                journal.push(HOST, false);
                0
            })
        };
        let (reading, entries) = (ledger.clone(), journal.clone());
        let reader: Box<dyn FnOnce() -> i64 + Send> = Box::new(move || {
            let mut cursor = 0;
            let mut read = 0;
            while let JournalRead::Changed(_) = entries.read(&mut cursor) {
                read += 1;
                assert!(reading.used(HOST, CPU) >= read);
            }
            read
        });
        race(vec![writer(), writer(), reader]);
        let (mut cursor, mut entries) = (0, 0);
        while let JournalRead::Changed(entry) = journal.read(&mut cursor) {
            assert_eq!(entry.row, HOST);
            entries += 1;
        }
        assert_eq!(entries, 2);
    });
}

const GROUP: GroupId = GroupId(1);
const VM: ConsumerId = ConsumerId(1);
const OTHER: ConsumerId = ConsumerId(2);

/// A host and an anti-affinity group that allows one instance on it.
fn grouped() -> Arc<Index> {
    let index = Index::default();
    let mut writer = index.write();
    writer.add_provider(uuid::Uuid::nil(), "host", None).unwrap();
    writer.set_inventory(HOST, CPU, Some(&Inventory::of(2))).unwrap();
    drop(writer);
    index.add_group(GROUP, GroupPolicy::ANTI_AFFINITY).unwrap();
    Arc::new(index)
}

fn join(index: &Index, consumer: ConsumerId) -> Result<(), TransferError> {
    let owner = std::sync::Arc::new(Owner { project: "".into(), user: "".into(), consumer_type: None });
    let allocations = [take(CPU, 1)].into_iter().collect();
    let write = ConsumerWrite { consumer, generation: ExpectedGeneration::New, owner, allocations };
    index.claim_group(GROUP, &[Member::new(consumer, HOST)], &[write], Timestamp::default())
}

/// The group's roster, checked against the consumers' allocations.
fn settled(index: &Index) -> Vec<ConsumerId> {
    assert_eq!(index.check(), Ok(()));
    let roster = index.group(GROUP).unwrap().roster().unwrap();
    let members: Vec<_> = roster.members().iter().map(|member| member.consumer).collect();
    assert_eq!(index.used(HOST, CPU), i64::try_from(members.len()).unwrap());
    members
}

/// The capacity suffices for both, but the group allows one instance on the host.
#[test]
fn the_last_place_of_a_group_goes_to_exactly_one() {
    model(|| {
        let index = grouped();
        let claim = |consumer| -> Box<dyn FnOnce() -> Result<(), TransferError> + Send> {
            let index = index.clone();
            Box::new(move || join(&index, consumer))
        };
        let outcomes = race(vec![claim(VM), claim(OTHER)]);
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let crowded = GroupError::Crowded { group: GROUP, host: HOST, found: 2, limit: 1 };
        assert!(outcomes.contains(&Err(crowded.into())));
        assert_eq!(settled(&index), [if outcomes[0].is_ok() { VM } else { OTHER }]);
    });
}

/// A member leaves while another consumer claims its place: the place is free or taken, never both
/// and never lost.
#[test]
fn a_released_place_in_a_group_can_be_claimed() {
    model(|| {
        let index = grouped();
        join(&index, VM).unwrap();
        let (releaser, claimer) = (index.clone(), index.clone());
        let outcomes = race(vec![
            Box::new(move || releaser.release(VM).is_ok()),
            Box::new(move || join(&claimer, OTHER).is_ok()),
        ]);
        assert!(outcomes[0]);
        assert_eq!(settled(&index).len(), usize::from(outcomes[1]));
        assert!(outcomes[1] || join(&index, OTHER).is_ok());
    });
}

/// An instance leaves and joins again: its leaving does not remove the new membership.
#[test]
fn a_consumer_that_joins_again_is_a_member() {
    model(|| {
        let index = grouped();
        join(&index, VM).unwrap();
        let (releaser, claimer) = (index.clone(), index.clone());
        let outcomes = race(vec![
            Box::new(move || releaser.release(VM).is_ok()),
            Box::new(move || join(&claimer, VM).is_ok()),
        ]);
        assert!(outcomes[0]);
        assert_eq!(settled(&index).len(), usize::from(outcomes[1]));
    });
}

/// The recorded changes, in order.
#[derive(Default)]
struct Tape(Mutex<Vec<StateChange>>);

impl Recorder for Tape {
    fn begin(&self) -> Ticket {
        Ticket(0)
    }

    fn record(&self, changes: Vec<StateChange>) {
        self.0.lock().unwrap().extend(changes);
    }

    fn end(&self, _: Ticket) {}
}

impl Tape {
    /// Checks that after each change at most the one unit is held, and nothing without its
    /// inventory; `held` units were held before.
    fn check(&self, mut held: u32) {
        let mut has_inventory = true;
        for change in &*self.0.lock().unwrap() {
            match change {
                StateChange::Consumer { after: Some(_), .. } => held += 1,
                StateChange::Consumer { after: None, .. } => held -= 1,
                StateChange::Inventories(_, inventories) => has_inventory = !inventories.is_empty(),
                _ => {}
            }
            assert!(held <= 1 && (has_inventory || held == 0), "{held} are held");
        }
    }
}

/// A host with capacity for one unit, which a consumer holds.
fn recorded() -> (Arc<Index>, std::sync::Arc<Tape>) {
    let tape = std::sync::Arc::new(Tape::default());
    let index = Index::default();
    let mut writer = index.write();
    writer.add_provider(uuid::Uuid::nil(), "host", None).unwrap();
    writer.set_inventory(HOST, CPU, Some(&Inventory::of(1))).unwrap();
    drop(writer);
    index.claim(VM, &[take(CPU, 1)]).unwrap();
    (Arc::new(index.recorded_by(tape.clone())), tape)
}

#[test]
fn a_release_is_recorded_before_the_claim_that_reuses_it() {
    model(|| {
        let (index, tape) = recorded();
        let (releaser, claimer) = (index.clone(), index.clone());
        race::<()>(vec![
            Box::new(move || drop(releaser.release(VM))),
            Box::new(move || drop(claimer.claim(OTHER, &[take(CPU, 1)]))),
        ]);
        tape.check(1);
    });
}

#[test]
fn an_inventory_is_recorded_while_no_claim_can_reserve_from_it() {
    model(|| {
        let (index, tape) = recorded();
        index.release(VM).unwrap();
        tape.0.lock().unwrap().clear();
        let (writer, claimer) = (index.clone(), index.clone());
        race::<()>(vec![
            Box::new(move || drop(writer.write().set_inventory(HOST, CPU, None))),
            Box::new(move || drop(claimer.claim(OTHER, &[take(CPU, 1)]))),
        ]);
        tape.check(0);
    });
}
