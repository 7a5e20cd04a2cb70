//! What Nova's databases say of a live fleet: zones and aggregates of hosts, names, flavors and
//! ages of VMs.

use std::time::Duration;

use anyhow::{Context, Result};
use berth_nova_database::{DatabaseUrl, LiveRecords, read_live};
use tokio::runtime::Builder;

use super::live::{HostFacts, InstanceFacts, Live};

/// A database that has not answered after so long is not read.
const PATIENCE: Duration = Duration::from_secs(60);

/// Adds what the API database with this URL and the databases of its cells say. A cell whose URL is
/// a template is read with the login and at the address of this URL. An instance whose
/// allocations are not known holds nothing, so it is left out.
pub(super) fn add(live: &mut Live, url: &str) -> Result<()> {
    let api = DatabaseUrl::parse(url).context("--nova-database")?;
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let LiveRecords { hosts, instances } =
        runtime.block_on(read_live(&api, url, PATIENCE)).context("--nova-database")?;
    for host in hosts {
        let (zones, aggregates): (Vec<_>, Vec<_>) =
            host.metadata.into_iter().partition(|(key, _)| key == "availability_zone");
        let zone = zones.into_iter().next().map(|(_, zone)| zone).unwrap_or_default();
        let facts = HostFacts { name: host.node, zone, aggregates, is_disabled: host.is_disabled };
        live.hosts.insert(host.uuid, facts);
    }
    for instance in instances {
        let facts = InstanceFacts {
            name: instance.name,
            flavor: instance.flavor,
            extra_specs: instance.extra_specs,
            group: instance.group.as_ref().map(|(group, _)| group.clone()).unwrap_or_default(),
            policy: instance.group.map(|(_, policy)| policy).unwrap_or_default(),
            created_at_us: instance.created_at_us,
        };
        live.instances.insert(instance.uuid, facts);
    }
    Ok(())
}
