//! Allocation ratios of hosts, with Nova's precedence.
//!
//! Nova reads these options on each compute host; Berth reads them in one place, the service. For
//! each provider of a host and each of `VCPU`, `MEMORY_MB` and `DISK_GB`, the first of these
//! counts:
//! 1. `cpu_allocation_ratio`, `ram_allocation_ratio`, `disk_allocation_ratio`, if set and not 0;
//! 2. the ratio that the host's agent reports;
//! 3. the ratio that the inventory has, so that one set through the Placement API stays;
//! 4. `initial_cpu_allocation_ratio` and so on, when the inventory is new.
//!
//! Source of 1, 3 and 4: `ComputeDriver._get_allocation_ratios` of Nova 34.

use berth_scheduler::options::GeneralOptions;

/// A resource class whose ratio is configured.
#[derive(Clone, Copy)]
struct Configured {
    class: &'static str,
    /// Overrides all others; 0 for none.
    forced: f64,
    /// That of new inventories.
    initial: f64,
}

/// The ratios of the configuration.
pub(super) struct Ratios([Configured; 3]);

impl Ratios {
    pub(super) fn new(options: &GeneralOptions) -> Self {
        let configured = |class, forced: Option<f64>, initial| Configured {
            class,
            forced: forced.unwrap_or(0.0),
            initial,
        };
        Self([
            configured("VCPU", options.cpu_allocation_ratio, options.initial_cpu_allocation_ratio),
            configured("MEMORY_MB", options.ram_allocation_ratio, options.initial_ram_allocation_ratio),
            configured("DISK_GB", options.disk_allocation_ratio, options.initial_disk_allocation_ratio),
        ])
    }

    /// The ratio of an inventory, given the reported one and the present one.
    pub(super) fn ratio(&self, class: &str, reported: Option<f64>, present: Option<f64>) -> f64 {
        match self.0.iter().find(|configured| configured.class == class) {
            None => reported.unwrap_or(1.0),
            Some(configured) if configured.forced > 0.0 => configured.forced,
            Some(configured) => reported.or(present).unwrap_or(configured.initial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cpu_allocation_ratio` and its siblings had no effect on hosts with agents.
    #[test]
    fn the_precedence_is_that_of_nova() {
        let options = GeneralOptions {
            cpu_allocation_ratio: Some(2.0),
            ram_allocation_ratio: Some(0.0),
            initial_ram_allocation_ratio: 1.5,
            initial_disk_allocation_ratio: 3.0,
            ..GeneralOptions::default()
        };
        let ratios = Ratios::new(&options);
        for (class, reported, present, expected) in [
            ("VCPU", None, None, 2.0),
            ("VCPU", Some(16.0), Some(8.0), 2.0),
            ("MEMORY_MB", None, None, 1.5), // 0 stands for unset
            ("MEMORY_MB", None, Some(1.2), 1.2),
            ("MEMORY_MB", Some(1.1), Some(1.2), 1.1),
            ("DISK_GB", None, None, 3.0),
            ("PCPU", None, Some(7.0), 1.0),
            ("CUSTOM_X", Some(5.0), Some(7.0), 5.0),
        ] {
            assert_eq!(
                ratios.ratio(class, reported, present).to_bits(),
                f64::to_bits(expected),
                "{class} {reported:?}"
            );
        }
        assert_eq!(
            Ratios::new(&GeneralOptions::default()).ratio("VCPU", None, None).to_bits(),
            4.0_f64.to_bits()
        );
    }
}
