//! Parts of a provider tree that the agent reports no longer while they are in use: a device that
//! was pulled, a card that failed, huge pages that were turned off.
//!
//! Their consumers keep their allocations, and nothing more is granted: the whole inventory is
//! reserved. It is removed as soon as it is free. When the agent reports it again, it is as
//! reported.

use berth_placement::{ClassId, Index, Inventory, Row, TopologyError, Writer};
use uuid::Uuid;

use super::{AgentProvider, Host};
use crate::Fleet;

/// Sets the inventories of a provider to those that are `wanted`. Returns the further classes that
/// it keeps because they are in use; nothing more of them is granted.
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

/// Removes a provider if it is not in use and has no children; returns whether it is removed.
/// Nothing more of a provider that stays is granted.
pub(super) fn remove(index: &Index, writer: &mut Writer<'_>, uuid: Uuid) -> bool {
    let Some(row) = index.find(uuid) else { return true };
    writer.remove_provider(row).is_ok()
        || {
            if let Err(error) = set_inventories(index, writer, row, &[]) {
                tracing::error!(provider = %uuid, %error, "a provider that the agent reports no longer is still granted");
            }
            false
        }
}

impl Fleet {
    /// Whether something is removed as soon as it is free ([`Self::remove_retired`]).
    #[must_use]
    pub fn has_retired(&self) -> bool {
        !self.state.retiring.is_empty()
    }

    /// Removes the parts of provider trees that agents report no longer and that have become free.
    pub fn remove_retired(&mut self, writer: &mut Writer<'_>) {
        let hosts: Vec<String> = self.state.retiring.iter().cloned().collect();
        for host in hosts {
            if self.remove_retired_of(writer, &host) {
                self.note_hosts([host.as_str()]);
            }
        }
    }

    /// Returns whether a part of the host was removed.
    fn remove_retired_of(&mut self, writer: &mut Writer<'_>, name: &str) -> bool {
        let Some(host) = self.state.hosts.get(name).cloned() else { return false };
        let mut providers = Vec::new();
        // Children come after their parents.
        for mut provider in host.providers.iter().cloned().rev() {
            if provider.is_retired && remove(&self.index, writer, provider.uuid) {
                continue;
            }
            self.remove_retired_classes(writer, &mut provider);
            providers.push(provider);
        }
        providers.reverse();
        let has_changed = providers != host.providers;
        if has_changed {
            self.state.put_host(Host { providers, ..host });
        }
        has_changed
    }

    fn remove_retired_classes(&self, writer: &mut Writer<'_>, provider: &mut AgentProvider) {
        let Some(row) = self.index.find(provider.uuid) else { return };
        provider.retired_classes.retain(|name| {
            let Some(class) = writer.topology().class(name) else { return false };
            self.index.inventory(row, class).is_some() && writer.set_inventory(row, class, None).is_err()
        });
    }
}
