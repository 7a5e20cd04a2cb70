//! Names and UUIDs of objects that belong to projects. This is the only place that resolves them.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use uuid::Uuid;

use crate::error::FleetError;
use crate::group::Group;
use crate::instance::Instance;

/// An object of a project, as a request names it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Its UUID, or its name.
    pub name: &'a str,
    /// The project that it belongs to; empty for any.
    pub project: &'a str,
}

/// An object that belongs to a project.
pub(crate) trait Owned {
    /// Its kind, for messages.
    const KIND: &'static str;
    /// The field of requests that names it.
    const FIELD: &'static str;
    fn name(&self) -> &str;
    fn project(&self) -> &str;
}

impl Named<'_> {
    /// The object with this UUID, or with a name that no other object has. With a project, objects
    /// of other projects do not exist: they are not found, not even by UUID, and make no name
    /// ambiguous.
    pub(crate) fn resolve<T: Owned, B: Borrow<T>>(
        self,
        all: &BTreeMap<Uuid, B>,
    ) -> Result<(Uuid, &B), FleetError> {
        let Self { name, project } = self;
        let is_visible = |object: &T| project.is_empty() || object.project() == project;
        let by_uuid = Uuid::try_parse(name).ok().and_then(|uuid| all.get_key_value(&uuid));
        if let Some((&uuid, object)) = by_uuid.filter(|(_, object)| is_visible((*object).borrow())) {
            return Ok((uuid, object));
        }
        let has_name = |object: &T| object.name() == name && is_visible(object);
        let mut named = all.iter().filter(|(_, object)| has_name((*object).borrow()));
        match (named.next(), named.next()) {
            (Some((&uuid, object)), None) => Ok((uuid, object)),
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
        &self.spec.name
    }

    fn project(&self) -> &str {
        &self.spec.project
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
        Named { name, project }.resolve::<Group, Group>(&groups()).map(|(uuid, _)| uuid.as_u128())
    }

    #[test]
    fn a_project_sees_only_its_own_objects() {
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
