//! The Placement service.

mod candidates;
mod claims;
mod consumers;
mod inventories;
mod providers;
mod refusals;
mod sets;
mod wanted;

use std::sync::Arc;

use berth_api::v1;
use berth_placement::candidates::Stop;
use tonic::{Request, Response, Status};

use super::call::{self, Call, in_flight, read, read_in_turn, write, write_in_turn};
use super::identity::CallerKey;
use crate::lengthy::{Reads, is_long};
use crate::request::Purpose;
use crate::searches::Watch;
use crate::service::{Service, now};

/// The most consumers that one call may be about.
const MOST_CONSUMERS: usize = 10_000;

/// Calls about more consumers than this leave the thread's other calls to other threads.
const QUICK: usize = 64;

/// Resource providers, their inventories, allocations, and allocation candidates.
pub(crate) struct Placement {
    service: Arc<Service>,
}

impl Placement {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl v1::placement_server::Placement for Placement {
    async fn list_providers(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Answer<v1::ListProvidersResponse> {
        let is_lengthy = |call: &Call<'_>, wanted: &v1::ListProvidersRequest| {
            let all = if wanted.in_tree.is_empty() { Reads::Providers } else { Reads::Tree(&wanted.in_tree) };
            wanted.name.is_empty() && all.is_lengthy(call.index)
        };
        read_in_turn(&self.service, request, is_lengthy, providers::list).await
    }

    async fn get_provider(&self, request: Request<v1::GetProviderRequest>) -> Answer<v1::Provider> {
        read(&self.service, request, providers::get).await
    }

    async fn put_provider(&self, request: Request<v1::PutProviderRequest>) -> Answer<v1::Provider> {
        write(&self.service, request, providers::put).await
    }

    async fn delete_provider(
        &self,
        request: Request<v1::DeleteProviderRequest>,
    ) -> Answer<v1::DeleteProviderResponse> {
        write(&self.service, request, providers::delete).await
    }

    async fn set_inventories(&self, request: Request<v1::SetInventoriesRequest>) -> Answer<v1::Provider> {
        write(&self.service, request, inventories::set).await
    }

    async fn set_traits(&self, request: Request<v1::SetTraitsRequest>) -> Answer<v1::Provider> {
        write(&self.service, request, sets::set_traits).await
    }

    async fn set_aggregates(&self, request: Request<v1::SetAggregatesRequest>) -> Answer<v1::Provider> {
        write(&self.service, request, sets::set_aggregates).await
    }

    async fn get_consumer(&self, request: Request<v1::GetConsumerRequest>) -> Answer<v1::Consumer> {
        read(&self.service, request, consumers::get).await
    }

    async fn list_consumers(
        &self,
        request: Request<v1::ListConsumersRequest>,
    ) -> Answer<v1::ListConsumersResponse> {
        let is_lengthy = |call: &Call<'_>, wanted: &v1::ListConsumersRequest| {
            Reads::Consumers(&wanted.provider).is_lengthy(call.index)
        };
        read_in_turn(&self.service, request, is_lengthy, consumers::list).await
    }

    async fn claim(&self, request: Request<v1::ClaimRequest>) -> Answer<v1::ClaimResponse> {
        write_in_turn(&self.service, request, |_, wanted| is_long(wanted), claims::claim).await
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Answer<v1::ReleaseResponse> {
        write(&self.service, request, consumers::release).await
    }

    async fn find_candidates(
        &self,
        request: Request<v1::FindCandidatesRequest>,
    ) -> Answer<v1::FindCandidatesResponse> {
        let epoch = call::begin(&self.service, request.extensions(), Purpose::Advise)?;
        let (service, stop) = (Arc::clone(&self.service), Stop::default());
        let caller = CallerKey::behind(&request);
        // Callers over gRPC take turns with users of the REST API.
        let turn = service.searches.turn(&caller.among_users()).await;
        let turn = turn.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        let _processing = call::processing(request.extensions());
        let watch = Watch::begin(stop.clone(), service.options.limits.candidate_time, None);
        let (wanted, stopped, searched) = (request.into_inner(), stop.clone(), Arc::clone(&service));
        let found = service.searches.run(turn, &stop, move || {
            let (index, fleet) = (&*epoch.index, &*epoch.fleet);
            candidates::find(&Call { service: &searched, index, fleet, now: now() }, &wanted, &stopped)
        });
        let found = found.await.unwrap_or_else(|| Err(Status::internal("the search has failed")))?;
        drop(watch);
        in_flight(&service, &caller.0, found)
    }
}

/// Does what may take long, so that other calls go on meanwhile.
fn at_length<T>(elements: usize, work: impl FnOnce() -> T) -> T {
    if elements > QUICK { tokio::task::block_in_place(work) } else { work() }
}
