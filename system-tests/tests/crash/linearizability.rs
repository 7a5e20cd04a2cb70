//! Whether a history of concurrent calls could have happened one after the other.
//!
//! Wing and Gong's search with Lowe's memory: take a call that no other had ended before, see
//! whether the model gives its answer, go on; never come to the same calls and the same state
//! twice.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::cell::{Answer, Call, Cell};

/// A call and what became of it. Times are of one clock.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) began: u64,
    /// When the answer was there, and what it was; `None` when there was none. Then it may have
    /// happened at any time after it began, or not at all.
    pub(crate) ended: Option<(u64, Answer)>,
    /// The time of a response that leaves the outcome open: the call did not take effect later.
    pub(crate) given_up: Option<u64>,
    pub(crate) call: Call,
}

/// The longest beginning that could be explained, when the whole cannot be.
#[derive(Debug)]
pub(crate) struct Violation {
    /// Calls that were answered, in an order that explains as many as can be.
    pub(crate) explained: Vec<Event>,
    /// The cell after them.
    pub(crate) cell: Cell,
    /// Calls that can come next in time, and whose answers do not fit.
    pub(crate) stuck: Vec<Event>,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "these happened:")?;
        self.explained.iter().try_for_each(|event| writeln!(formatter, "  {event:?}"))?;
        writeln!(formatter, "It is {:?} then, and none of these can be next:", self.cell)?;
        self.stuck.iter().try_for_each(|event| writeln!(formatter, "  {event:?}"))
    }
}

/// Whether the calls explain each other, beginning with this cell.
pub(crate) fn check(cell: &Cell, events: &[Event]) -> Result<(), Box<Violation>> {
    let mut search = Search { events: in_order(events), seen: FxHashSet::default(), best: None };
    if search.explains(cell) { Ok(()) } else { Err(Box::new(search.violation(cell))) }
}

fn in_order(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.began);
    events
}

/// Calls taken so far, as bits.
type Taken = Box<[u64]>;

struct Search {
    events: Vec<Event>,
    seen: FxHashSet<(Taken, Cell)>,
    best: Option<(Vec<usize>, Cell)>,
}

/// A call that was taken, and what there was before.
struct Step {
    event: usize,
    before: Arc<Cell>,
    /// The others that could have been taken instead, and have not been tried.
    others: Vec<usize>,
}

impl Search {
    fn explains(&mut self, first: &Cell) -> bool {
        let mut taken: Taken = vec![0; self.events.len().div_ceil(64)].into();
        let mut steps: Vec<Step> = Vec::new();
        let mut cell = Arc::new(first.clone());
        let mut next = self.possible(&taken);
        loop {
            if self.is_done(&taken) {
                return true;
            }
            let found = next.pop().map(|event| (event, self.take(&cell, event, &mut taken)));
            match found {
                Some((event, Some(after))) => {
                    let others = std::mem::replace(&mut next, self.possible(&taken));
                    steps.push(Step { event, before: std::mem::replace(&mut cell, after), others });
                    self.note(&steps, &cell);
                }
                Some((_, None)) => {}
                None => {
                    let Some(step) = steps.pop() else { return false };
                    flip(&mut taken, step.event);
                    (cell, next) = (step.before, step.others);
                }
            }
        }
    }

    /// The cell after the call, if that fits and is new.
    fn take(&mut self, cell: &Cell, event: usize, taken: &mut Taken) -> Option<Arc<Cell>> {
        let Event { ended, call, .. } = &self.events[event];
        let after = match ended {
            Some((_, answer)) => cell.after(call, *answer),
            None => cell.after_unanswered(call),
        }?;
        flip(taken, event);
        if self.seen.insert((taken.clone(), after.clone())) {
            return Some(Arc::new(after));
        }
        flip(taken, event);
        None
    }

    /// Calls that began before any other that is left had ended; the one that began first is the
    /// last in the list.
    fn possible(&self, taken: &Taken) -> Vec<usize> {
        let first = first_left(taken);
        let (mut first_end, mut latest) =
            (u64::MAX, first.checked_sub(1).map_or(0, |last| self.events[last].began));
        let mut possible = Vec::new();
        for (place, event) in self.events.iter().enumerate().skip(first) {
            if event.began > first_end {
                break;
            }
            if has(taken, place) {
                latest = event.began;
            } else {
                first_end = first_end.min(event.ended.map_or(u64::MAX, |(time, _)| time));
                possible.push(place);
            }
        }
        possible.retain(|&place| {
            let Event { began, given_up, .. } = self.events[place];
            began <= first_end && given_up.is_none_or(|time| time >= latest)
        });
        possible.reverse();
        possible
    }

    fn is_done(&self, taken: &Taken) -> bool {
        let left = self.events.iter().enumerate().skip(first_left(taken));
        left.into_iter().all(|(place, event)| event.ended.is_none() || has(taken, place))
    }

    fn note(&mut self, steps: &[Step], cell: &Cell) {
        if self.best.as_ref().is_none_or(|(best, _)| best.len() < steps.len()) {
            self.best = Some((steps.iter().map(|step| step.event).collect(), cell.clone()));
        }
    }

    fn violation(self, first: &Cell) -> Violation {
        let (steps, cell) = self.best.clone().unwrap_or_else(|| (Vec::new(), first.clone()));
        let mut taken: Taken = vec![0; self.events.len().div_ceil(64)].into();
        steps.iter().for_each(|&event| flip(&mut taken, event));
        let of = |places: &[usize]| places.iter().map(|&place| self.events[place].clone()).collect();
        let stuck: BTreeSet<usize> = self.possible(&taken).into_iter().collect();
        let stuck: Vec<usize> = stuck.into_iter().collect();
        Violation { explained: of(&steps), cell, stuck: of(&stuck) }
    }
}

/// The first place that is not taken.
fn first_left(taken: &Taken) -> usize {
    let full = taken.iter().take_while(|word| **word == u64::MAX).count();
    64 * full + taken.get(full).map_or(0, |word| word.trailing_ones() as usize)
}

fn has(taken: &Taken, event: usize) -> bool {
    taken[event / 64] >> (event % 64) & 1 == 1
}

fn flip(taken: &mut Taken, event: usize) {
    taken[event / 64] ^= 1 << (event % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Held, Stock, Write};

    fn cell() -> Cell {
        let mut cell = Cell::default();
        cell.providers[0] = Stock { total: 4, generation: 1 };
        cell
    }

    fn event(began: u64, ended: u64, call: Call, answer: Answer) -> Event {
        Event { began, ended: Some((ended, answer)), given_up: None, call }
    }

    fn write(consumer: usize, generation: Option<u64>, amount: u32) -> Call {
        Call::Write(vec![Write { consumer, generation, amounts: [amount, 0] }])
    }

    fn held(generation: u64, amount: u32) -> Answer {
        Answer::Consumer(Some(Held { generation, amounts: [amount, 0] }))
    }

    fn is_fine(events: &[Event]) -> bool {
        check(&cell(), events).is_ok()
    }

    #[test]
    fn one_after_the_other() {
        assert!(is_fine(&[
            event(1, 2, write(0, None, 3), Answer::Done),
            event(3, 4, write(1, None, 3), Answer::NoCapacity),
            event(5, 6, Call::ReadConsumer(0), held(1, 3)),
            event(7, 8, write(0, Some(1), 0), Answer::Done),
            event(9, 10, Call::ReadUsed(0), Answer::Used(0)),
        ]));
    }

    #[test]
    fn a_read_may_see_what_is_under_way_or_not() {
        for seen in [Answer::Consumer(None), held(1, 3)] {
            let claim = event(1, 10, write(0, None, 3), Answer::Done);
            assert!(is_fine(&[claim, event(2, 3, Call::ReadConsumer(0), seen)]));
        }
    }

    #[test]
    fn what_was_seen_is_not_unseen() {
        let claim = event(1, 10, write(0, None, 3), Answer::Done);
        let (first, then) = (held(1, 3), Answer::Consumer(None));
        assert!(!is_fine(&[
            claim,
            event(2, 3, Call::ReadConsumer(0), first),
            event(4, 5, Call::ReadConsumer(0), then)
        ]));
    }

    #[test]
    fn an_answer_that_was_lost_is_found() {
        let claim = event(1, 2, write(0, None, 3), Answer::Done);
        assert!(!is_fine(&[claim, event(3, 4, Call::ReadConsumer(0), Answer::Consumer(None))]));
    }

    #[test]
    fn capacity_granted_twice_is_found() {
        let both =
            |second| [event(1, 9, write(0, None, 3), Answer::Done), event(2, 8, write(1, None, 3), second)];
        assert!(!is_fine(&both(Answer::Done)));
        assert!(is_fine(&both(Answer::NoCapacity)));
    }

    #[test]
    fn two_who_expect_the_same_cannot_both_be_done() {
        let both = |second| {
            [
                event(1, 2, write(0, None, 1), Answer::Done),
                event(3, 9, write(0, Some(1), 2), Answer::Done),
                event(4, 8, write(0, Some(1), 3), second),
            ]
        };
        assert!(!is_fine(&both(Answer::Done)));
        assert!(is_fine(&both(Answer::Conflict)));
    }

    #[test]
    fn a_conflict_without_another_writer_is_found() {
        let claim = event(1, 2, write(0, None, 1), Answer::Done);
        assert!(!is_fine(&[claim, event(3, 4, write(0, Some(1), 2), Answer::Conflict)]));
    }

    #[test]
    fn a_generation_that_goes_back_is_found() {
        let read = |began, generation| {
            event(began, began + 1, Call::ReadStock(0), Answer::Stock(Stock { total: 4, generation }))
        };
        assert!(is_fine(&[read(1, 3), read(3, 3)]));
        assert!(!is_fine(&[read(1, 3), read(3, 2)]));
    }

    #[test]
    fn a_lost_update_of_a_provider_is_found() {
        let set = |began, ended, total, now| {
            event(began, ended, Call::SetTotal { provider: 0, generation: 1, total }, Answer::Stocked(now))
        };
        assert!(!is_fine(&[set(1, 5, 6, 2), set(2, 6, 7, 2)]));
    }

    #[test]
    fn what_was_not_answered_may_have_happened_or_not_but_stays() {
        let lost = Event { began: 1, ended: None, given_up: None, call: write(0, None, 3) };
        let (none, there) = (Answer::Consumer(None), held(1, 3));
        let read = |began, seen| event(began, began + 1, Call::ReadConsumer(0), seen);
        assert!(is_fine(&[lost.clone(), read(2, none)]));
        assert!(is_fine(&[lost.clone(), read(2, there)]));
        assert!(is_fine(&[lost.clone(), read(2, none), read(4, there)]));
        assert!(!is_fine(&[lost, read(2, there), read(4, none)]));
    }

    #[test]
    fn what_was_given_up_does_not_happen_later() {
        let lost = Event { began: 1, ended: None, given_up: Some(5), call: write(0, None, 3) };
        let read = |began, seen| event(began, began + 1, Call::ReadConsumer(0), seen);
        let (none, there) = (Answer::Consumer(None), held(1, 3));
        assert!(is_fine(&[lost.clone(), read(4, none), read(7, there)]));
        assert!(!is_fine(&[lost, read(6, none), read(8, there)]));
    }

    #[test]
    fn half_of_a_move_is_found() {
        let amounts = [2, 0];
        let moved = Call::Write(vec![
            Write { consumer: 0, generation: Some(1), amounts: [0, 0] },
            Write { consumer: 1, generation: None, amounts },
        ]);
        let claim = event(1, 2, write(0, None, 2), Answer::Done);
        let lost = Event { began: 3, ended: None, given_up: None, call: moved };
        let read = |began, consumer, seen| event(began, began + 1, Call::ReadConsumer(consumer), seen);
        let none = Answer::Consumer(None);
        assert!(is_fine(&[claim.clone(), lost.clone(), read(4, 0, none), read(6, 1, held(1, 2))]));
        assert!(!is_fine(&[claim, lost, read(4, 0, none), read(6, 1, none)]));
    }
}
