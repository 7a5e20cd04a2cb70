//! AggregateImagePropertiesIsolation

use super::{Filter, PASS, Reason, RequestState, Scene, Scope, Verdict};
use crate::hosts::HostRow;
use crate::request_spec::ImageProperties;

/// Where a host's aggregates have a key that is the name of an image property, and the image has
/// that property, its value has to be among those of the aggregates. With a namespace configured,
/// other keys do not count.
pub(super) struct AggregateImagePropertiesIsolation<'a> {
    scene: &'a Scene<'a>,
    properties: Option<&'a ImageProperties>,
    /// The prefix of keys.
    prefix: String,
}

impl<'a> AggregateImagePropertiesIsolation<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let options = &scene.options.filter_scheduler;
        let namespace = options.aggregate_image_properties_isolation_namespace.as_deref();
        let prefix =
            namespace.filter(|namespace| !namespace.is_empty()).map_or_else(String::new, |namespace| {
                format!("{namespace}{}", options.aggregate_image_properties_isolation_separator)
            });
        Self { scene, properties: scene.request.image_properties(), prefix }
    }
}

impl Filter for AggregateImagePropertiesIsolation<'_> {
    fn scope(&self) -> Scope {
        if self.properties.is_none() { Scope::Everything } else { Scope::Class }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let Some(properties) = self.properties else { return PASS };
        for (key, allowed) in self.scene.hosts.class(row).aggregates.iter() {
            let value =
                properties.get(key).filter(|value| value.is_truthy() && key.starts_with(&self.prefix));
            let Some(found) = value.map(ToString::to_string) else { continue };
            if !allowed.contains(&found) {
                let allowed = allowed.iter().cloned().collect::<Vec<_>>().join(", ");
                return Ok(Err(Reason::ImageKeptOut { key: key.to_owned(), found, allowed }));
            }
        }
        PASS
    }
}
