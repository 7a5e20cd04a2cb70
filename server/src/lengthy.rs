//! Which requests take longer than most, so that they run on threads of their own
//! ([`crate::searches`]).
//!
//! A request thread that works for milliseconds delays all requests behind it. So requests whose
//! work grows with the cloud, and those with long bodies, take turns elsewhere as soon as there is
//! much to do.

use berth_placement::Index;
use prost::Message;

use crate::uuids;

/// The number of consumers, providers or instances from which on a request is lengthy: about a
/// millisecond of work.
const MANY: usize = 500;

/// Classes or traits that take as long as one provider.
const NAMES_OF_ONE: usize = 4;

/// The length from which on a body is lengthy, in bytes.
const LONG_BODY: usize = 64 << 10;

/// What a request reads, one by one. Providers are named by their UUIDs as the client wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads<'a> {
    /// Nothing that grows with the cloud.
    Few,
    /// A body of so many bytes.
    Body(usize),
    /// All providers.
    Providers,
    /// The providers in the tree of a provider.
    Tree(&'a str),
    /// The consumers of a provider.
    Consumers(&'a str),
    /// The consumers of a project.
    Project(&'a str),
    /// So many instances.
    Instances(usize),
    /// All resource classes.
    Classes,
    /// All traits.
    Traits,
}

impl Reads<'_> {
    /// Whether a request that reads this is lengthy.
    pub(crate) fn is_lengthy(self, index: &Index) -> bool {
        let row = |uuid| index.find(uuids::read(uuid)?);
        let topology = || index.topology();
        let count = match self {
            Self::Few => 0,
            Self::Body(bytes) => return bytes >= LONG_BODY,
            Self::Providers => topology().providers().take(MANY).count(),
            Self::Tree(uuid) => {
                let topology = topology();
                let provider = row(uuid).and_then(|row| topology.provider(row));
                provider.map_or(0, |provider| topology.tree(provider.root).len())
            }
            Self::Consumers(uuid) => row(uuid).map_or(0, |row| index.holder_count(row)),
            Self::Project(id) => index.project_consumer_count(id),
            Self::Instances(count) => count,
            Self::Classes => topology().classes().count() / NAMES_OF_ONE,
            Self::Traits => topology().traits().count() / NAMES_OF_ONE,
        };
        count >= MANY
    }
}

/// Whether a message is long enough to make its call lengthy.
pub(crate) fn is_long(message: &impl Message) -> bool {
    message.encoded_len() >= LONG_BODY
}

#[cfg(test)]
mod tests {
    use berth_placement::{Allocation, ClassId, ConsumerId, Inventory};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_request_is_lengthy_when_there_is_much_to_do() {
        let index = Index::with_holders();
        let mut writer = index.write();
        for number in 1..MANY as u128 {
            writer.add_provider(Uuid::from_u128(number), &number.to_string(), None).unwrap();
        }
        let row = index.find(Uuid::from_u128(1)).unwrap();
        writer.resource_class("VCPU").unwrap();
        writer.set_inventories(row, None, vec![(ClassId(0), Inventory::of(1 << 20))]).unwrap();
        drop(writer);
        let is_lengthy = |reads: Reads<'_>| reads.is_lengthy(&index);
        let (one, other) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string());
        assert!(!is_lengthy(Reads::Providers) && !is_lengthy(Reads::Consumers(&one)));
        index.write().add_provider(Uuid::from_u128(1 << 20), "last", None).unwrap();
        for consumer in 0..MANY as u128 {
            index.claim(ConsumerId(consumer), &[Allocation { row, class: ClassId(0), amount: 1 }]).unwrap();
        }
        assert!(is_lengthy(Reads::Providers));
        // A list of one tree grows with the tree. It was taken for short.
        assert!(!is_lengthy(Reads::Tree(&one)));
        for number in 0..MANY as u128 {
            let child = Uuid::from_u128(1 << 40 | number);
            index.write().add_provider(child, &child.to_string(), Some(row)).unwrap();
        }
        assert!(is_lengthy(Reads::Tree(&one)) && !is_lengthy(Reads::Tree(&other)));
        assert!(is_lengthy(Reads::Consumers(&one)) && !is_lengthy(Reads::Consumers(&other)));
        assert!(!is_lengthy(Reads::Few) && !is_lengthy(Reads::Traits) && !is_lengthy(Reads::Project("")));
        assert!(is_lengthy(Reads::Instances(MANY)) && !is_lengthy(Reads::Instances(MANY - 1)));
        assert!(is_lengthy(Reads::Body(LONG_BODY)) && !is_lengthy(Reads::Body(LONG_BODY - 1)));
    }
}
