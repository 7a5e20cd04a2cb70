//! The Instances service: from a request to a running guest, and back.

mod message;
mod migrations;
mod versions;
mod watching;

use std::sync::Arc;

use berth_api::v1;
use berth_fleet::{Creation, Fleet, Instance, Named, Operation, RequestedZone, status};
use bytes::Bytes;
use prost::Message;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use self::message::{event, instance};
use self::watching::{Messages, Watching};
use super::audit;
use super::call::{self, Call, read, read_in_turn, write};
use super::fleet::CallError;
use super::fleet::evacuations::ensure_fenced;
use super::identity::{Caller, CallerKey};
use super::page::Page;
use super::scheduler::hints;
use super::status::bad_field;
use crate::fleet::group_hint;
use crate::fleet::message::read_image;
use crate::lengthy::Reads;
use crate::request::Purpose;
use crate::service::Service;

/// Instances and what can be done with them.
pub(crate) struct Instances {
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
    watching: Watching,
}

type Answer<T> = Result<Response<T>, Status>;

impl Instances {
    pub(crate) fn new(service: Arc<Service>, stopping: watch::Receiver<bool>) -> Self {
        Self { service, stopping, watching: Watching::default() }
    }

    async fn act(&self, request: Request<v1::InstanceRequest>, operation: Operation) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let known = call.fleet.act(named(wanted), operation, caller.role(), caller.is_operator())?;
            Ok::<_, CallError>(call.fleet.read(|fleet| instance(fleet, &known)))
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
        audit::note(&request);
        Caller::behind(&request).check_zone(&request.get_ref().availability_zone)?;
        write(&self.service, request, create).await
    }

    async fn delete(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::DeleteInstanceResponse> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let by = (caller.role(), caller.is_operator());
            call.fleet.command(|fleet, now| fleet.delete_instance(named(wanted), by, now.wall))?;
            Ok::<_, CallError>(v1::DeleteInstanceResponse {})
        })
        .await
    }

    async fn start(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Start).await
    }

    async fn stop(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Stop).await
    }

    async fn reboot(&self, request: Request<v1::RebootRequest>) -> Answer<v1::Instance> {
        audit::note(&request);
        let operation = Operation::Reboot { hard: request.get_ref().hard };
        let named = |v1::RebootRequest { instance, project, .. }| v1::InstanceRequest { instance, project };
        self.act(request.map(named), operation).await
    }

    async fn pause(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Pause).await
    }

    async fn unpause(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Unpause).await
    }

    async fn suspend(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Suspend).await
    }

    async fn resume(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Resume).await
    }

    async fn shelve(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Shelve).await
    }

    async fn unshelve(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Unshelve).await
    }

    async fn rebuild(&self, request: Request<v1::RebuildInstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let named = Named { name: &wanted.instance, project: &wanted.project };
            let image = wanted.image.clone().map(read_image);
            let by = (caller.role(), caller.is_operator());
            let known = tokio::task::block_in_place(|| call.fleet.rebuild(named, image, by))?;
            Ok::<_, CallError>(call.fleet.read(|fleet| instance(fleet, &known)))
        })
        .await
    }

    async fn rescue(&self, request: Request<v1::RescueInstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let named = Named { name: &wanted.instance, project: &wanted.project };
            let image = wanted.image.clone().map(read_image);
            let by = (caller.role(), caller.is_operator());
            call.fleet.command(|fleet, now| {
                let known = fleet.rescue(named, image, by, now.wall)?;
                Ok::<_, CallError>(instance(fleet, &known))
            })
        })
        .await
    }

    async fn unrescue(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        self.act(request, Operation::Unrescue).await
    }

    async fn resize(&self, request: Request<v1::ResizeInstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let named = Named { name: &wanted.instance, project: &wanted.project };
            let flavor = Some(wanted.flavor.as_str());
            migrations::begin(call, named, (flavor, None), (caller.role(), caller.is_operator()))
        })
        .await
    }

    async fn migrate(&self, request: Request<v1::MigrateInstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let named = Named { name: &wanted.instance, project: &wanted.project };
            let host = Some(wanted.host.as_str()).filter(|host| !host.is_empty());
            migrations::begin(call, named, (None, host), (caller.role(), caller.is_operator()))
        })
        .await
    }

    async fn live_migrate(&self, request: Request<v1::LiveMigrateInstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            migrations::begin_live(call, wanted, (caller.role(), caller.is_operator()))
        })
        .await
    }

    async fn abort_migration(&self, request: Request<v1::GetMigrationRequest>) -> Answer<v1::Migration> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            migrations::steer(call, wanted, Fleet::abort_live, (caller.role(), caller.is_operator()))
        })
        .await
    }

    async fn force_complete_migration(
        &self,
        request: Request<v1::GetMigrationRequest>,
    ) -> Answer<v1::Migration> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            migrations::steer(call, wanted, Fleet::force_live, (caller.role(), caller.is_operator()))
        })
        .await
    }

    async fn evacuate(&self, request: Request<v1::EvacuateInstanceRequest>) -> Answer<v1::Instance> {
        audit::note(&request);
        let caller = Caller::behind(&request);
        let wanted = request.get_ref();
        let named = Named { name: &wanted.instance, project: &wanted.project };
        let host = self.service.epoch().fleet.read(|fleet| fleet.instance(named)).ok();
        if let Some(host) =
            host.map(|instance| instance.location.host.clone()).filter(|host| !host.is_empty())
        {
            ensure_fenced(&self.service, &host, wanted.fenced, caller.role()).await?;
        }
        write(&self.service, request, |call, wanted| {
            migrations::evacuate(call, wanted, (caller.role(), caller.is_operator()))
        })
        .await
    }

    async fn confirm_resize(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let by = (caller.role(), caller.is_operator());
            call.fleet.command(|fleet, now| {
                let confirmed = fleet.confirm_move(named(wanted), by, now.wall)?;
                Ok::<_, CallError>(instance(fleet, &confirmed))
            })
        })
        .await
    }

    async fn revert_resize(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let by = (caller.role(), caller.is_operator());
            call.fleet.command(|fleet, now| {
                let reverted = fleet.revert_move(named(wanted), by, now.wall)?;
                Ok::<_, CallError>(instance(fleet, &reverted))
            })
        })
        .await
    }

    async fn list_migrations(
        &self,
        request: Request<v1::ListMigrationsRequest>,
    ) -> Answer<v1::ListMigrationsResponse> {
        read(&self.service, request, migrations::list).await
    }

    async fn get_migration(&self, request: Request<v1::GetMigrationRequest>) -> Answer<v1::Migration> {
        read(&self.service, request, migrations::get).await
    }

    async fn lock(&self, request: Request<v1::LockRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let named = Named { name: &wanted.instance, project: &wanted.project };
            let by = (caller.role(), caller.is_operator());
            let reason = Some(wanted.reason.as_str());
            call.fleet.command(|fleet, now| {
                let locked = fleet.lock_instance(named, reason, by, now.wall)?;
                Ok::<_, CallError>(instance(fleet, &locked))
            })
        })
        .await
    }

    async fn unlock(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        let caller = Caller::behind(&request);
        write(&self.service, request, |call, wanted| {
            let by = (caller.role(), caller.is_operator());
            call.fleet.command(|fleet, now| {
                let unlocked = fleet.lock_instance(named(wanted), None, by, now.wall)?;
                Ok::<_, CallError>(instance(fleet, &unlocked))
            })
        })
        .await
    }

    async fn get(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::Instance> {
        read(&self.service, request, |call, wanted| {
            call.fleet.read(|fleet| Ok::<_, CallError>(instance(fleet, &*fleet.instance(named(wanted))?)))
        })
        .await
    }

    async fn list(&self, request: Request<v1::ListInstancesRequest>) -> Answer<v1::ListInstancesResponse> {
        let is_lengthy = |call: &Call<'_>, _: &v1::ListInstancesRequest| {
            let instances = call.fleet.read(|fleet| fleet.state().instance_count());
            Reads::Instances(instances).is_lengthy(call.index)
        };
        read_in_turn(&self.service, request, is_lengthy, list).await
    }

    async fn list_events(&self, request: Request<v1::InstanceRequest>) -> Answer<v1::ListEventsResponse> {
        read(&self.service, request, |call, wanted| {
            let found = call.fleet.read(|fleet| fleet.instance(named(wanted)))?;
            Ok::<_, CallError>(v1::ListEventsResponse {
                events: found.events.iter().map(|of| event(of)).collect(),
            })
        })
        .await
    }

    async fn get_console_log(&self, request: Request<v1::GetConsoleLogRequest>) -> Answer<v1::ConsoleLog> {
        audit::note(&request); // it may have passwords
        let epoch = call::begin(&self.service, request.extensions(), Purpose::Advise)?;
        let _processing = call::processing(request.extensions());
        let wanted = request.get_ref();
        let named = Named { name: &wanted.instance, project: &wanted.project };
        let log = epoch.fleet.console_log(named).await.map_err(CallError::from)?;
        call::in_flight(&self.service, &CallerKey::behind(&request).0, log)
    }

    type WatchStream = Messages;

    async fn watch(&self, request: Request<v1::WatchInstancesRequest>) -> Answer<Self::WatchStream> {
        self.watching.serve(Arc::clone(&self.service), self.stopping.clone(), request).map(Response::new)
    }
}

fn named(wanted: &v1::InstanceRequest) -> Named<'_> {
    Named { name: &wanted.instance, project: &wanted.project }
}

/// Bytes that one call may store, at most: each of its instances has a copy of the request.
const CREATED_BYTES: usize = 64 << 20;

fn create(
    call: &Call<'_>,
    wanted: &v1::CreateInstancesRequest,
) -> Result<v1::CreateInstancesResponse, CallError> {
    let (count, bytes) = (wanted.max_count.max(wanted.min_count), wanted.encoded_len());
    if (count as usize).saturating_mul(bytes) > CREATED_BYTES {
        let problem = format!(
            "{count} instances of {bytes} bytes each have more than {CREATED_BYTES} bytes; make fewer of them at once"
        );
        return Err(bad_field("max_count", problem).into());
    }
    let hints = hints(&wanted.hints);
    let creation = Creation {
        name: wanted.name.clone(),
        flavor: wanted.flavor.clone(),
        image: wanted.image.clone().map(read_image),
        project: wanted.project.clone(),
        user: wanted.user.clone(),
        availability_zone: RequestedZone::parse(&wanted.availability_zone),
        group: group_hint(&hints)?,
        hints,
        min_count: wanted.min_count as usize,
        max_count: wanted.max_count as usize,
        // A copy: the message is a part of a larger buffer.
        user_data: Bytes::copy_from_slice(&wanted.user_data),
        metadata: wanted.metadata.clone().into_iter().collect(),
        key_name: wanted.key_name.clone(),
        idempotency_key: wanted.idempotency_key.clone(),
    };
    let created = tokio::task::block_in_place(|| call.fleet.create_instances(&creation))?;
    let instances = call.fleet.read(|fleet| created.iter().map(|created| instance(fleet, created)).collect());
    Ok(v1::CreateInstancesResponse { instances })
}

/// A page ends when it is so long, in bytes: encoding it takes no more than a millisecond or two.
const PAGE_BYTES: usize = 1 << 20;

fn list(call: &Call<'_>, wanted: &v1::ListInstancesRequest) -> Result<v1::ListInstancesResponse, Status> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let is_so = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let matches = |found: &Instance| {
        is_so(&wanted.project, &found.spec.project)
            && is_so(&wanted.host, &found.location.host)
            && is_so(&wanted.status, status(found))
    };
    let found = call.fleet.read(|fleet| fleet.instances(matches));
    let keyed = found.into_iter().map(|found| (key_of(&found), found));
    let (page, next_page_token) = page.take(keyed);
    let mut instances = Vec::with_capacity(page.len());
    let mut bytes = 0;
    for (number, found) in page.iter().enumerate() {
        let message = call.fleet.read(|fleet| instance(fleet, found)); // others may use the fleet in between
        bytes += message.encoded_len();
        instances.push(message);
        if bytes >= PAGE_BYTES && number + 1 < page.len() {
            return Ok(v1::ListInstancesResponse { instances, next_page_token: key_of(found) });
        }
    }
    Ok(v1::ListInstancesResponse { instances, next_page_token })
}

/// The order of instances in lists.
fn key_of(instance: &Instance) -> String {
    format!("{}\0{}", instance.spec.name, instance.uuid)
}
