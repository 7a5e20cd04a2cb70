//! Writing what consumers hold, when others do so at the same time.

use berth_placement::{Index, Refusal, Timestamp, TransferError, Write};

/// How often a write is tried.
const ATTEMPTS: usize = 10;

/// Writes, and tries again when what stood in the way is gone already: somebody who was refused as well held it for a moment.
pub(crate) fn transfer(index: &Index, writes: &[Write], now: Timestamp) -> Result<(), TransferError> {
    let mut outcome = index.transfer(writes, now);
    for _ in 1..ATTEMPTS {
        if !outcome.is_err_and(|error| is_premature(index, &error)) {
            break;
        }
        outcome = index.transfer(writes, now);
    }
    outcome
}

/// Whether capacity that was missing is free now.
fn is_premature(index: &Index, error: &TransferError) -> bool {
    match *error {
        TransferError::Refused(Refusal::Capacity { row, class, amount, .. }) => {
            index.free(row, class).is_some_and(|free| free >= i64::from(amount))
        }
        _ => false,
    }
}
