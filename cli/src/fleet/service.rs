//! A live fleet from a running service.

use anyhow::{Context, Result};
use berth_api::v1::{
    Consumer, Inventory as ApiInventory, ListConsumersRequest, ListInstancesRequest, ListProvidersRequest,
    Provider, host,
};
use berth_placement::{Inventory, Units};
use uuid::Uuid;

use super::live::{HostFacts, InstanceFacts, Live, LiveConsumer, LiveProvider};
use crate::operator::connection::{Client, Connection, PAGE, all, request};
use crate::operator::refusal::Answer;
use crate::operator::{aggregate, ask, host as hosts, server, server_group};

pub(super) fn read(connection: &Connection) -> Result<Live> {
    ask(connection, async |client| {
        let mut live = Live::default();
        read_placement(&client, &mut live).await?;
        read_hosts(&client, &mut live).await?;
        read_instances(&client, &mut live).await?;
        Ok(live)
    })
}

async fn read_placement(client: &Client, live: &mut Live) -> Result<()> {
    let providers: Vec<Provider> = all(async |page_token| {
        let wanted = ListProvidersRequest { page_size: PAGE, page_token, ..ListProvidersRequest::default() };
        let page = client.placement().list_providers(request(wanted)).await.answer()?;
        Ok((page.providers, page.next_page_token))
    })
    .await?;
    for provider in providers {
        let uuid = uuid_of(&provider.uuid)?;
        let consumers: Vec<Consumer> = all(async |page_token| {
            let provider = provider.uuid.clone();
            let wanted = ListConsumersRequest { page_size: PAGE, page_token, provider };
            let page = client.placement().list_consumers(request(wanted)).await.answer()?;
            Ok((page.consumers, page.next_page_token))
        })
        .await?;
        for consumer in consumers {
            // One that holds amounts of several providers comes with each of them, with all
            // amounts.
            let mut holds = Vec::new();
            for held in consumer.allocations {
                let provider = uuid_of(&held.provider)?;
                holds.extend(held.resources.into_iter().map(|(class, amount)| (provider, class, amount)));
            }
            let of = LiveConsumer { project: consumer.project, holds, written_at_us: 0 };
            live.consumers.insert(uuid_of(&consumer.uuid)?, of);
        }
        let inventories = provider.inventories.iter();
        let of = LiveProvider {
            parent: (!provider.parent.is_empty()).then(|| uuid_of(&provider.parent)).transpose()?,
            inventories: inventories.map(|(class, of)| (class.clone(), inventory(of))).collect(),
            name: provider.name,
            traits: provider.traits,
        };
        live.providers.insert(uuid, of);
    }
    Ok(())
}

async fn read_hosts(client: &Client, live: &mut Live) -> Result<()> {
    let aggregates = aggregate::aggregates(client).await?;
    for host in hosts::hosts(client).await? {
        let own = aggregates.iter().filter(|aggregate| aggregate.hosts.contains(&host.name));
        let metadata = own.flat_map(|aggregate| aggregate.metadata.clone());
        let (zones, mut aggregates): (Vec<_>, Vec<_>) =
            metadata.partition(|(key, _)| key == "availability_zone");
        aggregates.sort_unstable();
        let zone = zones.into_iter().next().map(|(_, zone)| zone).unwrap_or_default();
        let is_disabled = host.status() != host::Status::Enabled;
        live.hosts
            .insert(uuid_of(&host.provider)?, HostFacts { name: host.name, zone, aggregates, is_disabled });
    }
    Ok(())
}

async fn read_instances(client: &Client, live: &mut Live) -> Result<()> {
    let groups = server_group::groups(client, "").await?;
    let wanted = ListInstancesRequest { page_size: PAGE, ..ListInstancesRequest::default() };
    for instance in server::instances(client, &wanted).await? {
        let flavor = instance.flavor.unwrap_or_default();
        let group = groups.iter().find(|group| group.uuid == instance.server_group);
        let mut extra_specs: Vec<_> = flavor.extra_specs.into_iter().collect();
        extra_specs.sort_unstable();
        let facts = InstanceFacts {
            name: instance.name,
            flavor: flavor.name,
            extra_specs,
            group: instance.server_group,
            policy: group.map(|group| server_group::policy(group.policy()).to_owned()).unwrap_or_default(),
            created_at_us: instance.created_at,
        };
        live.instances.insert(uuid_of(&instance.uuid)?, facts);
    }
    Ok(())
}

fn uuid_of(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).with_context(|| format!("the service returned {text:?}, which is no UUID"))
}

fn inventory(of: &ApiInventory) -> Inventory {
    Inventory {
        total: of.total,
        reserved: of.reserved,
        units: Units { min_unit: of.min_unit, max_unit: of.max_unit, step_size: of.step_size },
        allocation_ratio: of.allocation_ratio,
    }
}
