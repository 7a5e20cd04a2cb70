//! The part of Placement in the same process that the service needs.

use std::pin::Pin;
use std::sync::Arc;

use berth_placement::Index;

/// The index on which claims are made.
pub trait ClaimLedger: Send + Sync + 'static {
    /// The index as of now. After a failure of the store it is another one.
    ///
    /// # Errors
    /// Why claims would not be durable.
    fn index(&self) -> Result<Arc<Index>, Arc<str>>;

    /// Waits until everything that was claimed by now is durable.
    ///
    /// # Errors
    /// Why it never will be.
    fn wait_durable(&self) -> Pin<Box<dyn Future<Output = Result<(), Arc<str>>> + Send + '_>>;
}
