//! The Scheduler service: which host an instance runs on.

mod explain;
mod request;
mod stream;

use std::sync::Arc;

use berth_api::v1;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, advise, read, write};
use super::identity::Caller;
use crate::fleet::{Place, Placed};
use crate::service::Service;

pub(super) use request::hints;

/// Decisions on the hosts of the fleet.
pub(crate) struct Scheduler {
    service: Arc<Service>,
}

impl Scheduler {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl v1::scheduler_server::Scheduler for Scheduler {
    async fn select(&self, request: Request<v1::ScheduleRequest>) -> Answer<v1::ScheduleResponse> {
        let caller = Caller::behind(&request);
        advise(&self.service, request, |call, wanted| schedule(call, wanted, &caller, true)).await
    }

    async fn schedule(&self, request: Request<v1::ScheduleRequest>) -> Answer<v1::ScheduleResponse> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| schedule(call, wanted, &caller, false)).await
    }

    type ScheduleStreamStream = ReceiverStream<Result<v1::TaggedScheduleResponse, Status>>;

    async fn schedule_stream(
        &self,
        request: Request<Streaming<v1::TaggedScheduleRequest>>,
    ) -> Answer<Self::ScheduleStreamStream> {
        let caller = Caller::behind(&request);
        Ok(Response::new(stream::serve(Arc::clone(&self.service), caller, request.into_inner())))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        read(&self.service, request, explain::explain).await
    }
}

/// Instances that are decided beside other calls of the thread, at most.
const QUICK: usize = 16;

fn schedule(
    call: &Call<'_>,
    wanted: &v1::ScheduleRequest,
    caller: &Caller,
    dry: bool,
) -> Result<v1::ScheduleResponse, Status> {
    caller.check_zone(&wanted.availability_zone)?;
    let ask = request::ask(call, wanted)?;
    let decide = || call.fleet.schedule(&ask, dry);
    let placed = if ask.instances.len() > QUICK { tokio::task::block_in_place(decide) } else { decide() }?;
    Ok(v1::ScheduleResponse { selections: placed.into_iter().map(selection).collect() })
}

fn selection(placed: Placed) -> v1::Selection {
    v1::Selection {
        instance: placed.instance.to_string(),
        place: Some(place(placed.place)),
        alternates: placed.alternates.into_iter().map(place).collect(),
    }
}

fn place(Place { host, provider, allocations }: Place) -> v1::Place {
    let amount = |(class, amount): (String, u64)| (class, u32::try_from(amount).unwrap_or(u32::MAX));
    let allocations = allocations.into_iter().map(|(provider, resources)| v1::Allocation {
        provider,
        resources: resources.into_iter().map(amount).collect(),
    });
    v1::Place { host, provider, allocations: allocations.collect() }
}
