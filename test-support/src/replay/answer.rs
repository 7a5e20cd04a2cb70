//! Berth's whole answer to a case, in the fields of a recording.

use berth_scheduler::exception::NovaException;
use serde_json::{Map, Value, json};

use super::difference::Differences;

/// Every field that Berth answers.
#[derive(Default)]
pub(crate) struct Answer(Map<String, Value>);

/// Stands for a message that is Berth's own and not compared.
const OWN_MESSAGE: &str = "\u{0}Berth's own message";

impl Answer {
    pub(crate) fn insert(&mut self, field: &str, value: Value) {
        self.0.insert(field.to_owned(), value);
    }

    pub(crate) fn has_own_message(&self, place: &str) -> bool {
        let (field, rest) = place.trim_start_matches('/').split_once('/').unwrap_or_default();
        let value = self.0.get(field).and_then(|value| value.pointer(&format!("/{rest}")));
        value.is_some_and(|value| value == OWN_MESSAGE)
    }

    /// Notes every field of the recording that is not answered so, and every answer that it has
    /// not.
    pub(crate) fn compare(&self, expected: &Map<String, Value>, out: &mut Differences) {
        for (field, nova) in expected {
            match self.0.get(field) {
                Some(ours) => out.compare(field, field, Some(&without_own_messages(nova, ours)), Some(ours)),
                None => out.push(field, "Berth answers no such field"),
            }
        }
        for field in self.0.keys().filter(|field| !expected.contains_key(*field)) {
            out.push(field, "the recording has no such field");
        }
    }
}

/// The exception with its place, as the field `error` has it.
pub(crate) fn staged(stage: &str, place: &str, exception: &NovaException) -> Value {
    let mut error = raised(exception);
    error["stage"] = json!(stage);
    error["where"] = json!(place);
    error
}

/// Class and message.
pub(crate) fn raised(exception: &NovaException) -> Value {
    json!({"type": exception.class, "message": exception.message.as_deref().unwrap_or(OWN_MESSAGE)})
}

/// Nova's answer, with the messages replaced for which Berth has its own
/// (`docs/nova-differences.md`).
fn without_own_messages(nova: &Value, ours: &Value) -> Value {
    let mut nova = nova.clone();
    for path in ["/message", "/error/message"] {
        let is_own = ours.pointer(path).is_some_and(|message| message == OWN_MESSAGE);
        if let Some(message) = nova.pointer_mut(path).filter(|message| is_own && message.is_string()) {
            *message = json!(OWN_MESSAGE);
        }
    }
    nova
}
