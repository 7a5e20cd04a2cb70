//! Options of `nova.conf` about the bus, and what follows from them: brokers, queues, exchanges.

mod options;
mod topology;
mod url;

pub use options::{BusCertificates, BusOptions, InvalidBusOption, RabbitOptions};
pub use topology::{Argument, BusQueue, Consumed, Exchange, reply_queue, topology};
pub use url::{Broker, InvalidUrl, TransportUrl};
