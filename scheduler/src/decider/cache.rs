//! Recent requests, prepared once for many decisions.

use std::collections::VecDeque;

use crate::{PreparedRequest, RequestSpec};

/// Prepared requests, the most recent first. All are for the same hosts and aggregates.
#[derive(Default)]
pub(super) struct Cache {
    entries: VecDeque<(RequestSpec, PreparedRequest)>,
}

/// Whether the same request is likely to come again. Members of server groups come and go, and builds that are retried, like
/// shelved instances, rule out hosts of their own.
pub(super) fn is_worth_it(spec: &RequestSpec) -> bool {
    let rules_out_hosts = spec.availability_zone.is_none() && !spec.ignore_hosts.is_empty();
    spec.instance_group.is_none() && !rules_out_hosts
}

impl Cache {
    /// With 10,000 hosts, one takes about 60 KiB.
    const MOST: usize = 64;

    /// The prepared request, from the cache or else from `prepare`.
    pub(super) fn request<E>(
        &mut self,
        spec: &RequestSpec,
        prepare: impl FnOnce() -> Result<PreparedRequest, E>,
    ) -> Result<&mut PreparedRequest, E> {
        let known = self.entries.iter().position(|(known, _)| known.is_alike(spec));
        let entry = match known.and_then(|at| self.entries.remove(at)) {
            Some(entry) => entry,
            None => (spec.clone(), prepare()?),
        };
        self.entries.truncate(Self::MOST - 1);
        self.entries.push_front(entry);
        Ok(&mut self.entries[0].1)
    }
}
