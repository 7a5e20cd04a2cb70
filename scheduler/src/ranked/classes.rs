//! A host of each class, to ask for all of them.

use crate::hosts::{HostRow, HostTable};

/// The first row of each class.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes {
    representatives: Vec<Option<HostRow>>,
}

impl Classes {
    pub(super) fn new(hosts: &HostTable) -> Self {
        let mut classes = Self::default();
        hosts.rows().for_each(|row| classes.add(hosts, row));
        classes
    }

    fn add(&mut self, hosts: &HostTable, row: HostRow) {
        let class = hosts.class_ids()[row.index()].0 as usize;
        if class >= self.representatives.len() {
            self.representatives.resize(class + 1, None);
        }
        self.representatives[class].get_or_insert(row);
    }

    /// By class.
    pub(super) fn representatives(&self) -> &[Option<HostRow>] {
        &self.representatives
    }
}
