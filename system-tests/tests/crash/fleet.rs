//! The cells as the API has them: calls as requests, replies as answers.

use std::io;

use berth_system_tests::http::{Client, Reply};
use serde_json::{Map, Value, json};

use crate::cell::{Amounts, Answer, CONSUMERS, Call, Cell, Held, PROVIDERS, Stock, Write};

/// Cells that clients use at the same time.
pub(crate) const CELLS: usize = 3;

/// vCPUs of a provider in the beginning.
const TOTAL: u32 = 10;

fn provider(cell: usize, number: usize) -> String {
    format!("00000000-0000-4000-8000-0000000100{cell}{number}")
}

fn consumer(cell: usize, number: usize) -> String {
    format!("00000000-0000-4000-8000-0000000200{cell}{number}")
}

/// Makes the providers of a new fleet.
pub(crate) fn create(client: &mut Client) -> io::Result<()> {
    for cell in 0..CELLS {
        for number in 0..PROVIDERS {
            let uuid = provider(cell, number);
            let body = json!({"name": format!("host {cell} {number}"), "uuid": uuid});
            client.ask("POST", "/resource_providers", Some(&body))?.expect(200);
            let first = Call::SetTotal { provider: number, generation: 0, total: TOTAL };
            assert!(matches!(call(client, cell, &first)?, Outcome::Answered(Answer::Stocked(_))));
        }
    }
    Ok(())
}

/// All that can be asked of a cell.
pub(crate) fn questions() -> Vec<Call> {
    let consumers = (0..CONSUMERS).map(Call::ReadConsumer);
    let providers = (0..PROVIDERS).flat_map(|provider| [Call::ReadStock(provider), Call::ReadUsed(provider)]);
    consumers.chain(providers).collect()
}

/// What the answers to [`questions`] say.
pub(crate) fn learn(cell: &mut Cell, call: &Call, answer: Answer) {
    match (call, answer) {
        (&Call::ReadConsumer(consumer), Answer::Consumer(found)) => cell.consumers[consumer] = found,
        (&Call::ReadStock(provider), Answer::Stock(found)) => cell.providers[provider] = found,
        (Call::Write(writes), Answer::Done) => {
            for &Write { consumer, generation, amounts } in writes {
                let held = Held { generation: generation.unwrap_or(0) + 1, amounts };
                cell.consumers[consumer] = (amounts != [0; PROVIDERS]).then_some(held);
            }
        }
        (&Call::SetTotal { provider, total, .. }, Answer::Stocked(generation)) => {
            cell.providers[provider] = Stock { total, generation };
        }
        _ => {}
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// The service has no state that it could change or return at the moment.
    Refused,
    /// The outcome is open.
    Unknown,
}

/// Asks the service. An error means that it is gone.
pub(crate) fn call(client: &mut Client, cell: usize, call: &Call) -> io::Result<Outcome> {
    let reply = match call {
        Call::Write(writes) => write(client, cell, writes),
        &Call::Remove(number) => {
            client.ask("DELETE", &format!("/allocations/{}", consumer(cell, number)), None)
        }
        &Call::SetTotal { provider, generation, total } => {
            set_total(client, cell, provider, generation, total)
        }
        &Call::ReadConsumer(number) => {
            client.ask("GET", &format!("/allocations/{}", consumer(cell, number)), None)
        }
        &Call::ReadStock(number) => read_provider(client, cell, number, "inventories"),
        &Call::ReadUsed(number) => read_provider(client, cell, number, "usages"),
    }?;
    Ok(match reply.status {
        503 if reply.body.to_string().contains("outcome of this request is unknown") => Outcome::Unknown,
        503 => Outcome::Refused,
        _ => Outcome::Answered(answer(cell, call, &reply)),
    })
}

fn write(client: &mut Client, cell: usize, writes: &[Write]) -> io::Result<Reply> {
    let body = |write: &Write| {
        json!({
            "allocations": allocations(cell, write.amounts),
            "consumer_generation": write.generation,
            "project_id": format!("project {cell}"), "user_id": "user", "consumer_type": "INSTANCE",
        })
    };
    if let [write] = writes {
        return client.ask(
            "PUT",
            &format!("/allocations/{}", consumer(cell, write.consumer)),
            Some(&body(write)),
        );
    }
    let bodies = writes.iter().map(|write| (consumer(cell, write.consumer), body(write)));
    client.ask("POST", "/allocations", Some(&Value::Object(bodies.collect())))
}

fn allocations(cell: usize, amounts: Amounts) -> Map<String, Value> {
    let held = amounts.iter().enumerate().filter(|(_, amount)| **amount > 0);
    held.map(|(number, amount)| (provider(cell, number), json!({"resources": {"VCPU": amount}}))).collect()
}

fn set_total(
    client: &mut Client,
    cell: usize,
    number: usize,
    generation: u64,
    total: u32,
) -> io::Result<Reply> {
    let path = format!("/resource_providers/{}/inventories", provider(cell, number));
    let inventories = json!({"VCPU": {"total": total}});
    let body = json!({"resource_provider_generation": generation, "inventories": inventories});
    client.ask("PUT", &path, Some(&body))
}

fn read_provider(client: &mut Client, cell: usize, number: usize, what: &str) -> io::Result<Reply> {
    client.ask("GET", &format!("/resource_providers/{}/{what}", provider(cell, number)), None)
}

fn answer(cell: usize, call: &Call, reply: &Reply) -> Answer {
    let body = &reply.body;
    match (call, reply.status) {
        (Call::Write(_) | Call::SetTotal { .. }, 409) if reply.is_conflict() => Answer::Conflict,
        (Call::Write(_), 409) => Answer::NoCapacity,
        (Call::Write(_) | Call::Remove(_), 204) => Answer::Done,
        (Call::Remove(_), 404) => Answer::NotFound,
        (Call::SetTotal { .. }, 200) => Answer::Stocked(number(&body["resource_provider_generation"])),
        (Call::ReadConsumer(_), 200) => Answer::Consumer(held(cell, body)),
        (Call::ReadStock(_), 200) => Answer::Stock(Stock {
            total: small(&body["inventories"]["VCPU"]["total"]),
            generation: number(&body["resource_provider_generation"]),
        }),
        (Call::ReadUsed(_), 200) => Answer::Used(small(&body["usages"]["VCPU"])),
        _ => panic!("{call:?} was answered {} {body}", reply.status),
    }
}

fn held(cell: usize, body: &Value) -> Option<Held> {
    let allocations = body["allocations"].as_object().expect("allocations are an object");
    let generation = body["consumer_generation"].as_u64()?;
    let mut amounts = [0; PROVIDERS];
    for (place, amount) in amounts.iter_mut().enumerate() {
        let here = allocations.get(&provider(cell, place));
        *amount = here.map_or(0, |here| small(&here["resources"]["VCPU"]));
    }
    Some(Held { generation, amounts })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn small(value: &Value) -> u32 {
    u32::try_from(number(value)).expect("amounts are small")
}
