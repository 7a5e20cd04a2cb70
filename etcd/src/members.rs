//! The members of a cluster, and which of them the next call goes to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::failure::EtcdError;
use crate::options::{EtcdOptions, EtcdTls};

/// How long a member is left out after a failure: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a connection with a call may be silent before the client asks whether it still works.
/// A member closes connections that ask more often than every 5 s, or without a call.
const SILENCE: Duration = Duration::from_secs(6);

/// The members, in the order of the options.
pub(crate) struct Members {
    members: Vec<Member>,
    health: Mutex<Health>,
}

struct Member {
    address: String,
    channel: Channel,
}

#[derive(Debug)]
struct Health {
    /// The member that answered last.
    current: usize,
    members: Vec<MemberHealth>,
}

#[derive(Debug, Clone, Copy)]
struct MemberHealth {
    failures: u32,
    /// No call goes to the member before this time, if another one can be used.
    ready_at: Instant,
}

/// The member for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) member: usize,
    /// The attempt begins at this time: every member has failed recently.
    pub(crate) ready_at: Instant,
}

impl Members {
    pub(crate) fn new(options: &EtcdOptions) -> Result<Self, EtcdError> {
        let members = options.members.iter().map(|address| Member::new(address, options));
        let members: Vec<Member> = members.collect::<Result<_, _>>()?;
        if members.is_empty() {
            return Err(EtcdError::Options("no member of etcd is given".to_owned()));
        }
        let healthy = MemberHealth { failures: 0, ready_at: Instant::now() };
        let health = Health { current: 0, members: vec![healthy; members.len()] };
        Ok(Self { members, health: Mutex::new(health) })
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn address(&self, member: usize) -> &str {
        &self.members[member].address
    }

    pub(crate) fn channel(&self, member: usize) -> Channel {
        self.members[member].channel.clone()
    }

    /// Selects the current member, or, while that is left out, the next one that can be used first.
    pub(crate) fn select(&self, now: Instant) -> Selected {
        self.health().select(now)
    }

    pub(crate) fn note_success(&self, member: usize) {
        let mut health = self.health();
        health.current = member;
        health.members[member].failures = 0;
    }

    pub(crate) fn note_failure(&self, member: usize, now: Instant) {
        self.health().note_failure(member, now);
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn select(&self, now: Instant) -> Selected {
        let count = self.members.len();
        let order = (0..count).map(|step| (self.current + step) % count);
        let ready_at = |member: &usize| self.members[*member].ready_at.max(now);
        let member = order.min_by_key(ready_at).expect("a cluster has members");
        Selected { member, ready_at: ready_at(&member) }
    }

    fn note_failure(&mut self, member: usize, now: Instant) {
        let health = &mut self.members[member];
        let (first, longest) = PAUSE;
        let pause = first.saturating_mul(1 << health.failures.min(16)).min(longest);
        *health = MemberHealth { failures: health.failures + 1, ready_at: now + pause };
    }
}

impl Member {
    fn new(address: &str, options: &EtcdOptions) -> Result<Self, EtcdError> {
        let invalid = |error: tonic::transport::Error| {
            EtcdError::Options(format!(
                "{address}: {}",
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string,)
            ))
        };
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(invalid)?;
        let endpoint = endpoint
            .connect_timeout(options.attempt_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(options.attempt_timeout);
        let endpoint = match &options.tls {
            Some(tls) => endpoint.tls_config(tls_config(tls)).map_err(invalid)?,
            None => endpoint,
        };
        Ok(Self { address: address.to_owned(), channel: endpoint.connect_lazy() })
    }
}

fn tls_config(EtcdTls { authorities, identity }: &EtcdTls) -> ClientTlsConfig {
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities));
    match identity {
        Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
        None => config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_member_that_fails_is_left_out_longer_each_time() {
        let now = Instant::now();
        let healthy = MemberHealth { failures: 0, ready_at: now };
        let mut health = Health { current: 1, members: vec![healthy; 3] };
        let selected = |health: &Health| health.select(now).member;
        assert_eq!(selected(&health), 1);
        health.note_failure(1, now);
        assert_eq!(selected(&health), 2);
        health.note_failure(2, now);
        assert_eq!(selected(&health), 0);
        health.note_failure(0, now);
        health.note_failure(0, now);
        assert_eq!(health.select(now), Selected { member: 1, ready_at: now + PAUSE.0 });
        for _ in 0..40 {
            health.note_failure(1, now);
        }
        assert_eq!(health.members[1].ready_at, now + PAUSE.1);
        assert_eq!(health.select(now + PAUSE.1).member, 1, "the current one when all can be used");
    }
}
