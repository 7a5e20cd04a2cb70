//! The data directory of a service that does not run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use berth_placement::{ConsumerId, Inventory, Record, Timestamp};
use berth_server::{Contents, DataDir};
use uuid::Uuid;

use super::fleet::{About, Consumer, Fleet, Provider};
use super::heal::{Healer, Outcome};

const SECOND: u64 = 1_000_000;

pub(super) struct Offline {
    data: DataDir,
    contents: Contents,
    now: u64,
    is_changed: bool,
}

impl Offline {
    /// `now` is in seconds since 1970.
    pub(super) fn open(directory: &Path, now: u64) -> Result<Self> {
        let data = DataDir::open_existing(directory)?;
        let contents = data.load()?.with_context(|| format!("{}: there is no state", directory.display()))?;
        Ok(Self { data, contents, now, is_changed: false })
    }

    /// The servers of this service.
    pub(super) fn instances(&self) -> impl Iterator<Item = Uuid> {
        self.contents.fleet.instance_uuids()
    }

    pub(super) fn fleet(&self) -> Fleet {
        let mut fleet = Fleet::default();
        for record in self.contents.index.snapshot().records() {
            match record {
                Record::Class(_) | Record::Trait(_) => {}
                Record::Provider(provider) => {
                    let used = provider.inventories.iter().map(|(class, _)| {
                        (class.to_string(), self.used(provider.uuid, class).unwrap_or_default())
                    });
                    let used = used.collect();
                    let inventories = provider.inventories.into_iter();
                    let inventories = inventories.map(|(class, inventory)| (class.to_string(), inventory));
                    let (name, changed_at) =
                        (provider.name.to_string(), Some(provider.changed_at.0 / SECOND));
                    let inventories = inventories.collect();
                    fleet.providers.insert(provider.uuid, Provider { name, changed_at, inventories, used });
                }
                Record::Consumer(consumer) => {
                    let held = consumer.allocations.iter();
                    let holds =
                        held.map(|held| ((held.provider, held.class.to_string()), held.amount)).collect();
                    let owner = consumer.owner.as_ref();
                    let about = About {
                        generation: Some(consumer.generation),
                        project: owner.map(|owner| owner.project.to_string()),
                        user: owner.map(|owner| owner.user.to_string()),
                        kind: owner.and_then(|owner| owner.consumer_type.as_ref()).map(ToString::to_string),
                        written_at: Some(consumer.written_at.0 / SECOND),
                    };
                    fleet.consumers.insert(consumer.uuid, Consumer { holds, about: Some(about) });
                }
            }
        }
        fleet
    }

    fn used(&self, provider: Uuid, class: &str) -> Option<i64> {
        Some(
            self.contents
                .index
                .used(self.contents.index.find(provider)?, self.contents.index.topology().class(class)?),
        )
    }

    /// Replaces the state by the healed one; returns where the previous state was moved.
    pub(super) fn write(self) -> Result<Option<PathBuf>> {
        if !self.is_changed {
            return Ok(None);
        }
        Ok(self.data.replace(&self.contents, &self.now.to_string())?)
    }
}

/// The directory is locked, so nothing changes between finding and healing.
impl Healer for Offline {
    fn remove(&mut self, consumer: Uuid, _: &About) -> Result<Outcome> {
        let has_held = self.contents.index.release_uncounted(ConsumerId::from(consumer)).is_some();
        self.is_changed |= has_held;
        Ok(if has_held { Outcome::Done } else { Outcome::Changed })
    }

    fn set_ratio(&mut self, provider: Uuid, class: &str, found: &Inventory, ratio: f64) -> Result<Outcome> {
        let place = self.contents.index.find(provider).zip(self.contents.index.topology().class(class));
        let Some((row, class)) = place else { return Ok(Outcome::Changed) };
        let inventory = Inventory { allocation_ratio: ratio, ..*found };
        self.contents.index.write_at(Timestamp(self.now * SECOND)).set_inventory(
            row,
            class,
            Some(&inventory),
        )?;
        self.is_changed = true;
        Ok(Outcome::Done)
    }
}
