//! Hosts with GPUs that several VMs may share.
//!
//! Placement counts whole GPUs of a host, so no decider on an index knows shares: like `cells.rs`,
//! this is a scheduler of its own, with the policies of `berth_scheduler::packing`. vCPUs are
//! counted in thousandths.

use std::collections::BTreeMap;

use berth_scheduler::packing::{GpuChooser, GpuHost, GpuMix, GpuPolicy, GpuRequest, WHOLE_GPU};
use berth_traces::{Demands, TraceHost, Vm};
use compact_str::CompactString;

use crate::scenario::engine::{Engine, Leaving};
use crate::simulation::{SimulationError, Starting};

/// Models of GPUs that are distinguished.
const MOST_MODELS: usize = 64;

/// The hosts, and what VMs hold there.
pub(crate) struct Gpus {
    chooser: GpuChooser,
    models: BTreeMap<CompactString, u8>,
    capacity: Vec<GpuHost>,
    hosts: Vec<GpuHost>,
    is_blocked: Vec<bool>,
    /// How often each host has changed.
    versions: Vec<u32>,
    /// By request: for each host its version, the cost then, and the GPU to share.
    costs: BTreeMap<GpuRequest, Vec<(u32, f64, usize)>>,
    /// By job: the GPUs it has.
    held: BTreeMap<u32, Vec<u8>>,
}

impl Gpus {
    /// Hosts for a workload whose VMs are drawn from these.
    pub(crate) fn new(hosts: &[TraceHost], policy: GpuPolicy, vms: &[Vm]) -> Result<Self, SimulationError> {
        let mut models = BTreeMap::new();
        for host in hosts.iter().filter(|host| host.gpus > 0) {
            let next = models.len();
            models.entry(host.gpu_model.clone()).or_insert(next as u8);
        }
        if models.len() > MOST_MODELS {
            return Err(SimulationError::Gpus(format!("{} models of GPUs are too many", models.len())));
        }
        if let Some(host) = hosts.iter().find(|host| host.gpus > u8::MAX.into()) {
            return Err(SimulationError::Gpus(format!("host {} has too many GPUs", host.id)));
        }
        let of = |host: &TraceHost| GpuHost {
            cpu_milli: u64::from(host.capacity.vcpus) * 1000,
            memory_mb: host.capacity.memory_mb.into(),
            gpus: (0..host.gpus).map(|_| WHOLE_GPU).collect(),
            model: models.get(&host.gpu_model).copied().unwrap_or(0),
        };
        let capacity: Vec<GpuHost> = hosts.iter().map(of).collect();
        let mix = GpuMix::new(vms.iter().map(|vm| request_of(vm, &models)));
        Ok(Self {
            chooser: GpuChooser::new(policy, mix, &capacity),
            models,
            is_blocked: vec![false; capacity.len()],
            versions: vec![1; capacity.len()],
            costs: BTreeMap::new(),
            held: BTreeMap::new(),
            hosts: capacity.clone(),
            capacity,
        })
    }

    /// The host with the least cost, and the GPU to share there; of equal costs, the first.
    fn best(&mut self, request: &GpuRequest) -> Option<(usize, usize)> {
        let Self { chooser, hosts, is_blocked, versions, costs, .. } = self;
        let costs = costs.entry(*request).or_insert_with(|| vec![(0, f64::MAX, 0); hosts.len()]);
        let mut best: Option<(f64, usize, usize)> = None;
        for (number, known) in costs.iter_mut().enumerate() {
            if known.0 != versions[number] {
                let host = &hosts[number];
                let (cost, gpu) =
                    if host.fits(request) { chooser.cost(host, request) } else { (f64::MAX, 0) };
                *known = (versions[number], cost, gpu);
            }
            let (_, cost, gpu) = *known;
            if cost < best.map_or(f64::MAX, |(least, ..)| least) && !is_blocked[number] {
                best = Some((cost, number, gpu));
            }
        }
        best.map(|(_, host, gpu)| (host, gpu))
    }
}

/// What a VM requests. A model that no host has is a bit that no host has.
fn request_of(vm: &Vm, models: &BTreeMap<CompactString, u8>) -> GpuRequest {
    let none = Demands::default();
    let demands = vm.demands.as_deref().unwrap_or(&none);
    let cpu_milli = match demands.vcpu_milli {
        0 => u64::from(vm.resources.vcpus) * 1000,
        milli => milli.into(),
    };
    let gpu_milli = match demands.gpu_milli {
        _ if demands.gpus == 0 => 0,
        0 => WHOLE_GPU,
        milli => u16::try_from(milli).unwrap_or(WHOLE_GPU).min(WHOLE_GPU),
    };
    let bits = demands.gpu_models.iter().filter_map(|model| models.get(model));
    let known = bits.fold(0, |bits, model| bits | 1_u64 << model);
    let is_impossible = !demands.gpu_models.is_empty() && known == 0;
    GpuRequest {
        cpu_milli,
        memory_mb: vm.resources.memory_mb.into(),
        gpus: if is_impossible { u32::MAX } else { demands.gpus },
        gpu_milli,
        models: known,
    }
}

impl Engine for Gpus {
    fn place(&mut self, job: u32, vm: &Vm, _: Starting) -> Result<Option<usize>, SimulationError> {
        let request = request_of(vm, &self.models);
        let Some((host, gpu)) = self.best(&request) else { return Ok(None) };
        let taken = self.hosts[host].take(&request, gpu);
        self.versions[host] += 1;
        self.held.insert(job, taken.to_vec());
        Ok(Some(host))
    }

    fn adopt(&mut self, _: u32, _: &Vm, _: usize, _: Starting) {
        unreachable!("these engines begin with empty hosts")
    }

    fn remove(&mut self, job: u32, vm: &Vm, host: usize, _: Leaving) {
        let taken = self.held.remove(&job).expect("only placed VMs are removed");
        self.hosts[host].give(&request_of(vm, &self.models), &taken);
        self.versions[host] += 1;
    }

    fn block(&mut self, host: usize) {
        self.is_blocked[host] = true;
    }

    fn unblock(&mut self, host: usize) {
        self.is_blocked[host] = false;
    }

    fn gpus(&self) -> Option<[u64; 2]> {
        let sum = |hosts: &[GpuHost]| -> u64 {
            hosts.iter().flat_map(|host| &host.gpus).map(|free| u64::from(*free)).sum()
        };
        let all = sum(&self.capacity);
        Some([all - sum(&self.hosts), all])
    }

    fn check(&mut self) -> Result<(), SimulationError> {
        let is_within = |(free, all): (&GpuHost, &GpuHost)| {
            free.cpu_milli <= all.cpu_milli
                && free.memory_mb <= all.memory_mb
                && free.gpus.iter().all(|free| *free <= WHOLE_GPU)
        };
        match self.hosts.iter().zip(&self.capacity).filter(|pair| !is_within(*pair)).count() {
            0 => Ok(()),
            count => {
                Err(SimulationError::Inconsistent(format!("{count} hosts have more free than they have")))
            }
        }
    }
}
