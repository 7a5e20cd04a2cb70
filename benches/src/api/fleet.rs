//! The resource providers of a run, which are removed at the end.

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, uuid_of_run};
use super::{ApiFailure, Progress, RequestError};

/// A trait that the run creates and gives to every fourth provider.
pub(super) const TRAIT: &str = "CUSTOM_BERTH_BENCH";
/// The number of aggregates that the providers are spread over.
const AGGREGATES: u32 = 4;
/// The number of providers between two progress messages.
const STEP: usize = 256;
/// The number of connections that create and remove providers: one at a time takes minutes where
/// each change waits for a disk.
const CONNECTIONS: usize = 8;

/// The providers created so far.
pub(super) struct Providers<'a> {
    pub(super) client: &'a Client,
    /// Unique per run, so that leftovers of an earlier run do not interfere.
    nonce: u64,
    created: Vec<Uuid>,
}

impl<'a> Providers<'a> {
    pub(super) const fn new(client: &'a Client, nonce: u64) -> Self {
        Self { client, nonce, created: Vec::new() }
    }

    /// The aggregate of a quarter of the providers.
    pub(super) const fn aggregate(&self) -> Uuid {
        self.uuid(1 << 40)
    }

    /// The UUIDs of the providers.
    pub(super) fn uuids(&self) -> &[Uuid] {
        &self.created
    }

    /// The UUID of the run's object with this number.
    pub(super) const fn uuid(&self, number: u64) -> Uuid {
        uuid_of_run(self.nonce, number)
    }

    fn prefix(&self) -> String {
        format!("berth-bench-{:016x}-", self.nonce)
    }

    /// Creates providers with inventories, traits and aggregates.
    pub(super) fn create(&mut self, count: u32, progress: &Progress<'_>) -> Result<(), ApiFailure> {
        self.client.put(&format!("/traits/{TRAIT}"), &Value::Null)?;
        let numbers: Vec<u32> = (0..count).collect();
        for (step, numbers) in numbers.chunks(STEP).enumerate() {
            if !progress(&format!("creating resource providers: {} of {count}", step * STEP)) {
                return Err(ApiFailure::Stopped);
            }
            // Recorded before the requests, because a provider may exist even when no response
            // arrives.
            let nonce = self.nonce;
            self.created.extend(numbers.iter().map(|&number| uuid_of_run(nonce, number.into())));
            let failed =
                side_by_side(self.client, numbers, |client, &number| self.create_one(client, number));
            failed.into_iter().next().map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn create_one(&self, client: &Client, number: u32) -> Result<(), RequestError> {
        let uuid = self.uuid(number.into());
        let name = format!("{}{number}", self.prefix());
        client.post("/resource_providers", &json!({ "name": name, "uuid": uuid.to_string() }))?;
        let inventory = |total: u32, reserved: u32, ratio: f64| {
            json!({ "total": total, "reserved": reserved, "min_unit": 1, "max_unit": total, "step_size": 1,
                    "allocation_ratio": ratio })
        };
        let of_provider = format!("/resource_providers/{uuid}");
        let inventories = json!({
            "VCPU": inventory(64, 0, 4.0),
            "MEMORY_MB": inventory(262_144 << (number % 3), 8_192, 1.0),
            "DISK_GB": inventory(3_840, 100, 1.0),
        });
        let body = json!({ "resource_provider_generation": 0, "inventories": inventories });
        let mut generation = client.put_of_provider(&format!("{of_provider}/inventories"), &body)?;
        if number.is_multiple_of(4) {
            let body = json!({ "resource_provider_generation": generation, "traits": [TRAIT] });
            generation = client.put_of_provider(&format!("{of_provider}/traits"), &body)?;
        }
        let aggregate = self.uuid(1 << 40 | u64::from(number % AGGREGATES)).to_string();
        let body = json!({ "resource_provider_generation": generation, "aggregates": [aggregate] });
        client.put(&format!("{of_provider}/aggregates"), &body)?;
        Ok(())
    }

    /// Removes everything that was created, even after a request to stop.
    pub(super) fn remove(self, progress: &Progress<'_>) -> Result<(), ApiFailure> {
        let (count, prefix) = (self.created.len(), self.prefix());
        let mut failed: Vec<RequestError> = Vec::new();
        for (step, uuids) in self.created.chunks(STEP).enumerate() {
            progress(&format!("removing resource providers: {} of {count}", step * STEP));
            failed.extend(side_by_side(self.client, uuids, |client, uuid| {
                client.delete(&format!("/resource_providers/{uuid}")).map(drop)
            }));
        }
        failed.retain(|error| !error.is_missing());
        // The trait stays if other providers use it.
        let _ = self.client.delete(&format!("/traits/{TRAIT}"));
        let count = failed.len();
        failed.pop().map_or(Ok(()), |source| Err(ApiFailure::NotCleaned { count, prefix, source }))
    }
}

/// Sends the requests of each item on several connections; returns the errors.
fn side_by_side<T: Sync>(
    client: &Client,
    items: &[T],
    send: impl Fn(&Client, &T) -> Result<(), RequestError> + Sync,
) -> Vec<RequestError> {
    let errors = |items: &[T]| -> Vec<RequestError> {
        let client = client.another();
        items.iter().filter_map(|item| send(&client, item).err()).collect()
    };
    std::thread::scope(|scope| {
        let parts = items.chunks(items.len().div_ceil(CONNECTIONS).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| errors(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a sender does not panic")).collect()
    })
}
