//! The features of CPUs: those that this host's hypervisor gives guests, and those that a guest
//! has.
//!
//! A guest keeps its CPU as long as its QEMU runs, also on other hosts. So its features are read
//! from its domain, once for each process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use roxmltree::{Document, Node};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::sys::VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES;

use super::Inner;
use super::capabilities::{self, Capabilities};
use super::fault::fault;
use super::xml::Element;
use crate::Fault;

/// The CPUs of the guests that run.
#[derive(Debug, Default)]
pub(super) struct GuestCpus(Mutex<BTreeMap<Uuid, GuestCpu>>);

#[derive(Debug)]
struct GuestCpu {
    /// libvirt's number of the domain: each process has another.
    process: u32,
    /// `None` if the guest has the CPU of the host.
    features: Option<BTreeSet<String>>,
}

impl GuestCpus {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Uuid, GuestCpu>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Reads the CPU of a guest that runs, if it has another process than before.
    pub(super) fn note_cpu(&self, instance: Uuid, domain: &Domain) {
        let Some(process) = domain.id() else { return };
        if self.cpus.all().get(&instance).is_some_and(|known| known.process == process) {
            return;
        }
        match self.cpu_of(domain) {
            Ok(features) => drop(self.cpus.all().insert(instance, GuestCpu { process, features })),
            Err(fault) => tracing::warn!(%instance, "the features of its CPU are not reported: {fault}"),
        }
    }

    /// A guest does not run any longer.
    pub(super) fn forget_cpu(&self, instance: Uuid) {
        self.cpus.all().remove(&instance);
    }

    /// The features that this host's hypervisor gives guests, and that this guest does not have.
    pub(super) fn missing_cpu_features(&self, instance: Uuid) -> Vec<String> {
        let Ok(surveyed) = self.surveyed() else { return Vec::new() };
        let cpus = self.cpus.all();
        let features = cpus.get(&instance).and_then(|cpu| cpu.features.as_ref());
        features
            .into_iter()
            .flat_map(|features| surveyed.cpu_features.difference(features).cloned())
            .collect()
    }

    fn cpu_of(&self, domain: &Domain) -> Result<Option<BTreeSet<String>>, Fault> {
        let asked = |error| fault("reading the definition of a domain", &error);
        let text = domain.xml_desc(0).map_err(asked)?;
        let document = Document::parse(&text).map_err(|error| unreadable(&error.to_string()))?;
        let cpu = document.root_element().children().find(|child| child.has_tag_name("cpu"));
        // A guest with the CPU of the host has no model.
        let Some(cpu) = cpu.filter(|cpu| model(*cpu).is_some()) else { return Ok(None) };
        features(&self.connection.get()?, &self.surveyed()?.capabilities.architecture, cpu).map(Some)
    }
}

/// The features that the hypervisor gives guests, without those that are turned off.
pub(super) fn offered(
    connect: &Connect,
    capabilities: &Capabilities,
    disabled: &[String],
) -> Result<BTreeSet<String>, Fault> {
    let (emulator, architecture) = (capabilities.emulator.as_deref(), capabilities.architecture.as_str());
    let text = connect
        .domain_capabilities(emulator, Some(architecture), None, Some("kvm"), 0)
        .map_err(|error| fault("reading the capabilities of the hypervisor", &error))?;
    let document = Document::parse(&text).map_err(|error| unreadable(&error.to_string()))?;
    let is_host_model =
        |node: &Node<'_, '_>| node.has_tag_name("mode") && node.attribute("name") == Some("host-model");
    let cpu = document.descendants().find(is_host_model).filter(|cpu| model(*cpu).is_some());
    let mut offered = features(connect, architecture, cpu.ok_or_else(|| unreadable("no host-model"))?)?;
    offered.retain(|feature| !disabled.contains(feature));
    Ok(offered)
}

/// All features of a CPU: those of its model, with those that its description adds and removes.
fn features(connect: &Connect, architecture: &str, cpu: Node<'_, '_>) -> Result<BTreeSet<String>, Fault> {
    let Description { model, added, removed } = Description::read(cpu);
    // libvirt expands the description of a host, which only adds features.
    let feature = |name: &&str| Element::new("feature").attribute("name", name);
    let host = Element::new("cpu")
        .child(Element::new("arch").text(architecture))
        .child(Element::new("model").text(model))
        .children(added.iter().map(feature));
    let expanded = connect
        .baseline_cpu(&[&host.to_string()], VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES)
        .map_err(|error| fault("reading the features of a CPU", &error))?;
    let all = capabilities::features(&expanded)?;
    Ok(all.into_iter().filter(|name| !removed.contains(&name.as_str())).collect())
}

/// A CPU as libvirt describes it in a domain.
#[derive(PartialEq, Eq, Debug)]
struct Description<'a> {
    model: &'a str,
    added: Vec<&'a str>,
    removed: Vec<&'a str>,
}

impl<'a> Description<'a> {
    fn read(cpu: Node<'a, 'a>) -> Self {
        let features = cpu.children().filter(|child| child.has_tag_name("feature"));
        let named =
            features.filter_map(|feature| Some((feature.attribute("name")?, feature.attribute("policy"))));
        let (removed, added): (Vec<_>, Vec<_>) =
            named.partition(|(_, policy)| matches!(policy, Some("disable" | "forbid")));
        let names = |all: Vec<(&'a str, _)>| all.into_iter().map(|(name, _)| name).collect();
        Self { model: model(cpu).unwrap_or_default(), added: names(added), removed: names(removed) }
    }
}

fn model<'a>(cpu: Node<'a, 'a>) -> Option<&'a str> {
    cpu.children().find(|child| child.has_tag_name("model"))?.text()
}

fn unreadable(why: &str) -> Fault {
    Fault::permanent(format!("cannot read libvirt's description of a CPU: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_description_adds_and_removes_is_read() {
        let text = "<cpu mode='custom'><model fallback='forbid'>EPYC</model><vendor>AMD</vendor>\
                    <feature policy='require' name='aes'/><feature policy='disable' name='svm'/>\
                    <feature policy='force' name='clwb'/></cpu>";
        let document = Document::parse(text).expect("readable");
        let read = Description::read(document.root_element());
        assert_eq!(read, Description { model: "EPYC", added: vec!["aes", "clwb"], removed: vec!["svm"] });
        let passed = Document::parse("<cpu mode='host-passthrough'/>").expect("readable");
        assert_eq!(model(passed.root_element()), None);
    }
}
