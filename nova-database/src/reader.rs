//! The queries: what is read of which database, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::timeout;
use uuid::Uuid;

use crate::aggregates;
use crate::cell_hosts::SETTLED;
use crate::cells::{Cell, InvalidCell};
use crate::connection::{Database, DatabaseQueryError};
use crate::hosts::NovaHosts;
use crate::instances::{self, InstanceBucket, Located};
use crate::row::{InvalidRow, TextRow, list, number};
use crate::schema::{self, UnknownSchema};
use crate::statistics::ReadStatistics;
use crate::url::DatabaseUrl;

/// Rows that one query asks for by number.
pub(crate) const AT_ONCE: usize = 1_000;

/// Microseconds since 1970.
pub type Clock = fn() -> i64;

/// The addresses of Nova's databases.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// `[api_database] connection`
    pub api: DatabaseUrl,
    /// `[database] connection`, from which templates of cells are filled in.
    pub default_url: Option<String>,
    /// After how long without an answer a cell counts as down.
    pub cell_timeout: Duration,
    /// The time.
    pub clock: Clock,
}

/// Why databases cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A query failed.
    #[error(transparent)]
    Query(#[from] DatabaseQueryError),
    /// The schema is of another release.
    #[error(transparent)]
    Schema(#[from] UnknownSchema),
    /// A row makes no sense.
    #[error(transparent)]
    Row(#[from] InvalidRow),
    /// A cell mapping makes no sense.
    #[error(transparent)]
    Cell(#[from] InvalidCell),
    /// A database did not answer in time.
    #[error("{0}: no answer in time")]
    Timeout(String),
}

/// Reads Nova's databases into [`NovaHosts`].
pub struct Reader {
    options: DatabaseOptions,
    api: Database,
    cells: RwLock<BTreeMap<String, CellDatabase>>,
    pub(crate) hosts: Arc<NovaHosts>,
    aggregates: std::sync::Mutex<AggregatesRead>,
    pub(crate) statistics: Arc<ReadStatistics>,
}

#[derive(Debug, Clone)]
pub(crate) struct CellDatabase {
    pub(crate) cell: Cell,
    pub(crate) database: Database,
    is_down: bool,
}

/// What the aggregates were when they were read last.
#[derive(Debug, Default)]
struct AggregatesRead {
    /// Counts and sums of their tables.
    sums: Option<TextRow>,
    /// When the sums were observed first, microseconds since 1970.
    observed: i64,
    /// When the aggregates were read, after that.
    read: i64,
}

impl Reader {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new(options: DatabaseOptions, hosts: Arc<NovaHosts>, statistics: Arc<ReadStatistics>) -> Self {
        let api = Database::new(&options.api, options.cell_timeout);
        let aggregates = std::sync::Mutex::default();
        Self { options, api, cells: RwLock::default(), hosts, aggregates, statistics }
    }

    pub(crate) const fn api(&self) -> &Database {
        &self.api
    }

    fn now(&self) -> i64 {
        (self.options.clock)()
    }

    /// Checks the schemas, then reads everything. A cell that does not answer is left out until it
    /// does.
    ///
    /// # Errors
    /// The API database cannot be read, or a schema is of another release.
    pub async fn start(&self) -> Result<(), DatabaseError> {
        self.check_schema(&self.api, schema::API).await?;
        self.read_cells().await?;
        let cells: Vec<CellDatabase> = self.cells.read().await.values().cloned().collect();
        for cell in &cells {
            match timeout(self.options.cell_timeout, self.check_schema(&cell.database, schema::CELL)).await {
                Ok(Err(error @ DatabaseError::Schema(_))) => return Err(error),
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(cell = cell.cell.name, %error, "the cell cannot be read"),
                Err(_) => tracing::warn!(cell = cell.cell.name, "the cell does not answer"),
            }
        }
        self.read_aggregates().await?;
        self.refresh(&BTreeSet::new()).await;
        self.read_instances().await;
        Ok(())
    }

    async fn check_schema(&self, database: &Database, expected: &[&str]) -> Result<(), DatabaseError> {
        let found = database.value("SELECT version_num FROM alembic_version").await?;
        Ok(schema::check(database.name(), found.as_deref(), expected)?)
    }

    /// Reads which cells exist.
    ///
    /// # Errors
    /// [`DatabaseError`]; then the cells are those of before.
    pub async fn read_cells(&self) -> Result<(), DatabaseError> {
        let sql = format!("SELECT {} FROM cell_mappings ORDER BY id", list(crate::cells::COLUMNS));
        let mut read = BTreeMap::new();
        for values in self.api.rows(&sql).await? {
            let cell = match Cell::read(&values, self.options.default_url.as_deref()) {
                Ok(Some(cell)) => cell,
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(%error, "a cell is left out");
                    continue;
                }
            };
            read.insert(cell.uuid.clone(), cell);
        }
        let mut cells = self.cells.write().await;
        self.hosts.retain_cells(&read.keys().cloned().collect());
        cells.retain(|uuid, known| read.get(uuid) == Some(&known.cell));
        for (uuid, cell) in read {
            cells.entry(uuid).or_insert_with(|| {
                let database = Database::new(&cell.url, self.options.cell_timeout);
                CellDatabase { cell, database, is_down: false }
            });
        }
        Ok(())
    }

    /// Reads the aggregates if they have changed since the last time.
    ///
    /// # Errors
    /// [`DatabaseError`]; then the aggregates are those of before.
    pub async fn read_aggregates(&self) -> Result<(), DatabaseError> {
        let tables = ["aggregates", "aggregate_hosts", "aggregate_metadata"];
        let (created, updated) = (self.api.epoch("created_at"), self.api.epoch("updated_at"));
        let sums = tables.map(|table| {
            format!("SELECT COUNT(*), MAX(id), SUM(id), SUM({created}), COUNT(updated_at), SUM({updated}) FROM {table}")
        });
        let now = self.now();
        let found = Some(self.api.rows(&sums.join(" UNION ALL ")).await?.concat());
        {
            let mut known = self.aggregates.lock().unwrap_or_else(PoisonError::into_inner);
            if known.sums != found {
                *known = AggregatesRead { sums: None, observed: now, read: now };
            } else if known.read.saturating_sub(known.observed) >= SETTLED {
                // They cannot have been written again within the second of their times.
                return Ok(());
            }
        }
        self.read_all_aggregates().await?;
        let mut known = self.aggregates.lock().unwrap_or_else(PoisonError::into_inner);
        (known.sums, known.read) = (found, now);
        Ok(())
    }

    /// Reads the aggregates.
    ///
    /// # Errors
    /// [`DatabaseError`]; then the aggregates are those of before.
    pub async fn read_all_aggregates(&self) -> Result<(), DatabaseError> {
        let aggregates = format!("SELECT {} FROM aggregates ORDER BY id", list(aggregates::COLUMNS));
        let hosts = format!("SELECT {} FROM aggregate_hosts ORDER BY id", list(aggregates::HOST_COLUMNS));
        let (key, value) = (self.api.quoted("key"), self.api.quoted("value"));
        let metadata = format!("SELECT aggregate_id, {key}, {value} FROM aggregate_metadata ORDER BY id");
        let (aggregates, hosts, metadata) =
            tokio::try_join!(self.api.rows(&aggregates), self.api.rows(&hosts), self.api.rows(&metadata))?;
        ReadStatistics::add(&self.statistics.aggregates, 1);
        self.hosts.set_aggregates(aggregates::read(&aggregates, &hosts, &metadata)?);
        Ok(())
    }

    /// Brings everything that a decision looks at up to date: aggregates, services and compute
    /// nodes of all cells that are up, and where these instances are.
    pub async fn refresh(&self, instances: &BTreeSet<Uuid>) {
        ReadStatistics::add(&self.statistics.refreshes, 1);
        let (cells, mut all_answered) = self.cells_up().await;
        let reads = cells.iter().map(|cell| self.read_cell(cell, instances));
        let (found, aggregates) = tokio::join!(join_all(reads), self.read_aggregates());
        if let Err(error) = aggregates {
            ReadStatistics::add(&self.statistics.failures, 1);
            tracing::warn!(%error, "the aggregates cannot be read: they are those of before");
        }
        let mut located = Vec::new();
        for (cell, found) in cells.iter().zip(found) {
            match found {
                Ok(found) => located.extend(found),
                Err(error) => {
                    all_answered = false;
                    self.down(cell, &error).await;
                }
            }
        }
        if !instances.is_empty() {
            self.locate(instances, located, all_answered);
        }
        self.hosts.advance(self.now());
    }

    /// The cells that are up, and whether these are all.
    pub(crate) async fn cells_up(&self) -> (Vec<CellDatabase>, bool) {
        let cells = self.cells.read().await;
        let up: Vec<CellDatabase> = cells.values().filter(|cell| !cell.is_down).cloned().collect();
        let are_all = up.len() == cells.len();
        (up, are_all)
    }

    /// Applies where instances were found. One of a cell that did not answer is where it was.
    fn locate(&self, asked: &BTreeSet<Uuid>, found: Vec<Located>, all_answered: bool) {
        let known = found.iter().map(|(uuid, _)| *uuid).collect();
        self.hosts.locate(if all_answered { asked } else { &known }, found);
    }

    /// Reads the cells that are down again.
    pub async fn probe(&self) {
        let down: Vec<CellDatabase> =
            self.cells.read().await.values().filter(|cell| cell.is_down).cloned().collect();
        for cell in &down {
            if self.read_cell(cell, &BTreeSet::new()).await.is_ok() {
                tracing::info!(cell = cell.cell.name, "the cell answers again");
                self.mark(cell, false).await;
                self.read_instances_of(cell).await;
            }
        }
    }

    /// Reads which instances came, moved or went, and where those are that casts named.
    pub async fn read_instances(&self) {
        let (cells, are_all) = self.cells_up().await;
        join_all(cells.iter().map(|cell| self.read_instances_of(cell))).await;
        let announced = self.hosts.take_announced();
        let asked = cells.iter().map(|cell| instances::hosts_of(&cell.database, &announced));
        let found = timeout(self.options.cell_timeout * 6, join_all(asked)).await.unwrap_or_default();
        let found: Vec<Vec<Located>> = found.into_iter().filter_map(Result::ok).collect();
        let all_answered = are_all && found.len() == cells.len();
        let found = found.concat();
        ReadStatistics::add(&self.statistics.instances, found.len());
        if !all_answered {
            let known: BTreeSet<Uuid> = found.iter().map(|(uuid, _)| *uuid).collect();
            self.hosts.announce(&announced - &known);
        }
        self.locate(&announced, found, all_answered);
    }

    async fn read_instances_of(&self, cell: &CellDatabase) {
        match timeout(self.options.cell_timeout * 6, self.changed_instances(cell)).await {
            Ok(Ok(buckets)) => {
                let rows = buckets.iter().map(|bucket| bucket.instances.len()).sum();
                ReadStatistics::add(&self.statistics.instances, rows);
                self.hosts.apply_instances(&cell.cell.uuid, buckets);
                return;
            }
            Ok(Err(error)) => tracing::warn!(cell = cell.cell.name, %error, "the instances cannot be read"),
            Err(_) => tracing::warn!(cell = cell.cell.name, "reading the instances takes too long"),
        }
        ReadStatistics::add(&self.statistics.failures, 1);
    }

    /// The buckets of instances that have changed since the reading before.
    async fn changed_instances(&self, cell: &CellDatabase) -> Result<Vec<InstanceBucket>, DatabaseError> {
        let sums = instances::sums(&cell.database).await?;
        let changed = self.hosts.of_cell(&cell.cell.uuid, |known| known.instances.changed(&sums));
        instances::listed(&cell.database, &changed, &sums).await
    }

    /// Reads a cell into the hosts; returns where the asked instances are.
    async fn read_cell(
        &self,
        cell: &CellDatabase,
        instances: &BTreeSet<Uuid>,
    ) -> Result<Vec<Located>, DatabaseError> {
        let located = instances::hosts_of(&cell.database, instances);
        let read = async {
            let (read, found) = tokio::try_join!(self.hosts_of(cell, self.now()), located)?;
            Ok((read, found))
        };
        match timeout(self.options.cell_timeout, read).await {
            Ok(Ok((read, found))) => {
                ReadStatistics::add(&self.statistics.instances, found.len());
                self.hosts.apply(&cell.cell.uuid, read, self.now());
                Ok(found)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DatabaseError::Timeout(cell.database.name().to_owned())),
        }
    }

    async fn down(&self, cell: &CellDatabase, error: &DatabaseError) {
        tracing::warn!(cell = cell.cell.name, %error, "the cell is down: its hosts are left out");
        ReadStatistics::add(&self.statistics.failures, 1);
        self.hosts.set_down(&cell.cell.uuid);
        self.mark(cell, true).await;
    }

    async fn mark(&self, cell: &CellDatabase, is_down: bool) {
        if let Some(known) = self.cells.write().await.get_mut(&cell.cell.uuid) {
            known.is_down = is_down;
        }
    }
}

/// What a query sums up of the rows of a table, by the numbers in its first column.
pub(crate) async fn summaries<C: FromIterator<(i64, String)>>(
    database: &Database,
    table: &'static str,
    sql: &str,
) -> Result<C, DatabaseError> {
    let rows = database.summaries(sql).await?.into_iter();
    Ok(rows.map(|(id, summary)| Ok((number(table, &[id])?, summary))).collect::<Result<C, InvalidRow>>()?)
}

/// Runs all of them at once, on this task.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}
