//! What one decision on an index costs, from the request to the claimed host, and what it costs to
//! work the request out first:
//!
//! ```text
//! cargo run --release --example on_index -p berth-scheduler -- 100000
//! valgrind --tool=callgrind --toggle-collect='*on_index*decide*' target/release/examples/on_index 100000
//! ```
//!
//! Nova's default filters and weighers, hosts of three sizes in three zones, one VM that comes and
//! one that leaves in turn.

#![allow(clippy::print_stdout, reason = "this is a command")]
#![allow(clippy::disallowed_methods, reason = "this is a command: it reads its arguments and the clock")]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_placement::{ConsumerId, Index, Inventory, Owner, Timestamp};
use berth_scheduler::filter_scheduler::SelectionRequest;
use berth_scheduler::hosts::{HostRecord, HostTable};
use berth_scheduler::placement_query::PrefilterFacts;
use berth_scheduler::select::{Chooser, Claimant, Claims, Decision, DecisionDetail, IndexClaims};
use berth_scheduler::{AggregateRecord, FilterScheduler, Options, PreparedRequest, RequestSpec};
use serde_json::json;
use uuid::Uuid;

/// Decisions before the first that is measured, and those that are.
const WARM_UP: usize = 200;
const MEASURED: usize = 2_000;
/// VMs that stay before one leaves.
const STAY: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let hosts: u32 = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let alternates = std::env::args().nth(2).is_some();
    let aggregates: Vec<AggregateRecord> = (0..3).map(|zone| aggregate(zone, hosts)).collect();
    let index = Arc::new(index(hosts)?);
    let records = (0..hosts).map(host).collect::<Result<Vec<HostRecord>, _>>()?;
    let options = Options::default();
    let table = HostTable::load(&records, &aggregates, &options.general, 0)?;
    let mut scheduler = FilterScheduler::new(Arc::clone(&index), table, options);
    let known = PrefilterFacts { aggregates: &aggregates, computes: &[], oldest_compute: 60, networks: None };
    let started = Instant::now();
    let mut prepared = scheduler.prepare(request()?, &known, 0)?;
    println!("{hosts} hosts: prepared in {:?}", started.elapsed());

    let mut took = Vec::new();
    let mut staying = VecDeque::new();
    for number in 0..WARM_UP + MEASURED {
        let instance = [ConsumerId(1 << 100 | number as u128)];
        let started = Instant::now();
        let decision = decide(&index, &mut scheduler, &mut prepared, &instance, alternates);
        took.push(started.elapsed());
        decision.result.as_ref().map_err(ToString::to_string)?;
        staying.push_back((instance, decision));
        if staying.len() > STAY
            && let Some((instance, mut decision)) = staying.pop_back()
        {
            claims(&index).release(instance[0]);
            scheduler.undo(&mut decision);
        }
    }
    report(&mut took[WARM_UP..]);
    scheduler.check()?;
    Ok(())
}

#[inline(never)]
fn decide(
    index: &Index,
    scheduler: &mut FilterScheduler,
    prepared: &mut PreparedRequest,
    instances: &[ConsumerId],
    alternates: bool,
) -> Decision {
    scheduler.select(
        prepared,
        SelectionRequest { instances, alternates, each_alone: false, detail: DecisionDetail::Full, now: 0 },
        &mut claims(index),
        &mut First,
    )
}

fn claims(index: &Index) -> IndexClaims<'_> {
    let owner = Owner { project: "project".into(), user: "user".into(), consumer_type: None };
    IndexClaims::new(
        index,
        Claimant {
            owner: Arc::new(owner),
            group: None,
            keeps_allocations: false,
            migration: None,
            now: Timestamp(0),
        },
    )
}

fn report(took: &mut [Duration]) {
    took.sort_unstable();
    println!("median {:?}, 99th percentile {:?}", took[took.len() / 2], took[took.len() * 99 / 100]);
}

fn size(number: u32) -> (u32, u32, u32) {
    [(32, 131_072, 2_000), (64, 262_144, 4_000), (48, 196_608, 1_000)][number as usize % 3]
}

fn provider(number: u32) -> Uuid {
    Uuid::from_u128(1 << 64 | u128::from(number))
}

fn zone(number: u32) -> Uuid {
    Uuid::from_u128(2 << 64 | u128::from(number))
}

fn aggregate(number: u32, hosts: u32) -> AggregateRecord {
    AggregateRecord {
        id: number.into(),
        uuid: Some(zone(number)),
        hosts: (0..hosts).filter(|host| host / 3 % 3 == number).map(|host| format!("host{host}")).collect(),
        metadata: [("availability_zone".to_owned(), format!("zone{number}"))].into(),
        ..AggregateRecord::default()
    }
}

fn index(hosts: u32) -> Result<Index, Box<dyn Error>> {
    let index = Index::default();
    let mut writer = index.write();
    let avx = writer.trait_named("HW_CPU_X86_AVX2");
    for number in 0..hosts {
        let row = writer.add_provider(provider(number), &format!("node{number}"), None)?;
        let (vcpus, memory, disk) = size(number);
        for (class, total) in [("VCPU", vcpus), ("MEMORY_MB", memory), ("DISK_GB", disk)] {
            let class = writer.resource_class(class)?;
            let reserved = total / 8 * (number % 7);
            writer.set_inventory(row, class, Some(&Inventory { reserved, ..Inventory::of(total) }))?;
        }
        if number % 5 > 0 {
            writer.set_traits(row, &[avx])?;
        }
        writer.set_aggregates(row, &[zone(number / 3 % 3)])?;
    }
    drop(writer);
    Ok(index)
}

fn host(number: u32) -> Result<HostRecord, serde_json::Error> {
    let (vcpus, memory, disk) = size(number);
    let left = 8 - number % 7;
    serde_json::from_value(json!({
        "host": format!("host{number}"), "node": format!("node{number}"), "uuid": provider(number).to_string(),
        "vcpus": vcpus, "vcpus_used": vcpus - vcpus / 8 * left, "memory_mb": memory, "free_ram_mb": memory / 8 * left,
        "local_gb": disk, "free_disk_gb": disk / 8 * left, "hypervisor_type": "QEMU", "hypervisor_version": 8_000_000,
        "supported_instances": [["x86_64", "kvm", "hvm"]],
        "stats": {"io_workload": (number % 3).to_string()}, "service": {"last_seen_up": "1970-01-01T00:00:00"},
    }))
}

fn request() -> Result<RequestSpec, serde_json::Error> {
    serde_json::from_value(json!({
        "availability_zone": "zone1",
        "flavor": {"vcpus": 2, "memory_mb": 4_096, "root_gb": 20, "extra_specs": {"trait:HW_CPU_X86_AVX2": "required"}},
        "image": {"id": "image", "properties": {"hw_architecture": "x86_64"}},
    }))
}

/// The first of whatever there is.
struct First;

impl Chooser for First {
    fn choose(&mut self, _: usize) -> usize {
        0
    }

    fn shuffle(&mut self, _: &mut [usize]) {}
}
