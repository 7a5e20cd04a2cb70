//! What it costs to count, in every decision, the hosts that each constraint removes:
//!
//! ```text
//! cargo build --release --example counts_cost -p berth-scheduler
//! valgrind --tool=callgrind --toggle-collect=counts_cost::counted target/release/examples/counts_cost 10000 counted
//! valgrind --tool=callgrind --toggle-collect=counts_cost::uncounted target/release/examples/counts_cost 10000 uncounted
//! ```
//!
//! Both run Nova's default filters over hosts of eight classes, of which some are disabled, down,
//! of another architecture or without a capability that is asked for.

#![allow(clippy::print_stdout, reason = "this is a command")]
#![allow(clippy::disallowed_methods, reason = "this is a command: it reads its arguments")]

use std::error::Error;

use berth_scheduler::filters::{FilterFailure, RequestState, Scene, Scope, Survivors, run, steps};
use berth_scheduler::hosts::HostRow;
use berth_scheduler::hosts::{HostRecord, HostTable};
use berth_scheduler::{Options, RequestSpec};
use serde_json::json;
use uuid::Uuid;

/// Decisions that are counted.
const DECISIONS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let hosts: u32 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let counts = arguments.next().is_none_or(|text| text == "counted");
    let records = (0..hosts).map(host).collect::<Result<Vec<_>, _>>()?;
    let options = Options::default();
    let hosts = HostTable::load(&records, &[], &options.general, 0)?;
    let request = request()?;
    let scene = Scene { hosts: &hosts, options: &options, request: &request, now: 0 };
    let decide = if counts { counted } else { uncounted };
    for _ in 0..DECISIONS {
        let left = decide(&scene, &Survivors::all(&hosts))?;
        println!("{left} of {} hosts are left", hosts.len());
    }
    Ok(())
}

/// The pipeline as decisions run it.
#[inline(never)]
fn counted(scene: &Scene<'_>, all: &Survivors) -> Result<usize, FilterFailure> {
    run(scene, all.clone(), 0, &mut RequestState::default()).map(|outcome| outcome.survivors.rows().len())
}

/// The same passes, without any counter.
#[inline(never)]
fn uncounted(scene: &Scene<'_>, all: &Survivors) -> Result<usize, FilterFailure> {
    let mut words: Vec<u64> = all.mask().words().to_vec();
    let mut state = RequestState::default();
    for step in steps(scene, 0) {
        if words.iter().all(|word| *word == 0) {
            break;
        }
        let filter = step.prepare(scene);
        let mut judge = |row| {
            filter
                .judge(row, &mut state)
                .map(|verdict| verdict.is_ok())
                .map_err(|error| FilterFailure { step, error })
        };
        match filter.scope() {
            Scope::Everything => {}
            Scope::Host => retain(&mut words, judge)?,
            Scope::Class => {
                let mut memo: Vec<Option<bool>> = vec![None; scene.hosts.class_count()];
                retain(&mut words, |row| {
                    let known = &mut memo[scene.hosts.class_ids()[row.0 as usize].0 as usize];
                    if let Some(passes) = *known {
                        return Ok(passes);
                    }
                    let passes = judge(row)?;
                    *known = Some(passes);
                    Ok(passes)
                })?;
            }
        }
    }
    Ok(words.iter().map(|word| word.count_ones() as usize).sum())
}

fn retain(
    words: &mut [u64],
    mut keep: impl FnMut(HostRow) -> Result<bool, FilterFailure>,
) -> Result<(), FilterFailure> {
    for (block, word) in (0..).zip(words) {
        let mut left = *word;
        while left != 0 {
            let lane = left.trailing_zeros();
            left &= left - 1;
            if !keep(HostRow(block * 64 + lane))? {
                *word &= !(1 << lane);
            }
        }
    }
    Ok(())
}

fn host(number: u32) -> Result<HostRecord, serde_json::Error> {
    let class = number % 8;
    serde_json::from_value(json!({
        "host": format!("host-{number}"), "node": format!("node-{number}"), "uuid": Uuid::from_u128(number.into()),
        "memory_mb": 262_144, "free_ram_mb": 65_536, "vcpus": 64 + class, "vcpus_used": 32, "local_gb": 4_096,
        "free_disk_gb": 2_048, "cpu_info": "{\"features\": [\"aes\"]}",
        "supported_instances": [[if class == 7 { "aarch64" } else { "x86_64" }, "kvm", "hvm"]],
        "service": { "disabled": number.is_multiple_of(23), "forced_down": number.is_multiple_of(41) },
    }))
}

fn request() -> Result<RequestSpec, serde_json::Error> {
    serde_json::from_value(json!({
        "flavor": { "vcpus": 4, "memory_mb": 8_192, "extra_specs": { "capabilities:vcpus_total": ">= 65" } },
        "image": { "id": "image", "properties": { "hw_architecture": "x86_64" } },
    }))
}
