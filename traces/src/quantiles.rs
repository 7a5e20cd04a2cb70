//! A distribution given by its quantiles.

/// A positive distribution through published quantiles, log-linear between them. Over the decades
/// from minutes to days this preserves every decade's share, where linear interpolation would give
/// nearly all of a segment to its long end.
#[derive(Debug, Clone)]
pub(crate) struct Quantiles {
    /// (probability, logarithm of the value), both ascending, from probability 0 to 1.
    points: Vec<(f64, f64)>,
}

impl Quantiles {
    /// The distribution through (probability, value) points, both ascending, from probability 0 to
    /// 1.
    pub(crate) fn through(points: &[(f64, f64)]) -> Self {
        debug_assert!(points.is_sorted() && points[0].0 == 0.0 && points[points.len() - 1].0 == 1.0);
        Self { points: points.iter().map(|&(p, value)| (p, libm::log(value))).collect() }
    }

    /// The value below which a share `p` of the distribution lies, for `p` in [0, 1).
    pub(crate) fn at(&self, p: f64) -> f64 {
        let above = self.points.partition_point(|point| point.0 <= p).clamp(1, self.points.len() - 1);
        let ((p0, log0), (p1, log1)) = (self.points[above - 1], self.points[above]);
        libm::exp(log0 + (log1 - log0) * (p - p0) / (p1 - p0))
    }
}

#[cfg(test)]
mod tests {
    use super::Quantiles;

    #[test]
    fn goes_through_its_points_and_is_log_linear_between() {
        let quantiles = Quantiles::through(&[(0.0, 1.0), (0.5, 100.0), (1.0, 10_000.0)]);
        for (p, value) in [(0.0, 1.0), (0.25, 10.0), (0.5, 100.0), (0.75, 1000.0), (1.0, 10_000.0)] {
            assert!((quantiles.at(p) / value - 1.0).abs() < 1e-12, "{p}");
        }
    }
}
