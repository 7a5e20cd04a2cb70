//! Properties of the guest that only some hosts can offer: memory encryption, TPM, secure boot and
//! the like.

use std::collections::BTreeMap;

use super::error::QueryError;
use super::requirements::Requirements;
use super::resource_request::ResourceRequest;
use super::standard;

/// Asks for what the guest needs, each by its resource classes and traits.
pub(super) fn translate(
    request: &mut ResourceRequest,
    requirements: &Requirements<'_>,
) -> Result<(), QueryError> {
    encrypt_memory(request, requirements)?;
    persistent_memory(request, requirements);
    if let Some((version, model)) = tpm(requirements)? {
        request.unsuffixed.require(if model == "tpm-crb" {
            "COMPUTE_SECURITY_TPM_CRB"
        } else {
            "COMPUTE_SECURITY_TPM_TIS"
        });
        request.unsuffixed.require(if version == "2.0" {
            "COMPUTE_SECURITY_TPM_2_0"
        } else {
            "COMPUTE_SECURITY_TPM_1_2"
        });
    }
    if pci_numa_policy(requirements)?.as_deref() == Some("socket") {
        request.unsuffixed.require("COMPUTE_SOCKET_PCI_NUMA_AFFINITY");
    }
    let secure_boot = requirements.one_of(
        "os",
        "secure_boot",
        "secure boot policy",
        &["required", "disabled", "optional"],
    )?;
    if secure_boot.as_deref() == Some("required") {
        request.unsuffixed.require("COMPUTE_SECURITY_UEFI_SECURE_BOOT");
    }
    match requirements
        .one_of("hw", "maxphysaddr_mode", "Maxphyaddr mode", &["passthrough", "emulate"])?
        .as_deref()
    {
        Some("passthrough") => request.unsuffixed.require("COMPUTE_ADDRESS_SPACE_PASSTHROUGH"),
        Some(_) => request.unsuffixed.require("COMPUTE_ADDRESS_SPACE_EMULATED"),
        None => {}
    }
    if stateless_firmware(requirements) {
        request.unsuffixed.require("COMPUTE_SECURITY_STATELESS_FIRMWARE");
    }
    Ok(())
}

/// Version and model of the emulated TPM, if one is wanted.
pub(super) fn tpm(requirements: &Requirements<'_>) -> Result<Option<(String, String)>, QueryError> {
    let Some(version) = requirements.one_of("hw", "tpm_version", "TPM version", &["1.2", "2.0"])? else {
        return Ok(None);
    };
    let model = requirements.one_of("hw", "tpm_model", "TPM model", &["tpm-tis", "tpm-crb"])?;
    if model.as_deref() == Some("tpm-crb") && version != "2.0" {
        return Err(QueryError::Invalid("TPM model CRB is only valid with TPM version 2.0.".to_owned()));
    }
    Ok(Some((version, model.unwrap_or_else(|| "tpm-tis".to_owned()))))
}

/// How guest memory can be encrypted.
struct Encryption {
    model: &'static str,
    required_trait: &'static str,
    stateless_firmware: bool,
    no_video: bool,
}

const SEV: Encryption = Encryption {
    model: "amd-sev",
    required_trait: "HW_CPU_X86_AMD_SEV",
    stateless_firmware: false,
    no_video: false,
};

const ENCRYPTIONS: [Encryption; 4] = [
    SEV,
    Encryption { model: "amd-sev-es", required_trait: "HW_CPU_X86_AMD_SEV_ES", ..SEV },
    Encryption {
        model: "amd-sev-snp",
        required_trait: "HW_CPU_X86_AMD_SEV_SNP",
        stateless_firmware: true,
        ..SEV
    },
    Encryption {
        model: "intel-tdx",
        required_trait: "HW_CPU_X86_INTEL_TDX",
        stateless_firmware: true,
        no_video: true,
    },
];

fn encrypt_memory(request: &mut ResourceRequest, requirements: &Requirements<'_>) -> Result<(), QueryError> {
    if !requirements.agreed_flag("mem_encryption")? {
        return Ok(());
    }
    let encryption = encryption_model(requirements)?;
    encryption.check(requirements)?;
    request.unsuffixed.ask("MEM_ENCRYPTION_CONTEXT", 1);
    request.unsuffixed.require(encryption.required_trait);
    Ok(())
}

fn encryption_model(requirements: &Requirements<'_>) -> Result<&'static Encryption, QueryError> {
    let (flavor, image) = requirements.both("hw", "mem_encryption_model");
    if flavor.is_some() && image.is_some() && flavor != image {
        return Err(requirements.conflict("hw", "mem_encryption_model"));
    }
    let model = image.or(flavor).filter(|model| !model.is_empty()).unwrap_or_else(|| SEV.model.to_owned());
    ENCRYPTIONS.iter().find(|known| known.model == model).ok_or_else(|| {
        QueryError::not_allowed("memory encryption model", &model, &ENCRYPTIONS.map(|known| known.model))
    })
}

impl Encryption {
    /// The image has to suit the way of encryption.
    fn check(&self, requirements: &Requirements<'_>) -> Result<(), QueryError> {
        let model = || self.model.to_owned();
        if requirements.property("hw_firmware_type").as_deref() != Some("uefi") {
            return Err(QueryError::EncryptionNeedsUefi);
        }
        match requirements.property("hw_machine_type") {
            // A machine type may carry a version: pc-q35-8.2.
            Some(machine) if !machine.contains("q35") => {
                return Err(QueryError::InvalidMachineType { model: model(), machine });
            }
            _ => {}
        }
        if self.stateless_firmware && !stateless_firmware(requirements) {
            return Err(QueryError::StatelessFirmwareRequired(model()));
        }
        if self.no_video && requirements.property("hw_video_model").as_deref() != Some("none") {
            return Err(QueryError::InvalidVideoMode(model()));
        }
        Ok(())
    }
}

/// One unit for each namespace named; a name that comes twice means two of them.
fn persistent_memory(request: &mut ResourceRequest, requirements: &Requirements<'_>) {
    let mut namespaces: BTreeMap<String, u64> = BTreeMap::new();
    let labels = requirements.spec("hw:pmem").into_iter().flat_map(|list| list.split(','));
    for label in labels.map(str::trim).filter(|label| !label.is_empty()) {
        *namespaces.entry(standard::custom(&format!("PMEM_NAMESPACE_{label}"))).or_default() += 1;
    }
    request.unsuffixed.resources.extend(namespaces);
}

fn pci_numa_policy(requirements: &Requirements<'_>) -> Result<Option<String>, QueryError> {
    let (flavor, image) = requirements.both("hw", "pci_numa_affinity_policy");
    let flavor = flavor.filter(|policy| !policy.is_empty());
    if flavor.is_some() && image.is_some() && flavor != image {
        return Err(QueryError::ImagePciNumaPolicyForbidden);
    }
    match flavor.or(image) {
        Some(policy) if !["required", "legacy", "preferred", "socket"].contains(&policy.as_str()) => {
            Err(QueryError::InvalidPciNumaAffinity(policy))
        }
        policy => Ok(policy),
    }
}

/// Firmware other than UEFI has state of its own, so the property is ignored there.
fn stateless_firmware(requirements: &Requirements<'_>) -> bool {
    requirements.property("hw_firmware_type").as_deref() == Some("uefi")
        && requirements.property_flag("hw_firmware_stateless") == Some(true)
}
