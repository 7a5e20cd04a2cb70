//! New instances: recorded first, then scheduled, then built.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_placement::Timestamp;
use bytes::Bytes;
use uuid::Uuid;

use super::{Image, Instance, InstanceSpec, RequestedZone};
use crate::Fleet;
use crate::error::{FleetError, check_name, check_project};
use crate::flavor::Flavor;
use crate::key_pair::KeyPair;
use crate::quota::granted;

/// The most instances of one request.
pub const MAX_INSTANCES: usize = 1_000;

/// The most bytes of cloud-init's user data.
const MAX_USER_DATA: usize = 64 * 1024;

/// The most entries of a map.
const MAX_ENTRIES: usize = 128;

/// The most characters of a text.
const MAX_TEXT: usize = 255;

/// A request for new instances.
#[derive(Debug, Clone, Default)]
pub struct Creation {
    /// The name; of several instances, each gets a number in addition.
    pub name: String,
    /// The name of a flavor.
    pub flavor: String,
    /// The image.
    pub image: Option<Image>,
    /// The project.
    pub project: String,
    /// The user.
    pub user: String,
    /// The availability zone.
    pub availability_zone: RequestedZone,
    /// The server group.
    pub group: Option<Uuid>,
    /// Scheduler hints.
    pub hints: BTreeMap<String, Vec<String>>,
    /// The least number of instances; 0 for 1.
    pub min_count: usize,
    /// The most instances; 0 for the least number.
    pub max_count: usize,
    /// The user data of cloud-init.
    pub user_data: Bytes,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// The name of a key pair of the project; empty for none.
    pub key_name: String,
    /// A request with the key of an earlier one is a repeat; empty for none.
    pub idempotency_key: String,
}

/// The instances of a request.
#[derive(Debug, Clone)]
pub enum Recorded {
    /// They are new, and wait for hosts. The reconciliation skips them until
    /// [`Fleet::end_placing`].
    New(Vec<Arc<Instance>>),
    /// They are those of an earlier request with the same key.
    Repeated(Vec<Arc<Instance>>),
}

impl Fleet {
    /// Records the instances of a request, as many as the quota allows. Instances are recorded
    /// before they claim capacity, so those that a crash leaves without a host get one after the
    /// next start.
    ///
    /// # Errors
    /// An invalid request, an unknown flavor, or an exhausted quota.
    pub fn record_instances(
        &mut self,
        creation: &Creation,
        mut new_uuid: impl FnMut() -> Uuid,
        now: Timestamp,
    ) -> Result<Recorded, FleetError> {
        creation.check()?;
        if !creation.idempotency_key.is_empty() {
            let earlier = self.state.instances.values().filter(|known| {
                known.spec.idempotency_key == creation.idempotency_key
                    && known.spec.project == creation.project
            });
            let earlier: Vec<_> = earlier.cloned().collect();
            if !earlier.is_empty() {
                return Ok(Recorded::Repeated(earlier));
            }
        }
        let flavor = self.flavor(&creation.flavor)?;
        let key_pair = self.key_pair_of(creation)?;
        let wanted = (creation.least() as u64, creation.most() as u64);
        let count = granted(&self.state, &creation.project, flavor, wanted)?;
        let instances: Vec<_> = (1..=count)
            .map(|number| creation.instance(new_uuid(), (flavor, key_pair), number, now))
            .collect();
        for instance in &instances {
            self.state.put_instance(Arc::clone(instance));
            self.placing.insert(instance.uuid);
        }
        Ok(Recorded::New(instances))
    }

    fn key_pair_of(&self, creation: &Creation) -> Result<Option<&KeyPair>, FleetError> {
        let name = &creation.key_name;
        if name.is_empty() {
            return Ok(None);
        }
        let missing = || {
            let problem = format!("project {:?} has no key pair {name:?}", creation.project);
            FleetError::field("key_name", problem)
        };
        self.key_pair(&creation.project, name).map(Some).map_err(|_| missing())
    }
}

fn is_too_long(text: &str) -> bool {
    text.chars().count() > MAX_TEXT
}

fn check_map(field: &str, map: &BTreeMap<String, String>) -> Result<(), FleetError> {
    if map.len() > MAX_ENTRIES || map.iter().any(|(key, value)| is_too_long(key) || is_too_long(value)) {
        let problem =
            format!("has more than {MAX_ENTRIES} entries, or texts of more than {MAX_TEXT} characters");
        return Err(FleetError::field(field, problem));
    }
    Ok(())
}

impl Image {
    /// Checks the bounds of its properties: each instance stores a copy.
    pub(crate) fn check(&self) -> Result<(), FleetError> {
        check_map("image.properties", &self.properties)
    }
}

impl Creation {
    /// The least number of instances.
    #[must_use]
    pub fn least(&self) -> usize {
        self.min_count.max(1)
    }

    fn most(&self) -> usize {
        self.max_count.max(self.least())
    }

    /// Checks a request.
    ///
    /// # Errors
    /// A field that is invalid or too long.
    pub fn check(&self) -> Result<(), FleetError> {
        check_name("name", &self.name, 255)?;
        check_project(&self.project)?;
        if self.max_count > 0 && self.max_count < self.min_count {
            let (least, most) = (self.min_count, self.max_count);
            return Err(FleetError::field(
                "max_count",
                format!("is {most}, less than min_count, which is {least}"),
            ));
        }
        if self.most() > MAX_INSTANCES {
            return Err(FleetError::field("max_count", format!("is more than {MAX_INSTANCES}")));
        }
        self.check_sizes()?;
        if self.user_data.len() > MAX_USER_DATA {
            return Err(FleetError::field("user_data", format!("has more than {MAX_USER_DATA} bytes")));
        }
        Ok(())
    }

    /// Checks Nova's bounds: each instance stores a copy.
    fn check_sizes(&self) -> Result<(), FleetError> {
        check_map("metadata", &self.metadata)?;
        self.image.as_ref().map_or(Ok(()), Image::check)?;
        let hints = self.hints.values().map(|hint| hint.len()).sum::<usize>();
        if hints + self.hints.len() > MAX_ENTRIES
            || self.hints.values().flatten().any(|text| is_too_long(text))
        {
            let problem = format!(
                "has more than {MAX_ENTRIES} names and values, or values of more than {MAX_TEXT} characters"
            );
            return Err(FleetError::field("hints", problem));
        }
        let zone = self.availability_zone.to_string();
        let texts =
            [("user", &self.user), ("idempotency_key", &self.idempotency_key), ("availability_zone", &zone)];
        match texts.into_iter().find(|(_, text)| is_too_long(text)) {
            Some((field, _)) => Err(FleetError::field(field, format!("has more than {MAX_TEXT} characters"))),
            None => Ok(()),
        }
    }

    fn instance(
        &self,
        uuid: Uuid,
        (flavor, key_pair): (&Flavor, Option<&KeyPair>),
        number: u64,
        now: Timestamp,
    ) -> Arc<Instance> {
        let name = if self.most() > 1 { format!("{}-{number}", self.name) } else { self.name.clone() };
        let spec = InstanceSpec {
            name,
            project: self.project.clone(),
            user: self.user.clone(),
            flavor: flavor.clone(),
            image: self.image.clone(),
            availability_zone: self.availability_zone.clone(),
            group: self.group,
            hints: self.hints.clone(),
            user_data: self.user_data.clone(),
            metadata: self.metadata.clone(),
            key_pair: key_pair.cloned(),
            idempotency_key: self.idempotency_key.clone(),
            created_at: now,
        };
        let mut instance = Instance::new(uuid, Arc::new(spec));
        instance.note(now, "create", &self.user, "");
        Arc::new(instance)
    }
}
