//! What requests are about.

use berth_api::v1;

/// What a request is about, as the client named it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The name or UUID of the object.
    pub(crate) object: String,
    /// The project of the object.
    pub(crate) project: Option<String>,
    /// The change, if the method does not say it all.
    pub(crate) change: Option<String>,
}

/// A request that may change something.
pub(crate) trait Audited {
    /// What it is about.
    fn subject(&self) -> Subject;
}

impl Subject {
    fn of(object: &str) -> Self {
        Self { object: object.to_owned(), ..Self::default() }
    }

    fn within(self, project: &str) -> Self {
        Self { project: Some(project.to_owned()).filter(|project| !project.is_empty()), ..self }
    }

    fn changing(self, change: String) -> Self {
        Self { change: Some(change).filter(|change| !change.is_empty()), ..self }
    }

    /// The first of several objects, with their number.
    fn first<'a>(objects: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let count = objects.len();
        let mut objects = objects;
        Self::of(objects.next().unwrap_or_default()).changing(format!("count={count}"))
    }
}

/// Subjects of requests whose method says the change.
macro_rules! subjects {
    ($($request:ident: $object:ident $($project:ident)?;)*) => {$(
        impl Audited for v1::$request {
            fn subject(&self) -> Subject {
                Subject::of(&self.$object)$(.within(&self.$project))?
            }
        }
    )*};
}

subjects! {
    DeleteHostRequest: name;
    DeleteAggregateRequest: name;
    DeleteFlavorRequest: name;
    DeleteServerGroupRequest: group project;
    CreateKeyPairRequest: name project;
    DeleteKeyPairRequest: name project;
    DeleteProviderRequest: uuid;
    InstanceRequest: instance project;
    GetMigrationRequest: migration project;
    GetConsoleLogRequest: instance project;
}

impl Audited for v1::ApproveHostRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.name).changing(format!("uuid={}", self.host_uuid))
    }
}

impl Audited for v1::SetHostRequest {
    fn subject(&self) -> Subject {
        let reason =
            if self.reason.is_empty() { String::new() } else { format!(" reason={:?}", self.reason) };
        Subject::of(&self.name).changing(format!("status={}{reason}", self.status().as_str_name()))
    }
}

impl Audited for v1::FenceHostRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.name).changing(format!("fenced={}", self.fenced))
    }
}

impl Audited for v1::EvacuateHostRequest {
    fn subject(&self) -> Subject {
        let Self { fenced, rebuild, live, .. } = self;
        let change = format!("fenced={fenced} rebuild={rebuild} live={}", live.is_some());
        Subject::of(&self.name).changing(change)
    }
}

impl Audited for v1::CreateAggregateRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.name).changing(listed([("metadata", self.metadata.keys().collect())]))
    }
}

impl Audited for v1::UpdateAggregateRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.name).changing(listed([
            ("add_hosts", self.add_hosts.iter().collect()),
            ("remove_hosts", self.remove_hosts.iter().collect()),
            ("set_metadata", self.set_metadata.keys().collect()),
            ("unset_metadata", self.unset_metadata.iter().collect()),
        ]))
    }
}

impl Audited for v1::CreateFlavorRequest {
    fn subject(&self) -> Subject {
        Subject::of(self.flavor.as_ref().map_or("", |flavor| &flavor.name))
    }
}

impl Audited for v1::CreateServerGroupRequest {
    fn subject(&self) -> Subject {
        let policy = self.policy().as_str_name();
        Subject::of(&self.name).within(&self.project).changing(format!("policy={policy}"))
    }
}

impl Audited for v1::SetQuotaRequest {
    fn subject(&self) -> Subject {
        let limits = [
            ("instances", self.instances),
            ("vcpus", self.vcpus),
            ("memory_mb", self.memory_mb),
            ("key_pairs", self.key_pairs),
        ];
        let limits = limits.map(|(name, limit)| match limit {
            Some(limit) => format!("{name}={limit}"),
            None => format!("{name}=unlimited"),
        });
        Subject::of(&self.project).within(&self.project).changing(limits.join(" "))
    }
}

impl Audited for v1::CreateInstancesRequest {
    fn subject(&self) -> Subject {
        let Self { flavor, user, min_count, max_count, availability_zone: zone, .. } = self;
        let change =
            format!("flavor={flavor} zone={zone} min_count={min_count} max_count={max_count} user={user}");
        Subject::of(&self.name).within(&self.project).changing(change)
    }
}

impl Audited for v1::RebootRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.instance).within(&self.project).changing(format!("hard={}", self.hard))
    }
}

impl Audited for v1::LockRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.instance).within(&self.project).changing(format!("reason={:?}", self.reason))
    }
}

impl Audited for v1::RebuildInstanceRequest {
    fn subject(&self) -> Subject {
        let image = self.image.as_ref().map(|image| format!("image={}", image.name));
        Subject::of(&self.instance).within(&self.project).changing(image.unwrap_or_default())
    }
}

impl Audited for v1::RescueInstanceRequest {
    fn subject(&self) -> Subject {
        let image = self.image.as_ref().map(|image| format!("image={}", image.name));
        Subject::of(&self.instance).within(&self.project).changing(image.unwrap_or_default())
    }
}

impl Audited for v1::ResizeInstanceRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.instance).within(&self.project).changing(format!("flavor={}", self.flavor))
    }
}

impl Audited for v1::MigrateInstanceRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.instance).within(&self.project).changing(format!("host={}", self.host))
    }
}

impl Audited for v1::LiveMigrateInstanceRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.instance).within(&self.project).changing(format!("host={} live=true", self.host))
    }
}

impl Audited for v1::EvacuateInstanceRequest {
    fn subject(&self) -> Subject {
        let Self { host, fenced, rebuild, .. } = self;
        let change = format!("host={host} fenced={fenced} rebuild={rebuild}");
        Subject::of(&self.instance).within(&self.project).changing(change)
    }
}

impl Audited for v1::PutProviderRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.uuid).changing(format!("name={} parent={}", self.name, self.parent))
    }
}

impl Audited for v1::SetInventoriesRequest {
    fn subject(&self) -> Subject {
        let totals: Vec<String> = self
            .inventories
            .iter()
            .map(|(class, inventory)| format!("{class}:{}", inventory.total))
            .collect();
        Subject::of(&self.uuid).changing(listed([("totals", totals.iter().collect())]))
    }
}

impl Audited for v1::SetTraitsRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.uuid).changing(format!("count={}", self.traits.len()))
    }
}

impl Audited for v1::SetAggregatesRequest {
    fn subject(&self) -> Subject {
        Subject::of(&self.uuid).changing(listed([("aggregates", self.aggregates.iter().collect())]))
    }
}

impl Audited for v1::ClaimRequest {
    fn subject(&self) -> Subject {
        let project = self.claims.first().map_or("", |claim| &claim.project);
        Subject::first(self.claims.iter().map(|claim| &*claim.consumer)).within(project)
    }
}

impl Audited for v1::ReleaseRequest {
    fn subject(&self) -> Subject {
        Subject::first(self.consumers.iter().map(|consumer| &**consumer))
    }
}

impl Audited for v1::ScheduleRequest {
    fn subject(&self) -> Subject {
        Subject::first(self.instances.iter().map(|instance| &**instance))
    }
}

/// The parts that are not empty: `add_hosts=a,b`. Of long ones, the beginning.
fn listed<const N: usize>(parts: [(&str, Vec<&String>); N]) -> String {
    const MOST: usize = 20;
    let part = |(name, mut values): (&str, Vec<&String>)| {
        values.sort();
        let more = values.len().saturating_sub(MOST);
        values.truncate(MOST);
        let values: Vec<&str> = values.into_iter().map(|value| &**value).collect();
        let more = if more == 0 { String::new() } else { format!(",… ({more} more)") };
        format!("{name}={}{more}", values.join(","))
    };
    let parts = parts.into_iter().filter(|(_, values)| !values.is_empty()).map(part);
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_is_named_unless_the_method_says_it() {
        let disabled = v1::SetHostRequest {
            name: "host1".to_owned(),
            status: v1::host::Status::Disabled.into(),
            reason: "memory".to_owned(),
        };
        let subject = disabled.subject();
        assert_eq!(subject.object, "host1");
        assert_eq!(subject.change.as_deref(), Some("status=DISABLED reason=\"memory\""));
        let stop = v1::InstanceRequest { instance: "db".to_owned(), project: "shop".to_owned() };
        let expected = Subject { object: "db".to_owned(), project: Some("shop".to_owned()), change: None };
        assert_eq!(stop.subject(), expected);
        let hosts: Vec<String> = (10..40).map(|number| format!("h{number}")).collect();
        let update = v1::UpdateAggregateRequest { add_hosts: hosts, ..Default::default() };
        let change = update.subject().change.unwrap();
        assert!(change.starts_with("add_hosts=h10,h11,") && change.ends_with("h29,… (10 more)"), "{change}");
    }

    /// User data may have passwords.
    #[test]
    fn user_data_and_metadata_are_not_logged() {
        let secret = "secret".to_owned();
        let create = v1::CreateInstancesRequest {
            name: "web".to_owned(),
            user_data: secret.clone().into_bytes().into(),
            metadata: [(secret.clone(), secret)].into(),
            ..Default::default()
        };
        assert!(!format!("{:?}", create.subject()).contains("secret"));
    }
}
