//! Dedicated CPUs: which of a flavor's vCPUs are asked for as `PCPU`.

use super::cpu_mask::CpuMask;
use super::error::QueryError;
use super::requirements::Requirements;
use super::resource_request::ResourceRequest;

const POLICIES: [&str; 3] = ["dedicated", "shared", "mixed"];
const THREAD_POLICIES: [&str; 3] = ["prefer", "isolate", "require"];
const HYPERTHREADING: &str = "HW_CPU_HYPERTHREADING";

/// Asks for dedicated CPUs, and for hosts with or without hyperthreads, as flavor and image want
/// it.
pub(super) fn translate(
    request: &mut ResourceRequest,
    requirements: &Requirements<'_>,
) -> Result<(), QueryError> {
    let policy = cpu_policy(requirements)?;
    let thread_policy = cpu_thread_policy(requirements)?;
    let emulator = u64::from(emulator_threads_policy(requirements)? == Some("isolate"));
    match policy.as_deref() {
        Some("dedicated") => {
            request.cpu_pinning_requested = true;
            request.unsuffixed.ask("PCPU", requirements.vcpus().saturating_add(emulator));
        }
        Some("mixed") => {
            let dedicated = dedicated_in_mixed(requirements)?;
            request.unsuffixed.ask("VCPU", requirements.vcpus() - dedicated);
            request.unsuffixed.ask("PCPU", dedicated + emulator);
        }
        _ => {}
    }
    match thread_policy.as_deref() {
        Some("isolate") => request.unsuffixed.set_trait(HYPERTHREADING, "forbidden"),
        Some("require") => request.unsuffixed.set_trait(HYPERTHREADING, "required"),
        _ => {}
    }
    Ok(())
}

fn cpu_policy(requirements: &Requirements<'_>) -> Result<Option<String>, QueryError> {
    let (flavor, image) = requirements.both("hw", "cpu_policy");
    for (option, value) in [("hw:cpu_policy", &flavor), ("hw_cpu_policy", &image)] {
        check_word(value, &POLICIES).map_err(|value| QueryError::InvalidCpuPolicy { option, value })?;
    }
    match (flavor.as_deref(), image.as_deref()) {
        (Some("mixed"), Some("dedicated")) | (Some("shared"), Some("mixed" | "dedicated")) => {
            Err(QueryError::ImageCpuPinningForbidden)
        }
        (None | Some(""), _) => Ok(image),
        _ => Ok(flavor),
    }
}

fn cpu_thread_policy(requirements: &Requirements<'_>) -> Result<Option<String>, QueryError> {
    let (flavor, image) = requirements.both("hw", "cpu_thread_policy");
    for (option, value) in [("hw:cpu_thread_policy", &flavor), ("hw_cpu_thread_policy", &image)] {
        check_word(value, &THREAD_POLICIES)
            .map_err(|value| QueryError::InvalidCpuThreadPolicy { option, value })?;
    }
    match flavor.as_deref() {
        None => Ok(image),
        Some("prefer") => Ok(flavor),
        Some(_) if image.is_some() && image != flavor => Err(QueryError::ImageCpuThreadPolicyForbidden),
        Some(_) => Ok(flavor),
    }
}

fn emulator_threads_policy<'a>(requirements: &Requirements<'a>) -> Result<Option<&'a str>, QueryError> {
    let policy = requirements.spec("hw:emulator_threads_policy").filter(|policy| !policy.is_empty());
    match policy {
        None | Some("share" | "isolate") => Ok(policy),
        Some(other) => Err(QueryError::InvalidEmulatorThreadsPolicy(other.to_owned())),
    }
}

/// How many CPUs of a mixed instance are dedicated. The realtime ones are, when no mask says
/// otherwise.
fn dedicated_in_mixed(requirements: &Requirements<'_>) -> Result<u64, QueryError> {
    let dedicated = dedicated_mask(requirements)?;
    let realtime = realtime_mask(requirements)?;
    Ok(dedicated.or(realtime).map_or(0, |mask| mask.len()))
}

fn dedicated_mask(requirements: &Requirements<'_>) -> Result<Option<CpuMask>, QueryError> {
    let vcpus = requirements.vcpus();
    let Some(text) = requirements.spec("hw:cpu_dedicated_mask").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let mask = CpuMask::of_flavor(text, vcpus)?;
    if mask.is_empty() || mask.covers(vcpus) || !mask.is_within(vcpus) {
        return Err(QueryError::InvalidDedicatedMask { mask: text.to_owned(), vcpus });
    }
    Ok(Some(mask))
}

fn realtime_mask(requirements: &Requirements<'_>) -> Result<Option<CpuMask>, QueryError> {
    if requirements.spec_flag("hw:cpu_realtime") != Some(true) {
        return Ok(None);
    }
    let vcpus = requirements.vcpus();
    let (flavor, image) = requirements.both("hw", "cpu_realtime_mask");
    let text = image.into_iter().chain(flavor).find(|text| !text.is_empty());
    let mask = text.map_or_else(|| Ok(CpuMask::all(vcpus)), |text| CpuMask::of_flavor(&text, vcpus))?;
    let leaves_none = mask.covers(vcpus) && emulator_threads_policy(requirements)?.is_none();
    if mask.is_empty() || leaves_none || !mask.is_within(vcpus) {
        return Err(QueryError::InvalidRealtimeMask);
    }
    Ok(Some(mask))
}

/// The word, when it is not empty and not allowed.
fn check_word(word: &Option<String>, allowed: &[&str]) -> Result<(), String> {
    match word {
        Some(word) if !word.is_empty() && !allowed.contains(&word.as_str()) => Err(word.clone()),
        _ => Ok(()),
    }
}
