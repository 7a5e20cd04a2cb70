//! Weights as whole numbers.

/// A power of two by which weights become whole numbers, so that nothing of them is lost: sums and
/// quotients of the whole numbers are those of the weights, to the last bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid(f64);

impl Grid {
    /// Whole weights as they are.
    pub(super) const WHOLE: Self = Self(1.0);
    /// The finest, and by its inverse the coarsest, that is tried.
    const FINEST: f64 = 65_536.0;
    /// Larger numbers are kept out, so that differences stay within 32 bits.
    const LARGEST: f64 = (1 << 30) as f64;

    /// The weight as a whole number; none if it is too large, between the grid's lines, or no
    /// number.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    pub(super) fn whole(self, weight: f64) -> Option<i32> {
        let scaled = weight * self.0;
        let whole = scaled as i32;
        (scaled.abs() <= Self::LARGEST && f64::from(whole) == scaled).then_some(whole)
    }

    /// A grid that all of the weights are on, preferably that of whole numbers.
    pub(super) fn of(weights: &[f64]) -> Option<Self> {
        let fits = |grid: &Self| weights.iter().all(|&weight| grid.whole(weight).is_some());
        let finer = std::iter::successors(Some(1.0), |scale| Some(scale * 2.0));
        let finer = finer.take_while(|&scale| scale <= Self::FINEST);
        let coarser = std::iter::successors(Some(0.5), |scale| Some(scale / 2.0));
        let coarser = coarser.take_while(|&scale| scale >= 1.0 / Self::FINEST);
        finer.chain(coarser).map(Self).find(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weights: &[f64]) -> Option<f64> {
        Grid::of(weights).map(|grid| grid.0)
    }

    #[test]
    fn whole_weights_stay_as_they_are() {
        assert_eq!(of(&[]), Some(1.0));
        assert_eq!(of(&[-3.0, 0.0, 1_073_741_824.0]), Some(1.0));
    }

    #[test]
    fn fractions_are_scaled_up_and_shared_storage_down() {
        assert_eq!(of(&[10.5, 3.25]), Some(4.0));
        // Five petabytes in MiB.
        assert_eq!(of(&[5_368_709_120.0, 1024.0]), Some(0.125));
    }

    #[test]
    fn what_is_on_no_grid_is_refused() {
        assert_eq!(of(&[57.6]), None);
        assert_eq!(of(&[f64::NAN]), None);
        assert_eq!(of(&[f64::INFINITY]), None);
        assert_eq!(of(&[0.5, 1e9 * 4.0]), None);
    }
}
