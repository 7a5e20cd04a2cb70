//! What an agent reports no more while it is in use: a device that was pulled, a card that failed, huge pages that were turned off.
//!
//! Its consumers keep their allocations, and nothing more of it is granted: all of such an inventory is reserved. When it is free, it
//! goes. When the agent reports it again, it is as reported.

use berth_placement::{ClassId, Index, Inventory, Row, TopologyError, Writer};
use uuid::Uuid;

use crate::fleet::Fleet;
use crate::fleet::entry::{AgentProvider, Host};
use crate::service::now;

/// Makes the inventories of a provider those that are `wanted`; returns the classes that it has besides because they are in use,
/// of which nothing more is granted.
pub(super) fn set_inventories(
    index: &Index,
    writer: &mut Writer<'_>,
    row: Row,
    wanted: &[(ClassId, Inventory)],
) -> Result<Vec<ClassId>, TopologyError> {
    let mut known = index.inventories(row).1;
    known.sort_unstable_by_key(|(class, _)| *class);
    let is_wanted = |class: ClassId| wanted.iter().any(|(other, _)| *other == class);
    let surplus: Vec<(ClassId, Inventory)> =
        known.iter().copied().filter(|(class, _)| !is_wanted(*class)).collect();
    let mut used: Vec<ClassId> =
        surplus.iter().map(|(class, _)| *class).filter(|&class| index.used(row, class) != 0).collect();
    loop {
        let kept = surplus.iter().filter(|(class, _)| used.contains(class));
        let kept = kept.map(|&(class, of)| (class, Inventory { reserved: of.total, ..of }));
        let mut inventories: Vec<(ClassId, Inventory)> = wanted.iter().copied().chain(kept).collect();
        inventories.sort_unstable_by_key(|(class, _)| *class);
        if known == inventories {
            return Ok(used);
        }
        match writer.set_inventories(row, None, inventories) {
            // Claimed a moment ago.
            Err(TopologyError::InUse(claimed)) if !used.contains(&claimed.class) => used.push(claimed.class),
            written => return written.map(|_| used),
        }
    }
}

/// Removes a provider if nothing of it is in use and none stands below it; returns whether it is gone. Nothing more of one that stays
/// is granted.
pub(super) fn remove(index: &Index, writer: &mut Writer<'_>, uuid: Uuid) -> bool {
    let Some(row) = index.find(uuid) else { return true };
    writer.remove_provider(row).is_ok() || {
        if let Err(error) = set_inventories(index, writer, row, &[]) {
            tracing::error!(provider = %uuid, %error, "a provider that is gone is still granted");
        }
        false
    }
}

impl Fleet {
    /// Removes what agents report no more as far as it has become free.
    pub(in crate::fleet) fn remove_retired(&self) {
        let hosts: Vec<String> = self.state().retiring.iter().cloned().collect();
        for host in hosts {
            if self.remove_retired_of(&host) {
                self.note_hosts([host.as_str()]);
            }
        }
    }

    /// Returns whether anything of the host has gone.
    fn remove_retired_of(&self, name: &str) -> bool {
        // With the writer, so that the agent's next tree does not come in between.
        let mut writer = self.index.write_at(now());
        let Some(host) = self.state().hosts.get(name).cloned() else { return false };
        let mut providers = Vec::new();
        // Children stand behind their parents.
        for mut provider in host.providers.iter().cloned().rev() {
            if provider.is_retired && remove(&self.index, &mut writer, provider.uuid()) {
                continue;
            }
            self.remove_retired_classes(&mut writer, &mut provider);
            providers.push(provider);
        }
        providers.reverse();
        let has_changed = providers != host.providers;
        if has_changed {
            self.transact(|fleet| fleet.put_host(Host { providers, ..host }));
        }
        has_changed
    }

    fn remove_retired_classes(&self, writer: &mut Writer<'_>, provider: &mut AgentProvider) {
        let Some(row) = self.index.find(provider.uuid()) else { return };
        provider.retired_classes.retain(|name| {
            let Some(class) = writer.topology().class(name) else { return false };
            self.index.inventory(row, class).is_some() && writer.set_inventory(row, class, None).is_err()
        });
    }
}
