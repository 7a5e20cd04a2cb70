//! Names of resource classes and traits: standard ones, or custom ones in any spelling.

use berth_placement::standard::{CLASSES, CUSTOM_PREFIX, TRAITS};

/// Whether the name is a standard resource class or says that it is a custom one.
pub(super) fn is_resource_class(name: &str) -> bool {
    name.starts_with(CUSTOM_PREFIX) || is_standard_class(name)
}

/// Whether the name is a standard resource class.
pub(super) fn is_standard_class(name: &str) -> bool {
    CLASSES.contains(&name)
}

/// Whether the name is a standard trait.
pub(super) fn is_trait(name: &str) -> bool {
    TRAITS.binary_search(&name).is_ok()
}

/// The resource class that a name in any spelling means: a standard class, or a custom one.
pub(super) fn resource_class(name: &str) -> String {
    let name = name.to_uppercase();
    if is_resource_class(&name) { name } else { custom(&name) }
}

/// The trait that a name in any spelling means: a standard trait, spelled exactly, or a custom one.
pub(super) fn trait_name(name: &str) -> String {
    if is_trait(name) {
        return name.to_owned();
    }
    let name = name.to_uppercase();
    if name.starts_with(CUSTOM_PREFIX) { name } else { custom(&name) }
}

/// A custom name: upper case, with `_` for every run of other characters than letters and digits.
pub(super) fn custom(name: &str) -> String {
    let mut out = String::from(CUSTOM_PREFIX);
    let mut gap = false;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_uppercase());
        } else if !gap {
            out.push('_');
        }
        gap = !c.is_ascii_alphanumeric();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_are_in_order() {
        assert!(TRAITS.is_sorted() && is_trait("HW_CPU_X86_AVX2") && !is_trait("HW_CPU_X86_AVX9"));
    }

    #[test]
    fn custom_names() {
        assert_eq!(custom("PMEM_NAMESPACE_a  b"), "CUSTOM_PMEM_NAMESPACE_A_B");
        assert_eq!(trait_name("HW_GPU_API_VULKAN"), "HW_GPU_API_VULKAN");
        assert_eq!(trait_name(" big"), "CUSTOM__BIG");
        assert_eq!(resource_class("vgpu"), "VGPU");
        assert_eq!(resource_class("custom_gpu-1"), "CUSTOM_GPU-1");
    }
}
