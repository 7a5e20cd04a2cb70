//! Which instances are on which host, and what of that has to be read again.
//!
//! Nova writes no time when it deletes an instance, and many programs write instances. So changes
//! are found by sums: the database sums up the hosts, as numbers, of a bucket of rows at a time.
//! All that it looks at for that is in one index of Nova's schema.

use std::collections::{BTreeMap, BTreeSet};

use berth_scheduler::hosts::InstanceRecord;
use uuid::Uuid;

use crate::buckets::{self, BUCKET, BucketSums, Sums};
use crate::connection::Database;
use crate::reader::{AT_ONCE, DatabaseError, summaries};
use crate::row::number;

const TABLE: &str = "instances";

/// Instances that are on a host.
const PLACED: &str = "deleted = 0 AND host IS NOT NULL";

/// An instance with its host.
pub(crate) type Located = (Uuid, String);

/// The instances of a bucket.
#[derive(Debug)]
pub(crate) struct InstanceBucket {
    /// The first number.
    first: i64,
    /// Its sums; none if it has no instance any more.
    sums: Option<BucketSums>,
    /// The instances that it has, by the numbers of their rows.
    pub(crate) instances: BTreeMap<i64, Located>,
}

/// The instances of one cell as they were read.
#[derive(Debug, Default)]
pub(crate) struct CellInstances {
    sums: Sums,
    uuids: BTreeMap<i64, Uuid>,
}

impl CellInstances {
    /// The buckets in which instances came, moved or went.
    pub(crate) fn changed(&self, sums: &Sums) -> Vec<i64> {
        buckets::changed(&self.sums, sums)
    }

    /// Puts the instances of a bucket in the place of those of before; returns those that it has no
    /// more.
    pub(crate) fn apply(&mut self, bucket: &InstanceBucket) -> Vec<Uuid> {
        let InstanceBucket { first, sums, instances } = bucket;
        let known = self.uuids.range(*first..first.saturating_add(BUCKET));
        let gone: Vec<(i64, Uuid)> =
            known.map(|(id, uuid)| (*id, *uuid)).filter(|(id, _)| !instances.contains_key(id)).collect();
        for (id, _) in &gone {
            self.uuids.remove(id);
        }
        self.uuids.extend(instances.iter().map(|(id, (uuid, _))| (*id, *uuid)));
        match sums {
            Some(sums) => drop(self.sums.insert(*first, sums.clone())),
            None => drop(self.sums.remove(first)),
        }
        gone.into_iter().map(|(_, uuid)| uuid).collect()
    }
}

/// The sums of all buckets. They differ when an instance comes, moves to another host or goes: the
/// hosts of a bucket have different weights, so that two instances that change places do not cancel
/// each other out.
pub(crate) async fn sums(database: &Database) -> Result<Sums, DatabaseError> {
    let host = database.hash("host");
    let sql = format!(
        "SELECT id - id % {BUCKET} AS bucket, COUNT(*), SUM(id), SUM({host} * (id % {BUCKET} + 1)) \
         FROM instances WHERE {PLACED} GROUP BY bucket"
    );
    summaries(database, TABLE, &sql).await
}

/// The instances of these buckets, whose first numbers are in ascending order.
pub(crate) async fn listed(
    database: &Database,
    buckets: &[i64],
    sums: &Sums,
) -> Result<Vec<InstanceBucket>, DatabaseError> {
    let empty = |first: &i64| InstanceBucket {
        first: *first,
        sums: sums.get(first).cloned(),
        instances: BTreeMap::new(),
    };
    let mut all: Vec<InstanceBucket> = buckets.iter().map(empty).collect();
    for condition in buckets::conditions(buckets) {
        let sql = format!("SELECT id, uuid, host FROM instances WHERE {PLACED} AND {condition}");
        for row in database.rows(&sql).await? {
            let id = number(TABLE, &row)?;
            let at = all.partition_point(|bucket| bucket.first <= id);
            let bucket = at.checked_sub(1).and_then(|at| all.get_mut(at));
            if let (Some(bucket), Some(located)) = (bucket, located(row.into_iter().skip(1))) {
                bucket.instances.insert(id, located);
            }
        }
    }
    Ok(all)
}

/// The hosts of these instances.
pub(crate) async fn hosts_of(
    database: &Database,
    instances: &BTreeSet<Uuid>,
) -> Result<Vec<Located>, DatabaseError> {
    let uuids: Vec<String> = instances.iter().map(|uuid| format!("'{uuid}'")).collect();
    let mut found = Vec::new();
    for chunk in uuids.chunks(AT_ONCE) {
        let list = chunk.join(", ");
        let sql = format!("SELECT uuid, host FROM instances WHERE {PLACED} AND uuid IN ({list})");
        let rows = database.rows(&sql).await?;
        found.extend(rows.into_iter().filter_map(|row| located(row.into_iter())));
    }
    Ok(found)
}

/// An instance without what a compute service announces of it.
pub(crate) fn bare(uuid: Uuid) -> InstanceRecord {
    InstanceRecord::new(uuid)
}

/// UUID and host. A row whose UUID is none is left out: no request can name it.
fn located(mut values: impl Iterator<Item = Option<String>>) -> Option<Located> {
    Some((values.next()??.parse().ok()?, values.next()??))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The bucket that begins with 0, with these instances.
    pub(crate) fn bucket(instances: &[(i64, u128, &str)]) -> InstanceBucket {
        let one = |(id, uuid, host): &(i64, u128, &str)| (*id, (Uuid::from_u128(*uuid), (*host).to_owned()));
        let instances: BTreeMap<i64, Located> = instances.iter().map(one).collect();
        let sums = (!instances.is_empty()).then(|| format!("{instances:?}"));
        InstanceBucket { first: 0, sums, instances }
    }

    #[test]
    fn instances_that_a_bucket_has_no_more_are_named() {
        let mut known = CellInstances::default();
        let three = bucket(&[(1, 1, "c1"), (2, 2, "c1"), (3, 3, "c2")]);
        let sums = |bucket: &InstanceBucket| Sums::from_iter(bucket.sums.clone().map(|sums| (0, sums)));
        assert_eq!(known.changed(&sums(&three)), [0]);
        assert!(known.apply(&three).is_empty());
        assert_eq!(known.changed(&sums(&three)), [0_i64; 0]);
        assert_eq!(known.apply(&bucket(&[(1, 1, "c2"), (3, 3, "c2")])), [Uuid::from_u128(2)]);
        assert_eq!(known.changed(&Sums::new()), [0], "it is gone");
        assert_eq!(known.apply(&bucket(&[])).len(), 2);
        assert_eq!(known.changed(&Sums::new()), [0_i64; 0]);
    }
}
