//! Columns grow in segments of 1,024 rows, behind cells that are written once, while other threads
//! read them and claim from them. An element that a reader holds must neither move nor change, and
//! every published row must be readable.

#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use berth_placement::{Allocation, ClassId, ConsumerId, Index, Inventory, Row, View};
use uuid::Uuid;

/// Rows per segment.
const SEGMENT: u32 = 1_024;
/// Several segments, the last one incomplete.
const HOSTS: u32 = 12 * SEGMENT + 100;
/// Hosts per batch, so that some batches cross a segment boundary.
const BATCH: u32 = 100;

/// The vCPUs of host `row`; neighbours differ.
const fn vcpus(row: u32) -> u32 {
    16 + row % 97
}

fn grow(index: &Index) {
    for first in (0..HOSTS).step_by(BATCH as usize) {
        let mut writer = index.write();
        for number in first..HOSTS.min(first + BATCH) {
            let row = writer.add_provider(Uuid::from_u128(number.into()), &number.to_string(), None).unwrap();
            writer.set_inventory(row, ClassId::VCPU, Some(&Inventory::of(vcpus(number)))).unwrap();
        }
    }
}

/// Reads every published host repeatedly until all hosts are published; returns how often it saw
/// only a part of them.
fn read(index: &Index, done: &AtomicBool) -> u32 {
    let mut halfway = 0;
    loop {
        let last = done.load(Ordering::Acquire);
        let rows = u32::try_from(index.topology().rows()).unwrap();
        for row in 0..rows {
            let free = index.free(Row(row), ClassId::VCPU);
            let least = i64::from(vcpus(row)) - 1; // a host has at most one claim
            assert!(free.is_some_and(|free| free >= least && free <= least + 1), "row {row}: {free:?}");
        }
        halfway += u32::from(rows > 0 && rows < HOSTS);
        if last {
            return halfway;
        }
    }
}

/// Claims one vCPU on every host as soon as it is published.
fn claim(index: &Index) {
    let mut row = 0;
    while row < HOSTS {
        if (row as usize) < index.topology().rows() {
            let taken = Allocation { row: Row(row), class: ClassId::VCPU, amount: 1 };
            index.claim(ConsumerId(1 + u128::from(row)), &[taken]).unwrap();
            row += 1;
        }
    }
}

#[test]
fn readers_claims_and_views_go_on_while_columns_grow() {
    let index = Arc::new(Index::default());
    let mut view = View::new(&index);
    let done = AtomicBool::new(false);
    let halfway = thread::scope(|scope| {
        let readers = [0; 2].map(|_| scope.spawn(|| read(&index, &done)));
        let claimer = scope.spawn(|| claim(&index));
        let follower = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                view.refresh(&index, |_, _| ());
            }
        });
        grow(&index);
        claimer.join().unwrap();
        done.store(true, Ordering::Release);
        follower.join().unwrap();
        readers.map(|reader| reader.join().unwrap()).into_iter().sum::<u32>()
    });
    assert!(halfway > 0, "no reader ran while the columns grew");
    view.refresh(&index, |_, _| ());
    assert_eq!(view.check(&index), Ok(()));
    assert_eq!(index.check(), Ok(()));
    let free = (0..HOSTS).map(|row| index.free(Row(row), ClassId::VCPU).unwrap()).sum::<i64>();
    assert_eq!(free, (0..HOSTS).map(|row| i64::from(vcpus(row)) - 1).sum::<i64>());
}
