//! A Placement service, Berth or the original, read through its API.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use berth_placement::{Inventory, Units};
use berth_process::listener;
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;
use uuid::Uuid;

use super::fleet::{About, Fleet, Holdings, Provider};
use super::heal::{Healer, Outcome};

/// The microversions in use, the last if the service has it; below the first, consumers have no
/// generations.
const VERSIONS: (u32, u32) = (28, 38);

/// Requests at a time.
const WORKERS: usize = 8;

/// How often a provider is read again that changes meanwhile.
const ATTEMPTS: usize = 5;

/// The timeout of a response.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(super) struct Online {
    agent: Agent,
    url: String,
    token: String,
    /// The minor number of the microversion.
    version: u32,
}

struct Answer {
    status: u16,
    /// In seconds since 1970.
    last_modified: Option<u64>,
    body: String,
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    max_version: String,
}

#[derive(Deserialize)]
struct Providers {
    resource_providers: Vec<ProviderEntry>,
}

#[derive(Clone, Deserialize)]
struct ProviderEntry {
    uuid: Uuid,
    name: String,
}

#[derive(Deserialize)]
struct Inventories {
    resource_provider_generation: u64,
    inventories: BTreeMap<String, InventoryEntry>,
}

#[derive(Deserialize)]
struct InventoryEntry {
    total: u32,
    reserved: u32,
    min_unit: u32,
    max_unit: u32,
    step_size: u32,
    allocation_ratio: f64,
}

#[derive(Deserialize)]
struct Usages {
    resource_provider_generation: u64,
    usages: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
struct ProviderAllocations {
    resource_provider_generation: u64,
    allocations: BTreeMap<Uuid, Resources>,
}

#[derive(Deserialize)]
struct Resources {
    resources: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct ConsumerAllocations {
    allocations: BTreeMap<Uuid, Resources>,
    consumer_generation: Option<u64>,
    project_id: Option<String>,
    user_id: Option<String>,
    consumer_type: Option<String>,
}

/// What is held of a provider, by consumer and class.
type Held = Vec<(Uuid, String, u32)>;

impl Online {
    pub(super) fn new(url: &str, token: String) -> Result<Self> {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        let url = url.trim_end_matches('/').to_owned();
        let mut online = Self { agent: config.build().into(), url, token, version: 0 };
        let answer = online.get("/").map_err(|error| match listener::placement_advice(&online.url) {
            Some(advice) => anyhow!("--url: {}: {advice}", online.url),
            None => error,
        })?;
        let found: Versions = online.read("/", &answer)?;
        let max = found.versions.first().and_then(|version| version.max_version.strip_prefix("1."));
        let max: u32 =
            max.and_then(|minor| minor.parse().ok()).context("--url: this is no Placement service")?;
        if max < VERSIONS.0 {
            bail!("--url: the service speaks 1.{max}; at least 1.{} is needed", VERSIONS.0);
        }
        online.version = max.min(VERSIONS.1);
        Ok(online)
    }

    pub(super) fn read_fleet(&self) -> Result<Fleet> {
        let found: Providers = self.fetch("/resource_providers")?;
        let (next, read) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || -> Result<()> {
            while let Some(entry) = found.resource_providers.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(provider) = self.read_provider(entry)? {
                    read.lock().expect("nobody panics with it").push((entry.uuid, provider));
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
        })?;
        let mut fleet = Fleet::default();
        for (uuid, (provider, held, is_restless)) in read.into_inner().expect("nobody panicked with it") {
            for (consumer, class, amount) in held {
                fleet.consumers.entry(consumer).or_default().holds.insert((uuid, class), amount);
            }
            fleet.providers.insert(uuid, provider);
            if is_restless {
                fleet.restless.push(uuid);
            }
        }
        fleet.restless.sort_unstable();
        Ok(fleet)
    }

    /// A consistent view of a provider, by its generation; `None` if it was deleted.
    fn read_provider(&self, entry: &ProviderEntry) -> Result<Option<(Provider, Held, bool)>> {
        let path = |what: &str| format!("/resource_providers/{}/{what}", entry.uuid);
        for attempt in 1..=ATTEMPTS {
            let answer = self.get(&path("inventories"))?;
            if answer.status == 404 {
                return Ok(None);
            }
            let inventories: Inventories = self.read(&path("inventories"), &answer)?;
            let allocations: ProviderAllocations = self.fetch(&path("allocations"))?;
            let usages: Usages = self.fetch(&path("usages"))?;
            let is_still = inventories.resource_provider_generation == usages.resource_provider_generation
                && allocations.resource_provider_generation == usages.resource_provider_generation;
            if is_still || attempt == ATTEMPTS {
                let changed_at = answer.last_modified;
                let inventories =
                    inventories.inventories.into_iter().map(|(class, entry)| (class, entry.into()));
                let (name, inventories, used) = (entry.name.clone(), inventories.collect(), usages.usages);
                let provider = Provider { name, changed_at, inventories, used };
                return Ok(Some((provider, flat(allocations.allocations), !is_still)));
            }
        }
        Ok(None)
    }

    /// The current allocations of a consumer and its details.
    pub(super) fn read_consumer(&self, consumer: Uuid) -> Result<(Holdings, About)> {
        let path = format!("/allocations/{consumer}");
        let answer = self.get(&path)?;
        let found: ConsumerAllocations = self.read(&path, &answer)?;
        let held =
            flat(found.allocations).into_iter().map(|(provider, class, amount)| ((provider, class), amount));
        let about = About {
            generation: found.consumer_generation,
            project: found.project_id,
            user: found.user_id,
            kind: found.consumer_type.filter(|kind| kind != "unknown"),
            written_at: answer.last_modified,
        };
        Ok((held.collect(), about))
    }

    fn fetch<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T> {
        self.read(path, &self.get(path)?)
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, path: &str, answer: &Answer) -> Result<T> {
        if answer.status != 200 {
            bail!("GET {}{path}: {}: {}", self.url, answer.status, detail(&answer.body));
        }
        serde_json::from_str(&answer.body)
            .with_context(|| format!("GET {}{path}: not what was expected", self.url))
    }

    fn get(&self, path: &str) -> Result<Answer> {
        let url = format!("{}{path}", self.url);
        let request = self.agent.get(&url).header("X-Auth-Token", &self.token);
        let request = request.header("OpenStack-API-Version", format!("placement 1.{}", self.version));
        answer(request.call()).with_context(|| format!("GET {url}"))
    }

    /// In the first version that has what is needed: later ones want to know more.
    fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        let url = format!("{}{path}", self.url);
        let request = self.agent.put(&url).header("X-Auth-Token", &self.token);
        let request = request.header("OpenStack-API-Version", format!("placement 1.{}", VERSIONS.0));
        let request = request.header("Content-Type", "application/json");
        answer(request.send(body.to_string())).with_context(|| format!("PUT {url}"))
    }
}

impl Healer for Online {
    /// The generation says whether the consumer is as it was when it was found.
    fn remove(&mut self, consumer: Uuid, about: &About) -> Result<Outcome> {
        let body = json!({
            "allocations": {},
            "consumer_generation": about.generation,
            "project_id": about.project,
            "user_id": about.user,
        });
        let answer = self.put(&format!("/allocations/{consumer}"), &body)?;
        Ok(match answer.status {
            204 => Outcome::Done,
            409 => Outcome::Changed,
            status => Outcome::Refused(format!("{status}: {}", detail(&answer.body))),
        })
    }

    fn set_ratio(&mut self, provider: Uuid, class: &str, found: &Inventory, ratio: f64) -> Result<Outcome> {
        let path = format!("/resource_providers/{provider}/inventories");
        let now: Inventories = self.fetch(&path)?;
        let generation = now.resource_provider_generation;
        let Some(inventory) = now.inventories.get(class).filter(|now| Inventory::from(*now) == *found) else {
            return Ok(Outcome::Changed);
        };
        let InventoryEntry { total, reserved, min_unit, max_unit, step_size, .. } = *inventory;
        let body = json!({
            "resource_provider_generation": generation, "total": total, "reserved": reserved, "min_unit": min_unit,
            "max_unit": max_unit, "step_size": step_size, "allocation_ratio": ratio,
        });
        let answer = self.put(&format!("{path}/{class}"), &body)?;
        Ok(match answer.status {
            200 => Outcome::Done,
            404 | 409 => Outcome::Changed,
            status => Outcome::Refused(format!("{status}: {}", detail(&answer.body))),
        })
    }
}

impl From<&InventoryEntry> for Inventory {
    fn from(entry: &InventoryEntry) -> Self {
        let InventoryEntry { total, reserved, min_unit, max_unit, step_size, allocation_ratio } = *entry;
        Self { total, reserved, units: Units { min_unit, max_unit, step_size }, allocation_ratio }
    }
}

impl From<InventoryEntry> for Inventory {
    fn from(entry: InventoryEntry) -> Self {
        (&entry).into()
    }
}

fn flat(allocations: BTreeMap<Uuid, Resources>) -> Held {
    let each = |(uuid, Resources { resources }): (Uuid, Resources)| {
        resources.into_iter().map(move |(class, amount)| (uuid, class, amount))
    };
    allocations.into_iter().flat_map(each).collect()
}

fn answer(outcome: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer> {
    let mut response = outcome?;
    let header = response.headers().get("last-modified").and_then(|header| header.to_str().ok());
    let modified = header.and_then(|text| httpdate::parse_http_date(text).ok());
    let last_modified = modified.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs()));
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_string()?;
    Ok(Answer { status, last_modified, body })
}

/// What a refusal says, as far as it is one of Placement's.
fn detail(body: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    let detail = parsed.as_ref().and_then(|body| body["errors"][0]["detail"].as_str());
    detail.unwrap_or(body).split_whitespace().collect::<Vec<_>>().join(" ")
}
