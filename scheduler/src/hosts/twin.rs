//! One more host like another.

use smallvec::smallvec;

use super::{HostRow, HostTable, ServiceHost, UsageRow, index};

impl HostTable {
    /// Adds an empty host of the same make as `row`, in the same aggregates, with a name and a
    /// service of its own that reported at `now` (microseconds since 1970). Its devices are those
    /// that are free on the original. None if the original has never reported.
    pub(crate) fn add_empty_twin(&mut self, row: HostRow, now: i64) -> Option<HostRow> {
        let report = self.report(row)?;
        let usage = UsageRow {
            free_ram_mb: report.total_usable_ram_mb,
            free_disk_mb: report.total_usable_disk_gb.saturating_mul(1024),
            ..UsageRow::default()
        };
        let mut node = self.details(row).clone();
        node.name = format!("another {}", node.name);
        node.numa = node.numa.map(|numa| numa.without_instances());
        let service = ServiceHost {
            name: format!("another {}", self.host(row)),
            disabled: false,
            disabled_reason: None,
            forced_down: false,
            last_seen: now,
            instances: std::collections::BTreeMap::new(),
        };
        #[expect(clippy::cast_possible_truncation, reason = "rows and services are 32 bits wide")]
        let (twin, service_id) = (HostRow(self.len() as u32), self.services.len() as u32);
        self.class.push(self.class[index(row)]);
        self.service.push(service_id);
        self.services.push(service);
        self.rows_of_service.push(smallvec![twin]);
        self.usage.push(usage);
        self.nodes.push(node);
        Some(twin)
    }
}
