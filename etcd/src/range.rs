//! Reading keys.

use bytes::Bytes;

use crate::client::{EtcdClient, Repeat};
use crate::failure::EtcdError;
use crate::key::{KeyEntry, KeyRange};
use crate::proto::kv_client::KvClient;
use crate::proto::{RangeRequest, RangeResponse};

/// The largest response. A member sends no more than fits in the pages that the client asks for.
const LARGEST_RESPONSE: usize = 256 << 20;

/// A range that is read in pages, all of one revision.
#[derive(Debug)]
pub struct RangePages {
    client: EtcdClient,
    request: RangeRequest,
    has_ended: bool,
}

impl EtcdClient {
    /// The value of a key now, and the revision of etcd at which it was read.
    ///
    /// # Errors
    /// No member can answer.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<(Option<KeyEntry>, i64), EtcdError> {
        let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
        let (response, revision) = self.range_once(request).await?;
        Ok((response.kvs.into_iter().next().map(KeyEntry::from), revision))
    }

    /// Reads a range, `limit` keys at a time. The first page is as recent as its call.
    #[must_use]
    pub fn pages(&self, range: KeyRange, limit: u32) -> RangePages {
        self.request_pages(range, limit, 0, false)
    }

    /// Reads a range as of an earlier revision.
    #[must_use]
    pub fn pages_at(&self, range: KeyRange, limit: u32, revision: i64) -> RangePages {
        self.request_pages(range, limit, revision, false)
    }

    /// Reads the keys of a range without their values, as of an earlier revision.
    #[must_use]
    pub fn keys_at(&self, range: KeyRange, limit: u32, revision: i64) -> RangePages {
        self.request_pages(range, limit, revision, true)
    }

    fn request_pages(&self, range: KeyRange, limit: u32, revision: i64, keys_only: bool) -> RangePages {
        let KeyRange { begin: key, end: range_end } = range;
        let limit = limit.into();
        let request = RangeRequest { key, range_end, limit, revision, keys_only, ..RangeRequest::default() };
        RangePages { client: self.clone(), request, has_ended: false }
    }

    async fn range_once(&self, request: RangeRequest) -> Result<(RangeResponse, i64), EtcdError> {
        let response = self
            .call(Repeat::Always, |connection| {
                let request = connection.request(request.clone());
                async move {
                    let client = KvClient::new(connection.channel);
                    client.max_decoding_message_size(LARGEST_RESPONSE).range(request).await
                }
            })
            .await?;
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        Ok((response, revision))
    }
}

impl RangePages {
    /// The next keys; `None` after the last.
    ///
    /// # Errors
    /// No member can answer, or the revision was compacted while the range was read.
    pub async fn next(&mut self) -> Result<Option<Vec<KeyEntry>>, EtcdError> {
        if self.has_ended {
            return Ok(None);
        }
        let (response, revision) = self.client.range_once(self.request.clone()).await?;
        if self.request.revision == 0 {
            self.request.revision = revision;
        }
        self.has_ended = !response.more;
        let Some(last) = response.kvs.last() else {
            self.has_ended = true;
            return Ok(None);
        };
        // The smallest key after the last one.
        self.request.key = [&last.key[..], &[0]].concat().into();
        Ok(Some(response.kvs.into_iter().map(KeyEntry::from).collect()))
    }

    /// The revision of all pages; 0 before the first, if none was asked for.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        self.request.revision
    }
}
