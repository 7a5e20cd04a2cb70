//! `[filter_scheduler]`

use serde::{Deserialize, Serialize};

use super::{InvalidOption, require};
use crate::filters::FilterName;
use crate::request_spec::architecture;
use crate::weighers::{self, WeigherName};

/// `[filter_scheduler]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterSchedulerOptions {
    /// Filters in the order in which they run.
    pub enabled_filters: Vec<FilterName>,
    /// Weighers in the order in which their scores are added. In a file they are written as in
    /// Nova: `nova.scheduler.weights.all_weighers` or `nova.scheduler.weights.ram.RAMWeigher`.
    #[serde(with = "weighers::class_paths")]
    pub weight_classes: Vec<WeigherName>,
    /// How many of the best hosts one is drawn from.
    pub host_subset_size: usize,
    /// Whether hosts of the same, best weight are shuffled.
    pub shuffle_best_same_weighed_hosts: bool,
    /// I/O operations at which a host takes no more instances.
    pub max_io_ops_per_host: i64,
    /// Instances at which a host takes no more.
    pub max_instances_per_host: i64,
    /// Whether hosts report which instances they have.
    pub track_instance_changes: bool,
    /// Hosts kept for isolated images.
    pub isolated_hosts: Vec<String>,
    /// Ids of images that need isolated hosts.
    pub isolated_images: Vec<String>,
    /// Whether isolated hosts take nothing else.
    pub restrict_isolated_hosts_to_isolated_images: bool,
    /// The architecture of images that do not say.
    pub image_properties_default_architecture: Option<String>,
    /// With it, only keys that begin with it and the separator isolate.
    pub aggregate_image_properties_isolation_namespace: Option<String>,
    /// The separator between namespace and property.
    pub aggregate_image_properties_isolation_separator: String,
    /// Whether placement tracks passthrough devices.
    pub pci_in_placement: bool,
    /// Multiplier of `CPUWeigher`.
    pub cpu_weight_multiplier: f64,
    /// Multiplier of `RAMWeigher`.
    pub ram_weight_multiplier: f64,
    /// Multiplier of `DiskWeigher`.
    pub disk_weight_multiplier: f64,
    /// Multiplier of `HypervisorVersionWeigher`.
    pub hypervisor_version_weight_multiplier: f64,
    /// Multiplier of `NumInstancesWeigher`.
    pub num_instances_weight_multiplier: f64,
    /// Multiplier of `IoOpsWeigher`.
    pub io_ops_weight_multiplier: f64,
    /// Multiplier of `PCIWeigher`.
    pub pci_weight_multiplier: f64,
    /// Multiplier of `ServerGroupSoftAffinityWeigher`.
    pub soft_affinity_weight_multiplier: f64,
    /// Multiplier of `ServerGroupSoftAntiAffinityWeigher`.
    pub soft_anti_affinity_weight_multiplier: f64,
    /// Multiplier of `BuildFailureWeigher`, which counts against a host.
    pub build_failure_weight_multiplier: f64,
    /// Multiplier of `CrossCellWeigher`.
    pub cross_cell_move_weight_multiplier: f64,
    /// Multiplier of `ImagePropertiesWeigher`; 0 switches it off.
    pub image_props_weight_multiplier: f64,
    /// Multiplier of `LifetimeWeigher`, which Nova does not have.
    pub lifetime_weight_multiplier: f64,
    /// `property=ratio` for each image property that counts; none for all the same.
    pub image_props_weight_setting: Vec<String>,
}

impl Default for FilterSchedulerOptions {
    fn default() -> Self {
        Self {
            enabled_filters: FilterName::DEFAULT.to_vec(),
            weight_classes: WeigherName::ALL.to_vec(),
            host_subset_size: 1,
            shuffle_best_same_weighed_hosts: false,
            max_io_ops_per_host: 8,
            max_instances_per_host: 50,
            track_instance_changes: true,
            isolated_hosts: Vec::new(),
            isolated_images: Vec::new(),
            restrict_isolated_hosts_to_isolated_images: true,
            image_properties_default_architecture: None,
            aggregate_image_properties_isolation_namespace: None,
            aggregate_image_properties_isolation_separator: ".".to_owned(),
            pci_in_placement: false,
            cpu_weight_multiplier: 1.0,
            ram_weight_multiplier: 1.0,
            disk_weight_multiplier: 1.0,
            hypervisor_version_weight_multiplier: 1.0,
            num_instances_weight_multiplier: 0.0,
            io_ops_weight_multiplier: -1.0,
            pci_weight_multiplier: 1.0,
            soft_affinity_weight_multiplier: 1.0,
            soft_anti_affinity_weight_multiplier: 1.0,
            build_failure_weight_multiplier: 1_000_000.0,
            cross_cell_move_weight_multiplier: 1_000_000.0,
            image_props_weight_multiplier: 0.0,
            lifetime_weight_multiplier: 1.0,
            image_props_weight_setting: Vec::new(),
        }
    }
}

impl FilterSchedulerOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidOption> {
        require(self.host_subset_size >= 1, "[filter_scheduler] host_subset_size", "is less than 1")?;
        require(self.max_io_ops_per_host >= 0, "[filter_scheduler] max_io_ops_per_host", "is less than 0")?;
        require(
            self.max_instances_per_host >= 1,
            "[filter_scheduler] max_instances_per_host",
            "is less than 1",
        )?;
        let default = self.image_properties_default_architecture.as_deref().filter(|name| !name.is_empty());
        let option = "[filter_scheduler] image_properties_default_architecture";
        require(default.is_none_or(|name| architecture(name).is_some()), option, "is not an architecture")?;
        for (option, multiplier) in self.multipliers() {
            require(multiplier.is_finite(), option, "is not finite")?;
        }
        for (option, multiplier) in self.multipliers_from_zero() {
            require(multiplier >= 0.0, option, "is negative")?;
        }
        Ok(())
    }

    const fn multipliers(&self) -> [(&'static str, f64); 10] {
        [
            ("[filter_scheduler] cpu_weight_multiplier", self.cpu_weight_multiplier),
            ("[filter_scheduler] ram_weight_multiplier", self.ram_weight_multiplier),
            ("[filter_scheduler] disk_weight_multiplier", self.disk_weight_multiplier),
            (
                "[filter_scheduler] hypervisor_version_weight_multiplier",
                self.hypervisor_version_weight_multiplier,
            ),
            ("[filter_scheduler] num_instances_weight_multiplier", self.num_instances_weight_multiplier),
            ("[filter_scheduler] io_ops_weight_multiplier", self.io_ops_weight_multiplier),
            ("[filter_scheduler] build_failure_weight_multiplier", self.build_failure_weight_multiplier),
            ("[filter_scheduler] cross_cell_move_weight_multiplier", self.cross_cell_move_weight_multiplier),
            ("[filter_scheduler] image_props_weight_multiplier", self.image_props_weight_multiplier),
            ("[filter_scheduler] lifetime_weight_multiplier", self.lifetime_weight_multiplier),
        ]
    }

    const fn multipliers_from_zero(&self) -> [(&'static str, f64); 3] {
        [
            ("[filter_scheduler] pci_weight_multiplier", self.pci_weight_multiplier),
            ("[filter_scheduler] soft_affinity_weight_multiplier", self.soft_affinity_weight_multiplier),
            (
                "[filter_scheduler] soft_anti_affinity_weight_multiplier",
                self.soft_anti_affinity_weight_multiplier,
            ),
        ]
    }
}
