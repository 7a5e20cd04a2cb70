//! A live fleet from records: of a data directory, or of a dump of a Placement database.

use std::path::Path;

use anyhow::{Context, Result};
use berth_placement::Record;
use berth_server::{Contents, DataDir};

use super::live::{HostFacts, InstanceFacts, Live, LiveConsumer, LiveProvider};
use crate::placement_database;

/// The state of a service that does not run.
pub(super) fn of_directory(directory: &Path) -> Result<Live> {
    let contents = DataDir::open_to_read(directory)?.load()?;
    let Contents { index, fleet } =
        contents.with_context(|| format!("{}: there is no state", directory.display()))?;
    let mut live = of_records(index.snapshot().records());
    for host in fleet.hosts() {
        let facts = HostFacts {
            name: host.name,
            zone: host.zone,
            aggregates: host.aggregates,
            is_disabled: host.is_disabled,
        };
        live.hosts.insert(host.provider, facts);
    }
    for instance in fleet.instances() {
        let (group, policy) =
            instance.group.map(|(group, policy)| (group.to_string(), policy.to_owned())).unwrap_or_default();
        let facts = InstanceFacts {
            name: instance.name,
            flavor: instance.flavor,
            extra_specs: instance.extra_specs,
            group,
            policy,
            created_at_us: instance.created_at.0,
        };
        live.instances.insert(instance.uuid, facts);
    }
    Ok(live)
}

/// The dump of a Placement database, as `berth import-placement` reads it.
pub(super) fn of_dump(dump: &Path) -> Result<Live> {
    let records = placement_database::read(dump).with_context(|| dump.display().to_string())?;
    Ok(of_records(records))
}

fn of_records(records: impl IntoIterator<Item = Record>) -> Live {
    let mut live = Live::default();
    for record in records {
        match record {
            Record::Class(_) | Record::Trait(_) => {}
            Record::Provider(provider) => {
                let inventories = provider.inventories.iter();
                let of = LiveProvider {
                    name: provider.name.to_string(),
                    parent: provider.parent,
                    inventories: inventories.map(|(class, of)| (class.to_string(), *of)).collect(),
                    traits: provider.traits.iter().map(ToString::to_string).collect(),
                };
                live.providers.insert(provider.uuid, of);
            }
            Record::Consumer(consumer) => {
                let holds = consumer.allocations.iter();
                let of = LiveConsumer {
                    project: consumer
                        .owner
                        .as_ref()
                        .map(|owner| owner.project.to_string())
                        .unwrap_or_default(),
                    holds: holds.map(|held| (held.provider, held.class.to_string(), held.amount)).collect(),
                    written_at_us: consumer.written_at.0,
                };
                live.consumers.insert(consumer.uuid, of);
            }
        }
    }
    live
}
