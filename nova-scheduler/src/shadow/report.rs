//! Many records, summed up.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::record::{Agreement, DifferenceCause, ShadowRecord};

/// The result of a run in shadow mode.
#[derive(Debug, Default, Serialize)]
pub struct ShadowReport {
    /// Requests.
    pub requests: u64,
    /// The first and the last of them, microseconds since 1970.
    pub from: Option<i64>,
    /// The last of them.
    pub to: Option<i64>,
    /// Requests by agreement.
    pub agreement: BTreeMap<Agreement, u64>,
    /// Differences by cause.
    pub differences: BTreeMap<DifferenceCause, u64>,
    /// The mean time of Berth's decisions, microseconds.
    pub berth_us: u64,
    /// The mean time until nova-scheduler answered, microseconds.
    pub nova_us: u64,
    /// The last differences, in order.
    pub last: VecDeque<ShadowRecord>,
    #[serde(skip)]
    kept: usize,
    #[serde(skip)]
    berth_total: u64,
    #[serde(skip)]
    nova_total: u64,
}

impl ShadowReport {
    /// A report on nothing yet, which keeps so many of the last differences.
    #[must_use]
    pub fn keeping(kept: usize) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Adds a record.
    pub fn add(&mut self, record: ShadowRecord) {
        self.requests += 1;
        self.from = Some(self.from.map_or(record.at, |from| from.min(record.at)));
        self.to = Some(self.to.map_or(record.at, |to| to.max(record.at)));
        *self.agreement.entry(record.agreement).or_default() += 1;
        self.berth_total = self.berth_total.saturating_add(record.berth_us);
        self.nova_total = self.nova_total.saturating_add(record.nova_us);
        (self.berth_us, self.nova_us) = (self.berth_total / self.requests, self.nova_total / self.requests);
        let Some(cause) = record.cause else { return };
        *self.differences.entry(cause).or_default() += 1;
        self.last.push_back(record);
        if self.last.len() > self.kept {
            self.last.pop_front();
        }
    }

    /// How many requests ended so.
    #[must_use]
    pub fn count(&self, agreement: Agreement) -> u64 {
        self.agreement.get(&agreement).copied().unwrap_or_default()
    }

    /// The share of answered requests on which both agree, from 0 to 1; none without an answered
    /// request.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
    pub fn share(&self) -> Option<f64> {
        let agreed = self.count(Agreement::Same) + self.count(Agreement::Tie);
        let answered = agreed + self.count(Agreement::Different);
        (answered > 0).then(|| agreed as f64 / answered as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::ShadowAnswer;
    use super::*;

    #[test]
    fn records_are_counted_by_agreement_and_cause() {
        let hosts = ShadowAnswer::Hosts(Vec::new());
        let record = |at, agreement, cause| ShadowRecord {
            at,
            request_id: String::new(),
            project: String::new(),
            flavor: String::new(),
            instances: 1,
            berth_us: 100,
            nova_us: 300,
            berth: hosts.clone(),
            nova: hosts.clone(),
            agreement,
            cause,
            stale: Vec::new(),
            explanation: None,
        };
        let mut report = ShadowReport::keeping(1);
        assert_eq!(report.share(), None);
        report.add(record(5, Agreement::Same, None));
        report.add(record(3, Agreement::Tie, None));
        report.add(record(7, Agreement::Unanswered, None));
        report.add(record(8, Agreement::Different, Some(DifferenceCause::StaleData)));
        report.add(record(9, Agreement::Different, Some(DifferenceCause::Weights)));
        assert_eq!((report.requests, report.from, report.to), (5, Some(3), Some(9)));
        assert_eq!((report.share(), report.differences.len()), (Some(0.5), 2));
        assert_eq!((report.berth_us, report.nova_us, report.last.len(), report.last[0].at), (100, 300, 1, 9));
    }
}
