//! What was found, in numbers.

use std::collections::BTreeMap;

use super::Verdict;

/// Records passed and failed, by kind and by filter or weigher.
#[derive(Default)]
pub struct Report {
    passed: usize,
    failed: usize,
    by_name: BTreeMap<String, [usize; 2]>,
}

impl Report {
    /// Counts a record. A filter or weigher fails where a difference is about it.
    pub fn add(&mut self, verdict: &Verdict) {
        let failed = !verdict.differences.is_empty();
        self.passed += usize::from(!failed);
        self.failed += usize::from(failed);
        self.count(format!("kind {}", verdict.kind), failed);
        for part in &verdict.parts {
            self.count(part.clone(), verdict.differences.iter().any(|difference| difference.part == *part));
        }
    }

    fn count(&mut self, name: String, failed: bool) {
        self.by_name.entry(name).or_default()[usize::from(failed)] += 1;
    }

    /// How many records failed.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// One line for each kind, filter and weigher; the sums are the last line.
    pub fn summary(&self) -> String {
        let parts = self.by_name.iter();
        let lines =
            parts.map(|(name, [passed, failed])| format!("{name:40} {passed:6} passed {failed:6} failed\n"));
        lines.collect::<String>() + &format!("{} passed, {} failed", self.passed, self.failed)
    }
}
