//! Console output of guests, which their hosts' agents have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::service_message::Message;
use berth_fleet::{FleetError, HOST_DOWN, Named};
use tokio::sync::oneshot;

use super::FleetHandle;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Unanswered requests to one agent, at most.
const MOST: usize = 8;

/// The latest bytes of an output that are requested.
const BYTES: u32 = 64 << 10;

/// Requests that agents have not answered.
#[derive(Debug, Default)]
pub(super) struct Consoles {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    host: String,
    answer: oneshot::Sender<v1::ConsoleReply>,
}

/// A request that has not been answered. It ends when this is dropped.
struct Asked<'a> {
    consoles: &'a Consoles,
    request: u64,
    answer: oneshot::Receiver<v1::ConsoleReply>,
}

impl Consoles {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if too many requests wait for the host.
    fn ask(&self, host: &str) -> Option<Asked<'_>> {
        let mut waiting = self.waiting();
        if waiting.values().filter(|other| other.host == host).count() >= MOST {
            return None;
        }
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        waiting.insert(request, Waiting { host: host.to_owned(), answer: sender });
        Some(Asked { consoles: self, request, answer })
    }

    /// Passes on what an agent has answered. What nobody waits for, or another host was asked for,
    /// is dropped.
    fn answer(&self, host: &str, reply: v1::ConsoleReply) {
        let mut waiting = self.waiting();
        if waiting.get(&reply.request).is_some_and(|asked| asked.host == host)
            && let Some(asked) = waiting.remove(&reply.request)
        {
            let _ = asked.answer.send(reply); // the client may be gone
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.consoles.waiting().remove(&self.request);
    }
}

impl FleetHandle {
    /// The latest bytes of the console output of an instance's guest, from the agent of its host.
    ///
    /// # Errors
    /// There is no such instance; it is on no host; the host's agent does not answer, or has no
    /// output.
    pub(crate) async fn console_log(
        self: &Arc<Self>,
        named: Named<'_>,
    ) -> Result<v1::ConsoleLog, FleetError> {
        let instance = self.read(|fleet| fleet.instance(named))?;
        let host = &instance.location.host;
        if host.is_empty() {
            return Err(FleetError::precondition("WRONG_STATE", "the instance is on no host yet"));
        }
        let down =
            || FleetError::precondition(HOST_DOWN, format!("the agent of host {host:?} is not connected"));
        let session = self.read(|fleet| fleet.reconciled_session(host)).ok_or_else(down)?;
        let busy = || {
            FleetError::precondition("BUSY", format!("{MOST} requests wait for the agent of host {host:?}"))
        };
        let mut asked = self.consoles.ask(host).ok_or_else(busy)?;
        let request = v1::ConsoleRequest {
            request: asked.request,
            instance: instance.uuid.to_string(),
            most_bytes: BYTES,
        };
        self.outboxes.send(host, session, Message::Console(request));
        let silent = || {
            let message = format!(
                "the agent of host {host:?} has not answered within {} s; it may be of an earlier version",
                PATIENCE.as_secs()
            );
            FleetError::precondition("NO_ANSWER", message)
        };
        let answer = tokio::time::timeout(PATIENCE, &mut asked.answer).await;
        let v1::ConsoleReply { output, error, .. } = answer.map_err(|_| silent())?.map_err(|_| silent())?;
        if error.is_empty() {
            Ok(v1::ConsoleLog { output })
        } else {
            Err(FleetError::precondition("NO_CONSOLE", format!("host {host:?}: {error}")))
        }
    }

    /// Passes on the console output that an agent has sent.
    pub(crate) fn note_console(&self, host: &str, reply: v1::ConsoleReply) {
        self.consoles.answer(host, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_answers_for_itself_and_requests_have_a_bound() {
        let consoles = Consoles::default();
        let mut asked: Vec<_> = (0..MOST).map(|_| consoles.ask("a").unwrap()).collect();
        assert!(consoles.ask("a").is_none() && consoles.ask("b").is_some());
        let reply = |request| v1::ConsoleReply { request, output: vec![7].into(), ..Default::default() };
        let first = asked.remove(0);
        consoles.answer("b", reply(first.request));
        consoles.answer("a", reply(first.request));
        consoles.answer("a", reply(99));
        let mut first = first;
        assert_eq!(first.answer.try_recv().unwrap().output, vec![7_u8]);
        drop((first, asked));
        assert!(consoles.waiting().is_empty());
    }
}
