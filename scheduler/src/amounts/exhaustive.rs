//! The exhaustive search: filter, weigh and select as passes over every host.

use berth_placement::{Index, Row, View};

use crate::amounts::filter::{Capacity, Eligible, MaskFilter, OtherClasses};
use crate::amounts::parts;
use crate::amounts::prepare::Prepared;
use crate::amounts::select;
use crate::amounts::weigh::Survivors;
use crate::policy::objective::{Extremes, Goal, Weights};
use crate::policy::{Policy, Rank};
use crate::ranking::best::Best;

/// A request and the fleet it is looked for in.
pub(crate) struct Exhaustive<'a> {
    pub(crate) index: &'a Index,
    pub(crate) view: &'a View,
    pub(crate) prepared: &'a Prepared,
    /// Blocks from which the passes are split over the cores: [`parts::SPLIT_FROM`].
    pub(crate) split_from: usize,
}

impl Exhaustive<'_> {
    /// The hosts with the `most` lowest ranks, best first.
    pub(crate) fn lowest(&self, policy: Policy, most: usize) -> Vec<Row> {
        let lowest = parts::map(self.view.blocks().len(), self.split_from, |blocks| {
            select::lowest(self.survivors(blocks).ranks(policy), most)
        });
        select::lowest(lowest.concat(), most).into_iter().map(Rank::row).collect()
    }

    /// The hosts with the `most` highest scores, best first.
    pub(crate) fn highest(&self, weights: Weights, most: usize) -> Best {
        let survivors = parts::map(self.view.blocks().len(), self.split_from, |blocks| {
            let survivors = self.survivors(blocks);
            let extremes = survivors.extremes();
            (survivors, extremes)
        });
        let extremes = survivors.iter().fold(Extremes::NONE, |all, (_, extremes)| all.join(*extremes));
        let goal = Goal::new(&weights.into(), &extremes);
        let found = parts::map_all(&survivors, |(survivors, _)| survivors.highest(&goal, most));
        found.into_iter().reduce(Best::join).unwrap_or_else(|| Best::new(most))
    }

    /// The hosts of some blocks that pass every filter.
    pub(crate) fn survivors(&self, blocks: std::ops::Range<usize>) -> Survivors<'_> {
        let first = blocks.start;
        let mut words = self.view.hosts()[blocks].to_vec();
        let Self { index, view, prepared, .. } = *self;
        let filters: [&dyn MaskFilter; 3] =
            [&Eligible(prepared), &Capacity { prepared, view }, &OtherClasses { prepared, index }];
        filters.iter().for_each(|filter| filter.narrow_part(first, &mut words));
        Survivors { view, first, words }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_placement::{HOST_CLASSES, Inventory};
    use uuid::Uuid;

    use super::*;
    use crate::amounts::request::Request;

    /// A fleet of several parts, in which ties are frequent and far apart.
    fn fleet() -> Arc<Index> {
        let index = Index::default();
        let mut writer = index.write();
        for number in 0..150_000_u32 {
            let row = writer.add_provider(Uuid::from_u128(number.into()), &number.to_string(), None).unwrap();
            let sizes = [number * 7 % 32 + 1, number * 13 % 64 * 1024, number * 31 % 500];
            for (class, size) in HOST_CLASSES.into_iter().zip(sizes) {
                writer.set_inventory(row, class, (size > 0).then_some(&Inventory::of(size))).unwrap();
            }
            let traits = [writer.trait_named("A"), writer.trait_named("B")];
            writer.set_traits(row, &traits[..(number % 3) as usize]).unwrap();
        }
        drop(writer);
        Arc::new(index)
    }

    /// The split of a fleet into parts and the number of cores do not change the result.
    #[test]
    fn split_passes_name_the_same_hosts() {
        let index = fleet();
        let view = View::new(&index);
        let mut requests =
            vec![Request::of(4, 8_192, 40), Request::of(32, 60_000, 499), Request::of(33, 1, 1)];
        let mut picky = Request::of(1, 1, 1);
        picky.required_traits.push("A".to_owned());
        picky.forbidden_traits.push("B".to_owned());
        requests.push(picky);
        for request in requests {
            let prepared = Prepared::new(request, &view);
            let [whole, split] = [usize::MAX, 0].map(|split_from| {
                let search = Exhaustive { index: &index, view: &view, prepared: &prepared, split_from };
                [1, 8, 1_000].map(|most| {
                    let spread = search.highest(Weights::default(), most).into_rows();
                    let stack = search.highest(Weights { multipliers: [-1.0, 0.5, 0.0] }, most).into_rows();
                    (spread, stack, Policy::ALL.map(|policy| search.lowest(policy, most)))
                })
            });
            assert_eq!(whole, split);
        }
    }
}
