//! Connections that are kept between queries.
//!
//! A pool of sqlx sends a ping each time a connection comes back to it, which would double the
//! round trips of a reading.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::Pool;
use sqlx::pool::PoolConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections of a pool, which no one else uses.
#[derive(Debug)]
pub(crate) struct KeptConnections<D: sqlx::Database> {
    pool: Pool<D>,
    idle: Arc<Mutex<Vec<PoolConnection<D>>>>,
    /// As many as the pool has connections: none waits for one that is idle here.
    permits: Arc<Semaphore>,
}

// A derived one would ask `D` for it.
impl<D: sqlx::Database> Clone for KeptConnections<D> {
    fn clone(&self) -> Self {
        let (idle, permits) = (Arc::clone(&self.idle), Arc::clone(&self.permits));
        Self { pool: self.pool.clone(), idle, permits }
    }
}

/// A connection in use. Dropped, it goes to the pool, which closes it if it is broken.
pub(crate) struct UsedConnection<D: sqlx::Database> {
    pub(crate) connection: PoolConnection<D>,
    _permit: OwnedSemaphorePermit,
}

impl<D: sqlx::Database> KeptConnections<D> {
    /// The connections of this pool, which has at most so many.
    pub(crate) fn new(pool: Pool<D>, connections: u32) -> Self {
        Self { pool, idle: Arc::default(), permits: Arc::new(Semaphore::new(connections as usize)) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PoolConnection<D>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is idle, or a new one.
    pub(crate) async fn take(&self) -> Result<UsedConnection<D>, sqlx::Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        Ok(UsedConnection { connection, _permit: permit })
    }

    /// Keeps a connection whose queries have ended well.
    pub(crate) fn keep(&self, used: UsedConnection<D>) {
        self.lock().push(used.connection);
    }

    /// Gives up all that are idle: one of their server was lost.
    pub(crate) fn forget(&self) {
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
    }
}
