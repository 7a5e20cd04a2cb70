//! How an agent ends.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::session::Event;
use super::{Agent, Finished, messages, room};
use crate::Hypervisor;

/// How long steps under way may take when the agent is to end.
const STEPS: Duration = Duration::from_secs(60);
/// How long the service may take to hear the rest.
const WORDS: Duration = Duration::from_secs(2);

impl<H: Hypervisor> Agent<H> {
    /// Finishes the steps under way and begins none, then says goodbye. Guests go on as they are.
    pub(super) async fn drain(&mut self, events: &mut Receiver<Event>) {
        if timeout(STEPS, self.finish_steps()).await.is_err() {
            tracing::warn!("steps are still under way; the next start finds out how they went");
        }
        if timeout(WORDS, self.say_goodbye(events)).await.is_err() {
            tracing::warn!("the service did not hear the goodbye");
        }
    }

    async fn finish_steps(&mut self) {
        while let Some(done) = self.tasks.join_next().await {
            let Ok(Finished::Step(instance, outcome)) = done else { continue };
            let now = self.times.now();
            if let Some(guest) = self.guests.get_mut(&instance) {
                // Whatever would be next is left to the next start.
                let _ = guest.done(outcome, now);
                self.outbox.add_guest(instance);
            }
        }
    }

    async fn say_goodbye(&mut self, events: &mut Receiver<Event>) {
        while !self.outbox.is_empty() {
            let Some(permit) = room(self.link.clone()).await else { return };
            self.say(permit);
        }
        let Some(permit) = room(self.link.take()).await else { return };
        // With the last sender gone, the stream ends when all of it has been read.
        drop(permit.send(messages::message(Message::Goodbye(v1::Goodbye {}))));
        while !matches!(events.recv().await, Some(Event::Parted) | None) {}
    }
}
