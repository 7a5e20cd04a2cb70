//! A host of each class, to ask for all of them.

use berth_placement::Row;

use crate::nova::hosts::HostTable;

/// The first known row of each class.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes {
    representatives: Vec<Option<Row>>,
    known: usize,
}

impl Classes {
    pub(super) fn new(hosts: &HostTable) -> Self {
        let mut classes = Self::default();
        hosts.rows().for_each(|row| classes.add(hosts, row));
        classes
    }

    pub(super) fn add(&mut self, hosts: &HostTable, row: Row) {
        let class = hosts.class_ids()[row.index()].0 as usize;
        if class >= self.representatives.len() {
            self.representatives.resize(class + 1, None);
        }
        let representative = &mut self.representatives[class];
        // What it was may have become another class since.
        if representative.is_none_or(|row| hosts.class_ids()[row.index()].0 as usize != class) {
            self.known += usize::from(representative.is_none());
            *representative = Some(row);
        }
    }

    /// How many classes have been seen; their answers never change.
    #[inline]
    pub(super) const fn known(&self) -> usize {
        self.known
    }

    /// By class.
    pub(super) fn representatives(&self) -> &[Option<Row>] {
        &self.representatives
    }
}
