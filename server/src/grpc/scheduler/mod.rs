//! The Scheduler service: which host an instance runs on.

mod explain;
mod request;
mod requests;
mod stream;

use std::sync::Arc;

use berth_api::v1;
use berth_placement::Topology;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, advise_in_turn, read, read_in_turn, write_in_turn};
use super::fleet::CallError;
use super::identity::{Caller, CallerKey};
use crate::fleet::{NamedPlace, NamedPlacement};
use crate::lengthy::is_long;
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
        let decide =
            move |call: &Call<'_>, wanted: &v1::ScheduleRequest| schedule(call, wanted, &caller, true);
        advise_in_turn(&self.service, request, is_lengthy, decide).await
    }

    async fn schedule(&self, request: Request<v1::ScheduleRequest>) -> Answer<v1::ScheduleResponse> {
        let caller = Caller::behind(&request);
        let decide =
            move |call: &Call<'_>, wanted: &v1::ScheduleRequest| schedule(call, wanted, &caller, false);
        write_in_turn(&self.service, request, is_lengthy, decide).await
    }

    type ScheduleStreamStream = ReceiverStream<Result<v1::TaggedScheduleResponse, Status>>;

    async fn schedule_stream(
        &self,
        request: Request<Streaming<v1::TaggedScheduleRequest>>,
    ) -> Answer<Self::ScheduleStreamStream> {
        let caller = (Caller::behind(&request), CallerKey::behind(&request));
        Ok(Response::new(stream::serve(Arc::clone(&self.service), caller, request.into_inner())))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        read_in_turn(&self.service, request, |_, _| true, explain::explain).await
    }

    async fn list_requests(
        &self,
        request: Request<v1::ListRequestsRequest>,
    ) -> Answer<v1::ListRequestsResponse> {
        read(&self.service, request, |call, wanted| Ok::<_, Status>(requests::list(call, wanted))).await
    }
}

/// Instances that are decided beside other calls of the thread, at most.
const QUICK: usize = 16;

/// Extra specs of a flavor whose request is decided beside other calls, at most: each may be a
/// request group.
const QUICK_SPECS: usize = 8;

fn is_lengthy(_: &Call<'_>, wanted: &v1::ScheduleRequest) -> bool {
    let specs = match &wanted.size {
        Some(v1::schedule_request::Size::Flavor(flavor)) => flavor.extra_specs.len(),
        _ => 0, // an operator's, or none
    };
    wanted.instances.len() > QUICK || specs > QUICK_SPECS || is_long(wanted)
}

fn schedule(
    call: &Call<'_>,
    wanted: &v1::ScheduleRequest,
    caller: &Caller,
    dry: bool,
) -> Result<v1::ScheduleResponse, CallError> {
    caller.check_zone(&wanted.availability_zone)?;
    let ask = request::ask(call, wanted)?;
    let placed = call.fleet.schedule(&ask, dry)?;
    let topology = call.fleet.topology();
    let selections = placed.into_iter().map(|placed| selection(&topology, placed));
    Ok(v1::ScheduleResponse { selections: selections.collect() })
}

fn selection(topology: &Topology, placed: NamedPlacement) -> v1::Selection {
    v1::Selection {
        instance: placed.instance.to_string(),
        place: Some(place(topology, placed.place)),
        alternates: placed.alternates.into_iter().map(|alternate| place(topology, alternate)).collect(),
    }
}

/// The place in UUIDs and names: rows end here.
fn place(topology: &Topology, NamedPlace { host, provider, allocations }: NamedPlace) -> v1::Place {
    let allocations = crate::amounts::allocations(topology, allocations.into_iter().collect());
    v1::Place { host, provider: provider.to_string(), allocations }
}
