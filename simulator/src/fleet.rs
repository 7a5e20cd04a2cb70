//! Builds the index of a fleet.

use berth_placement::{ClassId, Index, Inventory, Row, TopologyError};
use berth_traces::Host;
use uuid::Uuid;

/// An index with one root provider per host: host `i` is in row `i`.
pub(crate) fn index_of(hosts: &[Host]) -> Result<Index, TopologyError> {
    let index = Index::default();
    let mut writer = index.write();
    for (number, host) in (0_u32..).zip(hosts) {
        let row = writer.add_provider(Uuid::from_u128(u128::from(number)), &host.id, None)?;
        debug_assert_eq!(row, Row(number));
        let capacity = host.capacity;
        let amounts = [
            (ClassId::VCPU, capacity.vcpus),
            (ClassId::MEMORY_MB, capacity.memory_mb),
            (ClassId::DISK_GB, capacity.disk_gb),
        ];
        for (class, total) in amounts.into_iter().filter(|(_, total)| *total > 0) {
            writer.set_inventory(row, class, Some(&Inventory::of(total)))?;
        }
    }
    drop(writer);
    Ok(index)
}
