//! Nova's query as a structure gives the candidates that its text gives over HTTP, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use berth_placement::candidates::{Candidate, Query, SearchOptions};
use berth_placement::{Index, Topology};
use berth_scheduler::placement_query::{ComputeNode, PrefilterFacts, ResourceRequest, placement_query};
use berth_scheduler::{Options as NovaOptions, RequestSpec};
use berth_server::{AccessPolicy, Server, Service, ServiceOptions};
use berth_test_support::nova::fleet::{Fleet, Kind};
use berth_test_support::nova::numbers::Numbers;
use berth_test_support::nova::{planting, requests};
use serde_json::Value;

/// A candidate by name: the amount by provider and class, and the providers by request group.
type Written = (BTreeMap<(String, String), u64>, BTreeMap<String, BTreeSet<String>>);

fn service(fleet: &Fleet) -> Service {
    let options = ServiceOptions {
        policy: AccessPolicy::secure(),
        candidates: berth_server::CandidateOptions::default(),
        ..ServiceOptions::noauth2()
    };
    let service = Service::new(options);
    planting::plant(&service.index(), fleet);
    service
}

/// The body of the answer, and its status.
fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: placement\r\nx-auth-token: admin\r\naccept: application/json\r\n\
         openstack-api-version: placement 1.36\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn of_text(answer: &Value) -> Vec<Written> {
    let candidate = |request: &Value| {
        let allocations = request["allocations"].as_object().unwrap().iter().flat_map(|(provider, taken)| {
            let resources = taken["resources"].as_object().unwrap().iter();
            resources
                .map(move |(class, amount)| ((provider.clone(), class.clone()), amount.as_u64().unwrap()))
        });
        let mappings = request["mappings"].as_object().unwrap().iter().map(|(suffix, providers)| {
            let providers = providers.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
            (suffix.clone(), providers.collect())
        });
        (allocations.collect(), mappings.collect())
    };
    answer["allocation_requests"].as_array().unwrap().iter().map(candidate).collect()
}

fn of_structure(index: &Index, query: &Query) -> Option<Vec<Written>> {
    let mut candidates = index.candidates(query, &SearchOptions::default()).ok()?;
    let mut found = Vec::new();
    while let Some(candidate) = candidates.next() {
        found.push(written(&candidate.unwrap(), query, candidates.topology()));
    }
    Some(found)
}

fn written(candidate: &Candidate, query: &Query, topology: &Topology) -> Written {
    let uuid = |row| topology.provider(row).unwrap().uuid.to_string();
    let allocations = candidate.allocations.iter().map(|one| {
        let class = topology.classes().name(one.class.0.into()).unwrap().to_owned();
        ((uuid(one.row), class), one.amount.into())
    });
    let groups = query.groups.iter().enumerate();
    let mappings =
        groups.map(|(at, group)| (group.suffix.to_string(), candidate.providers(at).map(uuid).collect()));
    (allocations.collect(), mappings.collect())
}

/// How many candidates there were; none when both refuse. With a limit it may be others, since
/// groups come in another order.
fn compare(service: &Index, address: SocketAddr, request: &ResourceRequest) -> Option<usize> {
    let (status, answer) = get(address, &format!("/allocation_candidates?{}", request.to_query_string()));
    let structure = request.to_index_query(&service.topology()).ok();
    let found = structure.and_then(|query| of_structure(service, &query));
    assert_eq!(found.is_some(), status == 200, "{status} {answer} {request:?}");
    let (found, of_text) = (found?, of_text(&answer));
    assert_eq!(found.len(), of_text.len(), "{request:?}");
    if request.limit.is_none_or(|limit| found.len() < usize::try_from(limit).unwrap()) {
        let set = |candidates: &[Written]| candidates.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(set(&found), set(&of_text), "{request:?}");
    }
    Some(found.len())
}

fn requests_of(fleet: &Fleet, random: &mut Numbers) -> Vec<ResourceRequest> {
    let compute = |(provider, record): &(usize, Value)| ComputeNode {
        host: record["host"].as_str().unwrap().to_owned(),
        node: record["node"].as_str().unwrap().to_owned(),
        uuid: fleet.providers[*provider].uuid,
        cell_uuid: None,
    };
    let computes: Vec<_> = fleet.hosts.iter().map(compute).collect();
    let known = PrefilterFacts {
        aggregates: &fleet.aggregates,
        computes: &computes,
        oldest_compute: 60,
        networks: None,
    };
    let mut options = NovaOptions::default();
    options.scheduler.limit_tenants_to_placement_aggregate = random.one_in(2);
    options.scheduler.enable_isolated_aggregate_filtering = random.one_in(3);
    options.scheduler.max_placement_results = random.pick(&[1000, 3]);
    let query = |_| {
        let mut spec: RequestSpec = serde_json::from_value(requests::request(fleet, random)).unwrap();
        placement_query(&mut spec, &options, &known).ok()
    };
    let queries: Vec<_> = (0..20).filter_map(query).collect();
    queries.into_iter().flat_map(|query| [Some(query.request), query.fallback]).flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn structure_and_text_are_one_query() {
    let (mut some, mut none, mut refused) = (0, 0, 0);
    for seed in 0..40 {
        let random = &mut Numbers(seed);
        let kind = random.pick(&[Kind::Plain, Kind::Devices, Kind::Pools, Kind::Tangled]);
        let fleet = Fleet::new(kind, 8, random);
        let (served, index) = (service(&fleet), service(&fleet));
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), served).await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }, Duration::from_secs(10)));
        let requests = requests_of(&fleet, random);
        let found = tokio::task::spawn_blocking(move || {
            let found = requests.iter().map(|request| compare(&index.index(), address, request));
            found.collect::<Vec<_>>()
        });
        for found in found.await.unwrap() {
            match found {
                Some(0) => none += 1,
                Some(_) => some += 1,
                None => refused += 1,
            }
        }
        stop.send(()).unwrap();
        running.await.unwrap();
    }
    assert!(some > 100 && none > 50 && refused > 20, "{some} {none} {refused}");
}
