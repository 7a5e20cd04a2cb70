//! CrossCellWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// For a move that may cross cells: 1 in the preferred cell, -1 in others.
pub(super) struct CrossCellWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for CrossCellWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        let wanted =
            self.0.request.requested_destination.as_ref().filter(|wanted| wanted.allow_cross_cell_move);
        let cell = wanted.and_then(|wanted| wanted.cell_uuid.as_deref()).filter(|cell| !cell.is_empty());
        Ok(match cell {
            None => 0.0,
            Some(cell) if *self.0.hosts.class(row).cell_uuid == *cell => 1.0,
            Some(_) => -1.0,
        })
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new(
            "cross_cell_move_weight_multiplier",
            self.0.options.filter_scheduler.cross_cell_move_weight_multiplier,
        )
    }
}
