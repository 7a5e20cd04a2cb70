//! Services: `services` of a cell.

use berth_scheduler::hosts::ServiceRecord;
use berth_scheduler::time::for_database;

use crate::row::{InvalidRow, Row, TextRow};

pub(crate) const COLUMNS: &[&str] =
    &["host", "disabled", "disabled_reason", "forced_down", "last_seen_up", "created_at", "version"];

/// A nova-compute service as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceRow {
    pub(crate) host: String,
    disabled: bool,
    disabled_reason: Option<String>,
    forced_down: bool,
    /// When it reported last, or else when it was created, in microseconds since 1970.
    seen: Option<i64>,
    pub(crate) version: i64,
}

impl ServiceRow {
    pub(crate) fn read(values: &TextRow) -> Result<Self, InvalidRow> {
        let row = Row::new("services", COLUMNS, values);
        Ok(Self {
            host: row.text("host")?.to_owned(),
            disabled: row.is_true("disabled"),
            disabled_reason: row.get("disabled_reason").map(str::to_owned),
            forced_down: row.is_true("forced_down"),
            seen: row.time("last_seen_up")?.or(row.time("created_at")?),
            version: row.integer("version")?.unwrap_or_default(),
        })
    }

    /// The status of the service at a time (microseconds since 1970).
    pub(crate) fn status(&self, now: i64, down_after: i64) -> ServiceStatus {
        let is_up = self.seen.is_some_and(|seen| now.saturating_sub(seen).saturating_abs() <= down_after);
        let Self { disabled, disabled_reason, forced_down, .. } = self;
        ServiceStatus {
            disabled: *disabled,
            disabled_reason: disabled_reason.clone().filter(|_| *disabled),
            is_down: *forced_down || !is_up,
        }
    }
}

/// The part that filters examine. Heartbeats change it only when the service goes down or comes
/// back, so hosts that report every few seconds are no changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServiceStatus {
    disabled: bool,
    disabled_reason: Option<String>,
    is_down: bool,
}

impl ServiceStatus {
    /// Whether the service is disabled or down.
    pub(crate) const fn is_unavailable(&self) -> bool {
        self.disabled || self.is_down
    }

    pub(crate) fn record(&self) -> ServiceRecord {
        ServiceRecord {
            disabled: self.disabled,
            disabled_reason: self.disabled_reason.clone(),
            forced_down: self.is_down,
            last_seen_up: None,
            created_at: None,
        }
    }
}

/// The condition for services that are disabled or down at a time (microseconds since 1970). The
/// database judges the reports, so that heartbeats are not read.
pub(crate) fn unavailable(now: i64, down_after: i64) -> String {
    const SECOND: i64 = 1_000_000;
    // The first whole second that is recent enough, and the last that is not too far ahead.
    let first = for_database(-down_after.saturating_sub(now).div_euclid(SECOND));
    let last = for_database(now.saturating_add(down_after).div_euclid(SECOND));
    // Columns are compared as they are: a function of each would cost more than the rest.
    let is_away = |seen: &str| format!("{seen} < '{first}' OR {seen} > '{last}'");
    let (reported, created) = (is_away("last_seen_up"), is_away("created_at"));
    format!(
        "(disabled OR forced_down OR {reported} OR last_seen_up IS NULL AND (created_at IS NULL OR {created}))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(last_seen_up: Option<&str>, forced_down: &str) -> ServiceRow {
        let values = [
            Some("c1"),
            Some("0"),
            None,
            Some(forced_down),
            last_seen_up,
            Some("2026-11-30 00:00:00"),
            Some("74"),
        ];
        ServiceRow::read(&values.map(|value| value.map(str::to_owned)).to_vec()).expect("reads")
    }

    #[test]
    fn a_service_is_down_when_it_has_not_reported() {
        let now = berth_scheduler::time::micros("2026-11-30T00:02:00").expect("a time");
        let is_down = |service: &ServiceRow| service.status(now, 60_000_000).is_down;
        assert!(!is_down(&service(Some("2026-11-30 00:01:00"), "0")));
        assert!(is_down(&service(Some("2026-11-30 00:00:59"), "0")));
        assert!(!is_down(&service(Some("2026-11-30 00:03:00"), "0")), "its clock is ahead");
        assert!(is_down(&service(Some("2026-11-30 00:01:59"), "1")));
        assert!(is_down(&service(None, "f")), "it was created two minutes ago and never reported");
    }

    #[test]
    fn the_database_judges_reports_by_whole_seconds() {
        let condition = |now| unavailable(now, 60_000_000);
        let reported = |first, last| {
            format!("last_seen_up < '1970-01-01 00:{first}' OR last_seen_up > '1970-01-01 00:{last}'")
        };
        for (now, first, last) in [(100_000_000, "00:40", "02:40"), (100_500_000, "00:41", "02:40")] {
            assert!(condition(now).contains(&reported(first, last)), "{}", condition(now));
        }
    }
}
