//! Which providers `GET /resource_providers` is to list.

use berth_placement::{ClassId, Index, Provider, Row, RowSet, Topology, TraitId};
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::call::Call;
use crate::error::Failure;
use crate::request::{filters, message};
use crate::uuids;

/// The conditions of listed providers.
#[derive(Default)]
pub(super) struct Filter<'query> {
    name: Option<&'query str>,
    uuid: Option<Uuid>,
    /// The root of its tree.
    root: Option<Row>,
    /// The rows with the required traits and in the required aggregates; `None` when nothing is
    /// required.
    among: Option<RoaringBitmap>,
    /// The rows with forbidden traits or in forbidden aggregates.
    without: RoaringBitmap,
    resources: Vec<(ClassId, u64)>,
}

impl<'query> Filter<'query> {
    /// The conditions of the query; `None` when nothing can match. As in the original, names are
    /// not looked up any more once that is known.
    pub(super) fn of(call: &'query Call<'_>, topology: &Topology) -> Result<Option<Self>, Failure> {
        let query = &call.query;
        let aggregates = filters::aggregates(query, "", call.version)?;
        let traits = filters::traits(query, "required", call.version)?;
        let resources = query.get("resources").map(filters::resources).transpose()?.unwrap_or_default();
        let text = |name: &'static str| query.get(name).filter(|text| !text.is_empty());
        let mut filter =
            Self { name: text("name"), uuid: text("uuid").and_then(uuids::read_dashed), ..Self::default() };
        if let Some(uuid) = text("in_tree") {
            let Some(found) = call.find(uuid) else { return Ok(None) };
            filter.root = Some(found.provider().root);
        }
        let with_traits = traits.required.iter().map(|choice| rows_with_any(topology, choice));
        let with_traits = in_all(with_traits.collect::<Result<Vec<_>, _>>()?);
        if with_traits.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(None);
        }
        filter.without = rows_with_any(topology, &traits.forbidden)?;
        let in_any = |choice: &Vec<Uuid>| union(choice, |&aggregate| topology.rows_in_aggregate(aggregate));
        let in_aggregates = in_all(aggregates.required.iter().map(in_any));
        if in_aggregates.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(None);
        }
        filter.without |= in_any(&aggregates.forbidden);
        filter.among = in_all(with_traits.into_iter().chain(in_aggregates));
        filter.resources = resolve(resources, topology)?;
        Ok(Some(filter))
    }

    /// The rows that match.
    pub(super) fn rows(&self, index: &Index, topology: &Topology) -> Vec<Row> {
        let takes =
            |&row: &Row| topology.provider(row).is_some_and(|provider| self.takes(index, row, provider));
        if let Some(name) = self.name {
            index.find_named(name).into_iter().filter(takes).collect()
        } else if let Some(uuid) = self.uuid {
            index.find(uuid).into_iter().filter(takes).collect()
        } else if let Some(root) = self.root {
            topology.tree(root).iter().copied().filter(takes).collect()
        } else if let Some(among) = &self.among {
            among.iter().map(Row).filter(takes).collect()
        } else {
            topology.providers().map(|(row, _)| row).filter(takes).collect()
        }
    }

    fn takes(&self, index: &Index, row: Row, provider: &Provider) -> bool {
        self.name.is_none_or(|name| *provider.name == *name)
            && self.uuid.is_none_or(|uuid| uuid == provider.uuid)
            && self.root.is_none_or(|root| provider.root == root)
            && self.among.as_ref().is_none_or(|among| among.contains(row.0))
            && !self.without.contains(row.0)
            && self.resources.iter().all(|&(class, amount)| fits(index, row, class, amount))
    }
}

/// The rows with one of the traits, or none when there are none.
fn rows_with_any(topology: &Topology, names: &[Box<str>]) -> Result<RoaringBitmap, Failure> {
    let find = |name: &str| {
        topology.find_trait(name).ok_or_else(|| {
            let reason = message::no_such_trait(name);
            Failure::bad_request(format!("Invalid trait(s) in \"required\" parameter: {reason}"))
        })
    };
    let traits: Vec<TraitId> = names.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
    Ok(union(&traits, |&id| topology.rows_with_trait(id)))
}

/// The rows in all of the sets; `None` without any set.
fn in_all(sets: impl IntoIterator<Item = RoaringBitmap>) -> Option<RoaringBitmap> {
    sets.into_iter().reduce(|all, rows| all & rows)
}

fn union<'a, T>(keys: &[T], rows: impl Fn(&T) -> Option<&'a RowSet>) -> RoaringBitmap {
    keys.iter().filter_map(rows).fold(RoaringBitmap::new(), |all, rows| all | &**rows)
}

fn resolve(resources: Vec<(Box<str>, u64)>, topology: &Topology) -> Result<Vec<(ClassId, u64)>, Failure> {
    let find = |(name, amount): (Box<str>, u64)| {
        let class = topology.class(&name).ok_or_else(|| {
            let reason = message::no_such_class(&name);
            Failure::bad_request(format!("Invalid resource class in resources parameter: {reason}"))
        })?;
        Ok((class, amount))
    };
    resources.into_iter().map(find).collect()
}

/// Whether the provider could give the amount now.
fn fits(index: &Index, row: Row, class: ClassId, amount: u64) -> bool {
    let Ok(amount) = u32::try_from(amount) else { return false };
    let free = index.free(row, class).is_some_and(|free| free >= i64::from(amount));
    free && index.inventory(row, class).is_some_and(|inventory| inventory.units.allow(amount))
}
