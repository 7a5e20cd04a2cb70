//! Leases that are kept alive.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use crate::client::{EtcdClient, Repeat};
use crate::failure::EtcdError;
use crate::proto::lease_client::LeaseClient;
use crate::proto::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest};

/// The number of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseId(pub i64);

/// A lease that is kept alive until it is dropped.
///
/// It says when the lease is *probably* held: a process that was stopped for a while learns last
/// that its lease has ended. Nothing may depend on it that a transaction's condition does not
/// check as well.
#[derive(Debug)]
pub struct EtcdLease {
    id: LeaseId,
    client: EtcdClient,
    state: watch::Receiver<LeaseState>,
    task: JoinHandle<()>,
}

/// What is known about a lease, also after it was dropped.
#[derive(Debug, Clone)]
pub struct LeaseView(watch::Receiver<LeaseState>);

#[derive(Debug, Clone, Copy)]
struct LeaseState {
    /// The lease ends at this time at the earliest, unless it was revoked.
    held_until: Instant,
    /// Whether etcd has said that the lease has ended.
    has_ended: bool,
}

impl EtcdClient {
    /// Grants a lease and keeps it alive. etcd may choose a longer time than `ttl`.
    ///
    /// # Errors
    /// No member can answer. A lease without an owner ends by itself.
    pub async fn lease(&self, ttl: Duration) -> Result<EtcdLease, EtcdError> {
        let begin = Instant::now();
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).max(1);
        let granted = self
            .call(Repeat::Always, |connection| {
                let request = connection.request(LeaseGrantRequest { ttl: seconds, id: 0 });
                async move { LeaseClient::new(connection.channel).lease_grant(request).await }
            })
            .await?;
        if !granted.error.is_empty() {
            return Err(EtcdError::Refused(granted.error));
        }
        let ttl = duration(granted.ttl);
        let (sender, state) = watch::channel(LeaseState { held_until: begin + ttl, has_ended: false });
        let id = LeaseId(granted.id);
        let task = tokio::spawn(keep_alive(self.clone(), id, ttl, sender));
        Ok(EtcdLease { id, client: self.clone(), state, task })
    }

    /// Renews a lease; returns its time, or `None` if it has ended. A member that does not answer
    /// within `limit` is left for the next one.
    async fn renew(&self, id: LeaseId, limit: Duration) -> Result<Option<Duration>, EtcdError> {
        let renewed = self.call(Repeat::Always, |connection| {
            let request = tokio_stream::once(LeaseKeepAliveRequest { id: id.0 });
            let request = connection.request(request);
            let renewal = async move {
                let answers = LeaseClient::new(connection.channel).lease_keep_alive(request).await?;
                let answer = answers.into_inner().message().await?;
                answer.map(tonic::Response::new).ok_or_else(|| Status::unavailable("the stream has ended"))
            };
            async move {
                let renewal = timeout(limit, renewal).await;
                renewal.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
            }
        });
        Ok(Some(renewed.await?.ttl).filter(|&ttl| ttl > 0).map(duration))
    }
}

fn duration(seconds: i64) -> Duration {
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}

async fn keep_alive(client: EtcdClient, id: LeaseId, mut ttl: Duration, state: watch::Sender<LeaseState>) {
    loop {
        sleep(ttl / 4).await;
        let begin = Instant::now();
        // One stopped member must not cost the lease.
        match client.renew(id, ttl / 4).await {
            Ok(Some(renewed)) => {
                ttl = renewed;
                state.send_modify(|state| state.held_until = begin + ttl);
            }
            Ok(None) => {
                state.send_modify(|state| state.has_ended = true);
                return;
            }
            // The lease may outlive its time while etcd has no leader.
            Err(error) => tracing::warn!(%error, "a lease cannot be renewed"),
        }
    }
}

impl EtcdLease {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> LeaseId {
        self.id
    }

    /// What is known about the lease, for others than its owner.
    #[must_use]
    pub fn view(&self) -> LeaseView {
        LeaseView(self.state.clone())
    }

    /// Waits until etcd says that the lease has ended.
    pub async fn ended(&mut self) {
        // A sender that is gone means the same.
        drop(self.state.wait_for(|state| state.has_ended).await);
    }

    /// Ends the lease; its keys are deleted.
    ///
    /// # Errors
    /// No member can answer. The lease ends by itself then.
    pub async fn revoke(self) -> Result<(), EtcdError> {
        self.task.abort();
        let id = self.id.0;
        let revoked = self.client.call(Repeat::Always, |connection| {
            let request = connection.request(LeaseRevokeRequest { id });
            async move { LeaseClient::new(connection.channel).lease_revoke(request).await }
        });
        match revoked.await {
            Err(EtcdError::Refused(words)) if words.contains("lease not found") => Ok(()),
            revoked => revoked.map(|_| ()),
        }
    }
}

impl LeaseView {
    /// Whether the lease is held: its time has not passed since the latest renewal was *sent*, so
    /// it cannot have ended for etcd either, unless it was revoked.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let state = *self.0.borrow();
        !state.has_ended && Instant::now() < state.held_until
    }

    /// Whether etcd has said that the lease has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.borrow().has_ended
    }
}

impl Drop for EtcdLease {
    fn drop(&mut self) {
        self.task.abort();
    }
}
