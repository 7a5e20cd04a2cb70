//! The requirements of a flavor's extra specs and of an image's properties, side by side.

use super::error::QueryError;
use super::words;
use crate::RequestSpec;
use crate::python;
use crate::request_spec::{ImageProperties, RequestedFlavor};

/// A flavor and the properties of an image; the flavor's `hw:x` and the image's `hw_x` mean the
/// same.
#[derive(Clone, Copy)]
pub(super) struct Requirements<'a> {
    flavor: &'a RequestedFlavor,
    image: Option<&'a ImageProperties>,
}

impl<'a> Requirements<'a> {
    pub(super) fn of(spec: &'a RequestSpec) -> Self {
        Self { flavor: &spec.flavor, image: spec.image_properties() }
    }

    pub(super) fn vcpus(&self) -> u64 {
        words::amount(self.flavor.vcpus)
    }

    /// An extra spec.
    pub(super) fn spec(&self, key: &str) -> Option<&'a str> {
        self.flavor.extra_specs.get(key)
    }

    /// An extra spec that means yes or no.
    pub(super) fn spec_flag(&self, key: &str) -> Option<bool> {
        self.spec(key).map(python::truth)
    }

    /// Traits that the image requires.
    pub(super) fn required_traits(&self) -> &'a [String] {
        self.image.map_or(&[], ImageProperties::required_traits)
    }

    /// An image property as text.
    pub(super) fn property(&self, name: &str) -> Option<String> {
        self.image?.get(name).map(ToString::to_string)
    }

    /// An image property that means yes or no.
    pub(super) fn property_flag(&self, name: &str) -> Option<bool> {
        self.property(name).map(|text| python::truth(&text))
    }

    /// The extra spec `prefix:key` and the property `prefix_key`.
    pub(super) fn both(&self, prefix: &str, key: &str) -> (Option<String>, Option<String>) {
        let flavor = self.spec(&format!("{prefix}:{key}")).map(str::to_owned);
        (flavor, self.property(&format!("{prefix}_{key}")))
    }

    /// The requirement of flavor or image; an empty extra spec has none.
    ///
    /// # Errors
    ///
    /// They ask for different things.
    pub(super) fn agreed(&self, prefix: &str, key: &str) -> Result<Option<String>, QueryError> {
        let (flavor, image) = self.both(prefix, key);
        let [flavor, image] = [flavor, image].map(|given| given.filter(|text| !text.is_empty()));
        if flavor.is_some() && image.is_some() && flavor != image {
            return Err(self.conflict(prefix, key));
        }
        Ok(flavor.or(image))
    }

    /// As [`Self::agreed`], and one of the words allowed.
    pub(super) fn one_of(
        &self,
        prefix: &str,
        key: &str,
        what: &str,
        allowed: &[&str],
    ) -> Result<Option<String>, QueryError> {
        match self.agreed(prefix, key)? {
            Some(word) if !allowed.contains(&word.as_str()) => {
                Err(QueryError::not_allowed(what, &word, allowed))
            }
            word => Ok(word),
        }
    }

    /// Whether flavor or image say yes to `hw:key`.
    ///
    /// # Errors
    ///
    /// One says yes and the other no.
    pub(super) fn agreed_flag(&self, key: &str) -> Result<bool, QueryError> {
        let flavor = self.spec_flag(&format!("hw:{key}"));
        let image = self.property_flag(&format!("hw_{key}"));
        if flavor.is_some() && image.is_some() && flavor != image {
            return Err(self.conflict("hw", key));
        }
        Ok(flavor.or(image).unwrap_or(false))
    }

    pub(super) fn conflict(&self, prefix: &str, key: &str) -> QueryError {
        let (flavor_value, image_value) = self.both(prefix, key);
        QueryError::FlavorImageConflict {
            flavor: self.flavor.name.clone(),
            spec: format!("{prefix}:{key}"),
            flavor_value: flavor_value.unwrap_or_default(),
            property: format!("{prefix}_{key}"),
            image_value: image_value.unwrap_or_default(),
        }
    }
}
