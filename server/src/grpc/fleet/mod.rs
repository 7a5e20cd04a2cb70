//! The Fleet service: what operators arrange.

mod aggregates;
pub(crate) mod evacuations;
mod flavors;
mod groups;
mod hosts;
mod key_pairs;
mod quotas;
mod refusals;

use std::sync::Arc;

use berth_api::v1;
use tonic::{Request, Response, Status};

pub(crate) use self::refusals::CallError;
use super::audit;
use super::call::{Call, read, read_in_turn, write};
use super::identity::Caller;
use crate::lengthy::Reads;
use crate::service::Service;

/// Hosts, aggregates, zones, flavors, server groups, key pairs, quotas.
pub(crate) struct Fleet {
    service: Arc<Service>,
}

impl Fleet {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

/// Whether what looks at all hosts is lengthy.
fn looks_at_all<Q>(call: &Call<'_>, _: &Q) -> bool {
    Reads::Providers.is_lengthy(call.index)
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl v1::fleet_server::Fleet for Fleet {
    async fn list_hosts(&self, request: Request<v1::ListHostsRequest>) -> Answer<v1::ListHostsResponse> {
        read_in_turn(&self.service, request, looks_at_all, hosts::list).await
    }

    async fn get_host(&self, request: Request<v1::GetHostRequest>) -> Answer<v1::Host> {
        read_in_turn(&self.service, request, hosts::is_lengthy, hosts::get).await
    }

    async fn approve_host(&self, request: Request<v1::ApproveHostRequest>) -> Answer<v1::Host> {
        write(&self.service, request, hosts::approve).await
    }

    async fn set_host(&self, request: Request<v1::SetHostRequest>) -> Answer<v1::Host> {
        write(&self.service, request, hosts::set).await
    }

    async fn delete_host(&self, request: Request<v1::DeleteHostRequest>) -> Answer<v1::DeleteHostResponse> {
        write(&self.service, request, hosts::delete).await
    }

    async fn fence_host(&self, request: Request<v1::FenceHostRequest>) -> Answer<v1::Host> {
        let caller = Caller::behind(&request);
        let user = caller.role();
        audit::note(&request);
        let wanted = request.get_ref();
        if !wanted.fenced {
            evacuations::run_fencing(&self.service, &wanted.name).await?;
        }
        write(&self.service, request, |call, wanted| hosts::fence(call, wanted, user)).await
    }

    async fn evacuate_host(&self, request: Request<v1::EvacuateHostRequest>) -> Answer<v1::HostEvacuation> {
        let caller = Caller::behind(&request);
        let user = caller.role();
        audit::note(&request);
        let wanted = request.get_ref();
        if wanted.live.is_none() {
            evacuations::ensure_fenced(&self.service, &wanted.name, wanted.fenced, user).await?;
        }
        write(&self.service, request, |call, wanted| evacuations::evacuate(call, wanted, user)).await
    }

    async fn get_host_evacuation(
        &self,
        request: Request<v1::GetHostEvacuationRequest>,
    ) -> Answer<v1::HostEvacuation> {
        read(&self.service, request, evacuations::get).await
    }

    async fn get_statistics(&self, request: Request<v1::GetStatisticsRequest>) -> Answer<v1::Statistics> {
        read_in_turn(&self.service, request, looks_at_all, hosts::statistics).await
    }

    async fn list_aggregates(
        &self,
        request: Request<v1::ListAggregatesRequest>,
    ) -> Answer<v1::ListAggregatesResponse> {
        read_in_turn(&self.service, request, looks_at_all, aggregates::list).await
    }

    async fn get_aggregate(&self, request: Request<v1::GetAggregateRequest>) -> Answer<v1::Aggregate> {
        read(&self.service, request, aggregates::get).await
    }

    async fn create_aggregate(&self, request: Request<v1::CreateAggregateRequest>) -> Answer<v1::Aggregate> {
        write(&self.service, request, aggregates::create).await
    }

    async fn update_aggregate(&self, request: Request<v1::UpdateAggregateRequest>) -> Answer<v1::Aggregate> {
        write(&self.service, request, aggregates::update).await
    }

    async fn delete_aggregate(
        &self,
        request: Request<v1::DeleteAggregateRequest>,
    ) -> Answer<v1::DeleteAggregateResponse> {
        write(&self.service, request, aggregates::delete).await
    }

    async fn list_zones(&self, request: Request<v1::ListZonesRequest>) -> Answer<v1::ListZonesResponse> {
        read_in_turn(&self.service, request, looks_at_all, aggregates::zones).await
    }

    async fn list_flavors(
        &self,
        request: Request<v1::ListFlavorsRequest>,
    ) -> Answer<v1::ListFlavorsResponse> {
        read(&self.service, request, flavors::list).await
    }

    async fn get_flavor(&self, request: Request<v1::GetFlavorRequest>) -> Answer<v1::Flavor> {
        read(&self.service, request, flavors::get).await
    }

    async fn create_flavor(&self, request: Request<v1::CreateFlavorRequest>) -> Answer<v1::Flavor> {
        write(&self.service, request, flavors::create).await
    }

    async fn delete_flavor(
        &self,
        request: Request<v1::DeleteFlavorRequest>,
    ) -> Answer<v1::DeleteFlavorResponse> {
        write(&self.service, request, flavors::delete).await
    }

    async fn list_server_groups(
        &self,
        request: Request<v1::ListServerGroupsRequest>,
    ) -> Answer<v1::ListServerGroupsResponse> {
        read(&self.service, request, groups::list).await
    }

    async fn get_server_group(&self, request: Request<v1::GetServerGroupRequest>) -> Answer<v1::ServerGroup> {
        read(&self.service, request, groups::get).await
    }

    async fn create_server_group(
        &self,
        request: Request<v1::CreateServerGroupRequest>,
    ) -> Answer<v1::ServerGroup> {
        write(&self.service, request, groups::create).await
    }

    async fn delete_server_group(
        &self,
        request: Request<v1::DeleteServerGroupRequest>,
    ) -> Answer<v1::DeleteServerGroupResponse> {
        write(&self.service, request, groups::delete).await
    }

    async fn list_key_pairs(
        &self,
        request: Request<v1::ListKeyPairsRequest>,
    ) -> Answer<v1::ListKeyPairsResponse> {
        read(&self.service, request, key_pairs::list).await
    }

    async fn get_key_pair(&self, request: Request<v1::GetKeyPairRequest>) -> Answer<v1::KeyPair> {
        read(&self.service, request, key_pairs::get).await
    }

    async fn create_key_pair(&self, request: Request<v1::CreateKeyPairRequest>) -> Answer<v1::KeyPair> {
        write(&self.service, request, key_pairs::create).await
    }

    async fn delete_key_pair(
        &self,
        request: Request<v1::DeleteKeyPairRequest>,
    ) -> Answer<v1::DeleteKeyPairResponse> {
        write(&self.service, request, key_pairs::delete).await
    }

    async fn get_quota(&self, request: Request<v1::GetQuotaRequest>) -> Answer<v1::Quota> {
        read(&self.service, request, quotas::get).await
    }

    async fn set_quota(&self, request: Request<v1::SetQuotaRequest>) -> Answer<v1::Quota> {
        write(&self.service, request, quotas::set).await
    }
}
