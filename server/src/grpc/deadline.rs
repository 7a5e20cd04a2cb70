//! How long a client is willing to wait.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

/// When the client stops waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline of a call that arrives now. A time that cannot be read is none, as gRPC servers
    /// have it.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let patience = headers.get("grpc-timeout").and_then(|text| parse(text.to_str().ok()?));
        Self(patience.and_then(|patience| now().checked_add(patience)))
    }

    pub(super) fn has_passed(self) -> bool {
        self.0.is_some_and(|deadline| deadline <= now())
    }

    /// Done when it has passed: never, if there is none.
    pub(super) async fn passed(self) {
        match self.0 {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the edge: clients state how long they wait")]
fn now() -> Instant {
    Instant::now()
}

/// Up to eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(parse("10m"), Some(Duration::from_millis(10)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        for rubbish in ["", "S", "1", "123456789S", "-1S", "1x", "1 S", "1☂"] {
            assert_eq!(parse(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn a_deadline_passes() {
        let headers = |text: &'static str| {
            HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())])
        };
        assert!(Deadline::of(&headers("0n")).has_passed());
        assert!(!Deadline::of(&headers("1H")).has_passed());
        assert!(!Deadline::of(&HeaderMap::new()).has_passed());
    }
}
