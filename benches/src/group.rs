//! Claims the instances of one server group together.

use berth_placement::{
    Allocation, ConsumerId, ConsumerWrite, ExpectedGeneration, GroupError, GroupId, GroupPolicy,
    HOST_CLASSES, Index, Member, Owner, Row, Timestamp, TransferError,
};

/// The amounts of each instance: vCPUs, MiB and GiB.
const SIZE: [u32; HOST_CLASSES.len()] = [2, 4_096, 20];

/// A multi-create with each instance on its own host.
pub struct GroupClaim {
    group: GroupId,
    members: Vec<Member>,
    writes: Vec<ConsumerWrite>,
}

impl GroupClaim {
    /// New instances on hosts with free capacity, in their own anti-affinity group; `None` when
    /// there are too few hosts.
    ///
    /// # Errors
    /// A group that exists: the number was used before.
    pub fn new(index: &Index, number: u64, instances: usize) -> Result<Option<Self>, GroupError> {
        let has_capacity = |row: &Row| {
            let free = index.host_free(*row).into_iter().zip(SIZE);
            free.into_iter().all(|(free, amount)| free.is_some_and(|free| free >= i64::from(amount)))
        };
        let hosts: Vec<Row> =
            index.topology().roots().iter().map(Row).filter(has_capacity).take(instances).collect();
        if hosts.len() < instances {
            return Ok(None);
        }
        let group = GroupId(number.into());
        index.add_group(group, GroupPolicy::ANTI_AFFINITY)?;
        let consumer = |at| ConsumerId(1 << 105 | u128::from(number) << 32 | at);
        let members: Vec<Member> =
            (0..).zip(hosts).map(|(at, host)| Member::new(consumer(at), host)).collect();
        let owner = Owner { project: "project".into(), user: "user".into(), consumer_type: None }.into();
        let writes = members.iter().map(|member| write(member, &owner)).collect();
        Ok(Some(Self { group, members, writes }))
    }

    /// Claims all instances as members of their group.
    ///
    /// # Errors
    /// The capacity was taken, or the instances exist already.
    pub fn claim(&self, index: &Index) -> Result<(), TransferError> {
        index.claim_group(self.group, &self.members, &self.writes, Timestamp::default())
    }

    /// Claims the same without the group.
    ///
    /// # Errors
    /// See [`claim`](Self::claim).
    pub fn claim_alone(&self, index: &Index) -> Result<(), TransferError> {
        index.transfer(&self.writes, Timestamp::default())
    }

    /// Releases everything.
    ///
    /// # Panics
    /// Nothing is claimed.
    pub fn release(&self, index: &Index) {
        for member in &self.members {
            index.release(member.consumer).expect("it was claimed");
        }
    }
}

fn write(member: &Member, owner: &std::sync::Arc<Owner>) -> ConsumerWrite {
    let amounts = HOST_CLASSES.into_iter().zip(SIZE);
    let allocations = amounts.map(|(class, amount)| Allocation { row: member.host, class, amount }).collect();
    let (consumer, generation) = (member.consumer, ExpectedGeneration::New);
    ConsumerWrite { consumer, generation, owner: owner.clone(), allocations }
}
