//! AllHostsFilter

use berth_placement::Row;

use super::{Filter, PASS, RequestState, Scope, Verdict};

/// Passes every host.
pub(super) struct AllHostsFilter;

impl Filter for AllHostsFilter {
    fn scope(&self) -> Scope {
        Scope::Everything
    }

    fn judge(&self, _: Row, _: &mut RequestState) -> Verdict {
        PASS
    }
}
