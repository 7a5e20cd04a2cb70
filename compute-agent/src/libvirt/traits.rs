//! Standard traits of a host.

use std::collections::BTreeSet;

/// libvirt's names of x86 CPU features, and the corresponding traits.
const CPU_FEATURES: &[(&str, &[&str])] = &[
    ("3dnow", &["3DNOW"]),
    ("abm", &["ABM"]),
    ("aes", &["AESNI"]),
    ("amd-no-ssb", &["AMD_NO_SSB"]),
    ("amd-ssbd", &["AMD_SSBD"]),
    ("amx-bf16", &["AMXBF16"]),
    ("amx-int8", &["AMXINT8"]),
    ("amx-tile", &["AMXTILE"]),
    ("avx", &["AVX"]),
    ("avx2", &["AVX2"]),
    ("avx512-vpopcntdq", &["AVX512VPOPCNTDQ"]),
    ("avx512bitalg", &["AVX512BITALG"]),
    ("avx512bw", &["AVX512BW"]),
    ("avx512cd", &["AVX512CD"]),
    ("avx512dq", &["AVX512DQ"]),
    ("avx512er", &["AVX512ER"]),
    ("avx512f", &["AVX512F"]),
    ("avx512ifma", &["AVX512IFMA"]),
    ("avx512pf", &["AVX512PF"]),
    ("avx512vbmi", &["AVX512VBMI"]),
    ("avx512vbmi2", &["AVX512VBMI2"]),
    ("avx512vl", &["AVX512VL"]),
    ("avx512vnni", &["AVX512VNNI"]),
    ("bmi1", &["BMI"]),
    ("bmi2", &["BMI2"]),
    ("f16c", &["F16C"]),
    ("fma", &["FMA3"]),
    ("fma4", &["FMA4"]),
    ("gfni", &["AVX512GFNI"]),
    ("ibpb", &["AMD_IBPB"]),
    ("md-clear", &["INTEL_MD_CLEAR"]),
    ("mmx", &["MMX"]),
    ("mpx", &["MPX"]),
    ("pcid", &["INTEL_PCID"]),
    ("pclmuldq", &["CLMUL"]),
    ("pdpe1gb", &["PDPE1GB"]),
    ("pni", &["SSE3"]),
    ("rtm", &["TSX"]),
    ("sha-ni", &["SHA"]),
    ("spec-ctrl", &["INTEL_SPEC_CTRL"]),
    ("ssbd", &["INTEL_SSBD"]),
    ("sse", &["SSE"]),
    ("sse2", &["SSE2"]),
    ("sse4.1", &["SSE41"]),
    ("sse4.2", &["SSE42"]),
    ("sse4a", &["SSE4A"]),
    ("ssse3", &["SSSE3"]),
    ("stibp", &["STIBP"]),
    ("svm", &["SVM", "AMD_SVM"]),
    ("tbm", &["TBM"]),
    ("vaes", &["AVX512VAES"]),
    ("virt-ssbd", &["AMD_VIRT_SSBD"]),
    ("vmx", &["VMX", "INTEL_VMX"]),
    ("vpclmulqdq", &["AVX512VPCLMULQDQ"]),
    ("xop", &["XOP"]),
];

/// The traits of this driver.
const DRIVER: [&str; 8] = [
    "COMPUTE_ARCH_X86_64",
    "COMPUTE_FIRMWARE_BIOS",
    "COMPUTE_GRAPHICS_MODEL_NONE",
    "COMPUTE_IMAGE_TYPE_QCOW2",
    "COMPUTE_IMAGE_TYPE_RAW",
    "COMPUTE_STORAGE_BUS_IDE",
    "COMPUTE_STORAGE_BUS_SATA",
    "COMPUTE_STORAGE_BUS_VIRTIO",
];

/// The traits of a host with these CPU features.
pub(super) fn traits(features: &[String]) -> BTreeSet<String> {
    let of_cpu = features.iter().flat_map(|feature| of_feature(feature));
    of_cpu.map(|name| format!("HW_CPU_X86_{name}")).chain(DRIVER.map(str::to_owned)).collect()
}

fn of_feature(feature: &str) -> &'static [&'static str] {
    let found = CPU_FEATURES.binary_search_by_key(&feature, |(name, _)| name);
    found.map_or(&[], |at| CPU_FEATURES[at].1)
}

#[cfg(test)]
mod tests {
    use berth_placement::standard::TRAITS;

    use super::*;

    #[test]
    fn features_become_standard_traits() {
        let features = ["pni", "fma", "vmx", "no-such-feature"].map(str::to_owned);
        let traits = traits(&features);
        for name in ["SSE3", "FMA3", "VMX", "INTEL_VMX"] {
            assert!(traits.contains(&format!("HW_CPU_X86_{name}")), "{name}");
        }
        assert_eq!(traits.len(), 4 + DRIVER.len());
    }

    #[test]
    fn every_trait_is_a_standard_one() {
        assert!(CPU_FEATURES.is_sorted_by_key(|(name, _)| name), "for binary search");
        let all: Vec<_> = CPU_FEATURES.iter().map(|(name, _)| (*name).to_owned()).collect();
        for name in traits(&all) {
            assert!(TRAITS.binary_search(&name.as_str()).is_ok(), "{name}");
        }
    }
}
