//! Raw weights as parts of their range.

/// The smallest and the largest weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smallest: 0 for weighers that fix it.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Range {
    /// The range of these weights; none if there are none.
    #[must_use]
    pub fn of(raw: &[f64], least: Option<f64>) -> Option<Self> {
        let (first, rest) = raw.split_first()?;
        let most = rest.iter().fold(*first, |most, &weight| if weight > most { weight } else { most });
        let lowest =
            || rest.iter().fold(*first, |least, &weight| if weight < least { weight } else { least });
        Some(Self { least: least.unwrap_or_else(lowest), most })
    }

    /// The position of the weight in the range: 0 to 1, and 0 in a range that is a point.
    #[inline]
    #[must_use]
    pub fn normalized(&self, weight: f64) -> f64 {
        if self.least == self.most { 0.0 } else { (weight - self.least) / (self.most - self.least) }
    }
}

/// The weights as parts of their range.
pub(crate) fn normalize(raw: &[f64], least: Option<f64>) -> Vec<f64> {
    let range = Range::of(raw, least);
    raw.iter().map(|&weight| range.map_or(0.0, |range| range.normalized(weight))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_that_of_the_hosts_unless_fixed() {
        assert_eq!(normalize(&[2.0, 4.0, 3.0], None), [0.0, 1.0, 0.5]);
        assert_eq!(normalize(&[2.0, 4.0], Some(0.0)), [0.5, 1.0]);
        assert_eq!(normalize(&[2.0, 2.0], None), [0.0, 0.0]);
        assert_eq!(normalize(&[], Some(0.0)), Vec::<f64>::new());
    }
}
