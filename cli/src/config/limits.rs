//! Limits of one request to `berth serve`.

use std::time::Duration;

use berth_server::Limits;
use serde::{Deserialize, Serialize};

/// The limits; the catalogue documents each. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsTable {
    pub(crate) head_time: u64,
    pub(crate) idle_time: u64,
    pub(crate) body_bytes: usize,
    pub(crate) body_time: u64,
    pub(crate) write_time: u64,
    pub(crate) body_values: usize,
    pub(crate) list_length: usize,
    pub(crate) query_bytes: usize,
    pub(crate) query_parameters: usize,
    pub(crate) query_list_length: usize,
    pub(crate) request_groups: usize,
    pub(crate) candidate_work: u64,
    pub(crate) candidate_time: u64,
    pub(crate) candidate_bytes: usize,
    pub(crate) in_flight_bytes: usize,
    pub(crate) in_flight_caller_bytes: usize,
    pub(crate) connections: usize,
}

impl Default for LimitsTable {
    fn default() -> Self {
        let Limits {
            head_time,
            idle_time,
            body_bytes,
            body_time,
            write_time,
            body_values,
            list_length,
            query_bytes,
            query_parameters,
            query_list_length,
            request_groups,
            candidate_work,
            candidate_time,
            candidate_bytes,
            in_flight_bytes,
            in_flight_caller_bytes,
            connections,
        } = Limits::default();
        let [head_time, idle_time, body_time, write_time, candidate_time] =
            [head_time, idle_time, body_time, write_time, candidate_time].map(|time| time.as_secs());
        Self {
            head_time,
            idle_time,
            body_bytes,
            body_time,
            write_time,
            body_values,
            list_length,
            query_bytes,
            query_parameters,
            query_list_length,
            request_groups,
            candidate_work,
            candidate_time,
            candidate_bytes,
            in_flight_bytes,
            in_flight_caller_bytes,
            connections,
        }
    }
}

impl LimitsTable {
    /// A day, in seconds: a longer time would be no limit.
    const LONGEST: u64 = 86_400;
    /// Bytes that a URL can have at most, whatever is configured.
    const URL_BYTES: usize = 64 << 10;

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            head_time: Duration::from_secs(self.head_time),
            idle_time: Duration::from_secs(self.idle_time),
            body_bytes: self.body_bytes,
            body_time: Duration::from_secs(self.body_time),
            write_time: Duration::from_secs(self.write_time),
            body_values: self.body_values,
            list_length: self.list_length,
            query_bytes: self.query_bytes,
            query_parameters: self.query_parameters,
            query_list_length: self.query_list_length,
            request_groups: self.request_groups,
            candidate_work: self.candidate_work,
            candidate_time: Duration::from_secs(self.candidate_time),
            candidate_bytes: self.candidate_bytes,
            in_flight_bytes: self.in_flight_bytes,
            in_flight_caller_bytes: self.in_flight_caller_bytes,
            connections: self.connections,
        }
    }

    /// Whether every limit is in its range.
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        let times = [self.head_time, self.idle_time, self.body_time, self.write_time, self.candidate_time];
        let counts = [
            self.body_bytes,
            self.body_values,
            self.list_length,
            self.query_bytes,
            self.query_parameters,
            self.query_list_length,
            self.request_groups,
            self.candidate_bytes,
            self.in_flight_bytes,
            self.in_flight_caller_bytes,
            self.connections,
        ];
        if times.contains(&0) || counts.contains(&0) || self.candidate_work == 0 {
            return Err("is less than 1");
        }
        if times.iter().any(|&time| time > Self::LONGEST) {
            return Err("is more than 86400, a day");
        }
        if self.query_bytes > Self::URL_BYTES {
            return Err("is more than 65536, what a URL can have");
        }
        Ok(())
    }
}
