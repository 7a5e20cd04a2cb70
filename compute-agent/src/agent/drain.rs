//! Graceful shutdown of an agent.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::session::Event;
use super::{Agent, Finished, messages, reserve};
use crate::Hypervisor;

/// How long running steps may take.
const STEPS: Duration = Duration::from_secs(60);
/// How long the service may take to receive the remaining messages.
const GOODBYE: Duration = Duration::from_secs(2);

impl<H: Hypervisor> Agent<H> {
    /// Finishes the running steps without starting others, then sends a goodbye. Guests continue to
    /// run.
    pub(super) async fn drain(&mut self, events: &mut Receiver<Event>) {
        if timeout(STEPS, self.finish_steps()).await.is_err() {
            tracing::warn!(
                "some steps are still running; the agent observes their results at its next start"
            );
        }
        if timeout(GOODBYE, self.send_goodbye(events)).await.is_err() {
            tracing::warn!("the service did not receive the goodbye");
        }
    }

    async fn finish_steps(&mut self) {
        while let Some(done) = self.tasks.join_next().await {
            let Ok(Finished::Step(instance, outcome)) = done else { continue };
            let now = self.times.now();
            if let Some(guest) = self.guests.get_mut(&instance) {
                // The next step runs after the next start.
                let _ = guest.done(outcome, now);
                self.outbox.add_guest(instance);
            }
        }
    }

    async fn send_goodbye(&mut self, events: &mut Receiver<Event>) {
        while !self.outbox.is_empty() {
            let Some(permit) = reserve(self.link.clone()).await else { return };
            self.send_next(permit);
        }
        let Some(permit) = reserve(self.link.take()).await else { return };
        // Dropping the last sender ends the stream once everything is read.
        drop(permit.send(messages::message(Message::Goodbye(v1::Goodbye {}))));
        while !matches!(events.recv().await, Some(Event::Parted) | None) {}
    }
}
