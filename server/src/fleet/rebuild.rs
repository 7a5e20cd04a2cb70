//! Rebuilds: a host is asked whether it fits the new image, and the disks are built again.

use std::sync::Arc;

use berth_fleet::{FleetError, Image, Instance, Named};

use super::FleetHandle;
use super::ask::Ask;

impl FleetHandle {
    /// Builds the disks of an instance again, from another image or from its own.
    pub(crate) fn rebuild(
        &self,
        named: Named<'_>,
        image: Option<Image>,
        by: (&str, bool),
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.read(|fleet| fleet.check_rebuild(named, image.as_ref(), by.1))?;
        if let Some(image) = image.clone().filter(|image| instance.spec.image.as_ref() != Some(image)) {
            let (ask, host) = (Ask::of_rebuild(&instance, image), &instance.location.host);
            let fits = self.schedule(&self.only(&ask, host), true);
            fits.map_err(|error| self.with_reason(error, &ask, host))?;
        }
        self.command(|fleet, now| fleet.rebuild(named, image, by, now.wall))
    }
}
