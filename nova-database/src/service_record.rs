//! The scheduler's own row in `services`, as Nova keeps it.

use std::time::Duration;

use crate::connection::{Database, DatabaseQueryError};
use crate::url::DatabaseUrl;

const BINARY: &str = "nova-scheduler";

/// The version of the services of Nova 34, for a database that has no other service.
const SERVICE_VERSION: i64 = 74;

/// The row by which `openstack compute service list` shows the scheduler.
#[derive(Debug)]
pub struct OwnServiceRecord {
    database: Database,
    host: String,
    topic: String,
}

impl OwnServiceRecord {
    /// The record of a host in `[database] connection`.
    #[must_use]
    pub fn new(url: &DatabaseUrl, host: String, topic: String) -> Self {
        Self { database: Database::new(url, Duration::from_secs(10)), host, topic }
    }

    /// Reports that the service lives; creates the row if it is missing. `uuid` is the id of a new
    /// row.
    ///
    /// # Errors
    /// [`DatabaseQueryError`]
    pub async fn report(&self, uuid: &str) -> Result<(), DatabaseQueryError> {
        if self.update().await? == 0 {
            self.create(uuid).await?;
            self.update().await?;
        }
        Ok(())
    }

    async fn update(&self) -> Result<u64, DatabaseQueryError> {
        let sql = format!(
            "UPDATE services SET report_count = report_count + 1, last_seen_up = {now}, updated_at = {now} \
             WHERE host = ? AND {binary} = ? AND deleted = 0",
            now = self.database.now(),
            binary = self.database.quoted("binary")
        );
        self.database.execute(&sql, &[&self.host, BINARY]).await
    }

    async fn create(&self, uuid: &str) -> Result<(), DatabaseQueryError> {
        let version = self.database.value("SELECT MAX(version) FROM services WHERE deleted = 0").await?;
        let version = version.and_then(|version| version.parse::<i64>().ok()).filter(|version| *version > 0);
        let (no, binary) = (self.database.quoted("disabled"), self.database.quoted("binary"));
        let sql = format!(
            "INSERT INTO services (created_at, updated_at, uuid, host, {binary}, topic, report_count, {no}, forced_down, \
             version, deleted) SELECT {now}, NULL, ?, ?, ?, ?, 0, {f}, {f}, {version}, 0",
            now = self.database.now(),
            f = "FALSE",
            version = version.unwrap_or(SERVICE_VERSION),
        );
        self.database.execute(&sql, &[uuid, &self.host, BINARY, &self.topic]).await?;
        Ok(())
    }
}
