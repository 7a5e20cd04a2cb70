//! SSH key pairs.

use berth_api::v1;
use berth_fleet::KeyPair;

use crate::grpc::call::Call;
use crate::grpc::fleet::CallError;
use crate::grpc::page::Page;

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListKeyPairsRequest,
) -> Result<v1::ListKeyPairsResponse, CallError> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let all = call.fleet.read(|fleet| fleet.key_pairs(&wanted.project)).into_iter();
    let (pairs, next_page_token) =
        page.take(all.map(|pair| (format!("{}\0{}", pair.project, pair.name), pair)));
    Ok(v1::ListKeyPairsResponse { key_pairs: pairs.into_iter().map(message).collect(), next_page_token })
}

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetKeyPairRequest) -> Result<v1::KeyPair, CallError> {
    let found = call.fleet.read(|fleet| fleet.key_pair(&wanted.project, &wanted.name).cloned());
    Ok(message(found?))
}

pub(super) fn create(call: &Call<'_>, wanted: &v1::CreateKeyPairRequest) -> Result<v1::KeyPair, CallError> {
    let v1::CreateKeyPairRequest { name, project, public_key } = wanted.clone();
    let created = call.fleet.command(|fleet, now| {
        fleet.create_key_pair(KeyPair { name, project, public_key, created_at: now.wall })
    });
    Ok(message(created?))
}

pub(super) fn delete(
    call: &Call<'_>,
    wanted: &v1::DeleteKeyPairRequest,
) -> Result<v1::DeleteKeyPairResponse, CallError> {
    call.fleet.command(|fleet, _| fleet.delete_key_pair(&wanted.project, &wanted.name))?;
    Ok(v1::DeleteKeyPairResponse {})
}

fn message(pair: KeyPair) -> v1::KeyPair {
    let fingerprint = pair.fingerprint();
    let KeyPair { name, project, public_key, created_at } = pair;
    v1::KeyPair { name, project, public_key, fingerprint, created_at: created_at.0 }
}
