//! Connections to a database, and queries that answer in text.

use std::time::Duration;

use futures_lite::{Stream, StreamExt as _};
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlPoolOptions, MySqlRow, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode, Postgres};
use sqlx::{AssertSqlSafe, Either, Row as _};

use crate::kept::KeptConnections;
use crate::row::TextRow;
use crate::url::{DatabaseUrl, Kind};

/// Connections that are open at most.
const CONNECTIONS: u32 = 4;

/// A database that is read, or in which the service record is kept.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    name: String,
    pool: Pool,
}

#[derive(Debug, Clone)]
enum Pool {
    MySql(KeptConnections<MySql>),
    Postgres(KeptConnections<Postgres>),
}

/// A query that failed.
#[derive(Debug, thiserror::Error)]
#[error("{database}: {problem}")]
pub struct DatabaseQueryError {
    /// The database, without its password.
    pub database: String,
    /// The problem.
    pub problem: sqlx::Error,
}

impl DatabaseQueryError {
    /// Whether a row exists already that excludes the new one.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.problem.as_database_error().is_some_and(|error| error.is_unique_violation())
    }
}

impl Database {
    /// Connects when it is needed first. A connection has to come about within `patience`.
    pub(crate) fn new(url: &DatabaseUrl, patience: Duration) -> Self {
        let pool = match url.kind {
            Kind::MySql => {
                let options = MySqlPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(patience);
                let pool = options.test_before_acquire(false).connect_lazy_with(mysql(url));
                Pool::MySql(KeptConnections::new(pool, CONNECTIONS))
            }
            Kind::Postgres => {
                let options = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(patience);
                let pool = options.test_before_acquire(false).connect_lazy_with(postgres(url));
                Pool::Postgres(KeptConnections::new(pool, CONNECTIONS))
            }
        };
        Self { name: url.to_string(), pool }
    }

    /// The database for messages, without its password.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A name that is reserved in some dialect.
    pub(crate) fn quoted(&self, name: &str) -> String {
        match self.pool {
            Pool::MySql(_) => format!("`{name}`"),
            Pool::Postgres(_) => format!("\"{name}\""),
        }
    }

    /// A time as whole seconds since 1970.
    pub(crate) fn epoch(&self, time: &str) -> String {
        match self.pool {
            Pool::MySql(_) => format!("TIMESTAMPDIFF(SECOND, '1970-01-01', {time})"),
            Pool::Postgres(_) => format!("CAST(FLOOR(EXTRACT(EPOCH FROM {time})) AS BIGINT)"),
        }
    }

    /// The time, in whole seconds of UTC as Nova writes it.
    pub(crate) const fn now(&self) -> &'static str {
        match self.pool {
            Pool::MySql(_) => "UTC_TIMESTAMP()",
            Pool::Postgres(_) => "date_trunc('second', now() AT TIME ZONE 'UTC')",
        }
    }

    /// A text as a number of 32 bits, which is another one for most other texts.
    pub(crate) fn hash(&self, text: &str) -> String {
        match self.pool {
            Pool::MySql(_) => format!("CRC32({text})"),
            Pool::Postgres(_) => format!("CAST(hashtext({text}) AS BIGINT)"),
        }
    }

    /// A time as a number that grows with it, the cheapest one that the server can compute. Sums
    /// of those of [`crate::buckets::BUCKET`] rows, each times as much, are exact.
    pub(crate) fn ordinal(&self, time: &str) -> String {
        match self.pool {
            // The digits of year to second, from the year 2000 on: a third of the time of an epoch.
            Pool::MySql(_) => format!("({time} * 1e0 - 2e13)"),
            Pool::Postgres(_) => format!("FLOOR(EXTRACT(EPOCH FROM {time}))::float8"),
        }
    }

    /// The rows of a query. A connection that was lost meanwhile is replaced once.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<TextRow>, DatabaseQueryError> {
        let [rows] = self.results([sql]).await?;
        Ok(rows)
    }

    /// The rows of each of some queries, which are sent together. A connection that was lost
    /// meanwhile is replaced once.
    pub(crate) async fn results<const N: usize>(
        &self,
        queries: [&str; N],
    ) -> Result<[Vec<TextRow>; N], DatabaseQueryError> {
        self.try_twice(&queries.join("; "), (mysql_row, postgres_row)).await
    }

    /// The first column of each row, and all others as one text.
    pub(crate) async fn summaries(
        &self,
        sql: &str,
    ) -> Result<Vec<(Option<String>, String)>, DatabaseQueryError> {
        let [rows] = self.try_twice(sql, (mysql_summary, postgres_summary)).await?;
        Ok(rows)
    }

    async fn try_twice<T, const N: usize>(
        &self,
        sql: &str,
        read: (ReadRow<MySqlRow, T>, ReadRow<PgRow, T>),
    ) -> Result<[Vec<T>; N], DatabaseQueryError> {
        match self.try_results(sql, read).await {
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => {
                // The others were lost with it.
                self.pool.forget();
                self.try_results(sql, read).await
            }
            other => other,
        }
        .map_err(|problem| self.failed(problem))
    }

    /// The first column of the first row.
    pub(crate) async fn value(&self, sql: &str) -> Result<Option<String>, DatabaseQueryError> {
        Ok(self.rows(sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    // Every text that gets here is made of constants, numbers, times and UUIDs.
    async fn try_results<T, const N: usize>(
        &self,
        sql: &str,
        read: (ReadRow<MySqlRow, T>, ReadRow<PgRow, T>),
    ) -> Result<[Vec<T>; N], sqlx::Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &self.pool {
            Pool::MySql(kept) => {
                let mut used = kept.take().await?;
                let results = collect(query.fetch_many(&mut *used.connection), read.0).await?;
                kept.keep(used);
                Ok(results)
            }
            Pool::Postgres(kept) => {
                let mut used = kept.take().await?;
                let results = collect(query.fetch_many(&mut *used.connection), read.1).await?;
                kept.keep(used);
                Ok(results)
            }
        }
    }

    /// Executes a statement with texts as its parameters, each written as `?`; returns how many
    /// rows it changed.
    pub(crate) async fn execute(&self, sql: &str, parameters: &[&str]) -> Result<u64, DatabaseQueryError> {
        self.try_execute(sql, parameters).await.map_err(|problem| self.failed(problem))
    }

    async fn try_execute(&self, sql: &str, parameters: &[&str]) -> Result<u64, sqlx::Error> {
        let owned = parameters.iter().map(|parameter| (*parameter).to_owned());
        match &self.pool {
            Pool::MySql(kept) => {
                let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
                let query = owned.fold(query, |query, parameter| query.bind(parameter));
                let mut used = kept.take().await?;
                let done = query.execute(&mut *used.connection).await?;
                kept.keep(used);
                Ok(done.rows_affected())
            }
            Pool::Postgres(kept) => {
                let query = sqlx::query(AssertSqlSafe(numbered(sql)));
                let query = owned.fold(query, |query, parameter| query.bind(parameter));
                let mut used = kept.take().await?;
                let done = query.execute(&mut *used.connection).await?;
                kept.keep(used);
                Ok(done.rows_affected())
            }
        }
    }

    fn failed(&self, problem: sqlx::Error) -> DatabaseQueryError {
        DatabaseQueryError { database: self.name.clone(), problem }
    }
}

impl Pool {
    /// Gives up all idle connections.
    fn forget(&self) {
        match self {
            Self::MySql(kept) => kept.forget(),
            Self::Postgres(kept) => kept.forget(),
        }
    }
}

/// PostgreSQL numbers its parameters.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |sql, (at, part)| format!("{sql}${}{part}", at + 1))
}

type ReadRow<R, T> = fn(&R) -> Result<T, sqlx::Error>;

/// The rows of each of `N` queries: the end of one is announced before the rows of the next.
async fn collect<Q, R, T, const N: usize>(
    mut results: impl Stream<Item = Result<Either<Q, R>, sqlx::Error>> + Unpin,
    read: ReadRow<R, T>,
) -> Result<[Vec<T>; N], sqlx::Error> {
    let (mut of_queries, mut at) = ([const { Vec::new() }; N], 0);
    while let Some(next) = results.try_next().await? {
        match next {
            Either::Left(_) => at += 1,
            Either::Right(row) if at < N => of_queries[at].push(read(&row)?),
            Either::Right(_) => return Err(sqlx::Error::Protocol("rows of no query".to_owned())),
        }
    }
    Ok(of_queries)
}

fn mysql_row(row: &MySqlRow) -> Result<TextRow, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get_unchecked(at)).collect()
}

fn postgres_row(row: &PgRow) -> Result<TextRow, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get_unchecked(at)).collect()
}

fn mysql_summary(row: &MySqlRow) -> Result<(Option<String>, String), sqlx::Error> {
    summary(row.len(), |at| row.try_get_unchecked(at))
}

fn postgres_summary(row: &PgRow) -> Result<(Option<String>, String), sqlx::Error> {
    summary(row.len(), |at| row.try_get_unchecked(at))
}

/// The first text, and all others in one: a text for each would be most of the work of a reading.
fn summary<'r>(
    columns: usize,
    get: impl Fn(usize) -> Result<Option<&'r str>, sqlx::Error>,
) -> Result<(Option<String>, String), sqlx::Error> {
    let mut others = String::with_capacity(16 * columns);
    for at in 1..columns {
        if at > 1 {
            others.push(' ');
        }
        others.push_str(get(at)?.unwrap_or("NULL"));
    }
    Ok((get(0)?.map(str::to_owned), others))
}

fn mysql(url: &DatabaseUrl) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .host(if url.host.is_empty() { "localhost" } else { &url.host })
        .port(url.port.unwrap_or(3306))
        .username(&url.user)
        .password(&url.password)
        .database(&url.database)
        // The service reads and writes UTC whatever zone the server has.
        .timezone(Some("+00:00".to_owned()));
    let query = |name: &str| url.query.get(name).filter(|value| !value.is_empty());
    if let Some(socket) = query("unix_socket") {
        options = options.socket(socket);
    }
    match query("ssl_ca") {
        Some(ca) => options = options.ssl_ca(ca).ssl_mode(verified(query("ssl_verify_identity"))),
        // As PyMySQL does, encryption is used only where the URL asks for it.
        None => options = options.ssl_mode(MySqlSslMode::Disabled),
    }
    if let (Some(certificate), Some(key)) = (query("ssl_cert"), query("ssl_key")) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    options
}

fn verified(verify_identity: Option<&String>) -> MySqlSslMode {
    if verify_identity.is_some_and(|value| value == "true") {
        MySqlSslMode::VerifyIdentity
    } else {
        MySqlSslMode::VerifyCa
    }
}

fn postgres(url: &DatabaseUrl) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(if url.host.is_empty() { "localhost" } else { &url.host })
        .port(url.port.unwrap_or(5432))
        .username(&url.user)
        .password(&url.password)
        .database(&url.database)
        .options([("TimeZone", "UTC")]);
    let query = |name: &str| url.query.get(name).filter(|value| !value.is_empty());
    options = match query("sslmode").map(String::as_str) {
        None | Some("prefer") => options.ssl_mode(PgSslMode::Prefer),
        Some("require") => options.ssl_mode(PgSslMode::Require),
        Some("verify-ca") => options.ssl_mode(PgSslMode::VerifyCa),
        Some("verify-full") => options.ssl_mode(PgSslMode::VerifyFull),
        Some(_) => options.ssl_mode(PgSslMode::Disable),
    };
    if let Some(ca) = query("sslrootcert") {
        options = options.ssl_root_cert(ca);
    }
    if let (Some(certificate), Some(key)) = (query("sslcert"), query("sslkey")) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered() {
        assert_eq!(numbered("a = ? AND b = ?"), "a = $1 AND b = $2");
        assert_eq!(numbered("none"), "none");
    }
}
