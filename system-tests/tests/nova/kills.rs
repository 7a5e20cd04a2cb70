//! Berth, RabbitMQ and MariaDB are killed while conductors ask. Whatever is lost, nothing is
//! granted twice and nothing is left over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use berth_system_tests::crash_run::CrashRun;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use crate::cloud::{Cloud, HOSTS, Parts, uuid};
use crate::conductor::{Answer, Conductor, new_uuid};

/// Cycles unless `cargo xtask crash-test --cycles N` asks for more.
const FEW: u64 = 3;

/// Conductors that ask at once: fewer than there are vCPUs.
const CONDUCTORS: usize = 4;

/// What the requests of a cycle came to.
#[derive(Default)]
struct Tally {
    placed: Vec<(Uuid, String)>,
    lost: Vec<Uuid>,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_over_when_parts_are_killed_under_load() {
    let Some(mut cloud) = Cloud::start(Parts::One) else { return };
    let CrashRun { cycles, seed } = CrashRun::requested_or(FEW);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut answered = 0;
    for cycle in 0..cycles {
        answered += run(&mut cloud, cycle, &mut rng).await;
        eprintln!("{} of {cycles} cycles: {answered} requests were placed", cycle + 1);
    }
    assert!(answered > 0, "no request was ever placed");
}

/// One cycle; returns how many requests were placed.
async fn run(cloud: &mut Cloud, cycle: u64, rng: &mut ChaCha8Rng) -> usize {
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let conductors: Vec<_> = (0..CONDUCTORS)
        .map(|_| tokio::spawn(load(Conductor::new(cloud.bus()), Arc::clone(&stop), Arc::clone(&asked))))
        .collect();
    // In the middle of requests: after so many.
    let until = rng.random_range(1..30);
    while asked.load(Ordering::Relaxed) < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    match cycle % 3 {
        0 => {
            cloud.berth.kill();
            cloud.start_berth();
        }
        1 => {
            cloud.rabbit.kill();
            cloud.rabbit.start_server();
        }
        _ => {
            cloud.databases.kill();
            cloud.databases.start_server();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut tally = Tally::default();
    for conductor in conductors {
        let of_one = conductor.await.expect("a conductor does not panic");
        tally.placed.extend(of_one.placed);
        tally.lost.extend(of_one.lost);
    }
    // Requests that wait are answered in their order: after this one, none is under way.
    let last = Conductor::new(cloud.bus()).ask_until_placed(&mut tally.lost).await;
    tally.placed.push(last);
    check(cloud, &tally);
    tally.placed.len()
}

/// Asks for an instance after the other; each that has a host is deleted again but the last.
async fn load(mut conductor: Conductor, stop: Arc<AtomicBool>, asked: Arc<AtomicU64>) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) && tally.placed.len() < 2 {
        let instance = new_uuid();
        match conductor.ask(&[instance], 1, &[]).await {
            Answer::Hosts(hosts) => tally.placed.push((instance, hosts[0][0].clone())),
            Answer::Lost => tally.lost.push(instance),
            // A cell that is down has no hosts.
            Answer::Exception(class, message) => assert_eq!(class, "NoValidHost", "{message}"),
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    // Conductors that are done let the others be killed in the middle of theirs.
    asked.fetch_add(30, Ordering::Relaxed);
    tally
}

/// Every instance that was placed holds one vCPU of its host, and nothing else is held when those
/// that were lost are deleted.
fn check(cloud: &Cloud, tally: &Tally) {
    for (instance, host) in &tally.placed {
        let number = HOSTS.iter().position(|known| known == host).expect("a known host");
        let held = cloud.allocations(*instance);
        let providers: Vec<&String> = held.as_object().expect("an object").keys().collect();
        assert_eq!(providers, [&uuid(number).to_string()], "{instance} was placed on {host}");
        assert_eq!(held[uuid(number).to_string()]["resources"]["VCPU"], 1, "{held}");
    }
    // A conductor that received no answer puts the server into ERROR, and the user deletes it.
    tally.lost.iter().for_each(|instance| cloud.release(*instance));
    assert_eq!(cloud.used(), tally.placed.len() as u64, "something is left over");
    tally.placed.iter().for_each(|(instance, _)| cloud.release(*instance));
    assert_eq!(cloud.used(), 0);
}
