//! Which allocation candidates there are, and in which order, is the operator's choice.

use std::collections::BTreeSet;

use berth_placement::candidates::Strategy;
use berth_server::{CandidateOptions, Limits};

use crate::server::{Running, provider, uuid};

/// Hosts, and children of each.
const HOSTS: usize = 3;
const CHILDREN: usize = 2;

fn hosts(options: CandidateOptions) -> Running {
    let server = Running::with_options(Limits::default(), options);
    let mut client = server.client();
    for host in 0..HOSTS {
        provider(&mut client, host, None, &[("MEMORY_MB", 64)]);
        for child in 0..CHILDREN {
            provider(&mut client, 10 * (host + 1) + child, Some(host), &[("VCPU", 4)]);
        }
    }
    server
}

/// The child that each candidate takes its vCPU from.
fn children(server: &Running) -> Vec<String> {
    let answer = server.client().get("/allocation_candidates?resources=VCPU:1");
    let requests = answer["allocation_requests"].as_array().unwrap();
    let child = |request: &serde_json::Value| {
        request["allocations"].as_object().unwrap().keys().next().unwrap().clone()
    };
    requests.iter().map(child).collect()
}

fn named(numbers: [usize; HOSTS * CHILDREN]) -> Vec<String> {
    numbers.into_iter().map(|number| uuid('a', number)).collect()
}

#[test]
fn one_of_each_host_in_turn_or_all_of_a_host_first() {
    let breadth = hosts(CandidateOptions::default());
    assert_eq!(children(&breadth), named([10, 20, 30, 11, 21, 31]));
    let depth = hosts(CandidateOptions { strategy: Strategy::DepthFirst, ..Default::default() });
    assert_eq!(children(&depth), named([10, 11, 20, 21, 30, 31]));
}

#[test]
fn no_more_than_the_operator_wants() {
    let server = hosts(CandidateOptions { max: Some(4), ..Default::default() });
    assert_eq!(children(&server), named([10, 20, 30, 11, 21, 31])[..4]);
}

#[test]
fn answers_in_orders_of_their_own() {
    let server = hosts(CandidateOptions { randomize: true, ..Default::default() });
    let answers: BTreeSet<Vec<String>> = (0..40).map(|_| children(&server)).collect();
    assert!(answers.len() > 1, "40 answers in one order");
    let all: BTreeSet<String> = named([10, 20, 30, 11, 21, 31]).into_iter().collect();
    for answer in answers {
        assert_eq!(answer.into_iter().collect::<BTreeSet<_>>(), all);
    }
}
