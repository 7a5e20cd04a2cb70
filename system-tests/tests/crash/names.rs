//! Providers that come, get other names and go: each belongs to one client, so what it has to be
//! like is known.

use std::collections::BTreeMap;
use std::io;

use berth_system_tests::http::{Client, Reply};
use rand::Rng;
use serde_json::json;

/// What is known of some providers: their names, or that they are gone. Two when the last change
/// was not answered.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<String, Vec<Option<String>>>,
    made: u64,
    maker: u64,
}

impl Names {
    /// Those of one client.
    pub(crate) fn of(maker: u64) -> Self {
        Self { maker, ..Self::default() }
    }

    /// Adds, renames or removes one.
    pub(crate) fn change(&mut self, client: &mut Client, rng: &mut impl Rng) -> io::Result<()> {
        let there: Vec<(String, String)> = self.there().collect();
        self.made += 1;
        let name = format!("provider {} of {}", self.made, self.maker);
        if there.len() < 3 || rng.random_ratio(1, 3) {
            let uuid = format!("00000000-0000-4000-8000-{:06x}{:06x}", 0x0003_0000 + self.maker, self.made);
            let body = json!({"name": name, "uuid": uuid});
            self.known.insert(uuid.clone(), vec![None, Some(name)]);
            let reply = client.ask("POST", "/resource_providers", Some(&body))?;
            self.settle(&uuid, &reply, 200);
            return Ok(());
        }
        let (uuid, old) = &there[rng.random_range(0..there.len())];
        let path = format!("/resource_providers/{uuid}");
        let after = rng.random_bool(0.5).then_some(name);
        self.known.insert(uuid.clone(), vec![Some(old.clone()), after.clone()]);
        let (reply, status) = match after {
            Some(name) => (client.ask("PUT", &path, Some(&json!({"name": name})))?, 200),
            None => (client.ask("DELETE", &path, None)?, 204),
        };
        self.settle(uuid, &reply, status);
        Ok(())
    }

    fn there(&self) -> impl Iterator<Item = (String, String)> {
        self.known.iter().filter_map(|(uuid, states)| match &states[..] {
            [Some(name)] => Some((uuid.clone(), name.clone())),
            _ => None,
        })
    }

    /// Settles a name on the last possible one, unless the response leaves the outcome open.
    fn settle(&mut self, uuid: &str, reply: &Reply, status: u16) {
        if reply.status == 503 {
            return;
        }
        assert_eq!(reply.status, status, "{uuid}: {}", reply.body);
        let states = self.known.get_mut(uuid).expect("it was entered");
        states.drain(..states.len() - 1);
    }

    /// Checks all of them against a list of what there is, which is what is known from now on.
    pub(crate) fn check(&mut self, found: &BTreeMap<String, String>) {
        for (uuid, states) in &mut self.known {
            let name = found.get(uuid).cloned();
            assert!(states.contains(&name), "provider {uuid} can be {states:?} and is {name:?}");
            *states = vec![name];
        }
        self.known.retain(|_, states| *states != [None]);
    }
}

/// Every provider's name by UUID.
pub(crate) fn all(client: &mut Client) -> io::Result<BTreeMap<String, String>> {
    let body = client.ask("GET", "/resource_providers", None)?.expect(200);
    let providers = body["resource_providers"].as_array().expect("a list");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    Ok(providers.iter().map(|provider| (text(&provider["uuid"]), text(&provider["name"]))).collect())
}
