//! The VMs of a scenario.

use berth_traces::scale::{Drawn, by_factor, growing, repeated, resample, unchanged};
use berth_traces::{Micros, Resources, TraceHost, Vm, rng};
use compact_str::CompactString;
use rand::Rng;
use rand::seq::SliceRandom;
use rustc_hash::FxHashMap;

use crate::scenario::ScenarioError;
use crate::scenario::config::Workload;
use crate::scenario::residents::Resident;

/// The flavors of a trace.
#[derive(Debug, Clone, Default)]
pub struct Flavors {
    /// The name and size of each.
    pub flavors: Vec<(CompactString, Resources)>,
    /// The flavor of each VM of the trace.
    pub of_vm: Vec<u32>,
}

/// A trace that runs are made from.
#[derive(Debug, Clone)]
pub struct VmSet {
    /// The VMs, in order of arrival.
    pub vms: Vec<Vm>,
    /// Their flavors.
    pub flavors: Flavors,
    /// The hosts of the VMs that exist when a run begins, which are the last VMs.
    residents: Vec<u32>,
}

impl VmSet {
    /// The trace, which has to be in order of arrival, without retired flavors. With a horizon,
    /// growth or a factor, it is repeated, cut and scaled first.
    #[must_use]
    pub fn new(mut vms: Vec<Vm>, workload: &Workload) -> Self {
        if !workload.retired_flavors.is_empty() {
            vms.retain(|vm| !workload.retired_flavors.iter().any(|retired| *retired == vm.flavor));
        }
        let seed = workload.seed.unwrap_or(1);
        let mut drawn = unchanged(&vms);
        if let (Some(horizon), Some(first)) = (workload.horizon, vms.first()) {
            let end = first.arrival.0.saturating_add(horizon.0.0);
            drawn = if vms.last().is_some_and(|last| last.arrival.0 < end) {
                repeated(&drawn, horizon.0)
            } else {
                drawn.into_iter().take_while(|vm| vm.arrival.0 <= end).collect()
            };
        }
        let is_scaled = workload.scale.is_some_and(|scale| scale != 1.0);
        let mut vms = if drawn.len() == vms.len() { vms } else { berth_traces::scale::as_vms(&vms, &drawn) };
        if is_scaled {
            vms = berth_traces::scale::as_vms(&vms, &by_factor(&vms, workload.scale.unwrap_or(1.0), seed));
        }
        if workload.growth_per_month != 0.0 {
            vms = berth_traces::scale::as_vms(&vms, &growing(&vms, workload.growth_per_month, seed));
        }
        if workload.fill.is_some() {
            vms.iter_mut().for_each(|vm| vm.departure = None);
        }
        let flavors = flavors(&vms);
        Self { vms, flavors, residents: Vec::new() }
    }

    /// Checks that something is left to measure.
    ///
    /// # Errors
    /// No VM arrives after the warm-up.
    pub fn check_warm_up(&self, warm_up: Micros) -> Result<(), ScenarioError> {
        let (Some(first), Some(last)) = (self.trace().first(), self.trace().last()) else { return Ok(()) };
        let span = last.arrival.0 - first.arrival.0;
        if warm_up.0 <= span {
            return Ok(());
        }
        let days = |micros: u64| Micros(micros).as_secs_f64() / 86_400.0;
        Err(ScenarioError::new(&format!(
            "workload.warm_up: {:.2} days, but the last VM arrives {:.2} days after the first",
            days(warm_up.0),
            days(span)
        )))
    }

    /// With VMs that are on hosts when a run begins.
    #[must_use]
    pub fn with_residents(mut self, residents: Vec<Resident>) -> Self {
        for Resident { vm, host } in residents {
            self.vms.push(vm);
            self.residents.push(host);
        }
        self
    }

    /// The VMs that arrive.
    #[must_use]
    pub fn trace(&self) -> &[Vm] {
        &self.vms[..self.vms.len() - self.residents.len()]
    }

    /// The VMs that are on hosts when a run begins, and their hosts.
    pub(crate) fn residents(&self) -> impl Iterator<Item = (&Vm, u32)> {
        self.vms[self.trace().len()..].iter().zip(self.residents.iter().copied())
    }

    /// The same as VMs that arrive when the run begins.
    pub(crate) fn drawn_residents(&self, arrival: Micros) -> Vec<Drawn> {
        let numbers = (0_u32..).zip(&self.vms).skip(self.trace().len());
        numbers.map(|(vm, _)| Drawn { vm, arrival }).collect()
    }

    /// The VMs of run number `number`: the trace itself, or days of it drawn with a seed of their
    /// own.
    #[must_use]
    pub fn draw(&self, resamples: u32, number: u32, seed: u64) -> Vec<Drawn> {
        if resamples == 0 {
            unchanged(self.trace())
        } else {
            resample(self.trace(), seed.wrapping_add(u64::from(number)))
        }
    }

    /// The VMs of filling run number `number`: all in random order, then further ones drawn at
    /// random, until they ask for this share of what the hosts have; one arrives each second. GPUs
    /// count if the hosts have any, else vCPUs.
    #[must_use]
    pub fn fill(&self, hosts: &[TraceHost], share: f64, number: u32, seed: u64) -> Vec<Drawn> {
        let mut random = rng::stream(seed.wrapping_add(number.into()), "fill");
        let has_gpus = hosts.iter().any(|host| host.gpus > 0);
        let of_host = |host: &TraceHost| if has_gpus { 1000 * host.gpus } else { host.capacity.vcpus };
        let most = share * hosts.iter().map(|host| f64::from(of_host(host))).sum::<f64>();
        let asked = |vm: &Vm| f64::from(if has_gpus { gpu_amount(vm) } else { vm.resources.vcpus });
        let mut order: Vec<u32> = (0_u32..).zip(self.trace()).map(|(number, _)| number).collect();
        order.shuffle(&mut random);
        let (mut drawn, mut sum) = (Vec::new(), 0.0);
        if self.trace().iter().map(asked).sum::<f64>() == 0.0 {
            return drawn;
        }
        loop {
            let vm = match order.get(drawn.len()) {
                Some(&vm) => vm,
                None => order[random.random_range(0..order.len())],
            };
            sum += asked(&self.vms[vm as usize]);
            if sum > most {
                return drawn;
            }
            drawn.push(Drawn { vm, arrival: Micros::from_secs(drawn.len() as u64) });
        }
    }

    /// The time of the first arrival.
    #[must_use]
    pub fn start(&self) -> Micros {
        self.vms.first().map_or(Micros(0), |vm| vm.arrival)
    }
}

/// The thousandths of GPUs that a VM asks for.
fn gpu_amount(vm: &Vm) -> u32 {
    let Some(demands) = vm.demands.as_deref() else { return 0 };
    demands.gpus.saturating_mul(if demands.gpu_milli == 0 { 1000 } else { demands.gpu_milli })
}

fn flavors(vms: &[Vm]) -> Flavors {
    let mut numbers: FxHashMap<(CompactString, Resources), u32> = FxHashMap::default();
    let mut flavors = Flavors::default();
    for vm in vms {
        let key = (vm.flavor.clone(), vm.resources);
        let next = u32::try_from(flavors.flavors.len()).expect("fewer flavors than VMs");
        let number = *numbers.entry(key.clone()).or_insert_with(|| {
            flavors.flavors.push(key);
            next
        });
        flavors.of_vm.push(number);
    }
    flavors
}
