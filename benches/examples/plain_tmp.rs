#![allow(clippy::all, clippy::disallowed_methods, missing_docs)]
use berth_benches::nova::{Variant, World};
use std::time::Instant;
fn main() {
    let hosts: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let variant: Variant = std::env::args().nth(2).unwrap().parse().unwrap();
    let n: usize = std::env::args().nth(3).unwrap().parse().unwrap();
    let mut world = World::new(variant, hosts, 1);
    let mut took = Vec::new();
    for at in 0..n {
        let started = Instant::now();
        let chosen = world.decide_ranked().unwrap();
        took.push(started.elapsed());
        if at % 1000 == 999 && hosts < 20000 {
            world.check(chosen).unwrap();
        }
        match chosen {
            Some(host) => world.change(host),
            None => world.clear(),
        }
    }
    let mut took = took[100..].to_vec();
    took.sort();
    println!(
        "{hosts} {variant}: p50 {:?} p90 {:?} p99 {:?} p99.9 {:?} max {:?}",
        took[took.len() / 2],
        took[took.len() * 9 / 10],
        took[took.len() * 99 / 100],
        took[took.len() * 999 / 1000],
        took[took.len() - 1]
    );
}
