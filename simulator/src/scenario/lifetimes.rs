//! What a scheduler is informed of: how long VMs will live.

use berth_scheduler::options::LifetimeFile;
use berth_traces::scale::Drawn;
use berth_traces::{Micros, Vm, rng};
use rand::Rng;

/// A VM that outlives the trace is predicted to live for so many times the length of the trace.
const OUTLIVES: f64 = 4.0;

/// Where predictions of lifetimes come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Predictions {
    /// There are none.
    #[default]
    None,
    /// The trace itself, with a log-normal error of this deviation (0 for none): e to the power of
    /// a normal number is the factor by which a prediction is off.
    Oracle(f64),
    /// Lifetimes by flavor and project.
    Known(LifetimeFile),
}

/// The predictions for the VMs of a trace.
pub(crate) struct Predicted<'a> {
    predictions: &'a Predictions,
    vms: &'a [Vm],
    /// By VM of the trace: the factor by which a prediction is off. Empty for exact ones.
    factors: Vec<f64>,
    outlives_s: f64,
}

impl<'a> Predicted<'a> {
    pub(crate) fn new(predictions: &'a Predictions, vms: &'a [Vm], seed: u64) -> Self {
        let mut factors = Vec::new();
        if let Predictions::Oracle(error) = predictions
            && *error > 0.0
        {
            let mut random = rng::stream(seed, "predictions");
            factors = vms.iter().map(|_| libm::exp(error * normal(&mut random))).collect();
        }
        let arrivals = || vms.iter().map(|vm| vm.arrival.0);
        let span = arrivals().max().unwrap_or(0) - vms.first().map_or(0, |first| first.arrival.0);
        let outlives_s = OUTLIVES * Micros(span).as_secs_f64().max(1.0);
        Self { predictions, vms, factors, outlives_s }
    }

    /// How many seconds the VM is predicted to live from now on. If it has outlived its prediction,
    /// it is expected to live as long again.
    pub(crate) fn remaining_s(&self, drawn: &Drawn, now: Micros) -> Option<f64> {
        let whole = self.whole_s(drawn.vm as usize)?;
        let age = Micros(now.0.saturating_sub(drawn.arrival.0)).as_secs_f64();
        Some(if whole > age { whole - age } else { age })
    }

    fn whole_s(&self, number: usize) -> Option<f64> {
        let vm = &self.vms[number];
        match self.predictions {
            Predictions::None => None,
            Predictions::Oracle(_) => {
                let lifetime = vm.departure.map(|departure| Micros(departure.0 - vm.arrival.0).as_secs_f64());
                let factor = self.factors.get(number).copied().unwrap_or(1.0);
                Some(lifetime.unwrap_or(self.outlives_s).max(1.0) * factor)
            }
            Predictions::Known(known) => {
                let project = vm.demands.as_deref().map(|demands| demands.project.as_str());
                known.lifetime_s(&vm.flavor, project.unwrap_or_default())
            }
        }
    }
}

/// A number from the standard normal distribution (Box and Muller).
fn normal(random: &mut rng::Stream) -> f64 {
    let (length, angle): (f64, f64) = (random.random(), random.random());
    (-2.0 * libm::log(1.0 - length)).sqrt() * libm::cos(std::f64::consts::TAU * angle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(flavor: &str, lives_s: Option<u64>) -> Vm {
        Vm {
            id: "vm".into(),
            arrival: Micros(0),
            departure: lives_s.map(Micros::from_secs),
            resources: berth_traces::Resources::default(),
            flavor: flavor.into(),
            batch: None,
            demands: None,
        }
    }

    fn drawn(vm: u32) -> Drawn {
        Drawn { vm, arrival: Micros::from_secs(1_000) }
    }

    #[test]
    fn an_oracle_is_off_by_a_log_normal_factor() {
        let mut vms = vec![vm("a", Some(3_600)); 10_000];
        vms.push(Vm { arrival: Micros::from_secs(100_000), ..vm("a", None) });
        let exact = Predicted::new(&Predictions::Oracle(0.0), &vms, 1);
        assert_eq!(exact.remaining_s(&drawn(0), Micros::from_secs(1_600)), Some(3_000.0));
        assert_eq!(exact.remaining_s(&drawn(10_000), Micros::from_secs(1_000)), Some(400_000.0));
        assert_eq!(exact.remaining_s(&drawn(0), Micros::from_secs(11_000)), Some(10_000.0));
        let predictions = Predictions::Oracle(0.5);
        let of = Predicted::new(&predictions, &vms, 1);
        let logs: Vec<f64> = (0..10_000).map(|vm| libm::log(of.whole_s(vm).unwrap() / 3_600.0)).collect();
        let mean = logs.iter().sum::<f64>() / 1e4;
        let deviation = (logs.iter().map(|log| (log - mean) * (log - mean)).sum::<f64>() / 1e4).sqrt();
        assert!(mean.abs() < 0.02 && (deviation - 0.5).abs() < 0.02, "{mean} {deviation}");
    }

    #[test]
    fn a_file_has_a_lifetime_for_each_flavor() {
        let known = Predictions::Known(LifetimeFile::parse("flavor,lifetime_s\na,60\n").unwrap());
        let vms = [vm("a", None), vm("b", None)];
        let of = Predicted::new(&known, &vms, 1);
        assert_eq!(of.remaining_s(&drawn(0), Micros::from_secs(1_000)), Some(60.0));
        assert_eq!(of.remaining_s(&drawn(1), Micros::from_secs(1_000)), None);
    }
}
