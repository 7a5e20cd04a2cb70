//! Things that belong to projects, as requests name them. This is the one place where such a name or UUID is resolved.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::entry::{Group, Instance};
use super::error::FleetError;

/// A thing of a project, as a request names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    /// Its UUID, or its name.
    pub(crate) name: &'a str,
    /// The project that it belongs to; empty for any.
    pub(crate) project: &'a str,
}

/// Something that belongs to a project.
pub(super) trait Owned {
    /// What it is, for messages.
    const KIND: &'static str;
    /// The field of requests that names it.
    const FIELD: &'static str;
    fn name(&self) -> &str;
    fn project(&self) -> &str;
}

impl Named<'_> {
    /// The thing with the UUID, or with a name that no other has. With a project, things of others do not exist: they are not
    /// found, not even by UUID, and make no name ambiguous.
    pub(super) fn resolve<T: Owned>(self, all: &BTreeMap<Uuid, T>) -> Result<(Uuid, &T), FleetError> {
        let Self { name, project } = self;
        let is_visible = |thing: &T| project.is_empty() || thing.project() == project;
        let by_uuid = Uuid::try_parse(name).ok().and_then(|uuid| all.get_key_value(&uuid));
        if let Some((&uuid, thing)) = by_uuid.filter(|(_, thing)| is_visible(thing)) {
            return Ok((uuid, thing));
        }
        let mut named_so = all.iter().filter(|(_, thing)| thing.name() == name && is_visible(thing));
        match (named_so.next(), named_so.next()) {
            (Some((&uuid, thing)), None) => Ok((uuid, thing)),
            (None, _) => Err(FleetError::not_found(T::KIND, name)),
            _ => {
                let problem = format!("several {}s have the name {name:?}; give a UUID", T::KIND);
                Err(FleetError::field(T::FIELD, problem))
            }
        }
    }
}

impl Owned for Instance {
    const KIND: &'static str = "instance";
    const FIELD: &'static str = "instance";

    fn name(&self) -> &str {
        &self.name
    }

    fn project(&self) -> &str {
        &self.project
    }
}

impl Owned for Group {
    const KIND: &'static str = "server group";
    const FIELD: &'static str = "group";

    fn name(&self) -> &str {
        &self.name
    }

    fn project(&self) -> &str {
        &self.project
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> BTreeMap<Uuid, Group> {
        let group = |name: &str, project: &str| Group {
            name: name.to_owned(),
            project: project.to_owned(),
            ..Group::default()
        };
        [group("web", "shop"), group("web", "bank"), group("db", "bank"), group("twin", "bank")]
            .into_iter()
            .chain([group("twin", "bank")])
            .zip(1..)
            .map(|(group, number)| (Uuid::from_u128(number), group))
            .collect()
    }

    fn resolve(name: &str, project: &str) -> Result<u128, FleetError> {
        Named { name, project }.resolve(&groups()).map(|(uuid, _)| uuid.as_u128())
    }

    #[test]
    fn a_project_sees_its_own_alone() {
        let uuid = |number| Uuid::from_u128(number).to_string();
        assert_eq!((resolve("web", "shop"), resolve("web", "bank")), (Ok(1), Ok(2)));
        assert_eq!((resolve(&uuid(3), "bank"), resolve(&uuid(3), "")), (Ok(3), Ok(3)));
        for others in ["db", &uuid(3), "nobody's"] {
            assert_eq!(resolve(others, "shop"), Err(FleetError::not_found("server group", others)));
        }
        for (ambiguous, project) in [("twin", "bank"), ("web", "")] {
            let refused = resolve(ambiguous, project).unwrap_err();
            assert!(matches!(&refused, FleetError::Field { field, .. } if field == "group"), "{refused}");
        }
    }
}
