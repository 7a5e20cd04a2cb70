//! The rules of the policy, and their defaults.

pub(crate) const PROVIDERS_LIST: &str = "placement:resource_providers:list";
pub(crate) const PROVIDERS_CREATE: &str = "placement:resource_providers:create";
pub(crate) const PROVIDERS_SHOW: &str = "placement:resource_providers:show";
pub(crate) const PROVIDERS_UPDATE: &str = "placement:resource_providers:update";
pub(crate) const PROVIDERS_DELETE: &str = "placement:resource_providers:delete";
pub(crate) const CLASSES_LIST: &str = "placement:resource_classes:list";
pub(crate) const CLASSES_CREATE: &str = "placement:resource_classes:create";
pub(crate) const CLASSES_SHOW: &str = "placement:resource_classes:show";
pub(crate) const CLASSES_UPDATE: &str = "placement:resource_classes:update";
pub(crate) const CLASSES_DELETE: &str = "placement:resource_classes:delete";
pub(crate) const INVENTORIES_LIST: &str = "placement:resource_providers:inventories:list";
pub(crate) const INVENTORIES_CREATE: &str = "placement:resource_providers:inventories:create";
pub(crate) const INVENTORIES_SHOW: &str = "placement:resource_providers:inventories:show";
pub(crate) const INVENTORIES_UPDATE: &str = "placement:resource_providers:inventories:update";
pub(crate) const INVENTORIES_DELETE: &str = "placement:resource_providers:inventories:delete";
pub(crate) const AGGREGATES_LIST: &str = "placement:resource_providers:aggregates:list";
pub(crate) const AGGREGATES_UPDATE: &str = "placement:resource_providers:aggregates:update";
pub(crate) const PROVIDER_USAGES: &str = "placement:resource_providers:usages";
pub(crate) const PROJECT_USAGES: &str = "placement:usages";
pub(crate) const TRAITS_LIST: &str = "placement:traits:list";
pub(crate) const TRAITS_SHOW: &str = "placement:traits:show";
pub(crate) const TRAITS_UPDATE: &str = "placement:traits:update";
pub(crate) const TRAITS_DELETE: &str = "placement:traits:delete";
pub(crate) const PROVIDER_TRAITS_LIST: &str = "placement:resource_providers:traits:list";
pub(crate) const PROVIDER_TRAITS_UPDATE: &str = "placement:resource_providers:traits:update";
pub(crate) const PROVIDER_TRAITS_DELETE: &str = "placement:resource_providers:traits:delete";
pub(crate) const ALLOCATIONS_MANAGE: &str = "placement:allocations:manage";
pub(crate) const ALLOCATIONS_LIST: &str = "placement:allocations:list";
pub(crate) const ALLOCATIONS_UPDATE: &str = "placement:allocations:update";
pub(crate) const ALLOCATIONS_DELETE: &str = "placement:allocations:delete";
pub(crate) const PROVIDER_ALLOCATIONS_LIST: &str = "placement:resource_providers:allocations:list";
pub(crate) const CANDIDATES_LIST: &str = "placement:allocation_candidates:list";
pub(crate) const RESHAPE: &str = "placement:reshaper:reshape";

/// Rules about what administrators and services do: all but two.
const BY_ADMIN_OR_SERVICE: [&str; 31] = [
    PROVIDERS_LIST,
    PROVIDERS_CREATE,
    PROVIDERS_SHOW,
    PROVIDERS_UPDATE,
    PROVIDERS_DELETE,
    CLASSES_LIST,
    CLASSES_CREATE,
    CLASSES_SHOW,
    CLASSES_UPDATE,
    CLASSES_DELETE,
    INVENTORIES_LIST,
    INVENTORIES_CREATE,
    INVENTORIES_SHOW,
    INVENTORIES_UPDATE,
    INVENTORIES_DELETE,
    AGGREGATES_LIST,
    AGGREGATES_UPDATE,
    PROVIDER_USAGES,
    TRAITS_LIST,
    TRAITS_SHOW,
    TRAITS_UPDATE,
    TRAITS_DELETE,
    PROVIDER_TRAITS_LIST,
    PROVIDER_TRAITS_UPDATE,
    PROVIDER_TRAITS_DELETE,
    ALLOCATIONS_MANAGE,
    ALLOCATIONS_LIST,
    ALLOCATIONS_UPDATE,
    ALLOCATIONS_DELETE,
    PROVIDER_ALLOCATIONS_LIST,
    CANDIDATES_LIST,
];

/// The defaults as (rule, check): roles for people and services, each with its own rights.
pub(super) fn secure() -> impl Iterator<Item = (&'static str, &'static str)> {
    let shared = [
        ("admin_api", "role:admin"),
        ("service_api", "role:service"),
        ("admin_or_service_api", "role:admin or role:service"),
        ("project_reader_api", "role:reader and project_id:%(project_id)s"),
        ("admin_or_project_reader_or_service_api", "role:admin or rule:project_reader_api or role:service"),
        (PROJECT_USAGES, "rule:admin_or_project_reader_or_service_api"),
        (RESHAPE, "rule:service_api"),
    ];
    shared.into_iter().chain(BY_ADMIN_OR_SERVICE.map(|rule| (rule, "rule:admin_or_service_api")))
}

/// The deprecated defaults, where they allowed more: administrators could do everything.
pub(super) const LEGACY: [(&str, &str); 2] = [
    ("service_api", "role:service or role:admin"),
    ("project_reader_api", "(role:reader and project_id:%(project_id)s) or role:admin"),
];

/// Rules for project tokens only. All of the defaults are, but for one building block.
pub(super) fn is_for_projects(rule: &str) -> bool {
    rule != "project_reader_api"
}
