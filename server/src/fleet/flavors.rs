//! Flavors: the sizes that instances have.

use super::entry::Flavor;
use super::error::FleetError;
use super::{Fleet, check_name};

/// As in Nova.
const MAX_NAME: usize = 255;

impl Fleet {
    pub(crate) fn flavors(&self) -> Vec<Flavor> {
        self.state().flavors.values().cloned().collect()
    }

    pub(crate) fn flavor(&self, name: &str) -> Result<Flavor, FleetError> {
        self.state().flavors.get(name).cloned().ok_or_else(|| FleetError::not_found("flavor", name))
    }

    pub(crate) fn create_flavor(&self, flavor: Flavor) -> Result<Flavor, FleetError> {
        check_name("flavor.name", &flavor.name, MAX_NAME)?;
        check_amounts("flavor", &flavor)?;
        self.transact(|fleet| {
            if fleet.state.flavors.contains_key(&flavor.name) {
                return Err(FleetError::exists("flavor", &flavor.name));
            }
            fleet.put_flavor(flavor.clone());
            Ok(flavor)
        })
    }

    pub(crate) fn delete_flavor(&self, name: &str) -> Result<(), FleetError> {
        self.transact(|fleet| {
            if !fleet.state.flavors.contains_key(name) {
                return Err(FleetError::not_found("flavor", name));
            }
            fleet.remove_flavor(name);
            Ok(())
        })
    }
}

/// Whether allocations of it can be made.
pub(super) fn check_amounts(field: &str, flavor: &Flavor) -> Result<(), FleetError> {
    const MOST: u32 = i32::MAX as u32;
    let amounts = [
        ("vcpus", 1, flavor.vcpus),
        ("memory_mb", 1, flavor.memory_mb),
        ("root_gb", 0, flavor.root_gb),
        ("ephemeral_gb", 0, flavor.ephemeral_gb),
        ("swap_mb", 0, flavor.swap_mb),
    ];
    match amounts.into_iter().find(|&(_, least, amount)| !(least..=MOST).contains(&amount)) {
        Some((name, least, amount)) => Err(FleetError::field(
            format!("{field}.{name}"),
            format!("is {amount}; {least} to {MOST} are allowed"),
        )),
        None => Ok(()),
    }
}
