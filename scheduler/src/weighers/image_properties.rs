//! ImagePropertiesWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::{HostRow, stored_properties};
use crate::options::settings;

/// How often the image's properties occur, with the same values, among the images of the instances
/// on the host. Ratios in `image_props_weight_setting` say how much each counts; without any, all
/// count the same. It is off, and gives 0, while `image_props_weight_multiplier` is 0, whatever
/// aggregates say.
pub(super) struct ImagePropertiesWeigher<'a> {
    scene: &'a Scene<'a>,
    /// Property, value as text, and ratio; none if it is off.
    wanted: Option<Vec<(&'static str, String, f64)>>,
}

impl<'a> ImagePropertiesWeigher<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let options = &scene.options.filter_scheduler;
        let settings = settings(&options.image_props_weight_setting);
        // The last setting of a property counts.
        let set =
            |name: &str| settings.iter().rfind(|(other, _)| other == name).map_or(0.0, |(_, ratio)| *ratio);
        let ratio = |name: &str| if settings.is_empty() { 1.0 } else { set(name) };
        let properties = scene.request.image_properties();
        let wanted = properties.into_iter().flat_map(|properties| properties.iter());
        let wanted = wanted.map(|(name, value)| (name, value.to_string(), ratio(name)));
        let is_on = options.image_props_weight_multiplier != 0.0;
        Self { scene, wanted: is_on.then(|| wanted.collect()) }
    }
}

impl Weigher for ImagePropertiesWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        let Some(wanted) = &self.wanted else { return Ok(0.0) };
        let mut counts = vec![0_u32; wanted.len()];
        for (instance, image) in &self.scene.hosts.service(row).instances {
            let stored = stored_properties(image)
                .map_err(|error| WeighError::StoredImage { instance: *instance, error })?;
            for (count, (name, value, _)) in counts.iter_mut().zip(wanted) {
                *count += u32::from(stored.get(name).is_some_and(|other| other.to_string() == *value));
            }
        }
        let found = counts.iter().zip(wanted).filter(|(count, _)| **count > 0);
        Ok(found.fold(0.0, |weight, (&count, (_, _, ratio))| weight + ratio * f64::from(count)))
    }

    fn multiplier(&self) -> Multiplier {
        let configured = self.scene.options.filter_scheduler.image_props_weight_multiplier;
        Multiplier::new("image_props_weight_multiplier", configured)
    }
}
