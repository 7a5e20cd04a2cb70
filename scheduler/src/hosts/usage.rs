//! The amounts that change when instances come and go, one column each.

use super::load::mebibytes;
use super::record::ReportedAmount;
use super::{HostRow, index};

/// The use of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// Free memory in MiB; negative when overcommitted.
    pub free_ram_mb: i64,
    /// Free disk in MiB.
    pub free_disk_mb: i64,
    /// Disk in use, MiB.
    pub disk_mb_used: i64,
    /// vCPUs in use.
    pub vcpus_used: i64,
    /// Instances.
    pub num_instances: i64,
    /// Instances being built, moved or the like.
    pub num_io_ops: i64,
    /// Builds that failed recently.
    pub failed_builds: i64,
}

impl UsageRow {
    /// The use of a host that reports these amounts of vCPUs, memory in MiB and disk in GiB, and
    /// nothing else but the number of its instances.
    #[must_use]
    pub const fn of_amounts([vcpus, memory, disk]: [ReportedAmount; 3], num_instances: i64) -> Self {
        Self {
            free_ram_mb: memory.total - memory.used,
            free_disk_mb: mebibytes(disk.total - disk.used),
            disk_mb_used: mebibytes(disk.used),
            vcpus_used: vcpus.used,
            num_instances,
            num_io_ops: 0,
            failed_builds: 0,
        }
    }
}

/// The use of every host.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Free memory in MiB.
    pub free_ram_mb: Vec<i64>,
    /// Free disk in MiB.
    pub free_disk_mb: Vec<i64>,
    /// Disk in use, MiB.
    pub disk_mb_used: Vec<i64>,
    /// vCPUs in use.
    pub vcpus_used: Vec<i64>,
    /// Instances.
    pub num_instances: Vec<i64>,
    /// Instances being built, moved or the like.
    pub num_io_ops: Vec<i64>,
    /// Builds that failed recently.
    pub failed_builds: Vec<i64>,
}

impl Usage {
    /// One host.
    #[must_use]
    pub fn row(&self, row: HostRow) -> UsageRow {
        let at = index(row);
        UsageRow {
            free_ram_mb: self.free_ram_mb[at],
            free_disk_mb: self.free_disk_mb[at],
            disk_mb_used: self.disk_mb_used[at],
            vcpus_used: self.vcpus_used[at],
            num_instances: self.num_instances[at],
            num_io_ops: self.num_io_ops[at],
            failed_builds: self.failed_builds[at],
        }
    }

    pub(super) fn push(&mut self, row: UsageRow) {
        self.free_ram_mb.push(row.free_ram_mb);
        self.free_disk_mb.push(row.free_disk_mb);
        self.disk_mb_used.push(row.disk_mb_used);
        self.vcpus_used.push(row.vcpus_used);
        self.num_instances.push(row.num_instances);
        self.num_io_ops.push(row.num_io_ops);
        self.failed_builds.push(row.failed_builds);
    }

    pub(super) fn set(&mut self, row: HostRow, usage: UsageRow) {
        let at = index(row);
        self.free_ram_mb[at] = usage.free_ram_mb;
        self.free_disk_mb[at] = usage.free_disk_mb;
        self.disk_mb_used[at] = usage.disk_mb_used;
        self.vcpus_used[at] = usage.vcpus_used;
        self.num_instances[at] = usage.num_instances;
        self.num_io_ops[at] = usage.num_io_ops;
        self.failed_builds[at] = usage.failed_builds;
    }
}
