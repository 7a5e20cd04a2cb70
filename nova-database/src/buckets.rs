//! Ranges of numbers of rows, each of which is compared as a whole: only where sums that the
//! database computes are others than before, rows are listed.

use std::collections::BTreeMap;

use crate::reader::AT_ONCE;

/// The numbers of a bucket.
pub(crate) const BUCKET: i64 = 128;

/// Counts and sums of a bucket, as the database computed them.
pub(crate) type BucketSums = String;

/// The sums of each bucket, by its first number.
pub(crate) type Sums = BTreeMap<i64, BucketSums>;

/// The buckets in which rows have changed, or which are gone, by their first numbers in ascending
/// order.
pub(crate) fn changed(known: &Sums, found: &Sums) -> Vec<i64> {
    let changed = found.iter().filter(|(first, sums)| known.get(first) != Some(sums));
    let gone = known.keys().filter(|first| !found.contains_key(first));
    let mut all: Vec<i64> = changed.map(|(first, _)| *first).chain(gone.copied()).collect();
    all.sort_unstable();
    all
}

/// Conditions for the rows of these buckets, which are in ascending order: one for each query.
pub(crate) fn conditions(buckets: &[i64]) -> Vec<String> {
    // Buckets that follow each other are one range.
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for &first in buckets {
        match ranges.last_mut() {
            Some((_, end)) if *end == first => *end += BUCKET,
            _ => ranges.push((first, first + BUCKET)),
        }
    }
    let within = |(first, end): &(i64, i64)| format!("(id >= {first} AND id < {end})");
    let all = |chunk: &[(i64, i64)]| chunk.iter().map(within).collect::<Vec<_>>().join(" OR ");
    ranges.chunks(AT_ONCE).map(|chunk| format!("({})", all(chunk))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Sums of buckets with these first numbers.
    pub(crate) fn sums(buckets: &[i64]) -> Sums {
        buckets.iter().map(|first| (*first, format!("{first} 1"))).collect()
    }

    #[test]
    fn buckets_with_other_sums_and_those_that_are_gone_have_changed() {
        let known = sums(&[0, BUCKET]);
        assert_eq!(changed(&known, &sums(&[0, BUCKET])), [0_i64; 0]);
        let mut other = sums(&[0]);
        other.insert(2 * BUCKET, String::new());
        assert_eq!(changed(&known, &other), [BUCKET, 2 * BUCKET]);
    }

    #[test]
    fn buckets_that_follow_each_other_are_one_range() {
        assert_eq!(conditions(&[]), [""; 0]);
        assert_eq!(
            conditions(&[0, BUCKET, 3 * BUCKET]),
            ["((id >= 0 AND id < 256) OR (id >= 384 AND id < 512))"]
        );
        let scattered: Vec<i64> = (0..).map(|at| 2 * at * BUCKET).take(AT_ONCE + 1).collect();
        assert_eq!(conditions(&scattered).len(), 2);
    }
}
