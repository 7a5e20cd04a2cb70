//! Which URL and method is what.

use axum::http::Method;

use super::call::Call;
use super::{
    aggregates, allocations, candidates, classes, inventories, providers, reshaper, root, traits, usages,
};
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::lengthy::Reads;
use crate::policy::rules;
use crate::query::Query;

/// The resource of a path; names and UUIDs are as the client wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Root,
    Classes,
    Class(Box<str>),
    Providers,
    Provider(Box<str>),
    Inventories(Box<str>),
    Inventory(Box<str>, Box<str>),
    ProviderUsages(Box<str>),
    Aggregates(Box<str>),
    ProviderAllocations(Box<str>),
    ProviderTraits(Box<str>),
    Allocations,
    ConsumerAllocations(Box<str>),
    Candidates,
    Traits,
    Trait(Box<str>),
    Usages,
    Reshaper,
}

impl Route {
    /// The resource of a decoded path, if any.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        if parts.contains(&Some("")) && path != "/" {
            return None;
        }
        Some(match parts {
            [Some(""), None, ..] => Self::Root,
            [Some("resource_classes"), None, ..] => Self::Classes,
            [Some("resource_classes"), Some(name), None, ..] => Self::Class(name.into()),
            [Some("resource_providers"), None, ..] => Self::Providers,
            [Some("resource_providers"), Some(uuid), None, ..] => Self::Provider(uuid.into()),
            [Some("resource_providers"), Some(uuid), Some("inventories"), Some(class), None] => {
                Self::Inventory(uuid.into(), class.into())
            }
            [Some("resource_providers"), Some(uuid), Some(part), None, _] => match part {
                "inventories" => Self::Inventories(uuid.into()),
                "usages" => Self::ProviderUsages(uuid.into()),
                "aggregates" => Self::Aggregates(uuid.into()),
                "allocations" => Self::ProviderAllocations(uuid.into()),
                "traits" => Self::ProviderTraits(uuid.into()),
                _ => return None,
            },
            [Some("allocations"), None, ..] => Self::Allocations,
            [Some("allocations"), Some(consumer), None, ..] => Self::ConsumerAllocations(consumer.into()),
            [Some("allocation_candidates"), None, ..] => Self::Candidates,
            [Some("traits"), None, ..] => Self::Traits,
            [Some("traits"), Some(name), None, ..] => Self::Trait(name.into()),
            [Some("usages"), None, ..] => Self::Usages,
            [Some("reshaper"), None, ..] => Self::Reshaper,
            _ => return None,
        })
    }

    /// The methods that it knows.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::Root
            | Self::ProviderUsages(_)
            | Self::ProviderAllocations(_)
            | Self::Candidates
            | Self::Traits
            | Self::Usages => "GET",
            Self::Classes | Self::Providers => "GET, POST",
            Self::Class(_)
            | Self::Provider(_)
            | Self::Inventory(..)
            | Self::ProviderTraits(_)
            | Self::ConsumerAllocations(_)
            | Self::Trait(_) => "GET, PUT, DELETE",
            Self::Inventories(_) => "GET, POST, PUT, DELETE",
            Self::Aggregates(_) => "GET, PUT",
            Self::Allocations | Self::Reshaper => "POST",
        }
    }

    /// The path with names in the place of values, for logs and metrics.
    pub(crate) const fn template(&self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Classes => "/resource_classes",
            Self::Class(_) => "/resource_classes/{name}",
            Self::Providers => "/resource_providers",
            Self::Provider(_) => "/resource_providers/{uuid}",
            Self::Inventories(_) => "/resource_providers/{uuid}/inventories",
            Self::Inventory(..) => "/resource_providers/{uuid}/inventories/{resource_class}",
            Self::ProviderUsages(_) => "/resource_providers/{uuid}/usages",
            Self::Aggregates(_) => "/resource_providers/{uuid}/aggregates",
            Self::ProviderAllocations(_) => "/resource_providers/{uuid}/allocations",
            Self::ProviderTraits(_) => "/resource_providers/{uuid}/traits",
            Self::Allocations => "/allocations",
            Self::ConsumerAllocations(_) => "/allocations/{consumer_uuid}",
            Self::Candidates => "/allocation_candidates",
            Self::Traits => "/traits",
            Self::Trait(_) => "/traits/{name}",
            Self::Usages => "/usages",
            Self::Reshaper => "/reshaper",
        }
    }

    /// The policy rule of a method whose handler reads the request's body; `None` if no handler
    /// does. The pipeline discards a long body without a rule.
    pub(crate) fn body_rule(&self, method: &Method) -> Option<&'static str> {
        let of_methods: &[(&str, &'static str)] = match self {
            Self::Root
            | Self::ProviderUsages(_)
            | Self::ProviderAllocations(_)
            | Self::Candidates
            | Self::Traits
            | Self::Trait(_)
            | Self::Usages => &[],
            Self::Classes => &[("POST", rules::CLASSES_CREATE)],
            Self::Class(_) => &[("PUT", rules::CLASSES_UPDATE)],
            Self::Providers => &[("POST", rules::PROVIDERS_CREATE)],
            Self::Provider(_) => &[("PUT", rules::PROVIDERS_UPDATE)],
            Self::Inventories(_) => {
                &[("POST", rules::INVENTORIES_CREATE), ("PUT", rules::INVENTORIES_UPDATE)]
            }
            Self::Inventory(..) => &[("PUT", rules::INVENTORIES_UPDATE)],
            Self::Aggregates(_) => &[("PUT", rules::AGGREGATES_UPDATE)],
            Self::ProviderTraits(_) => &[("PUT", rules::PROVIDER_TRAITS_UPDATE)],
            Self::Allocations => &[("POST", rules::ALLOCATIONS_MANAGE)],
            Self::ConsumerAllocations(_) => &[("PUT", rules::ALLOCATIONS_UPDATE)],
            Self::Reshaper => &[("POST", rules::RESHAPE)],
        };
        of_methods.iter().find(|(name, _)| *name == method.as_str()).map(|(_, rule)| *rule)
    }

    /// What the handler of a method reads.
    pub(crate) fn reads<'a>(&'a self, method: &Method, query: &'a Query) -> Reads<'a> {
        let is_given = |name| query.get(name).is_some();
        if method != Method::GET && method != Method::HEAD {
            return Reads::Few;
        }
        match self {
            Self::Usages => Reads::Project(query.get("project_id").unwrap_or_default()),
            Self::ProviderAllocations(uuid) => Reads::Consumers(uuid),
            Self::Providers if is_given("name") || is_given("uuid") => Reads::Few,
            Self::Providers => query.get("in_tree").map_or(Reads::Providers, Reads::Tree),
            Self::Classes => Reads::Classes,
            Self::Traits => Reads::Traits,
            _ => Reads::Few,
        }
    }

    /// Serves a request.
    pub(crate) fn serve(&self, method: &Method, call: &Call<'_>) -> Result<Reply, Failure> {
        const GET: &str = "GET";
        const POST: &str = "POST";
        const PUT: &str = "PUT";
        const DELETE: &str = "DELETE";
        match (self, method.as_str()) {
            (Self::Root, GET) => Ok(root::show(call)),
            (Self::Classes, GET) => classes::list(call),
            (Self::Classes, POST) => classes::create(call),
            (Self::Class(name), GET) => classes::show(call, name),
            (Self::Class(name), PUT) => classes::update(call, name),
            (Self::Class(name), DELETE) => classes::delete(call, name),
            (Self::Providers, GET) => providers::list(call),
            (Self::Providers, POST) => providers::create(call),
            (Self::Provider(uuid), GET) => providers::show(call, uuid),
            (Self::Provider(uuid), PUT) => providers::update(call, uuid),
            (Self::Provider(uuid), DELETE) => providers::delete(call, uuid),
            (Self::Inventories(uuid), GET) => inventories::list(call, uuid),
            (Self::Inventories(uuid), POST) => inventories::create(call, uuid),
            (Self::Inventories(uuid), PUT) => inventories::replace(call, uuid),
            (Self::Inventories(uuid), DELETE) => inventories::delete_all(call, uuid),
            (Self::Inventory(uuid, class), GET) => inventories::show(call, uuid, class),
            (Self::Inventory(uuid, class), PUT) => inventories::update(call, uuid, class),
            (Self::Inventory(uuid, class), DELETE) => inventories::delete(call, uuid, class),
            (Self::ProviderUsages(uuid), GET) => usages::of_provider(call, uuid),
            (Self::Aggregates(uuid), GET) => aggregates::list(call, uuid),
            (Self::Aggregates(uuid), PUT) => aggregates::replace(call, uuid),
            (Self::ProviderAllocations(uuid), GET) => allocations::of_provider(call, uuid),
            (Self::ProviderTraits(uuid), GET) => traits::of_provider(call, uuid),
            (Self::ProviderTraits(uuid), PUT) => traits::replace(call, uuid),
            (Self::ProviderTraits(uuid), DELETE) => traits::clear(call, uuid),
            (Self::Allocations, POST) => allocations::write_many(call),
            (Self::ConsumerAllocations(consumer), GET) => allocations::of_consumer(call, consumer),
            (Self::ConsumerAllocations(consumer), PUT) => allocations::write_one(call, consumer),
            (Self::ConsumerAllocations(consumer), DELETE) => allocations::delete(call, consumer),
            (Self::Candidates, GET) => candidates::list(call),
            (Self::Traits, GET) => traits::list(call),
            (Self::Trait(name), GET) => traits::show(call, name),
            (Self::Trait(name), PUT) => traits::create(call, name),
            (Self::Trait(name), DELETE) => traits::delete(call, name),
            (Self::Usages, GET) => usages::of_project(call),
            (Self::Reshaper, POST) => reshaper::reshape(call),
            _ => Err(Failure::method_not_allowed(method.as_str(), Some(self.allow()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn paths_are_distinguished() {
        assert_eq!(Route::of("/"), Some(Route::Root));
        assert_eq!(Route::of("/traits"), Some(Route::Traits));
        assert_eq!(Route::of("/traits/☃"), Some(Route::Trait("☃".into())));
        let inventory = Route::Inventory("u".into(), "VCPU".into());
        assert_eq!(Route::of("/resource_providers/u/inventories/VCPU"), Some(inventory));
        for nothing in
            ["/barnabas", "/traits/", "//", "/resource_providers/u/cows", "/traits/a/b", "/usages/a"]
        {
            assert_eq!(Route::of(nothing), None, "{nothing}");
        }
        assert_eq!(Route::of("/resource_providers/u/inventories/VCPU/more"), None);
    }

    /// The body of a method without a rule would be discarded before its handler sees it.
    #[test]
    fn each_method_that_writes_has_a_rule_for_its_body() {
        const ROUTES: [&str; 18] = [
            "/",
            "/resource_classes",
            "/resource_classes/{name}",
            "/resource_providers",
            "/resource_providers/{uuid}",
            "/resource_providers/{uuid}/inventories",
            "/resource_providers/{uuid}/inventories/{resource_class}",
            "/resource_providers/{uuid}/usages",
            "/resource_providers/{uuid}/aggregates",
            "/resource_providers/{uuid}/allocations",
            "/resource_providers/{uuid}/traits",
            "/allocations",
            "/allocations/{consumer_uuid}",
            "/allocation_candidates",
            "/traits",
            "/traits/{name}",
            "/usages",
            "/reshaper",
        ];
        for template in ROUTES {
            let route = Route::of(template).expect(template);
            assert_eq!(route.template(), template);
            for method in route.allow().split(", ") {
                // A trait is created from its name alone.
                let has_body = matches!(method, "POST" | "PUT") && template != "/traits/{name}";
                let rule = route.body_rule(&method.parse().unwrap());
                assert_eq!(rule.is_some(), has_body, "{method} {template}");
            }
        }
    }

    #[test]
    fn what_a_list_reads_depends_on_its_query() {
        let reads = |method, path: &str, query: &str, expected| {
            let query = Query::parse(query, &Limits::default()).unwrap();
            assert_eq!(Route::of(path).unwrap().reads(&method, &query), expected, "{path}");
        };
        reads(Method::GET, "/resource_providers", "required=HW_GPU", Reads::Providers);
        reads(Method::GET, "/resource_providers", "in_tree=u", Reads::Tree("u"));
        reads(Method::GET, "/resource_providers", "in_tree=u&name=a", Reads::Few);
        reads(Method::POST, "/resource_providers", "", Reads::Few);
        reads(Method::GET, "/resource_providers/u", "", Reads::Few);
        reads(Method::HEAD, "/resource_providers/u/allocations", "", Reads::Consumers("u"));
        reads(Method::GET, "/usages", "project_id=p", Reads::Project("p"));
    }
}
