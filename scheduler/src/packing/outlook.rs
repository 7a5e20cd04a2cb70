//! When a host is expected to be empty.

use berth_placement::ConsumerId;

use crate::packing::lifetime::{Lifetime, NormalTail};

/// Intervals of the future that are looked at: the first lasts [`FIRST`] seconds, and each ends at
/// twice the time of the one before, the last after 114 days.
pub(crate) const INTERVALS: usize = 16;
const FIRST: f64 = 300.0;
/// An outlook is computed again when it is older than [`FIRST`] seconds and than this share of the
/// time since the last start.
const STALE: f64 = 0.1;
/// The time in which lifetimes are compared by ratio: shorter ones are alike.
const ALIKE: f64 = 600.0;
const HOUR: f64 = 3600.0;
/// What an hour counts by which a host is in use longer than the instance, in units of a doubling
/// or so: of several hosts that an instance does not keep in use longer, the one that ends soonest
/// after it is best.
const MISMATCH: f64 = 0.1;

/// The intervals: the middle of each, and what it counts.
#[derive(Debug, Clone)]
pub(crate) struct Future {
    tail: NormalTail,
    middles: [f64; INTERVALS],
    hours: [f64; INTERVALS],
    logs: [f64; INTERVALS],
}

impl Future {
    pub(crate) fn new() -> Self {
        let ends: [f64; INTERVALS] = std::array::from_fn(|number| FIRST * f64::from(1_u32 << number));
        let begins: [f64; INTERVALS] =
            std::array::from_fn(|number| if number == 0 { 0.0 } else { ends[number - 1] });
        let of = |of: fn(f64, f64) -> f64| std::array::from_fn(|number| of(begins[number], ends[number]));
        Self {
            tail: NormalTail::new(),
            middles: of(f64::midpoint),
            hours: of(|begin, end| (end - begin) / HOUR),
            logs: of(|begin, end| libm::log((ALIKE + end) / (ALIKE + begin))),
        }
    }

    /// The probability of an instance of this age still running, in each interval.
    fn survival(&self, lifetime: &Lifetime, age: f64) -> [f64; INTERVALS] {
        std::array::from_fn(|number| lifetime.survival(&self.tail, age, self.middles[number]))
    }

    /// What a new instance costs on a host, as a function of the host's [`Outlook::empty`].
    pub(crate) fn cost(&self, lifetime: &Lifetime) -> OutlookCost {
        let survival = self.survival(lifetime, 0.0);
        let longer: [f64; INTERVALS] = std::array::from_fn(|number| survival[number] * self.hours[number]);
        let shorter: [f64; INTERVALS] =
            std::array::from_fn(|number| MISMATCH * (1.0 - survival[number]) * self.logs[number]);
        OutlookCost {
            constant: shorter.iter().sum::<f64>() as f32,
            rates: std::array::from_fn(|number| (longer[number] - shorter[number]) as f32),
        }
    }
}

/// The expected time for which a host is in use longer, in hours, and a little for each hour that
/// the host outlasts the instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutlookCost {
    constant: f32,
    rates: [f32; INTERVALS],
}

impl OutlookCost {
    /// The cost on a host without instances.
    pub(crate) fn on_empty(&self) -> f32 {
        self.on(&Outlook::default())
    }

    /// The cost on a host.
    #[inline]
    pub(crate) fn on(&self, outlook: &Outlook) -> f32 {
        // Four sums side by side, added in a fixed order: vector code, and the same bits
        // everywhere.
        let mut sums = [0.0_f32; 4];
        for (rates, empty) in self.rates.chunks_exact(4).zip(outlook.empty.chunks_exact(4)) {
            for lane in 0..4 {
                sums[lane] += rates[lane] * empty[lane];
            }
        }
        self.constant + ((sums[0] + sums[1]) + (sums[2] + sums[3]))
    }
}

/// An instance on a host.
#[derive(Debug, Clone, Copy)]
struct Guest {
    instance: ConsumerId,
    started: f64,
    predicted: Option<f64>,
    lifetime: Lifetime,
    kind: Option<u32>,
}

/// An instance that left a host.
pub(crate) struct Left {
    pub(crate) lived: f64,
    pub(crate) predicted: Option<f64>,
    pub(crate) kind: Option<u32>,
}

/// The instances on a host, and how probable it is that all have ended, in each interval.
#[derive(Debug, Clone)]
pub(crate) struct Outlook {
    guests: Vec<Guest>,
    empty: [f32; INTERVALS],
    /// When it was computed; before all times if an instance left since.
    computed: f64,
    last_start: f64,
}

impl Default for Outlook {
    fn default() -> Self {
        Self { guests: Vec::new(), empty: [1.0; INTERVALS], computed: f64::MIN, last_start: f64::MIN }
    }
}

impl Outlook {
    pub(crate) fn is_empty(&self) -> bool {
        self.guests.is_empty()
    }

    /// Adds an instance that starts now.
    pub(crate) fn add(
        &mut self,
        future: &Future,
        instance: ConsumerId,
        now: f64,
        (predicted, lifetime): (Option<f64>, Lifetime),
    ) {
        if self.guests.is_empty() {
            (self.empty, self.computed) = ([1.0; INTERVALS], now);
        }
        self.guests.push(Guest { instance, started: now, predicted, lifetime, kind: None });
        self.last_start = now;
        let survival = future.survival(&lifetime, 0.0);
        for (empty, survival) in self.empty.iter_mut().zip(survival) {
            *empty *= 1.0 - survival as f32;
        }
    }

    /// The instances.
    pub(crate) fn instances(&self) -> impl Iterator<Item = ConsumerId> {
        self.guests.iter().map(|guest| guest.instance)
    }

    /// Adds an instance of a kind that started before.
    pub(crate) fn join(
        &mut self,
        instance: ConsumerId,
        started: f64,
        (predicted, lifetime, kind): (Option<f64>, Lifetime, Option<u32>),
    ) {
        self.guests.push(Guest { instance, started, predicted, lifetime, kind });
        self.last_start = self.last_start.max(started);
        self.computed = f64::MIN;
    }

    /// Removes an instance; `None` if it is unknown.
    pub(crate) fn remove(&mut self, instance: ConsumerId, now: f64) -> Option<Left> {
        let place = self.guests.iter().position(|guest| guest.instance == instance)?;
        let guest = self.guests.remove(place);
        self.computed = f64::MIN;
        if self.guests.is_empty() {
            self.empty = [1.0; INTERVALS];
        }
        Some(Left { lived: now - guest.started, predicted: guest.predicted, kind: guest.kind })
    }

    /// Computes the probabilities again if they are old: time has passed, and instances have
    /// outlived their estimates.
    #[inline]
    pub(crate) fn follow(&mut self, future: &Future, now: f64) {
        if !self.guests.is_empty() && now - self.computed >= (STALE * (now - self.last_start)).max(FIRST) {
            self.compute(future, now);
        }
    }

    fn compute(&mut self, future: &Future, now: f64) {
        let mut empty = [1.0; INTERVALS];
        for guest in &self.guests {
            let survival = future.survival(&guest.lifetime, now - guest.started);
            empty.iter_mut().zip(survival).for_each(|(empty, survival)| *empty *= 1.0 - survival);
        }
        (self.empty, self.computed) = (empty.map(|empty: f64| empty as f32), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime(seconds: f64) -> Lifetime {
        Lifetime { log_mean: libm::log(seconds), log_deviation: 0.3 }
    }

    fn host(future: &Future, seconds: &[f64]) -> Outlook {
        let mut outlook = Outlook::default();
        for (number, &seconds) in (0..).zip(seconds) {
            outlook.add(future, ConsumerId(number), 0.0, (None, lifetime(seconds)));
        }
        outlook
    }

    #[test]
    fn a_host_that_stays_in_use_anyway_costs_least() {
        let future = Future::new();
        let [short, alike, long] = [1_000.0, 40_000.0, 4e6].map(|seconds| host(&future, &[seconds]));
        let cost = future.cost(&lifetime(36_000.0));
        let [on_short, on_alike, on_long] = [&short, &alike, &long].map(|outlook| cost.on(outlook));
        assert!(on_alike < on_short && on_long < on_short, "{on_short} {on_alike} {on_long}");
        // It keeps the first in use for about nine hours longer.
        assert!((on_short - 9.5).abs() < 1.5, "{on_short}");
        let cost = future.cost(&lifetime(3_600.0));
        assert!(cost.on(&alike) < cost.on(&long), "the one that ends sooner, of two that end later");
    }

    /// A host whose instance outlives its estimate stops looking as if it were about to be empty.
    #[test]
    fn time_and_departures_change_the_outlook() {
        let future = Future::new();
        let mut outlook = host(&future, &[600.0, 86_400.0]);
        assert!(outlook.empty[3] < 0.01);
        assert!(outlook.remove(ConsumerId(9), 10.0).is_none());
        let left = outlook.remove(ConsumerId(1), 1_000.0).unwrap();
        assert_eq!(left.lived, 1_000.0);
        outlook.follow(&future, 1_000.0);
        assert!(outlook.empty[3] > 0.5, "{:?}", outlook.empty);
        let soon = outlook.empty[1];
        outlook.follow(&future, 100_000.0);
        assert!(outlook.empty[1] < soon / 2.0, "{soon} {:?}", outlook.empty);
    }
}
