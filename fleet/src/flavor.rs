//! Flavors: the sizes of instances.

use std::collections::BTreeMap;

use crate::Fleet;
use crate::error::{FleetError, check_name};

/// The longest name, as in Nova.
const MAX_NAME: usize = 255;

/// The size of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flavor {
    /// Its name.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// The root disk in GiB; 0 for the size of the image.
    pub root_gb: u32,
    /// An additional disk in GiB.
    pub ephemeral_gb: u32,
    /// Swap in MiB.
    pub swap_mb: u32,
    /// Extra specs, as Nova's.
    pub extra_specs: BTreeMap<String, String>,
}

impl Flavor {
    /// Checks that allocations of this size are possible. `field` is its place in the request.
    ///
    /// # Errors
    /// An amount that is too small or too large.
    pub fn check_amounts(&self, field: &str) -> Result<(), FleetError> {
        const MOST: u32 = i32::MAX as u32;
        let amounts = [
            ("vcpus", 1, self.vcpus),
            ("memory_mb", 1, self.memory_mb),
            ("root_gb", 0, self.root_gb),
            ("ephemeral_gb", 0, self.ephemeral_gb),
            ("swap_mb", 0, self.swap_mb),
        ];
        match amounts.into_iter().find(|&(_, least, amount)| !(least..=MOST).contains(&amount)) {
            Some((name, least, amount)) => Err(FleetError::field(
                format!("{field}.{name}"),
                format!("is {amount}; {least} to {MOST} are allowed"),
            )),
            None => Ok(()),
        }
    }
}

impl Fleet {
    /// All flavors, by name.
    pub fn flavors(&self) -> impl Iterator<Item = &Flavor> {
        self.state.flavors.values()
    }

    /// The flavor with this name.
    ///
    /// # Errors
    /// No such flavor.
    pub fn flavor(&self, name: &str) -> Result<&Flavor, FleetError> {
        self.state.flavors.get(name).ok_or_else(|| FleetError::not_found("flavor", name))
    }

    /// Adds a flavor.
    ///
    /// # Errors
    /// An invalid flavor, or a name that is taken.
    pub fn create_flavor(&mut self, flavor: Flavor) -> Result<Flavor, FleetError> {
        check_name("flavor.name", &flavor.name, MAX_NAME)?;
        flavor.check_amounts("flavor")?;
        if self.state.flavors.contains_key(&flavor.name) {
            return Err(FleetError::exists("flavor", &flavor.name));
        }
        self.state.put_flavor(flavor.clone());
        Ok(flavor)
    }

    /// Removes a flavor. Instances keep a copy.
    ///
    /// # Errors
    /// No such flavor.
    pub fn delete_flavor(&mut self, name: &str) -> Result<(), FleetError> {
        self.flavor(name)?;
        self.state.remove_flavor(name);
        Ok(())
    }
}
