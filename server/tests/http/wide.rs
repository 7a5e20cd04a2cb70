//! What candidates cost, in steps: a bound that no machine is too slow for.

use berth_server::Limits;

use crate::server::{Running, provider};

fn with_work(candidate_work: u64) -> Running {
    Running::with(Limits { candidate_work, ..Limits::default() })
}

/// A first candidate is found without a look at the others; only to know that there is none, all
/// are looked at.
#[test]
fn one_candidate_costs_the_same_in_every_fleet() {
    let server = with_work(10);
    let mut client = server.client();
    for number in 0..500 {
        provider(&mut client, number, None, &[("VCPU", 8), ("MEMORY_MB", 1_024)]);
    }
    let found = client.get("/allocation_candidates?resources=VCPU:1,MEMORY_MB:512&limit=1");
    assert_eq!(found["allocation_requests"].as_array().unwrap().len(), 1);
    let error = client.ask("GET", "/allocation_candidates?resources=VCPU:9&limit=1").error(400);
    assert!(error.contains("more than 10 steps"), "{error}");
}

/// 64 groups on 64 children have 64! answers, or 64^64. The first ones come at once, and on 63
/// children the search ends.
#[test]
fn wide_trees_do_not_explode() {
    const WIDTH: usize = 64;
    let server = with_work(20_000);
    let mut client = server.client();
    provider(&mut client, 0, None, &[("MEMORY_MB", 1_024)]);
    for number in 1..WIDTH {
        provider(&mut client, number, Some(0), &[("SRIOV_NET_VF", 8)]);
    }
    let groups = (1..=WIDTH).map(|number| format!("resources{number}=SRIOV_NET_VF:1&"));
    let groups: String = groups.collect();
    let path = |policy: &str| format!("/allocation_candidates?{groups}group_policy={policy}&limit=10");
    let count = |policy: &str, client: &mut crate::client::Client| {
        client.get(&path(policy))["allocation_requests"].as_array().unwrap().len()
    };
    assert_eq!((count("isolate", &mut client), count("none", &mut client)), (0, 10));
    provider(&mut client, WIDTH, Some(0), &[("SRIOV_NET_VF", 8)]);
    assert_eq!((count("isolate", &mut client), count("none", &mut client)), (10, 10));
}
