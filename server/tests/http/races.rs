//! Clients that compete for the same resource: as many succeed as the capacity permits, and the
//! others receive a conflict.

use serde_json::json;

use crate::client::{Answer, Client};
use crate::server::{Running, holding, inventories, provider, uuid};

const CLIENTS: usize = 8;

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Checks that one of the clients, which all sent the same generation, succeeded; the others
/// received a conflict.
#[track_caller]
fn one_winner(answers: &[Answer], status: u16) {
    let conflicts = answers.iter().filter(|answer| answer.is_conflict()).count();
    assert_eq!((count(answers, status), conflicts), (1, answers.len() - 1), "{answers:?}");
}

#[test]
fn one_of_many_writers_of_a_consumer_wins() {
    let server = Running::new();
    provider(&mut server.client(), 0, None, &[("VCPU", 1_000)]);
    let path = format!("/allocations/{}", uuid('c', 0));
    for generation in [None].into_iter().chain((1..20).map(Some)) {
        let answers = server.race(CLIENTS, |number, client| {
            let amount = u32::try_from(number).unwrap() + 1;
            client.send("PUT", &path, &holding(generation, &[(0, "VCPU", amount)]))
        });
        one_winner(&answers, 204);
    }
    server.check();
    assert_eq!(server.client().get(&path)["consumer_generation"], 20);
}

#[test]
fn the_last_units_go_to_as_many_as_there_are() {
    let server = Running::new();
    for round in 0..10 {
        let capacity = 13;
        provider(&mut server.client(), round, None, &[("VCPU", capacity), ("MEMORY_MB", 100 * capacity)]);
        let answers = server.race(CLIENTS, |number, client| {
            let claim = |turn| {
                let consumer = uuid('c', 1_000 * round + 100 * number + turn);
                let body = holding(None, &[(round, "VCPU", 1), (round, "MEMORY_MB", 100)]);
                client.send("PUT", &format!("/allocations/{consumer}"), &body)
            };
            (0..5).map(claim).collect::<Vec<_>>()
        });
        let answers: Vec<Answer> = answers.into_iter().flatten().collect();
        let refused = count(&answers, 409);
        assert_eq!((count(&answers, 204), refused), (13, CLIENTS * 5 - 13));
    }
    server.check();
}

#[test]
fn one_of_many_writers_of_a_provider_wins() {
    let server = Running::new();
    let path = provider(&mut server.client(), 0, None, &[("VCPU", 8)]);
    for generation in (1..30).step_by(3) {
        let inventories = server.race(CLIENTS, |number, client| {
            let total = u32::try_from(number).unwrap() + 1;
            client.send("PUT", &format!("{path}/inventories"), &inventories(generation, &[("VCPU", total)]))
        });
        one_winner(&inventories, 200);
        let traits = server.race(CLIENTS, |number, client| {
            // Two rounds in turn, as traits that stay the same are no change.
            let name = ["HW_CPU_X86_AVX", "HW_CPU_X86_AVX2"][usize::from(generation % 2 == 0)];
            let list = ["STORAGE_DISK_SSD", "HW_NIC_SRIOV", "HW_CPU_X86_SSE"][number % 3];
            let body = json!({ "traits": [name, list], "resource_provider_generation": generation + 1 });
            client.send("PUT", &format!("{path}/traits"), &body)
        });
        one_winner(&traits, 200);
        let aggregates = server.race(CLIENTS, |number, client| {
            let body = json!({
                "aggregates": [uuid('e', number)], "resource_provider_generation": generation + 2,
            });
            client.send("PUT", &format!("{path}/aggregates"), &body)
        });
        one_winner(&aggregates, 200);
    }
    server.check();
}

#[test]
fn names_are_given_once() {
    let server = Running::new();
    for round in 0..10 {
        let made = server.race(CLIENTS, |number, client| {
            let (same, other) = (uuid('a', round), uuid('b', CLIENTS * round + number));
            // Half of them fight for the UUID, half for the name.
            let (id, name) = if number % 2 == 0 { (&same, &other) } else { (&other, &same) };
            let body = json!({ "name": name, "uuid": id });
            (number % 2, client.send("POST", "/resource_providers", &body))
        });
        for half in 0..2 {
            let won = made.iter().filter(|(of, answer)| *of == half && answer.status == 200).count();
            assert_eq!(won, 1);
        }
        for path in [format!("/traits/CUSTOM_T{round}"), format!("/resource_classes/CUSTOM_C{round}")] {
            let made = server.race(CLIENTS, |_, client| client.ask("PUT", &path));
            assert_eq!((count(&made, 201), count(&made, 204)), (1, CLIENTS - 1));
        }
    }
    server.check();
}

/// Each client swaps what two consumers hold, the two in either order: nobody waits for ever, and
/// the sum stays.
#[test]
fn consumers_that_are_written_together_stay_together() {
    let server = Running::new();
    let mut client = server.client();
    for number in 0..2 {
        provider(&mut client, number, None, &[("VCPU", 100)]);
    }
    let swap = |client: &mut Client, turn: usize| {
        let pair = [uuid('c', turn % 3), uuid('c', (turn + 1) % 3)];
        let generation = |client: &mut Client, consumer: &str| {
            client.get(&format!("/allocations/{consumer}"))["consumer_generation"].as_u64()
        };
        let mut body = json!({});
        for (place, consumer) in pair.iter().enumerate() {
            let provider = (turn + place) % 2;
            body[consumer] = holding(generation(client, consumer), &[(provider, "VCPU", 10)]);
        }
        client.send("POST", "/allocations", &body)
    };
    let answers = server
        .race(CLIENTS, |number, client| (0..40).map(|turn| swap(client, number + turn)).collect::<Vec<_>>());
    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    assert!(answers.iter().all(|answer| answer.status == 204 || answer.is_conflict()));
    assert!(count(&answers, 204) >= 40, "somebody gets on");
    let written: u64 = (0..3)
        .map(|number| client.get(&format!("/allocations/{}", uuid('c', number))))
        .map(|consumer| consumer["consumer_generation"].as_u64().unwrap())
        .sum();
    assert_eq!(written, 2 * count(&answers, 204) as u64, "both of a pair were written, or neither");
    server.check();
}

/// Each of them wants the last unit of two providers, for two consumers, in either order: one gets
/// both, not none of them.
#[test]
fn the_last_units_of_two_providers_go_to_one() {
    let server = Running::new();
    for round in 0..100 {
        let (first, second) = (2 * round, 2 * round + 1);
        provider(&mut server.client(), first, None, &[("VCPU", 1)]);
        provider(&mut server.client(), second, None, &[("VCPU", 1)]);
        let answers = server.race(CLIENTS, |number, client| {
            let consumer = |place| uuid('c', 2 * (CLIENTS * round + number) + place);
            let (early, late) = if number % 2 == 0 { (first, second) } else { (second, first) };
            let body = json!({
                consumer(0): holding(None, &[(early, "VCPU", 1)]),
                consumer(1): holding(None, &[(late, "VCPU", 1)]),
            });
            client.send("POST", "/allocations", &body)
        });
        assert_eq!((count(&answers, 204), count(&answers, 409)), (1, CLIENTS - 1), "round {round}");
    }
    server.check();
}

/// Some claim what others take away: a provider goes only when nobody holds any of it.
#[test]
fn nothing_is_held_of_what_is_gone() {
    let server = Running::new();
    for round in 0..20 {
        let path = provider(&mut server.client(), round, None, &[("VCPU", 100)]);
        server.race(CLIENTS, |number, client| match number {
            0 => client.ask("DELETE", &path).status,
            1 => client.ask("DELETE", &format!("{path}/inventories")).status,
            _ => {
                let consumer = uuid('c', CLIENTS * round + number);
                let body = holding(None, &[(round, "VCPU", 1)]);
                client.send("PUT", &format!("/allocations/{consumer}"), &body).status
            }
        });
        let held = (0..CLIENTS).filter(|number| {
            let consumer = uuid('c', CLIENTS * round + number);
            let found = server.client().get(&format!("/allocations/{consumer}"));
            !found["allocations"].as_object().unwrap().is_empty()
        });
        let (held, shown) = (held.count(), server.client().ask("GET", &path).status);
        assert!(held == 0 || shown == 200, "{held} consumers hold some of what is gone");
        server.check();
    }
}

/// Whatever is moved below what, at once: nobody stands below itself, and every tree is whole.
#[test]
fn trees_stay_trees() {
    const PROVIDERS: usize = 6;
    let server = Running::new();
    for number in 0..PROVIDERS {
        provider(&mut server.client(), number, None, &[("VCPU", 1)]);
    }
    let statuses = server.race(CLIENTS, |number, client| {
        let step = |turn: usize| {
            let child = uuid('a', (number + turn) % PROVIDERS);
            let parent = (!turn.is_multiple_of(4)).then(|| uuid('a', (number * turn + 1) % PROVIDERS));
            let body = json!({ "name": child, "parent_provider_uuid": parent });
            client.send("PUT", &format!("/resource_providers/{child}"), &body).status
        };
        (0..40).map(step).collect::<Vec<_>>()
    });
    assert!(statuses.concat().iter().all(|status| [200, 400].contains(status)));
    server.check();
}
