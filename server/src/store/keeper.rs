//! Saving the state of a running service, now and then and in the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use berth_placement::Mark;

use super::data_dir::{DataDir, DataError};
use crate::service::Service;

/// Saves a service's state in a folder.
pub struct Keeper {
    service: Arc<Service>,
    folder: DataDir,
    /// How far the index had changed when it was last saved. Locked while it is being saved.
    saved: Mutex<Option<Mark>>,
}

impl Keeper {
    /// A keeper that has saved nothing yet.
    #[must_use]
    pub fn new(service: Arc<Service>, folder: DataDir) -> Self {
        Self { service, folder, saved: Mutex::new(None) }
    }

    /// Saves every so often, for ever. What fails is logged and tried again the next time.
    pub async fn run(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let keeper = Arc::clone(&self);
            let saving = tokio::task::spawn_blocking(move || keeper.save());
            match saving.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the state could not be saved"),
                Err(error) => tracing::error!(%error, "saving the state broke off"),
            }
        }
    }

    /// Saves what there is, if anything has changed since the last time.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self) -> Result<(), DataError> {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.service.index.mark();
        if *saved == Some(mark) {
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "for the log only")]
        let start = Instant::now();
        let snapshot = self.service.index.snapshot();
        let held_up = start.elapsed();
        let outcome = self.folder.save(&snapshot);
        self.service.metrics.note_save(outcome.is_ok(), start.elapsed());
        let written = outcome?;
        *saved = Some(mark);
        let (took, held_up) = (start.elapsed().as_secs_f64(), held_up.as_secs_f64());
        let (providers, consumers) = (snapshot.providers(), snapshot.consumers());
        tracing::info!(providers, consumers, bytes = written.bytes, took, held_up, "saved the state");
        Ok(())
    }
}
