//! AllHostsFilter

use super::{Filter, PASS, RequestState, Scope, Verdict};
use crate::hosts::HostRow;

/// Passes every host.
pub(super) struct AllHostsFilter;

impl Filter for AllHostsFilter {
    fn scope(&self) -> Scope {
        Scope::Everything
    }

    fn judge(&self, _: HostRow, _: &mut RequestState) -> Verdict {
        PASS
    }
}
