//! The Instances service: from a request to a running guest, and back.

mod message;
mod watching;

use std::sync::Arc;

use berth_api::v1;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use self::message::{event, instance};
use super::call::{Call, read, write};
use super::identity::Caller;
use super::page::Page;
use super::scheduler::hints;
use crate::fleet::Named;
use crate::fleet::instances::{Action, Creation, status};
use crate::service::Service;

/// Instances and what can be done with them.
pub(crate) struct Instances {
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Instances {
    pub(crate) fn new(service: Arc<Service>, stopping: watch::Receiver<bool>) -> Self {
        Self { service, stopping }
    }

    async fn act(&self, request: Request<v1::InstanceRequest>, action: Action) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            Ok(instance(
                call.fleet,
                call.fleet.act(named(wanted), action, caller.role(), caller.is_operator())?,
            ))
        })
        .await
    }
}

#[tonic::async_trait]
impl v1::instances_server::Instances for Instances {
    async fn create(
        &self,
        request: Request<v1::CreateInstancesRequest>,
    ) -> Answer<v1::CreateInstancesResponse> {
        Caller::behind(&request).check_zone(&request.get_ref().availability_zone)?;
        write(&self.service, request, create).await
    }

    async fn delete(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::DeleteInstanceResponse> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            call.fleet.delete_instance(named(wanted), caller.role(), caller.is_operator())?;
            Ok(v1::DeleteInstanceResponse {})
        })
        .await
    }

    async fn start(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Start).await
    }

    async fn stop(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Stop).await
    }

    async fn reboot(&self, request: Request<v1::RebootRequest>) -> Answer<v1::Instance> {
        let action = Action::Reboot { hard: request.get_ref().hard };
        let named = |v1::RebootRequest { instance, project, .. }| v1::InstanceRequest { instance, project };
        self.act(request.map(named), action).await
    }

    async fn pause(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Pause).await
    }

    async fn unpause(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Unpause).await
    }

    async fn suspend(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Suspend).await
    }

    async fn resume(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Resume).await
    }

    async fn shelve(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Shelve).await
    }

    async fn unshelve(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Action::Unshelve).await
    }

    async fn lock(&self, request: Request<v1::LockRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let locked = call.fleet.lock_instance(
                Named { name: &wanted.instance, project: &wanted.project },
                true,
                &wanted.reason,
                (caller.role(), caller.is_operator()),
            )?;
            Ok(instance(call.fleet, locked))
        })
        .await
    }

    async fn unlock(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let unlocked =
                call.fleet.lock_instance(named(wanted), false, "", (caller.role(), caller.is_operator()))?;
            Ok(instance(call.fleet, unlocked))
        })
        .await
    }

    async fn get(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        read(&self.service, request, |call, wanted| {
            Ok(instance(call.fleet, call.fleet.instance(named(wanted))?))
        })
        .await
    }

    async fn list(&self, request: Request<v1::ListInstancesRequest>) -> Answer<v1::ListInstancesResponse> {
        read(&self.service, request, list).await
    }

    async fn list_events(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::ListEventsResponse> {
        read(&self.service, request, |call, wanted| {
            let found = call.fleet.instance(named(wanted))?;
            Ok(v1::ListEventsResponse { events: found.events.into_iter().map(event).collect() })
        })
        .await
    }

    type WatchStream = ReceiverStream<Result<v1::Instance, Status>>;

    async fn watch(&self, request: Request<v1::WatchInstancesRequest>) -> Answer<Self::WatchStream> {
        watching::serve(Arc::clone(&self.service), self.stopping.clone(), request).map(Response::new)
    }
}

fn named(wanted: &v1::InstanceRequest) -> Named<'_> {
    Named { name: &wanted.instance, project: &wanted.project }
}

fn create(
    call: &Call<'_>,
    wanted: &v1::CreateInstancesRequest,
) -> Result<v1::CreateInstancesResponse, Status> {
    let creation = Creation {
        name: wanted.name.clone(),
        flavor: wanted.flavor.clone(),
        image: wanted.image.clone().map(Into::into),
        project: wanted.project.clone(),
        user: wanted.user.clone(),
        availability_zone: wanted.availability_zone.clone(),
        hints: hints(&wanted.hints),
        min_count: wanted.min_count as usize,
        max_count: wanted.max_count as usize,
        user_data: wanted.user_data.to_vec(),
        metadata: wanted.metadata.clone().into_iter().collect(),
        idempotency_key: wanted.idempotency_key.clone(),
    };
    let created = tokio::task::block_in_place(|| call.fleet.create_instances(&creation))?;
    Ok(v1::CreateInstancesResponse {
        instances: created.into_iter().map(|created| instance(call.fleet, created)).collect(),
    })
}

fn list(call: &Call<'_>, wanted: &v1::ListInstancesRequest) -> Result<v1::ListInstancesResponse, Status> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let is_so = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let found = call.fleet.instances(|found| {
        is_so(&wanted.project, &found.project)
            && is_so(&wanted.host, &found.host)
            && is_so(&wanted.status, status(found))
    });
    let keyed = found.into_iter().map(|found| (format!("{}\0{}", found.name, found.uuid()), found));
    let (page, next_page_token) = page.take(keyed);
    let instances = page.into_iter().map(|found| instance(call.fleet, found)).collect();
    Ok(v1::ListInstancesResponse { instances, next_page_token })
}
