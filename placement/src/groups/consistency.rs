//! Compares groups with the consumers' allocations.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::consistency::Inconsistency;
use crate::consumers::ConsumerId;
use crate::groups::{ConsumerGroup, GroupId, Member, Roster};
use crate::ids::Row;
use crate::index::Index;

impl Index {
    /// Checks that every policy holds, every member is on its host, and rosters and consumers refer
    /// to each other.
    pub(crate) fn check_groups(&self) -> Result<(), Inconsistency> {
        #[expect(clippy::disallowed_methods, reason = "the map is ordered")]
        let groups: BTreeMap<GroupId, Arc<ConsumerGroup>> =
            self.groups.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect();
        let mut named: BTreeMap<GroupId, Vec<ConsumerId>> = BTreeMap::new();
        self.consumers.for_each(|consumer, entry| {
            if let Some(group) = entry.group().filter(|group| group.roster().is_some()) {
                named.entry(group.id()).or_default().push(consumer);
            }
        });
        for (&id, group) in &groups {
            let roster = group.roster().unwrap_or_default();
            let mut consumers = named.remove(&id).unwrap_or_default();
            consumers.sort_unstable();
            let wrong = |what: String| Inconsistency::Group { group: id, what };
            if !roster.members().iter().map(|member| member.consumer).eq(consumers) {
                return Err(wrong("the roster does not match the consumers".to_owned()));
            }
            if let Some(member) = roster.members().iter().find(|member| !self.is_on_host(member)) {
                return Err(wrong(format!("{:032x} is not on {}", member.consumer.0, member.host)));
            }
            group
                .policy()
                .judge(id, &roster, &all_hosts(&roster))
                .map_err(|error| wrong(error.to_string()))?;
        }
        let unknown =
            |(group, _)| Inconsistency::Group { group, what: "the index does not have it".to_owned() };
        named.pop_first().map_or(Ok(()), |stray| Err(unknown(stray)))
    }

    fn is_on_host(&self, member: &Member) -> bool {
        let allocations = self.allocations(member.consumer).unwrap_or_default();
        self.topology().is_on(member.host, &allocations)
    }
}

/// All hosts of the roster, including kept places.
fn all_hosts(roster: &Roster) -> Vec<Row> {
    roster.members().iter().map(|member| member.host).collect()
}
