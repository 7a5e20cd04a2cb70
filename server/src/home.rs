//! Where a service keeps its state: a directory, or etcd.

use std::time::Duration;

use berth_store::{EtcdReader, EtcdStore, EtcdStoreError, EtcdStoreOptions, Store};

use crate::fleet::FleetState;
use crate::keeper::StartError;
use crate::{Contents, DataDir};

/// A store that is open for the service, and its content.
pub type OpenedHome = (Box<dyn Store>, berth_store::Loaded<FleetState>);

/// Where a service keeps its state.
pub trait StateHome: Send + 'static {
    /// Opens the store and loads its content; creates an empty one where there never was one.
    ///
    /// # Errors
    /// The state cannot be read or written.
    fn open_state(&self) -> Result<OpenedHome, StartError>;

    /// Opens the store that was in use before, after it failed.
    ///
    /// # Errors
    /// As [`Self::open_state`].
    fn open_state_again(&self) -> Result<OpenedHome, StartError>;

    /// Reads the state while it cannot be written.
    ///
    /// # Errors
    /// The state cannot be read.
    fn read_state(&self) -> Result<Contents, StartError>;

    /// The longest pause before the store is opened again.
    fn longest_pause(&self) -> Duration;
}

impl StateHome for DataDir {
    fn open_state(&self) -> Result<OpenedHome, StartError> {
        let (store, loaded) = self.open_for_service()?;
        Ok((Box::new(store), loaded))
    }

    fn open_state_again(&self) -> Result<OpenedHome, StartError> {
        let (store, loaded) = self.open_again()?;
        Ok((Box::new(store), loaded))
    }

    fn read_state(&self) -> Result<Contents, StartError> {
        Ok(self.load_unwritable()?)
    }

    fn longest_pause(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// A state in etcd. The service starts when it is the writer.
#[derive(Debug)]
pub struct EtcdHome(pub EtcdStoreOptions);

/// How long a service that was the writer waits to be it again, before it looks whether it has to
/// stop.
const PATIENCE: Duration = Duration::from_secs(2);

impl StateHome for EtcdHome {
    fn open_state(&self) -> Result<OpenedHome, StartError> {
        let (store, loaded) = EtcdStore::open_for_service(&self.0)?;
        Ok((Box::new(store), loaded))
    }

    fn open_state_again(&self) -> Result<OpenedHome, StartError> {
        let options = EtcdStoreOptions { patience: Some(PATIENCE), ..self.0.clone() };
        let (store, loaded) = EtcdStore::open_for_service(&options)?;
        Ok((Box::new(store), loaded))
    }

    fn read_state(&self) -> Result<Contents, StartError> {
        let contents = EtcdReader::open(&self.0)?.contents()?;
        Ok(contents.ok_or(EtcdStoreError::Empty)?)
    }

    fn longest_pause(&self) -> Duration {
        // It has waited already.
        Duration::from_millis(100)
    }
}
