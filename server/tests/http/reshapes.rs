//! Reshapes during concurrent claims: inventories and their allocations move atomically.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::server::{Running, holding, provider, uuid};

const CLASSES: [(&str, u32); 2] = [("VCPU", 24), ("MEMORY_MB", 2_400)];

/// Moves all inventories of one provider to the other, and with them what consumers hold.
fn move_all(client: &mut Client, from: usize, to: usize) -> Answer {
    let generation = |client: &mut Client, number: usize| {
        client.get(&format!("/resource_providers/{}", uuid('a', number)))["generation"].clone()
    };
    let (old, new) = (generation(client, from), generation(client, to));
    let held = client.get(&format!("/resource_providers/{}/allocations", uuid('a', from)));
    let mut allocations = json!({});
    for (consumer, held) in held["allocations"].as_object().unwrap() {
        let mut body = holding(held["consumer_generation"].as_u64(), &[]);
        body["allocations"][uuid('a', to)] = json!({ "resources": held["resources"] });
        allocations[consumer] = body;
    }
    let records: serde_json::Map<String, Value> =
        CLASSES.iter().map(|(class, total)| ((*class).to_owned(), json!({ "total": total }))).collect();
    let body = json!({
        "inventories": {
            uuid('a', from): { "resource_provider_generation": old, "inventories": {} },
            uuid('a', to): { "resource_provider_generation": new, "inventories": records },
        },
        "allocations": allocations,
    });
    client.send("POST", "/reshaper", &body)
}

/// Claims on one of the two providers, then releases the claim.
fn come_and_go(client: &mut Client, number: usize, turn: usize) -> [u16; 2] {
    let path = format!("/allocations/{}", uuid('c', number));
    let body = holding(None, &[(turn % 2, "VCPU", 5), (turn % 2, "MEMORY_MB", 500)]);
    let claimed = client.send("PUT", &path, &body).status;
    [claimed, client.ask("DELETE", &path).status]
}

/// Both classes lie with the provider, or neither does.
fn look(client: &mut Client, number: usize) {
    let found = client.get(&format!("/resource_providers/{}/inventories", uuid('a', number)));
    let classes = found["inventories"].as_object().unwrap().len();
    assert!(classes == 0 || classes == CLASSES.len(), "{found}");
}

#[test]
fn inventories_and_allocations_move_as_one() {
    const MOVES: usize = 30;
    let server = Running::new();
    let mut client = server.client();
    provider(&mut client, 0, None, &CLASSES);
    provider(&mut client, 1, Some(0), &[]);
    // Some stay, so that every move has something to take along.
    for number in 100..102 {
        let body = holding(None, &[(0, "VCPU", 4), (0, "MEMORY_MB", 400)]);
        client.send("PUT", &format!("/allocations/{}", uuid('c', number)), &body).expect(204);
    }
    let done = AtomicBool::new(false);
    let outcomes = server.race(6, |number, client| {
        let mut outcome = Vec::new();
        match number {
            0 => {
                let mut moves = 0;
                while moves < MOVES {
                    let answer = move_all(client, moves % 2, (moves + 1) % 2);
                    assert!(answer.status == 204 || answer.status == 409, "{answer:?}");
                    moves += usize::from(answer.status == 204);
                }
                done.store(true, Ordering::Relaxed);
            }
            1 => {
                while !done.load(Ordering::Relaxed) {
                    look(client, 0);
                    look(client, 1);
                }
            }
            _ => {
                for turn in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    outcome.extend(come_and_go(client, number, turn));
                }
            }
        }
        outcome
    });
    assert!(outcomes.concat().iter().all(|status| [204, 404, 409].contains(status)));
    for number in 100..102 {
        let held = client.get(&format!("/allocations/{}", uuid('c', number)));
        let expected = json!({ "VCPU": 4, "MEMORY_MB": 400 });
        assert_eq!(held["allocations"][uuid('a', MOVES % 2)]["resources"], expected);
        assert_eq!(held["allocations"].as_object().unwrap().len(), 1);
    }
    server.check();
}
