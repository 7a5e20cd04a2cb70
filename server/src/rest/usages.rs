//! `/usages` and `/resource_providers/{uuid}/usages`: how much is held, in sums.

use std::collections::BTreeMap;

use berth_placement::{ClassId, Consumer, Topology};

use super::allocations::UNKNOWN_TYPE;
use super::call::Call;
use super::schemas;
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::json;
use crate::policy::rules;
use crate::request::message;

type Sums = BTreeMap<ClassId, u64>;

pub(super) fn of_provider(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::PROVIDER_USAGES)?;
    let found = call.provider(uuid)?;
    let (generation, inventories) = call.index.inventories(found.row);
    let reply = Reply::object(|w| {
        w.key("resource_provider_generation").integer(generation);
        w.key("usages").object(|w| {
            for (class, _) in inventories {
                let used = call.index.used(found.row, class);
                w.key(message::class_name(&found.topology, class)).integer(used);
            }
        });
    });
    Ok(reply.modified(call.now))
}

pub(super) fn of_project(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(9)?;
    call.takes_json()?;
    call.may_for(rules::PROJECT_USAGES, call.query.get("project_id"))?;
    call.query.check(schemas::USAGE_QUERY.at(call.version))?;
    let project = call.query.get("project_id").unwrap_or_default();
    let user = call.query.get("user_id").filter(|user| !user.is_empty());
    let consumers =
        call.index.project_consumers(project).into_iter().filter_map(|id| call.index.consumer(id));
    let is_wanted = |consumer: &Consumer| {
        let owner = consumer.owner.as_deref();
        !consumer.allocations.is_empty()
            && owner.is_some_and(|owner| {
                *owner.project == *project && user.is_none_or(|user| *owner.user == *user)
            })
    };
    let consumers: Vec<Consumer> = consumers.filter(is_wanted).collect();
    let topology = call.index.topology();
    let reply = Reply::object(|w| {
        w.key("usages").object(|w| {
            if call.version.at_least(38) {
                by_type(w, &topology, &consumers, call.query.get("consumer_type"));
            } else {
                write_sums(w, &topology, &sums(&consumers));
            }
        });
    });
    Ok(reply.modified(call.now))
}

/// Sums for each consumer type, or for the one that is asked for. `all` puts them together.
fn by_type(w: &mut json::Writer, topology: &Topology, consumers: &[Consumer], wanted: Option<&str>) {
    let mut groups: BTreeMap<&str, Vec<Consumer>> = BTreeMap::new();
    for consumer in consumers {
        let owner = consumer.owner.as_deref();
        let kind = owner.and_then(|owner| owner.consumer_type.as_deref()).unwrap_or(UNKNOWN_TYPE);
        let group = if wanted == Some("all") { "all" } else { kind };
        groups.entry(group).or_default().push(consumer.clone());
    }
    for (kind, group) in groups.into_iter().filter(|(kind, _)| wanted.is_none_or(|wanted| wanted == *kind)) {
        w.key(kind).object(|w| {
            write_sums(w, topology, &sums(&group));
            w.key("consumer_count").integer(group.len());
        });
    }
}

fn sums(consumers: &[Consumer]) -> Sums {
    let mut sums = Sums::new();
    for allocation in consumers.iter().flat_map(|consumer| &consumer.allocations) {
        *sums.entry(allocation.class).or_default() += u64::from(allocation.amount);
    }
    sums
}

fn write_sums(w: &mut json::Writer, topology: &Topology, sums: &Sums) {
    for (&class, &sum) in sums {
        w.key(message::class_name(topology, class)).integer(sum);
    }
}
