//! Which hosts can receive a guest, before one is chosen.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::Fleet;
use crate::host::{CpuFeatures, Host, HypervisorInfo};
use crate::instance::Instance;
use crate::migration::LiveDisks;

/// Why a host cannot receive a guest.
type Unfit = Cow<'static, str>;

/// The features of a CPU that a refusal names.
const NAMED: usize = 8;

/// A guest that is to be sent.
struct Sent<'a> {
    source: &'a HypervisorInfo,
    missing: &'a CpuFeatures,
    disks: LiveDisks,
}

impl Fleet {
    /// Whether a host can receive the guest of an instance.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_receiver(&self, instance: &Instance, host: &str, disks: LiveDisks) -> Result<(), Unfit> {
        let host = self.state.host(host).ok_or("it is unknown")?;
        self.sent(instance, disks).ok_or("the hypervisor of the source is unknown")?.check(host)
    }

    /// The hosts that cannot receive the guest of an instance, each with the reason.
    #[must_use]
    pub fn unfit_receivers(&self, instance: &Instance, disks: LiveDisks) -> BTreeMap<String, Unfit> {
        let Some(sent) = self.sent(instance, disks) else { return BTreeMap::new() };
        let others = self.state.hosts.values().filter(|host| host.name != instance.location.host);
        others.filter_map(|host| Some((host.name.clone(), sent.check(host).err()?))).collect()
    }

    fn sent<'a>(&'a self, instance: &'a Instance, disks: LiveDisks) -> Option<Sent<'a>> {
        let source = self.state.host(&instance.location.host)?.hypervisor.as_ref()?;
        Some(Sent { source, missing: &instance.observed.missing_cpu_features, disks })
    }
}

impl Sent<'_> {
    fn check(&self, host: &Host) -> Result<(), Unfit> {
        let target = host.hypervisor.as_ref().filter(|of| of.migration_target.is_some());
        let target = target.ok_or("its agent names no --migration-uri")?;
        let is_shared = !target.storage.is_nil() && target.storage == self.source.storage;
        match self.disks {
            LiveDisks::Shared if !is_shared => return Err("it does not share the disks".into()),
            LiveDisks::Sent if is_shared => return Err("it shares the disks".into()),
            _ if !is_shared && self.source.disks_port == 0 => {
                return Err("the agent of the source offers no disks".into());
            }
            _ => {}
        }
        // What a newer one sends, an older one may not understand.
        if target.version < self.source.version {
            return Err("its hypervisor is older than that of the source".into());
        }
        match self.source.cpu_features.lacking(self.missing, &target.cpu_features).as_slice() {
            [] => Ok(()),
            lacking => Err(lacks(lacking).into()),
        }
    }
}

fn lacks(features: &[&str]) -> String {
    let (named, others) = features.split_at(features.len().min(NAMED));
    let named = named.join(", ");
    match others.len() {
        0 => format!("its CPU lacks {named}"),
        count => format!("its CPU lacks {named} and {count} others"),
    }
}
