//! Requests that differ from each other: a seed names their sequence.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use super::request::Asked;

/// Hosts that are known from answers at most.
const MOST_HOSTS: usize = 1_000;

/// Draws requests: most for one ordinary instance, some for several, some with conditions, and some
/// that no host serves.
pub(super) struct Mixture {
    rng: ChaCha8Rng,
    hosts: BTreeSet<String>,
}

impl Mixture {
    /// The sequence of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), hosts: BTreeSet::new() }
    }

    /// How many instances the next request is for.
    pub(super) fn instances(&mut self) -> usize {
        if self.rng.random_ratio(1, 5) { self.rng.random_range(2..=4) } else { 1 }
    }

    /// The next request, for these instances.
    pub(super) fn draw(&mut self, instances: Vec<String>) -> Asked {
        let amounts = [
            self.one_of(&[1, 1, 1, 2, 2, 4, 8]),
            self.one_of(&[64, 256, 512, 1_024, 2_048]),
            self.one_of(&[1, 5, 20]),
        ];
        let mut asked = Asked { instances, amounts, ..Asked::default() };
        match self.rng.random_range(0..20) {
            0 => asked.amounts[0] = 1_000,
            1 | 2 => asked.ignored = self.some_hosts(2),
            3 => asked.forced = self.some_hosts(1).pop(),
            4 => asked.zone = Some(self.one_of(&["nova", "nova", "nowhere"]).to_owned()),
            5 => asked.extra_specs = self.extra_spec(),
            6 => asked.image_properties = self.image_property(),
            _ => {}
        }
        asked
    }

    /// Remembers the hosts that an answer names.
    pub(super) fn observe(&mut self, answer: &Value) {
        let selections = answer.as_array().into_iter().flatten().filter_map(Value::as_array).flatten();
        let hosts = selections.filter_map(|one| one["nova_object.data"]["service_host"].as_str());
        for host in hosts {
            if self.hosts.len() < MOST_HOSTS {
                self.hosts.insert(host.to_owned());
            }
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.random_range(0..all.len())]
    }

    fn some_hosts(&mut self, most: usize) -> Vec<String> {
        let count = self.rng.random_range(1..=most.min(self.hosts.len().max(1)));
        let first = self.rng.random_range(0..self.hosts.len().max(1));
        self.hosts.iter().cycle().skip(first).take(count).cloned().collect()
    }

    fn extra_spec(&mut self) -> Map<String, Value> {
        let (key, value) = self.one_of(&[
            ("trait:COMPUTE_NODE", "required"),
            ("trait:HW_CPU_X86_AVX512F", "required"),
            ("trait:HW_CPU_X86_AVX512F", "forbidden"),
            ("trait:CUSTOM_UNKNOWN", "required"),
            ("capabilities:hypervisor_type", "fake"),
            ("capabilities:hypervisor_type", "QEMU"),
            ("resources:VCPU", "3"),
            ("hw:cpu_policy", "shared"),
        ]);
        [(key.to_owned(), Value::from(value))].into_iter().collect()
    }

    fn image_property(&mut self) -> Map<String, Value> {
        let (key, value) = self.one_of(&[
            ("hw_architecture", "x86_64"),
            ("hw_architecture", "aarch64"),
            ("img_hv_type", "fake"),
            ("img_hv_type", "qemu"),
            ("hw_vm_mode", "hvm"),
        ]);
        [(key.to_owned(), Value::from(value))].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The first requests of a seed, once two hosts are known.
    fn drawn(seed: u64) -> Vec<Asked> {
        let mut mixture = Mixture::new(seed);
        let host = |name: &str| json!({"nova_object.data": {"service_host": name}});
        mixture.observe(&json!([[host("c1"), host("c2")]]));
        let mut draw = |number: usize| {
            let count = mixture.instances();
            mixture.draw(vec![number.to_string(); count])
        };
        (0..500).map(&mut draw).collect()
    }

    #[test]
    fn a_seed_names_requests_of_all_kinds() {
        let all = drawn(1);
        assert_eq!(all, drawn(1));
        assert_ne!(all, drawn(2));
        let some = |is_one: fn(&Asked) -> bool| all.iter().any(is_one);
        assert!(some(|one| one.instances.len() > 1) && some(|one| one.amounts[0] == 1_000));
        assert!(some(|one| one.ignored.len() == 2) && some(|one| one.forced.is_some()));
        assert!(some(|one| one.zone.is_some()) && some(|one| !one.extra_specs.is_empty()));
        assert!(some(|one| !one.image_properties.is_empty()));
        let ordinary = all.iter().filter(|one| one.instances.len() == 1 && one.zone.is_none()).count();
        assert!(ordinary > all.len() / 2, "{ordinary}");
    }
}
