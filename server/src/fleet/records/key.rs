//! The keys of stored records, and records by key.

use berth_fleet::{IntroducedName, RecordKey, State};
use prost::Message;
use uuid::Uuid;

use super::{
    StoredAggregate, StoredFlavor, StoredGroup, StoredHost, StoredInstance, StoredKeyPair, StoredMembership,
    StoredQuota,
};

/// A record that belongs to no fleet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableRecord {
    #[error("its key is of no kind that is known")]
    Key,
    #[error("its value is not of the format: {0}")]
    Value(#[from] prost::DecodeError),
}

/// The first bytes of keys; those of the index go up to `j`.
const HOST: u8 = b'k';
const AGGREGATE: u8 = b'l';
const FLAVOR: u8 = b'm';
const GROUP: u8 = b'n';
const QUOTA: u8 = b'o';
const INSTANCE: u8 = b'p';
const MEMBERSHIP: u8 = b'q';
const INTRODUCED_CLASS: u8 = b'r';
const INTRODUCED_TRAIT: u8 = b's';
const KEY_PAIR: u8 = b't';

/// Separates a project from a name: neither has control characters.
const SEPARATOR: &str = "\0";

fn key_bytes(key: &RecordKey) -> Vec<u8> {
    let pair;
    let (kind, name) = match key {
        RecordKey::Host(name) => (HOST, name.as_bytes()),
        RecordKey::Aggregate(name) => (AGGREGATE, name.as_bytes()),
        RecordKey::Flavor(name) => (FLAVOR, name.as_bytes()),
        RecordKey::Group(uuid) => (GROUP, &uuid.as_bytes()[..]),
        RecordKey::Quota(project) => (QUOTA, project.as_bytes()),
        RecordKey::KeyPair(project, name) => {
            pair = [project, SEPARATOR, name].concat();
            (KEY_PAIR, pair.as_bytes())
        }
        RecordKey::Instance(uuid) => (INSTANCE, &uuid.as_bytes()[..]),
        RecordKey::Membership(consumer) => (MEMBERSHIP, &consumer.as_bytes()[..]),
        RecordKey::Introduced(IntroducedName::Class(name)) => (INTRODUCED_CLASS, name.as_bytes()),
        RecordKey::Introduced(IntroducedName::Trait(name)) => (INTRODUCED_TRAIT, name.as_bytes()),
    };
    [&[kind], name].concat()
}

fn read_key(bytes: &[u8]) -> Option<RecordKey> {
    let (kind, name) = bytes.split_first()?;
    let text = || String::from_utf8(name.to_vec()).ok();
    let uuid = || Uuid::from_slice(name).ok();
    Some(match *kind {
        HOST => RecordKey::Host(text()?),
        AGGREGATE => RecordKey::Aggregate(text()?),
        FLAVOR => RecordKey::Flavor(text()?),
        GROUP => RecordKey::Group(uuid()?),
        QUOTA => RecordKey::Quota(text()?),
        INSTANCE => RecordKey::Instance(uuid()?),
        MEMBERSHIP => RecordKey::Membership(uuid()?),
        INTRODUCED_CLASS => RecordKey::Introduced(IntroducedName::Class(text()?)),
        INTRODUCED_TRAIT => RecordKey::Introduced(IntroducedName::Trait(text()?)),
        KEY_PAIR => {
            let pair = text()?;
            let (project, name) = pair.split_once(SEPARATOR)?;
            RecordKey::KeyPair(project.to_owned(), name.to_owned())
        }
        _ => return None,
    })
}

/// The record with this key: its stored key, and its value if it exists.
pub(crate) fn encode(state: &State, key: &RecordKey) -> (Vec<u8>, Option<Vec<u8>>) {
    let value = match key {
        RecordKey::Host(name) => state.host(name).map(|of| StoredHost::from(of).encode_to_vec()),
        RecordKey::Aggregate(name) => {
            state.aggregate(name).map(|of| StoredAggregate::from(of).encode_to_vec())
        }
        RecordKey::Flavor(name) => state.flavor(name).map(|of| StoredFlavor::from(of).encode_to_vec()),
        RecordKey::Group(uuid) => state.group(*uuid).map(|of| StoredGroup::from((*uuid, of)).encode_to_vec()),
        RecordKey::Quota(project) => state.quota(project).map(|of| StoredQuota::from(of).encode_to_vec()),
        RecordKey::KeyPair(project, name) => {
            state.key_pair(project, name).map(|of| StoredKeyPair::from(of).encode_to_vec())
        }
        RecordKey::Instance(uuid) => {
            state.instance(*uuid).map(|of| StoredInstance::from(&**of).encode_to_vec())
        }
        RecordKey::Membership(consumer) => state
            .membership(*consumer)
            .map(|group| StoredMembership { group: group.into_bytes().to_vec() }.encode_to_vec()),
        // The key says everything.
        RecordKey::Introduced(name) => state.is_introduced(name).then(Vec::new),
    };
    (key_bytes(key), value)
}

/// Applies a stored record.
pub(crate) fn apply(state: &mut State, key: &[u8], value: &[u8]) -> Result<(), UnreadableRecord> {
    match read_key(key).ok_or(UnreadableRecord::Key)? {
        RecordKey::Host(_) => state.put_host(StoredHost::decode(value)?.into()),
        RecordKey::Aggregate(_) => state.put_aggregate(StoredAggregate::decode(value)?.into()),
        RecordKey::Flavor(_) => state.put_flavor(StoredFlavor::decode(value)?.into()),
        RecordKey::Group(uuid) => state.put_group(uuid, StoredGroup::decode(value)?.into()),
        RecordKey::Quota(project) => state.put_quota(&project, StoredQuota::decode(value)?.into()),
        RecordKey::KeyPair(..) => state.put_key_pair(StoredKeyPair::decode(value)?.into()),
        RecordKey::Instance(uuid) => state.put_instance(StoredInstance::decode(value)?.instance(uuid).into()),
        RecordKey::Membership(consumer) => {
            let group = Uuid::from_slice(&StoredMembership::decode(value)?.group);
            state.set_membership(consumer, Some(group.map_err(|_| UnreadableRecord::Key)?));
        }
        RecordKey::Introduced(name) => state.put_introduced(name),
    }
    Ok(())
}

/// Removes the record with a stored key.
pub(crate) fn remove(state: &mut State, key: &[u8]) -> Result<(), UnreadableRecord> {
    match read_key(key).ok_or(UnreadableRecord::Key)? {
        RecordKey::Host(name) => state.remove_host(&name),
        RecordKey::Aggregate(name) => state.remove_aggregate(&name),
        RecordKey::Flavor(name) => state.remove_flavor(&name),
        RecordKey::Group(uuid) => state.remove_group(uuid),
        RecordKey::Quota(project) => state.remove_quota(&project),
        RecordKey::KeyPair(project, name) => state.remove_key_pair(&project, &name),
        RecordKey::Instance(uuid) => state.take_instance(uuid),
        RecordKey::Membership(consumer) => state.set_membership(consumer, None),
        RecordKey::Introduced(name) => state.forget_introduced(&name),
    }
    Ok(())
}

/// A stored key in words; `None` for an unknown kind.
pub(crate) fn describe(key: &[u8]) -> Option<String> {
    Some(match read_key(key)? {
        RecordKey::Host(name) => format!("the host {name}"),
        RecordKey::Aggregate(name) => format!("the host aggregate {name}"),
        RecordKey::Flavor(name) => format!("the flavor {name}"),
        RecordKey::Group(uuid) => format!("the server group {uuid}"),
        RecordKey::Quota(project) => format!("the quotas of project {project}"),
        RecordKey::KeyPair(project, name) => format!("the key pair {name} of project {project}"),
        RecordKey::Instance(uuid) => format!("the instance {uuid}"),
        RecordKey::Membership(consumer) => format!("the membership of instance {consumer} in a server group"),
        RecordKey::Introduced(IntroducedName::Class(name)) => {
            format!("that agents introduced the resource class {name}")
        }
        RecordKey::Introduced(IntroducedName::Trait(name)) => {
            format!("that agents introduced the trait {name}")
        }
    })
}
