//! Weighers: which of the hosts that are left is best.
//!
//! Each weigher is one type in the file that bears its name, and gives each host a raw weight
//! ([`Weigher::raw`]). [`weigh`] normalises each weigher's column of raw weights, multiplies and
//! adds, in IEEE doubles and in the order of the weighers, so that the sums are Nova's to the last
//! bit.
//!
//! Where a raw weight depends on the host alone, [`RawColumns`] keeps it for all hosts and follows
//! changes row by row.

use crate::hosts::HostRow;
mod build_failure;
mod columns;
mod cpu;
mod cross_cell;
mod disk;
mod error;
mod hypervisor_version;
mod image_properties;
mod io_ops;
mod lifetime;
mod metrics;
mod multiplier;
mod name;
mod normalize;
mod num_instances;
mod pci;
mod ram;
mod server_group;
mod weighing;

pub use columns::RawColumns;
pub use error::WeighError;
pub use multiplier::Multiplier;
pub use name::{UnknownWeigher, WeigherName, class_paths};
pub use normalize::Range;
pub(crate) use normalize::normalize;
pub use weighing::{WeighFailure, Weighed, WeigherColumn, weigh, weigh_in_detail};

/// A weigher, prepared for one request.
pub trait Weigher {
    /// The host's weight before normalising; larger is better.
    ///
    /// # Errors
    ///
    /// [`WeighError`] if the host cannot be weighed. Nova fails the whole request then.
    fn raw(&self, row: HostRow) -> Result<f64, WeighError>;

    /// A smallest weight: smaller raw weights are raised to it, and it counts as the smallest when
    /// normalising.
    fn least(&self) -> Option<f64> {
        None
    }

    /// The raw weight, raised to the least.
    ///
    /// # Errors
    ///
    /// As [`Weigher::raw`].
    fn raised(&self, row: HostRow) -> Result<f64, WeighError> {
        let weight = self.raw(row)?;
        Ok(self.least().filter(|least| *least > weight).unwrap_or(weight))
    }

    /// How much the normalised weight counts for hosts with these aggregates.
    fn multiplier(&self) -> Multiplier;
}
