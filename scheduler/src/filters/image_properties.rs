//! ImagePropertiesFilter

use super::{Filter, FilterError, PASS, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::{ClassReport, CpuInfo, HostRow};
use crate::python::nearest_64;
use crate::request_spec::architecture;
use crate::version::{Version, VersionPredicate};

/// Passes hosts that can run the image: one of their supported instances has the architecture,
/// hypervisor type and VM mode it asks for (whichever it does), and their hypervisor has the
/// version and the address bits it asks for.
pub(super) struct ImagePropertiesFilter<'a> {
    scene: &'a Scene<'a>,
    /// Architecture, hypervisor type and VM mode, those that are asked for.
    wanted: Result<Vec<&'a str>, FilterError>,
    version: Option<(&'a str, VersionPredicate)>,
    address_bits: Option<i64>,
}

impl<'a> ImagePropertiesFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let properties = scene.request.image_properties();
        let text = |name| properties.and_then(|properties| properties.text(name));
        let arch = match text("hw_architecture") {
            Some(arch) => Ok(Some(arch)),
            None => default_architecture(scene),
        };
        let wanted =
            arch.map(|arch| [arch, text("img_hv_type"), text("hw_vm_mode")].into_iter().flatten().collect());
        let version = text("img_hv_requested_version").and_then(|text| Some((text, text.parse().ok()?)));
        let address_bits = properties.and_then(|one| one.integer("hw_maxphysaddr_bits"));
        let address_bits = address_bits.filter(|bits| *bits != 0).map(nearest_64);
        Self { scene, wanted, version, address_bits }
    }

    fn judge_report(&self, wanted: &[&str], report: &ClassReport) -> Verdict {
        if report.supported_instances.is_empty() {
            return Ok(Err(Reason::NoSupportedInstances));
        }
        let suits =
            |instance: &[String; 3]| wanted.iter().all(|name| instance.iter().any(|other| other == name));
        if !report.supported_instances.iter().any(suits) {
            return Ok(Err(Reason::UnsupportedImage { asked: wanted.join(", ") }));
        }
        if let Err(reason) = self.judge_version(report.hypervisor_version) {
            return Ok(Err(reason));
        }
        self.judge_address_bits(report)
    }

    /// A host that does not know its version passes.
    fn judge_version(&self, found: i64) -> Result<(), Reason> {
        match (&self.version, u64::try_from(found)) {
            (Some((asked, predicate)), Ok(number)) if number != 0 => {
                let met = predicate.is_met_by(&Version::of_hypervisor(number));
                if met {
                    Ok(())
                } else {
                    Err(Reason::OtherHypervisorVersion { asked: (*asked).to_owned(), found })
                }
            }
            _ => Ok(()),
        }
    }

    /// A host that does not say how many bits it has passes.
    fn judge_address_bits(&self, report: &ClassReport) -> Verdict {
        let Some(asked) = self.address_bits else { return PASS };
        // Nova reads the JSON text as a dictionary.
        if self.scene.options.keep_nova_faults {
            return Err(FilterError::AddressBits);
        }
        match report.cpu_info.as_ref().and_then(CpuInfo::address_bits) {
            Some(found) => pass_if(found >= asked, || Reason::TooFewAddressBits { asked, found }),
            None => PASS,
        }
    }
}

fn default_architecture<'a>(scene: &'a Scene<'a>) -> Result<Option<&'a str>, FilterError> {
    let configured = scene.options.filter_scheduler.image_properties_default_architecture.as_deref();
    let canonical = |name: &str| architecture(name).ok_or_else(|| FilterError::Architecture(name.to_owned()));
    configured.filter(|name| !name.is_empty()).map(canonical).transpose()
}

impl Filter for ImagePropertiesFilter<'_> {
    fn scope(&self) -> Scope {
        if self.wanted.as_ref().is_ok_and(Vec::is_empty) { Scope::Everything } else { Scope::Class }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let wanted = self.wanted.as_ref().map_err(Clone::clone)?;
        if wanted.is_empty() {
            return PASS;
        }
        match self.scene.hosts.report(row) {
            Some(report) => self.judge_report(wanted, report),
            None => Ok(Err(Reason::NoSupportedInstances)),
        }
    }
}
