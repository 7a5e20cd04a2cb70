//! Kills `berth serve --data` repeatedly while clients send requests. After each restart the
//! acknowledged changes must exist, and the whole history must be linearizable, across the kill
//! too.
//!
//! `cargo xtask crash-test` runs many cycles, and with `--faults` those of `faults.rs`.
//! docs/reliability.md says what is checked and what it has found.
#![allow(clippy::disallowed_methods, reason = "kills real processes at real times")]

mod cell;
mod clients;
mod faults;
mod fleet;
mod linearizability;
mod names;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use berth_system_tests::crash_run::CrashRun;
use berth_system_tests::service::{Service, command};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::cell::Cell;
use crate::clients::{CLIENTS, Histories};
use crate::fleet::CELLS;
use crate::names::Names;

/// Cycles unless more are requested.
const FEW: u64 = 6;

/// The longest that a service lives, in milliseconds.
const LIFE: u64 = 400;

#[test]
fn no_acknowledged_change_is_lost_when_the_service_is_killed() {
    let CrashRun { cycles, seed } = CrashRun::requested_or(FEW);
    let directory = TempDir::new().expect("a temporary directory");
    let mut crashes = Crashes::begin(directory.path(), seed);
    let mut answered = 0;
    for cycle in 1..=cycles {
        answered += crashes.cycle();
        if cycle % 25 == 0 || cycle == cycles {
            eprintln!("{cycle} of {cycles} cycles: {answered} answers checked");
        }
    }
    assert!(answered > 0, "somebody was answered");
}

/// A directory, and what is known of the state in it.
pub(crate) struct Crashes<'a> {
    data: &'a Path,
    rng: ChaCha8Rng,
    start: Instant,
    pub(crate) service: Service,
    cells: [Cell; CELLS],
    names: Vec<Names>,
}

impl<'a> Crashes<'a> {
    /// Makes a fleet in a new directory.
    pub(crate) fn begin(data: &'a Path, seed: u64) -> Self {
        let service = Service::start(command(data)).expect("it starts");
        let mut client = service.client();
        fleet::create(&mut client).expect("it runs");
        let (start, rng) = (Instant::now(), ChaCha8Rng::seed_from_u64(seed));
        let (_, cells) = clients::audit(&mut client, start);
        let names = (1..=CLIENTS as u64).map(Names::of).collect();
        Self { data, rng, start, service, cells, names }
    }

    /// Clients ask until the service is killed, and it is started again; returns how many answers
    /// were checked.
    fn cycle(&mut self) -> usize {
        let life = Duration::from_millis(self.rng.random_range(1..LIFE));
        let happened = self.have_asked(|service| {
            thread::sleep(life);
            service.kill();
        });
        self.service =
            Service::start(command(self.data)).unwrap_or_else(|said| panic!("it does not start: {said}"));
        self.check(happened)
    }

    /// Has clients ask while something is done to the service.
    pub(crate) fn have_asked(&mut self, meanwhile: impl FnOnce(&mut Service)) -> Histories {
        let (seed, address) = (self.rng.random(), self.service.address.clone());
        let Self { cells, names, start, service, .. } = self;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking = scope.spawn(|| clients::run(&address, seed, cells, names, *start, &stop));
            meanwhile(service);
            stop.store(true, Ordering::Relaxed);
            asking.join().unwrap_or_else(|_| panic!("a client saw what cannot be; {:?}", service.log()))
        })
    }

    /// Checks that the service has the acknowledged changes. Returns the number of responses.
    pub(crate) fn check(&mut self, mut happened: Histories) -> usize {
        let mut client = self.service.client();
        let (audited, cells) = clients::audit(&mut client, self.start);
        let mut answered = 0;
        for (cell, (events, audited)) in happened.iter_mut().zip(audited).enumerate() {
            answered += events.iter().filter(|event| event.ended.is_some()).count();
            events.extend(audited);
            if let Err(violation) = linearizability::check(&self.cells[cell], events) {
                panic!("cell {cell} was {:?}, and {violation}", self.cells[cell]);
            }
        }
        self.cells = cells;
        let found = names::all(&mut client).expect("it runs");
        self.names.iter_mut().for_each(|names| names.check(&found));
        answered
    }
}
