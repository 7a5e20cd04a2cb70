//! Drawing lots.

/// Draws lots. This crate itself draws none: a test scripts them, a service takes them from a seeded stream.
pub trait Chooser {
    /// A number below `len`, which is at least 1.
    fn choose(&mut self, len: usize) -> usize;

    /// Puts the positions 0, 1, 2, … into another order.
    fn shuffle(&mut self, positions: &mut [usize]);
}
