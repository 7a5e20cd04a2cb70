//! Several deciders fill a small fleet to the last unit, each on a thread of its own.

mod naive;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use berth_placement::{Allocation, ClassId, ConsumerId, HOST_CLASSES, Index, Inventory, Row};
use berth_scheduler::{AmountEngine, PlaceError, Policy, Request, Search};
use uuid::Uuid;

const HOSTS: u32 = 12;
const ROUNDS: usize = 300;
/// Who decides how.
const DECIDERS: [(Policy, Search); 3] = [
    (Policy::BestFit, Search::Ranked),
    (Policy::BestFit, Search::Exhaustive),
    (Policy::WorstFit, Search::Ranked),
];

fn fleet(capacity: [u32; 3]) -> Arc<Index> {
    let index = Index::default();
    let mut writer = index.write();
    for host in 0..HOSTS {
        let row = writer.add_provider(Uuid::from_u128(host.into()), &format!("host {host}"), None).unwrap();
        for (class, total) in HOST_CLASSES.into_iter().zip(capacity) {
            writer.set_inventory(row, class, Some(&Inventory::of(total))).unwrap();
        }
    }
    drop(writer);
    Arc::new(index)
}

/// A decider's end: the hosts it placed on, and itself.
struct Filled {
    placed: Vec<Row>,
    scheduler: AmountEngine,
}

/// Places the requests in turn until there is no valid host for any of them.
fn fill(mut scheduler: AmountEngine, number: usize, requests: &[Request]) -> Filled {
    let mut prepared: Vec<_> =
        requests.iter().map(|request| Some(scheduler.prepare(request.clone()))).collect();
    let mut placed = Vec::new();
    while prepared.iter().any(Option::is_some) {
        for wanted in &mut prepared {
            let Some(request) = wanted else { continue };
            let vm = ConsumerId((number as u128) << 64 | placed.len() as u128);
            match scheduler.place(vm, request) {
                Ok(row) => placed.push(row),
                Err(PlaceError::NoValidHost(_)) => *wanted = None,
                Err(PlaceError::Outrun { .. }) => {} // says itself that there may be capacity: tries again
                Err(other @ PlaceError::ConsumerExists(_)) => panic!("{other}"),
            }
        }
    }
    Filled { placed, scheduler }
}

/// All deciders at once, each with its own list of requests.
fn race(index: &Arc<Index>, requests: [&[Request]; 3]) -> Vec<Filled> {
    let start = Barrier::new(DECIDERS.len());
    thread::scope(|scope| {
        let threads: Vec<_> = DECIDERS
            .into_iter()
            .zip(requests)
            .enumerate()
            .map(|(number, ((policy, search), requests))| {
                let scheduler = AmountEngine::new(Arc::clone(index), policy, search);
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    fill(scheduler, number, requests)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a decider failed")).collect()
    })
}

#[test]
fn the_fleet_is_filled_to_the_last_unit_and_nothing_is_granted_twice() {
    for _ in 0..ROUNDS {
        // Each host has capacity for exactly 16 of the VMs; vCPUs and disk run out together, memory
        // does not.
        let index = fleet([16, 100, 32]);
        let requests = [Request::of(1, 4, 2)];
        let filled = race(&index, [&requests; 3]);
        let placed: Vec<Row> = filled.iter().flat_map(|filled| filled.placed.clone()).collect();
        assert_eq!(placed.len(), 16 * HOSTS as usize, "a decider gave up while there was capacity");
        for host in (0..HOSTS).map(Row) {
            assert_eq!(placed.iter().filter(|&&row| row == host).count(), 16);
            assert_eq!(HOST_CLASSES.map(|class| index.free(host, class).unwrap()), [0, 36, 0]);
        }
        assert_eq!((index.consumers(), index.check()), (placed.len(), Ok(())));
        assert_sound(&index, filled, &requests);
    }
}

/// Requests that run out of different classes: some claims get the one and are refused the other.
#[test]
fn no_decider_overlooks_capacity_in_the_end() {
    let requests = [Request::of(1, 7, 0), Request::of(5, 1, 0), Request::of(2, 2, 1), Request::of(1, 1, 0)];
    for _ in 0..ROUNDS {
        let index = fleet([23, 37, 11]);
        let filled = race(&index, [&requests[..3], &requests[1..], &requests]);
        assert!(
            (0..HOSTS)
                .map(Row)
                .all(|row| HOST_CLASSES.iter().all(|&class| index.free(row, class) >= Some(0)))
        );
        let placed: usize = filled.iter().map(|filled| filled.placed.len()).sum();
        assert_eq!((index.consumers(), index.check()), (placed, Ok(())));
        assert_sound(&index, filled, &requests);
    }
}

/// A claim takes vCPUs everywhere and is then refused memory: a decider that looked in between must
/// look again.
#[test]
fn capacity_that_a_refused_claim_held_for_a_moment_is_found_again() {
    let index = fleet([40, 10, 10]);
    let take = |host, class, amount| Allocation { row: Row(host), class, amount };
    let vcpus: Vec<_> = (0..HOSTS).map(|host| take(host, ClassId::VCPU, 1)).collect();
    // Each half of the memory would fit, both do not.
    let memory = [take(0, ClassId::MEMORY_MB, 6); 2];
    let too_much = [&vcpus[..], &memory].concat();
    let (between_claims, done) = (Mutex::new(()), AtomicBool::new(false));
    // A mutex is not fair: the loop of claims would keep it for minutes.
    let waits_for_quiet = AtomicBool::new(false);
    let sound = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if waits_for_quiet.load(Ordering::Relaxed) {
                    thread::yield_now();
                    continue;
                }
                let _claiming = between_claims.lock();
                index.claim(ConsumerId(1), &too_much).expect_err("too much memory");
            }
        });
        let mut scheduler = AmountEngine::new(Arc::clone(&index), Policy::BestFit, Search::Ranked);
        let mut prepared = scheduler.prepare(Request::of(40, 0, 0));
        let sound = (0..ROUNDS * 20).try_for_each(|_| {
            index.claim(ConsumerId(2), &vcpus).unwrap();
            index.release(ConsumerId(2)).unwrap();
            let _ = scheduler.decide(&mut prepared); // sees the changes, with more or less of the other claim
            waits_for_quiet.store(true, Ordering::Relaxed);
            let quiet = between_claims.lock();
            let sound = scheduler.check();
            waits_for_quiet.store(false, Ordering::Relaxed);
            drop(quiet);
            sound
        });
        done.store(true, Ordering::Relaxed);
        sound
    });
    assert_eq!(sound, Ok(()));
}

/// Now that all is quiet, every decider sees the same: it finds a host if and only if there is
/// one.
fn assert_sound(index: &Arc<Index>, filled: Vec<Filled>, requests: &[Request]) {
    for (Filled { mut scheduler, .. }, (policy, _)) in filled.into_iter().zip(DECIDERS) {
        assert_eq!(scheduler.check(), Ok(()));
        for request in requests {
            let mut prepared = scheduler.prepare(request.clone());
            let expected = naive::best(index, request, policy);
            assert_eq!(scheduler.decide(&mut prepared).ok(), expected, "{policy} {request:?}");
        }
    }
}
