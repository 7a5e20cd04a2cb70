//! How much one request may ask for.

use std::time::Duration;

use berth_placement::candidates;

/// How much one request may ask for; beyond, it is refused with the limit's name and value.
/// `docs/limits.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long the head of a request may take to arrive; a connection that never sends one ends
    /// then, too.
    pub head_time: Duration,
    /// How long a connection is kept open after an answer, when no other request comes. Clients
    /// that fork with an open connection, as nova-scheduler does, mix up their answers unless it
    /// ends soon.
    pub idle_time: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// How long a client may take none of its answer.
    pub write_time: Duration,
    /// Values in a body, those in lists and objects included.
    pub body_values: usize,
    /// Elements of one list, or members of one object, in a body.
    pub list_length: usize,
    /// Bytes of a URL's query.
    pub query_bytes: usize,
    /// Parameters of a query.
    pub query_parameters: usize,
    /// Values that stand in one parameter, with commas between them.
    pub query_list_length: usize,
    /// Request groups of a query for allocation candidates.
    pub request_groups: usize,
    /// Steps that one query for allocation candidates may take; see
    /// [`WorkExceeded`](berth_placement::candidates::WorkExceeded).
    pub candidate_work: u64,
    /// How long the search of one query for allocation candidates may take, once it is its turn.
    pub candidate_time: Duration,
    /// Bytes of the answer to one query for allocation candidates.
    pub candidate_bytes: usize,
    /// Bytes of bodies that arrive and of answers that are not read yet, in all.
    pub in_flight_bytes: usize,
    /// The same for one caller: a user of the Placement API, or a certificate.
    pub in_flight_caller_bytes: usize,
    /// Connections to the Placement API; for more, some of the caller with the most end.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_time: Duration::from_secs(75),
            idle_time: Duration::from_secs(5),
            body_bytes: 8 << 20,
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            body_values: 500_000,
            list_length: 10_000,
            query_bytes: 32 << 10,
            query_parameters: 1_000,
            query_list_length: 1_000,
            request_groups: 256,
            candidate_work: candidates::SearchOptions::WORK,
            candidate_time: Duration::from_secs(5),
            candidate_bytes: 256 << 20,
            in_flight_bytes: 1 << 30,
            in_flight_caller_bytes: 256 << 20,
            connections: 10_000,
        }
    }
}
