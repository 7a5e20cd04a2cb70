//! Conversion to the messages of the protocol.

use berth_api::v1::agent_message::Message;
use berth_api::v1::guest_report::State;
use berth_api::v1::{self, AgentMessage};
use uuid::Uuid;

use crate::guest::Guest;
use crate::{FaultKind, ObservedState};

pub(super) fn message(message: Message) -> AgentMessage {
    AgentMessage { message: Some(message) }
}

pub(super) fn report(instance: Uuid, guest: &Guest, missing_cpu_features: Vec<String>) -> Message {
    let fault = guest.fault();
    Message::Guest(v1::GuestReport {
        instance: instance.to_string(),
        generation: guest.concluded_generation(),
        state: state(guest.power()).into(),
        boot: guest.record().boot,
        error: fault.map(ToString::to_string).unwrap_or_default(),
        is_transient: fault.is_some_and(|fault| fault.kind == FaultKind::Transient),
        known_generation: guest.known(),
        missing_cpu_features,
        rebuilt: guest.record().rebuilt,
        is_rescue: guest.record().is_rescue,
    })
}

fn state(power: ObservedState) -> State {
    match power {
        ObservedState::Absent => State::Absent,
        ObservedState::Shelved => State::Shelved,
        ObservedState::ShutDown => State::ShutDown,
        ObservedState::Crashed => State::Crashed,
        ObservedState::Saved => State::Saved,
        ObservedState::Running | ObservedState::Leaving => State::Running,
        ObservedState::Arriving => State::BeingReceived,
        ObservedState::Paused => State::Paused,
    }
}
