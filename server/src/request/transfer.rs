//! Writes of allocations that retry after transient conflicts.

use berth_placement::{ConsumerWrite, Index, Refusal, Timestamp, TransferError};

/// The largest number of attempts per write.
const ATTEMPTS: usize = 10;

/// Writes allocations. Retries if the missing capacity is free by now: a concurrent write that was
/// refused in the end may have held it for a moment.
pub(crate) fn transfer(index: &Index, writes: &[ConsumerWrite], now: Timestamp) -> Result<(), TransferError> {
    let mut outcome = index.transfer(writes, now);
    for _ in 1..ATTEMPTS {
        if !outcome.is_err_and(|error| is_premature(index, &error)) {
            break;
        }
        outcome = index.transfer(writes, now);
    }
    outcome
}

/// Whether the missing capacity is free now.
fn is_premature(index: &Index, error: &TransferError) -> bool {
    match *error {
        TransferError::Refused(Refusal::Capacity { row, class, amount, .. }) => {
            index.free(row, class).is_some_and(|free| free >= i64::from(amount))
        }
        _ => false,
    }
}
