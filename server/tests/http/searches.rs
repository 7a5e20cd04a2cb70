//! Hostile searches for candidates take their time, and nobody else's.

#![allow(clippy::disallowed_methods, reason = "these tests are about the time that connections have")]

use std::time::Duration;

use berth_server::Limits;

use crate::client::head;
use crate::server::{Running, provider};

/// Children of one host, and groups of a query: more candidates than anybody can count.
const WIDTH: usize = 24;

/// A service with a tree in which a search never ends by itself.
fn endless(candidate_time: Duration) -> Running {
    let (candidate_work, candidate_bytes) = (u64::MAX, 2 << 30);
    let server =
        Running::with(Limits { candidate_time, candidate_work, candidate_bytes, ..Limits::default() });
    let mut client = server.client();
    provider(&mut client, 0, None, &[("MEMORY_MB", 1_024)]);
    for number in 1..=WIDTH {
        provider(&mut client, number, Some(0), &[("SRIOV_NET_VF", 8)]);
    }
    server
}

/// A search for all of them.
fn hostile() -> String {
    let groups: String = (1..=WIDTH).map(|number| format!("resources{number}=SRIOV_NET_VF:1&")).collect();
    format!("/allocation_candidates?{groups}group_policy=isolate")
}

#[test]
fn a_search_ends_when_its_time_is_over() {
    let server = endless(Duration::from_secs(1));
    let error = server.client().ask("GET", &hostile()).error(400);
    assert!(error.contains("more than 1 seconds are needed"), "{error}");
}

/// Sixteen searches wait for each other and for nobody else; those whose clients are gone are given
/// up. A request that waited for one of them would get no answer before its client loses patience.
#[test]
fn searches_do_not_hold_up_other_requests() {
    let server = endless(Duration::from_secs(3_600));
    let hostile: Vec<_> = (0..16)
        .map(|_| {
            let mut client = server.client();
            client.raw(head("GET", &hostile(), "").as_bytes());
            client
        })
        .collect();
    let mut client = server.client();
    for _ in 0..100 {
        client.get("/resource_classes/VCPU");
    }
    drop(hostile);
    // All of them are given up: a search of another client has its turn.
    let found = client.get("/allocation_candidates?resources=SRIOV_NET_VF:1&limit=1");
    assert_eq!(found["allocation_requests"].as_array().unwrap().len(), 1);
}

/// A client that has closed its sending half is answered all the same.
#[test]
fn a_search_for_a_half_closed_client_is_answered() {
    let server = endless(Duration::from_secs(5));
    let mut client = server.client();
    client.raw(head("GET", "/allocation_candidates?resources=SRIOV_NET_VF:1&limit=1", "").as_bytes());
    client.finish();
    client.answer().unwrap().expect(200);
}

/// Idle connections beyond the bound end, the first of the holder with the most; new ones are
/// served. Connections without a request count for their address, others for their user.
#[test]
fn idle_connections_make_place_for_new_ones() {
    let limits = Limits { connections: 8, idle_time: Duration::from_secs(600), ..Limits::default() };
    let server = Running::with(limits);
    let mut silent: Vec<_> = (0..6).map(|_| server.client()).collect();
    let mut used: Vec<_> = (0..2).map(|_| server.client()).collect();
    for client in &mut used {
        client.get("/resource_classes/VCPU");
    }
    for _ in 0..2 {
        let mut client = server.client();
        client.get("/resource_classes/VCPU");
        used.push(client);
    }
    for client in &mut silent[..2] {
        assert!(client.answer().is_none(), "it has never asked for anything");
    }
    for client in &mut used {
        client.get("/resource_classes/VCPU");
    }
    // Thousands more cannot keep anybody out.
    let flood: Vec<_> = (0..500).map(|_| server.client()).collect();
    for _ in 0..5 {
        server.client().get("/resource_classes/VCPU");
    }
    drop(flood);
}
