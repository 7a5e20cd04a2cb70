//! Transactions with conditions.

use bytes::Bytes;

use crate::client::{EtcdClient, Repeat};
use crate::failure::EtcdError;
use crate::key::{KeyEntry, KeyRange};
use crate::lease::LeaseId;
use crate::proto::kv_client::KvClient;
use crate::proto::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse, compare,
    request_op, response_op,
};

/// Changes that are made together, if all conditions hold.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    request: TxnRequest,
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionOutcome {
    /// Whether the conditions held and the changes were made.
    pub succeeded: bool,
    /// The revision of etcd after the transaction.
    pub revision: i64,
    /// If the conditions did not hold: the keys of [`Transaction::otherwise_get`], in order.
    pub found: Vec<Option<KeyEntry>>,
}

impl Transaction {
    /// Adds the condition that the key came into being at this revision; 0 for a key that does not
    /// exist.
    #[must_use]
    pub fn if_created_at(mut self, key: impl Into<Bytes>, revision: i64) -> Self {
        self.request.compare.push(Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Create.into(),
            key: key.into(),
            target_union: Some(compare::TargetUnion::CreateRevision(revision)),
        });
        self
    }

    /// Adds the condition that the key does not exist.
    #[must_use]
    pub fn if_absent(self, key: impl Into<Bytes>) -> Self {
        self.if_created_at(key, 0)
    }

    /// Writes a key.
    #[must_use]
    pub fn put(self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.put_with(key.into(), value.into(), 0)
    }

    /// Writes a key that is deleted when the lease ends.
    #[must_use]
    pub fn put_leased(self, key: impl Into<Bytes>, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        self.put_with(key.into(), value.into(), lease.0)
    }

    fn put_with(self, key: Bytes, value: Bytes, lease: i64) -> Self {
        self.then(request_op::Request::RequestPut(PutRequest { key, value, lease }))
    }

    /// Deletes the keys of a range.
    #[must_use]
    pub fn delete(self, range: KeyRange) -> Self {
        let KeyRange { begin: key, end: range_end } = range;
        self.then(request_op::Request::RequestDeleteRange(DeleteRangeRequest { key, range_end }))
    }

    /// Reads a key if the conditions do not hold.
    #[must_use]
    pub fn otherwise_get(mut self, key: impl Into<Bytes>) -> Self {
        let range = RangeRequest { key: key.into(), ..RangeRequest::default() };
        self.request.failure.push(RequestOp { request: Some(request_op::Request::RequestRange(range)) });
        self
    }

    fn then(mut self, request: request_op::Request) -> Self {
        self.request.success.push(RequestOp { request: Some(request) });
        self
    }
}

impl From<TxnResponse> for TransactionOutcome {
    fn from(TxnResponse { header, succeeded, responses }: TxnResponse) -> Self {
        let found = responses.into_iter().filter_map(|response| match response.response {
            Some(response_op::Response::ResponseRange(range)) => {
                Some(range.kvs.into_iter().next().map(KeyEntry::from))
            }
            _ => None,
        });
        Self { succeeded, revision: header.map_or(0, |header| header.revision), found: found.collect() }
    }
}

impl EtcdClient {
    /// Makes a transaction. It is sent again only if no member accepted it.
    ///
    /// # Errors
    /// [`EtcdError::Unknown`] if it may have been made.
    pub async fn transact(&self, transaction: &Transaction) -> Result<TransactionOutcome, EtcdError> {
        let response = self.call(Repeat::IfNotAccepted, |connection| {
            let request = connection.request(transaction.request.clone());
            async move { KvClient::new(connection.channel).txn(request).await }
        });
        Ok(response.await?.into())
    }
}
