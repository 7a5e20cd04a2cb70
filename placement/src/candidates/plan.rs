//! A compiled query: the variables that choose providers, and the amounts that they share.

use std::iter::zip;

use uuid::Uuid;

use crate::consumers::Allocation;
use crate::ids::{ClassId, Row, TraitId};
use crate::index::Index;
use crate::inventory::Inventory;
use crate::topology::Topology;

use super::need::{Amounts, Need, has_any};
use super::query::{Query, QueryGroup, RequestGroupPolicy, UnknownName};

/// One choice of a provider: for a granular group, or for one class of the group without suffix.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    /// Position in [`Plan::needs`].
    pub(super) group: usize,
    pub(super) takes: Amounts,
    /// An earlier variable with the same requirements, which can choose from the same providers.
    pub(super) like: Option<usize>,
}

/// The amounts that several variables take from one provider.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// The class; `None` for the rule that each provider serves one variable only.
    pub(super) class: Option<ClassId>,
    /// The amount that each variable takes.
    pub(super) needs: Vec<u32>,
}

impl Pool {
    /// The sum of the variables' amounts. A sum beyond the largest possible inventory saturates.
    pub(super) fn total(&self) -> u32 {
        self.needs.iter().fold(0, |total, need| total.saturating_add(*need))
    }
}

/// Pools from which the same variables take.
#[derive(Debug, Clone)]
pub(super) struct Contention {
    pub(super) variables: Vec<usize>,
    /// Each pool with the smallest amount that any of the variables takes from it.
    pub(super) pools: Vec<(usize, u32)>,
}

/// A query whose names have been looked up.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) needs: Vec<Need>,
    pub(super) variables: Vec<Variable>,
    pub(super) pools: Vec<Pool>,
    pub(super) contentions: Vec<Contention>,
    /// Sets of variables. In each set, the provider of one variable is an ancestor of the providers
    /// of all others, or the same.
    pub(super) subtrees: Vec<Vec<usize>>,
    pub(super) root_required: Vec<TraitId>,
    pub(super) root_forbidden: Vec<TraitId>,
    /// Whether a candidate may take from only one provider per tree.
    pub(super) flat: bool,
}

impl Plan {
    pub(super) fn new(needs: Vec<Need>, isolate: bool, subtrees: &[Vec<usize>], roots: RootTraits) -> Self {
        let variables = variables(&needs);
        let of_group = |group: &usize| {
            (0..).zip(&variables).filter(|(_, v)| v.group == *group).map(|(i, _)| i).collect::<Vec<usize>>()
        };
        let subtrees = subtrees.iter().map(|groups| groups.iter().flat_map(of_group).collect::<Vec<_>>());
        let subtrees = subtrees.filter(|variables| variables.len() > 1).collect();
        let pools = pools(&needs, &variables, isolate);
        let contentions = contentions(&pools);
        let RootTraits { required: root_required, forbidden: root_forbidden } = roots;
        Self { needs, variables, pools, contentions, subtrees, root_required, root_forbidden, flat: false }
    }

    /// The variables of the group without suffix.
    pub(super) fn loose(&self) -> impl Iterator<Item = usize> {
        let loose = |variable: &Variable| !self.needs[variable.group].granular;
        (0..).zip(&self.variables).filter(move |(_, variable)| loose(variable)).map(|(position, _)| position)
    }

    /// Whether the provider has enough free capacity for each variable by itself.
    pub(super) fn has_capacity(&self, index: &Index, row: Row) -> bool {
        let takes = self.variables.iter().flat_map(|variable| &variable.takes);
        takes.copied().all(|(class, amount)| index.ledger.check(&[Allocation { row, class, amount }]).is_ok())
    }

    /// Whether any group requests the class.
    pub(super) fn asks_for(&self, class: ClassId) -> bool {
        self.needs.iter().any(|need| need.resources.iter().any(|take| take.0 == class))
    }

    /// The plan for one group by itself.
    fn alone(&self, group: usize) -> Self {
        let roots =
            RootTraits { required: self.root_required.clone(), forbidden: self.root_forbidden.clone() };
        Self::new(vec![self.needs[group].clone()], false, &[], roots)
    }
}

fn variables(needs: &[Need]) -> Vec<Variable> {
    let mut variables = Vec::new();
    for (group, need) in needs.iter().enumerate() {
        if need.granular {
            let like = variables.iter().position(|earlier: &Variable| needs[earlier.group] == *need);
            variables.push(Variable { group, takes: need.resources.clone(), like });
        } else {
            let one = |&take| Variable { group, takes: Amounts::from_slice(&[take]), like: None };
            variables.extend(need.resources.iter().map(one));
        }
    }
    variables
}

fn pools(needs: &[Need], variables: &[Variable], isolate: bool) -> Vec<Pool> {
    let mut classes: Vec<ClassId> =
        variables.iter().flat_map(|v| v.takes.iter().map(|take| take.0)).collect();
    classes.sort_unstable();
    classes.dedup();
    let of_class = |class: ClassId| Pool {
        class: Some(class),
        needs: variables.iter().map(|v| v.takes.iter().find(|t| t.0 == class).map_or(0, |t| t.1)).collect(),
    };
    let slots = Pool {
        class: None,
        needs: variables.iter().map(|v| u32::from(isolate && needs[v.group].granular)).collect(),
    };
    let is_shared = |pool: &Pool| pool.needs.iter().filter(|&&need| need > 0).count() > 1;
    // Variables that cannot choose the same provider share no amounts.
    let is_apart = |pool: &Pool| zip(&pool.needs, &slots.needs).all(|(&need, &slot)| need == 0 || slot > 0);
    let classes = classes.into_iter().map(of_class).filter(|pool| !is_apart(pool));
    let mut pools: Vec<Pool> = classes.chain([slots.clone()]).collect();
    pools.retain(is_shared);
    pools
}

/// The contentions that need look-ahead. A pair of variables that contends with no other variable
/// needs none. The variable with fewer providers chooses first. If it has only one provider, the
/// other variable skips that one. If it has several, so has the other variable, and a choice
/// removes at most one of them.
fn contentions(pools: &[Pool]) -> Vec<Contention> {
    let mut contentions: Vec<Contention> = Vec::new();
    for (number, pool) in pools.iter().enumerate() {
        let variables: Vec<usize> =
            (0..).zip(&pool.needs).filter(|(_, need)| **need > 0).map(|(v, _)| v).collect();
        let smallest = pool.needs.iter().copied().filter(|&need| need > 0).min().unwrap_or(1);
        match contentions.iter_mut().find(|contention| contention.variables == variables) {
            Some(contention) => contention.pools.push((number, smallest)),
            None => contentions.push(Contention { variables, pools: vec![(number, smallest)] }),
        }
    }
    match &contentions[..] {
        [only] if only.variables.len() == 2 => Vec::new(),
        _ => contentions,
    }
}

/// The traits that the root of a candidate's tree must have and must not have.
#[derive(Debug, Clone, Default)]
pub(super) struct RootTraits {
    required: Vec<TraitId>,
    forbidden: Vec<TraitId>,
}

impl RootTraits {
    /// Whether some root satisfies the requirement, or none was given.
    fn exist(&self, topology: &Topology) -> bool {
        let suits = |root: u32| {
            topology.provider(Row(root)).is_some_and(|provider| {
                self.required.iter().all(|wanted| provider.traits.binary_search(wanted).is_ok())
                    && !has_any(&provider.traits, &self.forbidden)
            })
        };
        self.required.is_empty() && self.forbidden.is_empty() || topology.roots().iter().any(suits)
    }
}

/// A query after name lookup.
pub(super) enum Resolved {
    /// The query can be searched for.
    Plan(Plan),
    /// No candidate can exist.
    Nothing,
    /// A name is unknown. The error is reported only when each of these parts of the query matches
    /// by itself: Placement returns an empty result before it looks up later names.
    Unknown(UnknownName, Vec<Plan>),
}

/// The reason why name lookup ended early.
enum Stop {
    Unknown(UnknownName),
    Nothing,
}

/// Looks up names and UUIDs in Placement's order, which determines whether an error is reported,
/// and which one.
pub(super) fn resolve(index: &Index, topology: &Topology, query: &Query) -> Resolved {
    let traits = |names: &[Box<str>]| names.iter().map(|name| find_trait(topology, name)).collect();
    let roots = match (traits(&query.root_required), traits(&query.root_forbidden)) {
        (Ok(required), Ok(forbidden)) => RootTraits { required, forbidden },
        (Err(unknown), _) | (_, Err(unknown)) => return Resolved::Unknown(unknown, Vec::new()),
    };
    let mut needs = Vec::with_capacity(query.groups.len());
    for group in &query.groups {
        match need(index, topology, group) {
            Ok(need) => needs.push(need),
            Err(Stop::Nothing) => return Resolved::Nothing,
            Err(Stop::Unknown(_)) if !roots.exist(topology) => return Resolved::Nothing,
            Err(Stop::Unknown(unknown)) => {
                let before = Plan::new(needs, false, &[], roots);
                let alone = (0..before.needs.len()).map(|group| before.alone(group)).collect();
                return Resolved::Unknown(unknown, alone);
            }
        }
    }
    if needs.is_empty() {
        return Resolved::Nothing;
    }
    let place = |suffix: &str| query.groups.iter().position(|group| &*group.suffix == suffix);
    let subtrees: Vec<Vec<usize>> = query
        .same_subtrees
        .iter()
        .map(|suffixes| suffixes.iter().filter_map(|suffix| place(suffix)).collect())
        .collect();
    let mut plan = Plan::new(needs, query.group_policy == RequestGroupPolicy::Isolate, &subtrees, roots);
    plan.flat = !query.nested && topology.has_children();
    Resolved::Plan(plan)
}

fn need(index: &Index, topology: &Topology, group: &QueryGroup) -> Result<Need, Stop> {
    let mut resources = Amounts::new();
    for (name, amount) in &group.resources {
        let unknown = || Stop::Unknown(UnknownName::Class(name.clone()));
        let class = topology.class(name).ok_or_else(unknown)?;
        // An amount out of range fits no inventory.
        let amount = u32::try_from(*amount).unwrap_or(u32::MAX);
        resources.push((class, amount));
    }
    let find = |names: &[Box<str>]| names.iter().map(|name| find_trait(topology, name)).collect();
    let required: Result<Vec<Vec<TraitId>>, UnknownName> =
        group.required.iter().map(|any| find(any)).collect();
    let forbidden: Result<Vec<TraitId>, UnknownName> = find(&group.forbidden);
    let (required, forbidden) = match (required, forbidden) {
        (Ok(required), Ok(forbidden)) => (required, forbidden),
        (Err(_), _) | (_, Err(_)) if !member_exists(topology, &group.member_of) => return Err(Stop::Nothing),
        (Err(unknown), _) | (_, Err(unknown)) => return Err(Stop::Unknown(unknown)),
    };
    let in_tree =
        group.in_tree.map(|uuid| root_of(index, topology, uuid).ok_or(Stop::Nothing)).transpose()?;
    if resources.iter().any(|&(_, amount)| amount > Inventory::MAX_AMOUNT) {
        return Err(Stop::Nothing);
    }
    if resources.is_empty() && !group.is_granular() {
        return Err(Stop::Nothing);
    }
    Ok(Need {
        granular: group.is_granular(),
        resources,
        required,
        forbidden,
        member_of: group.member_of.clone(),
        not_member_of: group.not_member_of.clone(),
        in_tree,
    })
}

/// Whether any provider is in at least one aggregate of every list.
fn member_exists(topology: &Topology, lists: &[Vec<Uuid>]) -> bool {
    let Some((first, others)) = lists.split_first() else { return true };
    let rows_of = |id: &Uuid| topology.rows_in_aggregate(*id);
    let is_in = |any: &Vec<Uuid>, row| any.iter().filter_map(rows_of).any(|rows| rows.contains(row));
    first
        .iter()
        .filter_map(rows_of)
        .any(|rows| rows.iter().any(|row| others.iter().all(|any| is_in(any, row))))
}

fn root_of(index: &Index, topology: &Topology, uuid: Uuid) -> Option<Row> {
    Some(topology.provider(index.find(uuid)?)?.root)
}

fn find_trait(topology: &Topology, name: &str) -> Result<TraitId, UnknownName> {
    topology.find_trait(name).ok_or_else(|| UnknownName::Trait(name.into()))
}
