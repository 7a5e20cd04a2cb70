//! `/traits` and `/resource_providers/{uuid}/traits`: what providers can do.

use axum::http::StatusCode;
use berth_fleet::IntroducedName;
use berth_placement::standard::CUSTOM_PREFIX;
use berth_placement::{Timestamp, Topology, TopologyError, TraitId, custom};

use super::call::{Call, no_provider};
use super::like::Like;
use super::{refusals, schemas};
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::json::schema::integer_of;
use crate::policy::rules;
use crate::request::message;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(6)?;
    call.takes_json()?;
    call.may(rules::TRAITS_LIST)?;
    call.query.check(&schemas::TRAIT_QUERY)?;
    let name = call.query.get("name").map(NameFilter::parse).transpose()?;
    let associated = call.query.get("associated").map(parse_bool).transpose()?;
    let topology = call.index.topology();
    let is_associated =
        |number: u32| topology.rows_with_trait(TraitId(number)).is_some_and(|rows| !rows.is_empty());
    let chosen = topology.traits().iter().filter(|(number, trait_name)| {
        name.as_ref().is_none_or(|filter| filter.takes(trait_name))
            && associated.is_none_or(|wanted| is_associated(*number) == wanted)
    });
    Ok(answer(call, &topology, chosen.map(|(number, _)| TraitId(number)), None))
}

/// `in:A,B` or `startswith:A`, where `A` is a pattern of SQL. Any other word before the colon
/// filters nothing, as in the original.
enum NameFilter<'query> {
    In(Vec<&'query str>),
    Prefix(Like<'query>),
    Anything,
}

impl<'query> NameFilter<'query> {
    fn parse(text: &'query str) -> Result<Self, Failure> {
        match text.split_once(':') {
            Some(("in", names)) => Ok(Self::In(names.split(',').collect())),
            Some(("startswith", prefix)) => Ok(Self::Prefix(Like::beginning_with(prefix))),
            Some(_) => Ok(Self::Anything),
            None => Err(Failure::bad_request(format!(
                "Badly formatted name parameter. Expected name query string parameter in form: \
                 ?name=[in|startswith]:[name1,name2|prefix]. Got: \"{text}\""
            ))),
        }
    }

    fn takes(&self, name: &str) -> bool {
        match self {
            Self::In(names) => names.contains(&name),
            Self::Prefix(prefix) => prefix.matches(name),
            Self::Anything => true,
        }
    }
}

fn parse_bool(text: &str) -> Result<bool, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            Err(Failure::bad_request("The query parameter \"associated\" only accepts \"true\" or \"false\""))
        }
    }
}

pub(super) fn show(call: &Call<'_>, name: &str) -> Result<Reply, Failure> {
    call.since(6)?;
    call.may(rules::TRAITS_SHOW)?;
    let topology = call.index.topology();
    let id = topology.find_trait(name).ok_or_else(|| unknown(name))?;
    Ok(Reply::no_content().modified(since(&topology, id, call)))
}

pub(super) fn create(call: &Call<'_>, name: &str) -> Result<Reply, Failure> {
    call.since(6)?;
    call.may(rules::TRAITS_UPDATE)?;
    if !custom::is_name(name) {
        return Err(Failure::bad_request(
            "The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix \
             \"CUSTOM_\" and use following characters: \"A\"-\"Z\", \"0\"-\"9\" and \"_\"",
        ));
    }
    let (status, since) = ensure(call, name)?;
    Ok(Reply::status(status).at(format!("/traits/{name}")).modified(since))
}

fn ensure(call: &Call<'_>, name: &str) -> Result<(StatusCode, Timestamp), Failure> {
    let introduced = IntroducedName::Trait(name.to_owned());
    if let Some(since) = known_since(&call.index.topology(), name)
        && !call.fleet.is_introduced(&introduced)
    {
        return Ok((StatusCode::NO_CONTENT, since));
    }
    let mut writer = call.index.write_at(call.now);
    call.fleet.keep_name(&introduced);
    if let Some(since) = known_since(writer.topology(), name) {
        return Ok((StatusCode::NO_CONTENT, since));
    }
    custom::trait_named(&mut writer, name).map_err(refusals::unexpected)?;
    Ok((StatusCode::CREATED, call.now))
}

fn known_since(topology: &Topology, name: &str) -> Option<Timestamp> {
    topology.traits().since(topology.find_trait(name)?.0)
}

pub(super) fn delete(call: &Call<'_>, name: &str) -> Result<Reply, Failure> {
    call.since(6)?;
    call.may(rules::TRAITS_DELETE)?;
    let mut writer = call.index.write_at(call.now);
    let id = writer.topology().find_trait(name).ok_or_else(|| unknown(name))?;
    if !name.starts_with(CUSTOM_PREFIX) {
        return Err(Failure::bad_request(format!("Cannot delete standard trait {name}.")));
    }
    writer.remove_trait(id).map_err(|error| match error {
        // Some provider has it.
        TopologyError::TraitInUse(_) => {
            Failure::conflict(format!("The trait {name} is in use by a resource provider."))
        }
        other => refusals::unexpected(other),
    })?;
    Ok(Reply::no_content())
}

pub(super) fn of_provider(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.since(6)?;
    call.takes_json()?;
    call.may(rules::PROVIDER_TRAITS_LIST)?;
    // Before the traits: a generation that is too old only makes a later write fail.
    let generation = call.find(uuid).map(|found| call.index.generation(found.row));
    let found = call.provider(uuid)?;
    let traits = found.provider().traits.iter().copied();
    Ok(answer(call, &found.topology, traits, generation))
}

pub(super) fn replace(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.since(6)?;
    call.sends_json()?;
    call.may(rules::PROVIDER_TRAITS_UPDATE)?;
    let body = call.json(&schemas::PROVIDER_TRAITS)?;
    let names = body["traits"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
    let generation = integer_of(&body["resource_provider_generation"]);
    let row = call.provider(uuid)?.row;
    let mut writer = call.index.write_at(call.now);
    let provider = writer.topology().provider(row).ok_or_else(|| Failure::not_found(no_provider(uuid)))?;
    let before = provider.traits.clone();
    refusals::expect_generation(&writer, row, generation)?;
    let mut traits = resolve(names, writer.topology())?;
    traits.sort_unstable();
    traits.dedup();
    let is_changed = traits != *before;
    if is_changed {
        writer.set_traits(row, &traits).map_err(refusals::unexpected)?;
    }
    let topology = writer.topology().clone();
    drop(writer);
    let generation = u64::try_from(generation).unwrap_or_default() + u64::from(is_changed);
    Ok(answer(call, &topology, traits.into_iter(), Some(generation)))
}

fn resolve<'body>(
    names: impl Iterator<Item = &'body str>,
    topology: &Topology,
) -> Result<Vec<TraitId>, Failure> {
    let (mut traits, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        match topology.find_trait(name) {
            Some(id) => traits.push(id),
            None => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        return Ok(traits);
    }
    Err(Failure::bad_request(format!("No such trait {}", unknown.join(", "))))
}

pub(super) fn clear(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.since(6)?;
    call.may(rules::PROVIDER_TRAITS_DELETE)?;
    let row = call.provider(uuid)?.row;
    let mut writer = call.index.write_at(call.now);
    let provider = writer.topology().provider(row).ok_or_else(|| Failure::not_found(no_provider(uuid)))?;
    if !provider.traits.is_empty() {
        writer.set_traits(row, &[]).map_err(refusals::unexpected)?;
    }
    Ok(Reply::no_content())
}

fn answer(
    call: &Call<'_>,
    topology: &Topology,
    traits: impl Iterator<Item = TraitId>,
    generation: Option<u64>,
) -> Reply {
    let traits: Vec<_> = traits.collect();
    let last = traits.iter().map(|&id| since(topology, id, call)).max();
    let names = traits.iter().filter_map(|id| topology.traits().name(id.0));
    let reply = Reply::object(|w| {
        w.key("traits").array(|w| names.for_each(|name| w.string(name)));
        if let Some(generation) = generation {
            w.key("resource_provider_generation").integer(generation);
        }
    });
    reply.modified(last.unwrap_or(call.now))
}

fn since(topology: &Topology, id: TraitId, call: &Call<'_>) -> Timestamp {
    topology.traits().since(id.0).unwrap_or(call.now)
}

fn unknown(name: &str) -> Failure {
    Failure::not_found(message::no_such_trait(name))
}
