//! Messages that are delivered twice.

use std::collections::{BTreeSet, VecDeque};

/// The ids of the last messages. A broker delivers a message again when it did not receive the
/// acknowledgement.
#[derive(Debug, Default)]
pub struct Duplicates {
    order: VecDeque<String>,
    known: BTreeSet<String>,
}

impl Duplicates {
    /// oslo.messaging remembers 16, one for each message that a process has not acknowledged. More
    /// are acknowledged late when a connection with many callers is lost.
    const REMEMBERED: usize = 4_096;

    /// Remembers the message; returns whether it is new.
    pub fn is_new(&mut self, unique_id: &str) -> bool {
        if !self.known.insert(unique_id.to_owned()) {
            return false;
        }
        self.order.push_back(unique_id.to_owned());
        if self.order.len() > Self::REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_messages_are_remembered() {
        let mut duplicates = Duplicates::default();
        assert!(duplicates.is_new("a") && !duplicates.is_new("a"));
        for number in 0..Duplicates::REMEMBERED {
            assert!(duplicates.is_new(&number.to_string()));
        }
        assert!(duplicates.is_new("a"), "the oldest is forgotten");
        assert_eq!(duplicates.order.len(), duplicates.known.len());
    }
}
