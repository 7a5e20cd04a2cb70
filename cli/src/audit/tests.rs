//! What changes between finding and healing is left alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Timestamp,
};
use berth_server::{Server, Service, ServiceOptions};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::findings::Known;
use super::heal::{Heal, HealOptions, Outcome, heal};
use super::online::Online;
use super::*;

const HOST: Uuid = Uuid::from_u128(1);

/// A service with a host, of which consumers 10, 11 and 12 hold two vCPUs each.
struct Cloud {
    index: Arc<Index>,
    url: String,
    _runtime: Runtime,
}

fn owner() -> Arc<Owner> {
    Arc::new(Owner { project: "p".into(), user: "u".into(), consumer_type: Some("INSTANCE".into()) })
}

impl Cloud {
    fn start() -> Self {
        let options = ServiceOptions::noauth2();
        let service = Arc::new(Service::new(options));
        let index = service.index();
        let mut writer = index.write_at(Timestamp(7));
        let row = writer.add_provider(HOST, "host", None).unwrap();
        writer.set_inventory(row, ClassId::VCPU, Some(&Inventory::of(8))).unwrap();
        drop(writer);
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::bind("127.0.0.1:0".parse().unwrap(), service)).unwrap();
        let url = format!("http://{}", server.address().unwrap());
        runtime.spawn(server.run(std::future::pending(), std::time::Duration::ZERO));
        let cloud = Self { index, url, _runtime: runtime };
        (10..13).for_each(|consumer| cloud.write(consumer, ExpectedGeneration::New, 2));
        cloud
    }

    fn write(&self, consumer: u128, generation: ExpectedGeneration, amount: u32) {
        let row = self.index.find(HOST).unwrap();
        let allocations = [Allocation { row, class: ClassId::VCPU, amount }].into_iter().collect();
        let write = ConsumerWrite { consumer: ConsumerId(consumer), generation, owner: owner(), allocations };
        self.index.transfer(&[write], Timestamp(9_000_000)).unwrap();
    }

    fn shrink(&self, total: u32) {
        let row = self.index.find(HOST).unwrap();
        self.index.write().set_inventory(row, ClassId::VCPU, Some(&Inventory::of(total))).unwrap();
    }

    fn held(&self) -> BTreeMap<u128, u32> {
        let held = |consumer| Some((consumer, self.index.allocations(ConsumerId(consumer))?.first()?.amount));
        (10..13).filter_map(held).collect()
    }
}

fn known(instances: impl IntoIterator<Item = u128>) -> Known {
    Known { instances: instances.into_iter().map(Uuid::from_u128).collect(), migrations: None }
}

fn options(kinds: &[Heal]) -> HealOptions<'_> {
    HealOptions { kinds, before: 100, write: true }
}

#[test]
fn a_consumer_that_came_back_is_left_alone() {
    let cloud = Cloud::start();
    let mut online = Online::new(&cloud.url, "admin".to_owned()).unwrap();
    let (fleet, found) = look_online(&online, Some(&known([10]))).unwrap();
    let leaked: Vec<u128> = found.leaked.iter().flatten().map(|leaked| leaked.consumer.as_u128()).collect();
    assert_eq!(leaked, [11, 12]);
    // Someone gives consumer 11 another amount before it is healed.
    let generation = cloud.index.consumer(ConsumerId(11)).unwrap().generation;
    cloud.write(11, ExpectedGeneration::Exactly(generation), 1);
    let steps = heal(&mut online, &fleet, &found, &options(&[Heal::Leaked]));
    let outcomes: Vec<&Outcome> = steps.iter().map(|step| &step.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Changed, &Outcome::Done]);
    assert_eq!(cloud.held(), BTreeMap::from([(10, 2), (11, 1)]));
}

#[test]
fn a_consumer_that_is_young_is_left_alone() {
    let cloud = Cloud::start();
    let mut online = Online::new(&cloud.url, "admin".to_owned()).unwrap();
    let (fleet, found) = look_online(&online, Some(&known([10, 11]))).unwrap();
    assert_eq!(found.leaked.as_ref().unwrap()[0].about.since, Some(9));
    let steps = heal(&mut online, &fleet, &found, &HealOptions { before: 9, ..options(&[Heal::Leaked]) });
    assert_eq!(steps[0].outcome, Outcome::TooYoung);
    assert_eq!(cloud.held().len(), 3);
}

#[test]
fn an_inventory_that_was_reported_again_is_left_alone() {
    let cloud = Cloud::start();
    let mut online = Online::new(&cloud.url, "admin".to_owned()).unwrap();
    cloud.shrink(4);
    let (fleet, found) = look_online(&online, None).unwrap();
    assert_eq!(found.over_capacity[0].leaving.len(), 1);
    cloud.shrink(5);
    let steps = heal(&mut online, &fleet, &found, &options(&[Heal::OverCapacity]));
    assert_eq!(steps[0].outcome, Outcome::Changed);
    let (fleet, found) = look_online(&online, None).unwrap();
    let steps = heal(&mut online, &fleet, &found, &options(&[Heal::OverCapacity]));
    assert_eq!(steps[0].outcome, Outcome::Done);
    let row = cloud.index.find(HOST).unwrap();
    assert_eq!(cloud.index.free(row, ClassId::VCPU), Some(0));
    assert!(look_online(&online, None).unwrap().1.is_empty());
}

#[test]
fn migrations_are_judged_only_when_they_are_given() {
    let cloud = Cloud::start();
    let migrating = Arc::new(Owner { consumer_type: Some("MIGRATION".into()), ..Owner::clone(&owner()) });
    let row = cloud.index.find(HOST).unwrap();
    let allocations = [Allocation { row, class: ClassId::VCPU, amount: 1 }].into_iter().collect();
    let write = ConsumerWrite {
        consumer: ConsumerId(20),
        generation: ExpectedGeneration::New,
        owner: migrating,
        allocations,
    };
    cloud.index.transfer(&[write], Timestamp(9)).unwrap();
    let online = Online::new(&cloud.url, "admin".to_owned()).unwrap();
    let leaked = |known: &Known| look_online(&online, Some(known)).unwrap().1.leaked.unwrap().len();
    let instances = known([10, 11, 12]);
    assert_eq!(leaked(&instances), 0);
    assert_eq!(leaked(&Known { migrations: Some(BTreeSet::new()), ..instances }), 1);
}

/// The service's counts and the consumers' allocations can differ only because of a bug in the
/// service. This fleet has such a difference.
#[test]
fn use_that_is_no_sum_is_found() {
    let cloud = Cloud::start();
    let online = Online::new(&cloud.url, "admin".to_owned()).unwrap();
    let mut fleet = online.read_fleet().unwrap();
    assert!(findings::usage(&fleet).is_empty());
    fleet.providers.get_mut(&HOST).unwrap().used.insert("VCPU".to_owned(), 7);
    let found = findings::usage(&fleet);
    assert_eq!((found.len(), found[0].used, found[0].allocated), (1, 7, 6));
    fleet.restless.push(HOST);
    assert!(findings::usage(&fleet).is_empty());
}
