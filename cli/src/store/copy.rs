//! `berth store copy`.

use anyhow::Result;

use super::place::Place;
use crate::{Ending, output};

pub(super) fn copy(from: &Place, to: &Place, replace: bool) -> Result<Ending> {
    let contents = from.load()?;
    let aside = to.create(&contents, replace)?;
    output::print(&(output::counts(&contents.digest()) + &aside))?;
    Ok(Ending::Complete)
}
