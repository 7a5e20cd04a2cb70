//! A cache of prepared requests.

use std::collections::VecDeque;

use crate::{PreparedRequest, RequestSpec};

/// Prepared requests, the most recent first. All are for the same hosts and aggregates.
#[derive(Default)]
pub(super) struct Cache {
    entries: VecDeque<(RequestSpec, PreparedRequest)>,
}

/// Whether the same request is likely to repeat. Requests with server groups differ because the
/// members change; retried builds and shelved instances exclude different hosts.
pub(super) fn is_worth_it(spec: &RequestSpec) -> bool {
    let rules_out_hosts = spec.availability_zone.is_none() && !spec.ignore_hosts.is_empty();
    spec.instance_group.is_none() && !rules_out_hosts
}

/// Bytes of the texts that a request may have many of.
fn text_bytes(spec: &RequestSpec) -> usize {
    let specs = spec.flavor.extra_specs.iter().map(|(key, value)| key.len() + value.len());
    let hosts = [&spec.ignore_hosts, &spec.force_hosts, &spec.force_nodes].into_iter().flatten();
    specs.sum::<usize>() + spec.scheduler_hints.text_bytes() + hosts.map(String::len).sum::<usize>()
}

impl Cache {
    /// The largest number of entries. With 10,000 hosts, an entry takes about 60 KiB.
    const MAX_ENTRIES: usize = 64;

    /// The largest number of bytes of text of all requests but the latest.
    const MAX_TEXT: usize = 4 << 20;

    /// Returns the prepared request from the cache, or prepares it.
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
        let mut text = 0;
        let texts = self.entries.iter().map(|(spec, _)| text_bytes(spec));
        let kept = texts.take_while(|bytes| {
            text += bytes;
            text <= Self::MAX_TEXT
        });
        let kept = kept.count().min(Self::MAX_ENTRIES - 1);
        self.entries.truncate(kept);
        self.entries.push_front(entry);
        Ok(&mut self.entries[0].1)
    }
}
