//! Connections to a database, and queries that answer in text.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlRow, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool, Row as _};

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
    MySql(MySqlPool),
    Postgres(PgPool),
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

impl Database {
    /// Connects when it is needed first. A connection has to come about within `patience`.
    pub(crate) fn new(url: &DatabaseUrl, patience: Duration) -> Self {
        let pool = match url.kind {
            Kind::MySql => {
                let options = MySqlPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(patience);
                Pool::MySql(options.test_before_acquire(false).connect_lazy_with(mysql(url)))
            }
            Kind::Postgres => {
                let options = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(patience);
                Pool::Postgres(options.test_before_acquire(false).connect_lazy_with(postgres(url)))
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
            Pool::Postgres(_) => format!("FLOOR(EXTRACT(EPOCH FROM {time}))"),
        }
    }

    /// The rows of a query. A connection that was lost meanwhile is replaced once.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<TextRow>, DatabaseQueryError> {
        match self.try_rows(sql).await {
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => self.try_rows(sql).await,
            other => other,
        }
        .map_err(|problem| self.failed(problem))
    }

    /// The first column of the first row.
    pub(crate) async fn value(&self, sql: &str) -> Result<Option<String>, DatabaseQueryError> {
        Ok(self.rows(sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    // Every text that gets here is made of constants, numbers and UUIDs.
    async fn try_rows(&self, sql: &str) -> Result<Vec<TextRow>, sqlx::Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &self.pool {
            Pool::MySql(pool) => query.fetch_all(pool).await?.iter().map(mysql_row).collect(),
            Pool::Postgres(pool) => query.fetch_all(pool).await?.iter().map(postgres_row).collect(),
        }
    }

    /// Executes a statement with texts as its parameters, each written as `?`; returns how many
    /// rows it changed.
    pub(crate) async fn execute(&self, sql: &str, parameters: &[&str]) -> Result<u64, DatabaseQueryError> {
        let changed = match &self.pool {
            Pool::MySql(pool) => {
                let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
                for parameter in parameters {
                    query = query.bind((*parameter).to_owned());
                }
                query.execute(pool).await.map(|done| done.rows_affected())
            }
            Pool::Postgres(pool) => {
                let mut query = sqlx::query(AssertSqlSafe(numbered(sql)));
                for parameter in parameters {
                    query = query.bind((*parameter).to_owned());
                }
                query.execute(pool).await.map(|done| done.rows_affected())
            }
        };
        changed.map_err(|problem| self.failed(problem))
    }

    fn failed(&self, problem: sqlx::Error) -> DatabaseQueryError {
        DatabaseQueryError { database: self.name.clone(), problem }
    }
}

/// PostgreSQL numbers its parameters.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |sql, (at, part)| format!("{sql}${}{part}", at + 1))
}

fn mysql_row(row: &MySqlRow) -> Result<TextRow, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get_unchecked(at)).collect()
}

fn postgres_row(row: &PgRow) -> Result<TextRow, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get_unchecked(at)).collect()
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
