//! The response as JSON text.
//!
//! A response may contain thousands of candidates and providers. Text that they have in common is
//! formatted once and then copied, and the loops allocate almost no memory.

use berth_placement::Topology;
use berth_placement::candidates::{Candidate, Candidates, ProviderSummary, Query};

use super::TooMuch;
use super::request::Requests;
use super::text::{Classes, TraitLists};
use crate::json::Writer;
use crate::microversion::Microversion;
use crate::request::candidates::ResponseTooLong;

/// The largest number of bytes to reserve in advance.
const MAX_RESERVED_BYTES: usize = 4 << 20;

/// A response while it is written.
pub(super) struct Document {
    w: Writer,
    version: Microversion,
    most: usize,
}

impl Document {
    /// Writes all candidates and their summaries in the format of the microversion, up to about
    /// `most` bytes.
    pub(super) fn of(
        candidates: &mut Candidates<'_>,
        query: &Query,
        version: Microversion,
        most: usize,
    ) -> Result<Vec<u8>, TooMuch> {
        let mut document = Self { w: Writer::with_capacity(4096), version, most };
        document.w.ready(br#"{"allocation_requests":["#);
        document.requests(candidates, query)?;
        document.w.ready(br#"],"provider_summaries":{"#);
        document.summaries(candidates)?;
        document.w.ready(b"}}");
        Ok(document.w.finish())
    }

    fn requests(&mut self, candidates: &mut Candidates<'_>, query: &Query) -> Result<(), TooMuch> {
        let mut requests = Requests::new(self.version, query);
        let (mut candidate, mut is_first) = (Candidate::default(), true);
        while candidates.next_into(&mut candidate)? {
            requests.write(&mut self.w, candidates.topology(), &candidate);
            if self.w.len() > self.most {
                return Err(TooMuch::Bytes(ResponseTooLong(self.most)));
            }
            if std::mem::take(&mut is_first) {
                self.w.reserve(self.expected(query));
            }
        }
        Ok(())
    }

    /// An estimate of the bytes that follow the first candidate, if the limit is reached. Reserved
    /// memory that stays unused costs almost nothing; moving a long response to a larger buffer is
    /// expensive.
    fn expected(&self, query: &Query) -> usize {
        let with_summaries = 3 * self.w.len();
        let expected = query.limit.map_or(0, |limit| limit.saturating_mul(with_summaries));
        expected.min(MAX_RESERVED_BYTES).min(self.most)
    }

    fn summaries(&mut self, candidates: &Candidates<'_>) -> Result<(), TooMuch> {
        let topology = candidates.topology();
        let (mut classes, mut traits) = (Classes::default(), TraitLists::default());
        for summary in candidates.summaries()? {
            self.summary(topology, &summary, &mut classes, &mut traits);
        }
        Ok(())
    }

    fn summary<'a>(
        &mut self,
        topology: &Topology,
        of: &ProviderSummary<'a>,
        classes: &mut Classes,
        traits: &mut TraitLists<'a>,
    ) {
        let provider = of.provider;
        self.w.uuid_key(provider.uuid).ready(br#"{"resources":{"#);
        for class in &of.resources {
            classes.begin(&mut self.w, topology, class.class).integer(class.capacity);
            self.w.ready(br#","used":"#).integer(class.used);
            self.w.ready(b"}");
        }
        self.w.ready(b"}");
        if self.version.at_least(17) {
            traits.write(self.w.ready(br#","traits":"#), topology, &provider.traits);
        }
        if self.version.at_least(29) {
            let uuid_of = |row| topology.provider(row).map(|provider| provider.uuid);
            self.w.ready(br#","parent_provider_uuid":"#).uuid_or_null(provider.parent.and_then(uuid_of));
            self.w.ready(br#","root_provider_uuid":"#).uuid_or_null(uuid_of(provider.root));
        }
        self.w.ready(b"}");
    }
}
