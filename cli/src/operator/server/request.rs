//! The request for a server: options that `berth server create` and `berth explain` share.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use berth_api::v1::{Hints, Image};
use clap::Args;

use crate::operator::connection::Client;
use crate::operator::pairs::{hint, hints, map, pair};
use crate::operator::server_group;

/// Everything besides the flavor that decides about the host.
#[derive(Args)]
pub(crate) struct Wanted {
    /// The image to boot from: the name of a file in the agents' image directory
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// A property of the image, such as hw_machine_type=q35 (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, requires = "image")]
    image_property: Vec<(String, String)>,
    /// The availability zone, or ZONE:HOST for a certain host
    #[arg(long, value_name = "ZONE[:HOST]", default_value = "", hide_default_value = true)]
    pub(crate) availability_zone: String,
    /// A scheduler hint, such as group=GROUP (may be repeated, also with the same key)
    #[arg(long, value_name = "KEY=VALUE", value_parser = hint)]
    hint: Vec<(String, String)>,
}

impl Wanted {
    pub(crate) fn image(&self) -> Result<Option<Image>> {
        let Some(name) = self.image.clone() else { return Ok(None) };
        let properties = map("--image-property", self.image_property.clone())?;
        Ok(Some(Image { name, properties }))
    }

    /// The hints. A server group can be given by its name: the request contains its UUID.
    pub(crate) async fn hints(&self, client: &Client, project: &str) -> Result<BTreeMap<String, Hints>> {
        let mut hints = hints(self.hint.clone());
        let Some(group) = hints.get_mut("group") else { return Ok(hints) };
        let [named] = &mut group.values[..] else { bail!("--hint: group is given twice") };
        *named = server_group::uuid(client, named.clone(), project).await?;
        Ok(hints)
    }
}
