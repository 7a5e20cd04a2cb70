//! Flavors.

use berth_api::v1;
use tonic::Status;

use crate::grpc::call::Call;
use crate::grpc::page::Page;
use crate::grpc::status::bad_field;

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListFlavorsRequest,
) -> Result<v1::ListFlavorsResponse, Status> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let all = call.fleet.flavors().into_iter().map(|flavor| (flavor.name.clone(), flavor));
    let (flavors, next_page_token) = page.take(all);
    Ok(v1::ListFlavorsResponse { flavors: flavors.into_iter().map(Into::into).collect(), next_page_token })
}

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetFlavorRequest) -> Result<v1::Flavor, Status> {
    Ok(call.fleet.flavor(&wanted.name)?.into())
}

pub(super) fn create(call: &Call<'_>, wanted: &v1::CreateFlavorRequest) -> Result<v1::Flavor, Status> {
    let flavor = wanted.flavor.clone().ok_or_else(|| bad_field("flavor", "is required"))?;
    Ok(call.fleet.create_flavor(flavor.into())?.into())
}

pub(super) fn delete(
    call: &Call<'_>,
    wanted: &v1::DeleteFlavorRequest,
) -> Result<v1::DeleteFlavorResponse, Status> {
    call.fleet.delete_flavor(&wanted.name)?;
    Ok(v1::DeleteFlavorResponse {})
}
