//! Who holds something.

use berth_api::v1;
use berth_placement::{Consumer, ConsumerId};
use tonic::Status;
use uuid::Uuid;

use super::{MOST_CONSUMERS, at_length, providers};
use crate::amounts;
use crate::grpc::call::Call;
use crate::grpc::field;
use crate::grpc::page::Page;
use crate::grpc::status::not_found;

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetConsumerRequest) -> Result<v1::Consumer, Status> {
    let uuid = field::uuid("uuid", &wanted.uuid)?;
    let found = describe(call, uuid.into());
    found.ok_or_else(|| not_found("consumer", &uuid.to_string()))
}

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListConsumersRequest,
) -> Result<v1::ListConsumersResponse, Status> {
    let page = Page::of(wanted.page_size, &wanted.page_token)?;
    let row = providers::find(call, "provider", &wanted.provider)?.row;
    let holders = call.index.holders(row).into_iter().map(|id| (Uuid::from(id), id));
    let (page, next_page_token) = page.take(holders);
    let consumers = page.into_iter().filter_map(|id| describe(call, id)).collect();
    Ok(v1::ListConsumersResponse { consumers, next_page_token })
}

pub(super) fn release(call: &Call<'_>, wanted: &v1::ReleaseRequest) -> Result<v1::ReleaseResponse, Status> {
    let consumers = field::uuids("consumers", &wanted.consumers, MOST_CONSUMERS)?;
    let held = |uuid: &Uuid| call.index.release_uncounted((*uuid).into()).is_some();
    let count = consumers.len();
    let released =
        at_length(count, || consumers.into_iter().filter(held).map(|uuid| uuid.to_string()).collect());
    Ok(v1::ReleaseResponse { released })
}

/// The consumer, if it holds anything.
fn describe(call: &Call<'_>, id: ConsumerId) -> Option<v1::Consumer> {
    let consumer = call.index.consumer(id).filter(|consumer| !consumer.allocations.is_empty())?;
    let Consumer { allocations, owner, generation, .. } = consumer;
    let owner = owner.as_deref();
    let topology = call.index.topology(); // after the consumer: it has what the consumer holds
    Some(v1::Consumer {
        uuid: Uuid::from(id).to_string(),
        generation,
        project: owner.map(|owner| owner.project.to_string()).unwrap_or_default(),
        user: owner.map(|owner| owner.user.to_string()).unwrap_or_default(),
        consumer_type: owner.and_then(|owner| owner.consumer_type.as_deref()).unwrap_or_default().to_owned(),
        allocations: amounts::allocations(&topology, allocations.to_vec()),
    })
}
