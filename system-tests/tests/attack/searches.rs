//! Searches for allocation candidates that never end by themselves.

use std::time::Duration;

use berth_system_tests::http::Client;
use berth_system_tests::service::Service;
use serde_json::json;

use crate::scene::{Ceiling, attack, p99, service, sized};

/// Children of one host, and groups of a query: more candidates than can be counted.
const WIDTH: usize = 24;

/// A tree in which a search for all groups does not end.
pub(crate) fn tree(service: &Service) {
    let mut client = service.client();
    let uuid = |number: usize| format!("a0000000-0000-4000-8000-{number:012}");
    for number in 0..=WIDTH {
        let parent = (number > 0).then(|| uuid(0));
        let provider = json!({"name": uuid(number), "uuid": uuid(number), "parent_provider_uuid": parent});
        client.ask("POST", "/resource_providers", Some(&provider)).expect("it is answered").expect(200);
        let class = if number == 0 { "MEMORY_MB" } else { "SRIOV_NET_VF" };
        let inventories = json!({"resource_provider_generation": 0, "inventories": {class: {"total": 8}}});
        let path = format!("/resource_providers/{}/inventories", uuid(number));
        client.ask("PUT", &path, Some(&inventories)).expect("it is answered").expect(200);
    }
}

/// A search of so many groups.
pub(crate) fn search(groups: usize) -> String {
    let groups: String = (1..=groups).map(|number| format!("resources{number}=SRIOV_NET_VF:1&")).collect();
    format!("/allocation_candidates?{groups}group_policy=isolate")
}

/// Without turns, a cheap request took 6.7 s at the 99th percentile.
#[test]
fn hostile_searches_delay_nobody_else() {
    let service = service();
    tree(&service);
    let ceiling = Ceiling { memory_mib: 1_200, p99: p99(Duration::from_millis(20)) };
    let seconds = sized(10, 60) as u64;
    attack(&format!("64 hostile searches for {seconds} s"), &service, &ceiling, || {
        let clients: Vec<Client> = (0..64)
            .map(|_| {
                let mut client = service.client();
                client.send("GET", &search(WIDTH), None).expect("it listens");
                client
            })
            .collect();
        std::thread::sleep(Duration::from_secs(seconds));
        drop(clients);
    });
}
