//! Why a host cannot be weighed.

use uuid::Uuid;

use crate::request_spec::InvalidProperty;

/// Why a host cannot be weighed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WeighError {
    /// A metric is required that the host does not report.
    #[error("host {host}, node {node} does not report metric {name}")]
    NoMetric {
        /// Service host.
        host: String,
        /// Compute node.
        node: String,
        /// The metric.
        name: String,
    },
    /// The host has never reported, so that it has no CPUs to count.
    #[error("host {host} has never reported")]
    NotReported {
        /// Service host.
        host: String,
    },
    /// The image of an instance was stored with a value that does not suit its property.
    #[error("instance {instance}: {error}")]
    StoredImage {
        /// The instance.
        instance: Uuid,
        /// The problem.
        error: InvalidProperty,
    },
}
