//! Flavors.

use berth_api::v1;

use crate::fleet::message::{flavor as message, read_flavor};
use crate::grpc::call::Call;
use crate::grpc::fleet::CallError;
use crate::grpc::page::Page;
use crate::grpc::status::bad_field;

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListFlavorsRequest,
) -> Result<v1::ListFlavorsResponse, CallError> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let (flavors, next_page_token) = call
        .fleet
        .read(|fleet| page.take(fleet.flavors().map(|flavor| (flavor.name.clone(), message(flavor)))));
    Ok(v1::ListFlavorsResponse { flavors, next_page_token })
}

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetFlavorRequest) -> Result<v1::Flavor, CallError> {
    call.fleet.read(|fleet| Ok(message(fleet.flavor(&wanted.name)?)))
}

pub(super) fn create(call: &Call<'_>, wanted: &v1::CreateFlavorRequest) -> Result<v1::Flavor, CallError> {
    let flavor = wanted.flavor.clone().ok_or_else(|| bad_field("flavor", "is required"))?;
    let created = call.fleet.command(|fleet, _| fleet.create_flavor(read_flavor(flavor)));
    Ok(message(&created?))
}

pub(super) fn delete(
    call: &Call<'_>,
    wanted: &v1::DeleteFlavorRequest,
) -> Result<v1::DeleteFlavorResponse, CallError> {
    call.fleet.command(|fleet, _| fleet.delete_flavor(&wanted.name))?;
    Ok(v1::DeleteFlavorResponse {})
}
