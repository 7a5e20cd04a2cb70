//! Hosts whose GPUs several instances may share.
//!
//! After *Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
//! Descent* (Weng et al., USENIX ATC 2023): a host's fragmentation is the amount of its free GPUs
//! that an instance drawn from the workload's own mix cannot use. Fragmentation gradient descent
//! (FGD) takes the host on which it grows least. Amounts of GPUs are thousandths of one.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// One whole GPU.
pub const WHOLE_GPU: u16 = 1000;

/// What is free on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GpuHost {
    /// Thousandths of a vCPU.
    pub cpu_milli: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Of each GPU.
    pub gpus: SmallVec<[u16; 8]>,
    /// The model of the GPUs: a number below 64.
    pub model: u8,
}

/// What an instance requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GpuRequest {
    /// Thousandths of a vCPU.
    pub cpu_milli: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// The number of GPUs.
    pub gpus: u32,
    /// Of each of them; a share below a whole one is of a single GPU.
    pub gpu_milli: u16,
    /// The models that they may be, as bits; 0 for any.
    pub models: u64,
}

/// Which of the hosts that fit gets an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GpuPolicy {
    /// The host with the least left of vCPUs, memory and GPUs, each compared with the largest host.
    BestFit,
    /// Fragmentation gradient descent, with scores from 0 to 100 as published; of equal scores, the
    /// first host.
    Gradient,
    /// The exact gradient, and a little for what is free: of hosts where fragmentation grows nearly
    /// alike, the fuller one.
    Packing,
}

/// What the free share of vCPUs and of GPUs counts under [`GpuPolicy::Packing`], in thousandths of
/// a fragmented GPU.
const FREE: [f64; 2] = [26.0, 5.0];

impl GpuRequest {
    /// The thousandths of GPUs.
    #[must_use]
    pub fn gpu_amount(&self) -> u64 {
        u64::from(self.gpus) * u64::from(self.gpu_milli)
    }

    fn accepts(&self, model: u8) -> bool {
        self.models == 0 || self.models >> model & 1 == 1
    }
}

impl GpuHost {
    /// Whether the request fits.
    #[must_use]
    pub fn fits(&self, request: &GpuRequest) -> bool {
        self.cpu_milli >= request.cpu_milli && self.memory_mb >= request.memory_mb && self.has_gpus(request)
    }

    fn has_gpus(&self, request: &GpuRequest) -> bool {
        request.gpus == 0
            || request.accepts(self.model)
                && self.gpus.iter().filter(|free| **free >= request.gpu_milli).count()
                    >= request.gpus as usize
    }

    /// Takes the amounts of a request that fits, with a share from this GPU; returns the GPUs that
    /// it got.
    pub fn take(&mut self, request: &GpuRequest, shared: usize) -> SmallVec<[u8; 8]> {
        self.cpu_milli -= request.cpu_milli;
        self.memory_mb -= request.memory_mb;
        let fitting = (0..self.gpus.len()).filter(|&gpu| self.gpus[gpu] >= request.gpu_milli);
        let taken: SmallVec<[u8; 8]> = match request.gpus {
            0 => SmallVec::new(),
            1 if request.gpu_milli < WHOLE_GPU => SmallVec::from_slice(&[shared as u8]),
            count => fitting.take(count as usize).map(|gpu| gpu as u8).collect(),
        };
        taken.iter().for_each(|&gpu| self.gpus[gpu as usize] -= request.gpu_milli);
        taken
    }

    /// Returns the amounts of a request, to the GPUs that it got.
    pub fn give(&mut self, request: &GpuRequest, gpus: &[u8]) {
        self.cpu_milli += request.cpu_milli;
        self.memory_mb += request.memory_mb;
        gpus.iter().for_each(|&gpu| self.gpus[gpu as usize] += request.gpu_milli);
    }

    fn free_gpus(&self) -> u64 {
        self.gpus.iter().map(|free| u64::from(*free)).sum()
    }
}

/// The workload's mix: requests for GPUs, and the probability of each.
#[derive(Debug, Clone, Default)]
pub struct GpuMix(Vec<(GpuRequest, f64)>);

impl GpuMix {
    /// The mix of these requests. Those without GPUs cannot use any: they make all hosts fragmented
    /// alike. Memory does not count, as published.
    #[must_use]
    pub fn new(requests: impl Iterator<Item = GpuRequest>) -> Self {
        let mut all: Vec<GpuRequest> =
            requests.map(|request| GpuRequest { memory_mb: 0, ..request }).collect();
        all.sort_unstable();
        let count = all.len() as f64;
        let kinds = all.chunk_by(|a, b| a == b).filter(|kind| kind[0].gpus > 0);
        Self(kinds.map(|kind| (kind[0], kind.len() as f64 / count)).collect())
    }

    /// The thousandths of free GPUs on the host that a request of the mix is expected to be unable
    /// to use.
    #[must_use]
    pub fn fragmentation(&self, host: &GpuHost) -> f64 {
        let free = host.free_gpus();
        if free == 0 {
            return 0.0;
        }
        let unusable = |request: &GpuRequest| {
            if host.cpu_milli < request.cpu_milli || !host.has_gpus(request) {
                free
            } else {
                host.gpus.iter().filter(|gpu| **gpu < request.gpu_milli).map(|gpu| u64::from(*gpu)).sum()
            }
        };
        self.0.iter().map(|(request, probability)| probability * unusable(request) as f64).sum()
    }
}

/// Where a request goes: its cost, and the GPU that it shares.
type Choice = (f64, usize);

/// Chooses hosts by a policy, and remembers what was computed of equal hosts.
pub struct GpuChooser {
    policy: GpuPolicy,
    mix: GpuMix,
    largest: GpuHost,
    known: FxHashMap<(GpuHost, GpuRequest), Choice>,
}

/// The most computed costs that are remembered.
const MOST_KNOWN: usize = 1 << 20;

impl GpuChooser {
    /// A chooser for a fleet of empty hosts.
    #[must_use]
    pub fn new(policy: GpuPolicy, mix: GpuMix, hosts: &[GpuHost]) -> Self {
        let most = |of: fn(&GpuHost) -> u64| hosts.iter().map(of).max().unwrap_or(0).max(1);
        let gpus = hosts.iter().map(|host| host.gpus.len()).max().unwrap_or(0);
        let largest = GpuHost {
            cpu_milli: most(|host| host.cpu_milli),
            memory_mb: most(|host| host.memory_mb),
            gpus: SmallVec::from_elem(WHOLE_GPU, gpus),
            model: 0,
        };
        Self { policy, mix, largest, known: FxHashMap::default() }
    }

    /// The cost of the request on a host that it fits, and the GPU that it shares there.
    pub fn cost(&mut self, host: &GpuHost, request: &GpuRequest) -> Choice {
        let key = (host.clone(), *request);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let choice = self.compute(host, request);
        self.known.insert(key, choice);
        choice
    }

    fn compute(&self, host: &GpuHost, request: &GpuRequest) -> Choice {
        let share = |free: u64, most: u64| free as f64 / most.max(1) as f64;
        let cpu = share(host.cpu_milli, self.largest.cpu_milli);
        let gpu = share(host.free_gpus(), self.largest.free_gpus());
        let fullest = || {
            let fitting = (0..host.gpus.len()).filter(|&gpu| host.gpus[gpu] >= request.gpu_milli);
            fitting.min_by_key(|&gpu| host.gpus[gpu]).unwrap_or(0)
        };
        match self.policy {
            GpuPolicy::BestFit => (cpu + share(host.memory_mb, self.largest.memory_mb) + gpu, fullest()),
            GpuPolicy::Gradient => {
                let (growth, shared) = self.gradient(host, request);
                let score = 100.0 / (1.0 + libm::exp(growth / f64::from(WHOLE_GPU)));
                (-score.floor(), shared)
            }
            GpuPolicy::Packing => {
                let (growth, shared) = self.gradient(host, request);
                (growth + FREE[0] * cpu + FREE[1] * gpu, shared)
            }
        }
    }

    /// By how much fragmentation grows, at least, and the GPU to share for that.
    fn gradient(&self, host: &GpuHost, request: &GpuRequest) -> Choice {
        let before = self.mix.fragmentation(host);
        let is_share = request.gpus == 1 && request.gpu_milli < WHOLE_GPU;
        let choices = (0..if is_share { host.gpus.len() } else { 1 })
            .filter(|&gpu| !is_share || host.gpus[gpu] >= request.gpu_milli);
        let growth = choices.map(|gpu| {
            let mut after = host.clone();
            after.take(request, gpu);
            (self.mix.fragmentation(&after) - before, gpu)
        });
        growth.reduce(|best, next| if next.0 < best.0 { next } else { best }).unwrap_or((f64::MAX, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(cpus: u64, gpus: &[u16]) -> GpuHost {
        GpuHost { cpu_milli: cpus * 1000, memory_mb: 1 << 20, gpus: SmallVec::from_slice(gpus), model: 0 }
    }

    fn request(cpus: u64, gpus: u32, gpu_milli: u16) -> GpuRequest {
        GpuRequest { cpu_milli: cpus * 1000, memory_mb: 1, gpus, gpu_milli, models: 0 }
    }

    #[test]
    fn shares_come_from_one_gpu_and_wholes_from_several() {
        let mut some = host(8, &[1000, 300, 1000]);
        assert!(some.fits(&request(8, 2, 1000)) && !some.fits(&request(8, 3, 1000)));
        assert!(some.fits(&request(8, 3, 300)) && !some.fits(&request(9, 0, 0)));
        assert!(!some.fits(&GpuRequest { models: 0b10, ..request(1, 1, 300) }), "of another model");
        let before = some.clone();
        let taken = some.take(&request(4, 2, 1000), 0);
        assert_eq!((taken.as_slice(), some.gpus.as_slice()), (&[0, 2][..], &[0, 300, 0][..]));
        let shared = some.take(&request(4, 1, 300), 1);
        assert_eq!((some.cpu_milli, some.gpus[1]), (0, 0));
        some.give(&request(4, 1, 300), &shared);
        some.give(&request(4, 2, 1000), &taken);
        assert_eq!(some, before);
    }

    /// Half of the requests want a whole GPU, half of them 0.4 of one.
    #[test]
    fn fragmentation_is_what_the_mix_cannot_use() {
        let mix = GpuMix::new([request(4, 1, 1000), request(4, 1, 400)].into_iter());
        assert_eq!(mix.fragmentation(&host(8, &[1000, 1000])), 0.0);
        assert_eq!(mix.fragmentation(&host(8, &[1000, 500])), 250.0, "wholes cannot use the half");
        assert_eq!(mix.fragmentation(&host(8, &[300, 500])), 550.0, "wholes all, shares the 300");
        assert_eq!(mix.fragmentation(&host(2, &[1000, 1000])), 2000.0, "no vCPUs are left for them");
    }

    #[test]
    fn a_share_goes_where_it_leaves_wholes_whole() {
        let mix = || GpuMix::new([request(4, 1, 1000), request(4, 1, 400)].into_iter());
        let hosts = [host(16, &[1000, 1000]), host(16, &[400, 1000])];
        for policy in [GpuPolicy::Gradient, GpuPolicy::Packing, GpuPolicy::BestFit] {
            let mut chooser = GpuChooser::new(policy, mix(), &hosts);
            let [(whole, _), (part, gpu)] =
                [0, 1].map(|host| chooser.cost(&hosts[host], &request(4, 1, 400)));
            assert!(part < whole, "{policy:?}: {part} {whole}");
            assert_eq!(gpu, 0, "{policy:?} shares the GPU that is in use");
        }
    }
}
