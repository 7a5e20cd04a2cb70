//! The members of a trait, an aggregate or a class: their rows, and the trees that contain them.

use std::sync::Arc;

use crate::ids::Row;
use crate::row_set::RowSet;

/// The rows that have a property, and the roots of the trees in which some row has it.
#[derive(Debug, Clone, Default)]
pub struct Members {
    rows: Arc<RowSet>,
    trees: Arc<RowSet>,
}

impl Members {
    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &RowSet {
        &self.rows
    }

    /// The roots of their trees.
    #[must_use]
    pub fn trees(&self) -> &RowSet {
        &self.trees
    }

    pub(crate) fn shared_rows(&self) -> Arc<RowSet> {
        Arc::clone(&self.rows)
    }

    pub(crate) fn shared_trees(&self) -> Arc<RowSet> {
        Arc::clone(&self.trees)
    }

    /// Adds `row` of the tree below `root`.
    pub(crate) fn add(&mut self, row: Row, root: Row) {
        set_member(&mut self.rows, row, true);
        set_member(&mut self.trees, root, true);
    }

    /// Removes `row`; `tree` has all rows of its tree.
    pub(crate) fn remove(&mut self, row: Row, root: Row, tree: &[Row]) {
        set_member(&mut self.rows, row, false);
        if !tree.iter().any(|other| self.rows.contains(other.0)) {
            set_member(&mut self.trees, root, false);
        }
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        **self.rows == **other.rows && **self.trees == **other.trees
    }
}

/// Adds or removes `row`, copying the shared set only when it changes.
pub(crate) fn set_member(rows: &mut Arc<RowSet>, row: Row, member: bool) {
    if rows.contains(row.0) != member {
        Arc::make_mut(rows).set(row, member);
    }
}
