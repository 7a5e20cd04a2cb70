//! How long `GET /allocation_candidates` takes on provider trees, sockets aside, and how much of
//! that is the search:
//!
//!     cargo run --release -p berth-server --example nested_candidates -- [pairs|wide] [REPETITIONS]
//!
//! `pairs`: 1,000 hosts with two NUMA nodes each, and a granular group for each of them; `wide`:
//! one host with 64 network cards, and 64 groups.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![allow(clippy::print_stdout, reason = "its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use berth_placement::candidates::{Query, QueryGroup, RequestGroupPolicy, SearchOptions};
use berth_placement::{Inventory, Row, Writer};
use berth_server::{Service, ServiceOptions, keep_freed_memory};
use tokio::runtime::Runtime;
use uuid::Uuid;

const LIMIT: usize = 1_000;

/// A fleet, and what is asked of it.
struct Question {
    hosts: u32,
    children: u32,
    on_root: &'static [(&'static str, u64)],
    on_child: &'static [(&'static str, u64)],
    groups: u32,
}

const PAIRS: Question = Question {
    hosts: 1_000,
    children: 2,
    on_root: &[("DISK_GB", 20)],
    on_child: &[("VCPU", 2), ("MEMORY_MB", 4_096)],
    groups: 2,
};

const WIDE: Question =
    Question { hosts: 1, children: 64, on_root: &[], on_child: &[("SRIOV_NET_VF", 1)], groups: 64 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let question = if arguments.iter().any(|argument| argument == "wide") { WIDE } else { PAIRS };
    let repetitions = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200);
    keep_freed_memory();
    let options = ServiceOptions::noauth2();
    let service = Arc::new(Service::new(options));
    question.build(&service);
    let runtime = Runtime::new().expect("threads can be had");
    let (mut bytes, uri, query) = (0, question.uri(), question.query());
    let search = times(repetitions, || {
        let index = service.index();
        let found = index.candidates(&query, &SearchOptions::default()).expect("known names");
        assert_eq!(found.count(), LIMIT);
    });
    let answer = times(repetitions, || bytes = runtime.block_on(ask(&service, &uri)));
    println!("search {search:?}, answer {answer:?}, {bytes} bytes (fastest, median of {repetitions})");
}

/// The shortest time and the median.
fn times(repetitions: usize, mut run: impl FnMut()) -> [Duration; 2] {
    let mut took: Vec<Duration> = (0..repetitions.max(1))
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    [took[0], took[took.len() / 2]]
}

async fn ask(service: &Arc<Service>, uri: &str) -> usize {
    let request = Request::builder()
        .uri(uri)
        .header("x-auth-token", "admin")
        .header("openstack-api-version", "placement 1.39")
        .body(Body::empty())
        .expect("a request");
    let (service, request) = (Arc::clone(service), request);
    let answer = tokio::spawn(async move { service.answer(request).await }).await.expect("it answers");
    assert_eq!(answer.status().as_u16(), 200);
    to_bytes(answer.into_body(), usize::MAX).await.expect("a body").len()
}

impl Question {
    fn build(&self, service: &Service) {
        let index = service.index();
        let mut writer = index.write();
        for host in 0..self.hosts {
            let root = self.provider(&mut writer, (host, 0), None);
            for child in 1..=self.children {
                self.provider(&mut writer, (host, child), Some(root));
            }
        }
    }

    fn provider(&self, writer: &mut Writer<'_>, (host, child): (u32, u32), parent: Option<Row>) -> Row {
        // Every bit differs from one UUID to the next, as in those that are drawn.
        let number = (u128::from(host) << 32 | u128::from(child)) + 1;
        let uuid = Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let row = writer.add_provider(uuid, &format!("{host}.{child}"), parent).expect("a new provider");
        for (class, _) in if parent.is_some() { self.on_child } else { self.on_root } {
            let class = writer.resource_class(class).expect("a free number for the class");
            writer.set_inventory(row, class, Some(&Inventory::of(262_144))).expect("a valid inventory");
        }
        let traits = ["COMPUTE_VOLUME_MULTI_ATTACH", "HW_CPU_X86_AVX2", "HW_CPU_X86_SSE42"];
        let traits = traits.map(|name| writer.trait_named(name));
        writer.set_traits(row, if parent.is_some() { &traits[..1] } else { &traits }).expect("known traits");
        row
    }

    fn uri(&self) -> String {
        let amounts = |resources: &[(&str, u64)]| {
            let each: Vec<String> =
                resources.iter().map(|(class, amount)| format!("{class}:{amount}")).collect();
            each.join(",")
        };
        let mut uri = format!("/allocation_candidates?limit={LIMIT}&group_policy=isolate");
        if !self.on_root.is_empty() {
            uri += &format!("&resources={}", amounts(self.on_root));
        }
        for group in 1..=self.groups {
            uri += &format!("&resources{group}={}", amounts(self.on_child));
        }
        uri
    }

    fn query(&self) -> Query {
        let group = |suffix: String, resources: &[(&str, u64)]| QueryGroup {
            suffix: suffix.into(),
            resources: resources.iter().map(|&(class, amount)| (class.into(), amount)).collect(),
            ..QueryGroup::default()
        };
        let loose = (!self.on_root.is_empty()).then(|| group(String::new(), self.on_root));
        let granular = (1..=self.groups).map(|number| group(number.to_string(), self.on_child));
        Query {
            groups: loose.into_iter().chain(granular).collect(),
            group_policy: RequestGroupPolicy::Isolate,
            limit: Some(LIMIT),
            nested: true,
            all_resources: true,
            ..Query::default()
        }
    }
}
