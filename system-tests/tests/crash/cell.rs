//! What a cell is supposed to do: the sequential model.
//!
//! A cell is a few providers and consumers that no operation shares with another cell. So by
//! locality a history is linearizable if what happened in each cell is.

/// Providers of a cell.
pub(crate) const PROVIDERS: usize = 2;
/// Consumers of a cell.
pub(crate) const CONSUMERS: usize = 3;

/// vCPUs on each provider.
pub(crate) type Amounts = [u32; PROVIDERS];

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Cell {
    pub(crate) consumers: [Option<Held>; CONSUMERS],
    pub(crate) providers: [Stock; PROVIDERS],
}

/// A consumer that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) generation: u64,
    pub(crate) amounts: Amounts,
}

/// What a provider has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stock {
    pub(crate) total: u32,
    /// At least this: a claim that has to look again may count more than one change.
    pub(crate) generation: u64,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Consumers hold this from now on, all or nothing; nothing at all means that they go.
    Write(Vec<Write>),
    /// A consumer goes, whatever it holds.
    Remove(usize),
    /// A provider has this from now on, if it has the generation.
    SetTotal {
        provider: usize,
        generation: u64,
        total: u32,
    },
    ReadConsumer(usize),
    ReadStock(usize),
    /// How much of a provider is taken.
    ReadUsed(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) consumer: usize,
    /// The generation it has to have; `None` for a new one.
    pub(crate) generation: Option<u64>,
    pub(crate) amounts: Amounts,
}

/// What a client was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// Something does not have the generation.
    Conflict,
    /// There is no capacity. A refusal may be premature, so nothing follows from it.
    NoCapacity,
    NotFound,
    /// The provider's new generation.
    Stocked(u64),
    Consumer(Option<Held>),
    Stock(Stock),
    Used(u32),
}

impl Cell {
    /// The cell after a call that was answered so; `None` when it cannot have been.
    pub(crate) fn after(&self, call: &Call, answer: Answer) -> Option<Self> {
        match (call, answer) {
            (Call::Write(writes), Answer::Done) => self.written(writes),
            (Call::Write(writes), Answer::Conflict) => self.if_so(!self.expects(writes)),
            (Call::Write(writes), Answer::NoCapacity) => self.if_so(self.expects(writes)),
            (&Call::Remove(consumer), Answer::Done) => {
                let mut after = self.clone();
                after.consumers[consumer].take().map(|_| after)
            }
            (&Call::Remove(consumer), Answer::NotFound) => self.if_so(self.consumers[consumer].is_none()),
            (&Call::SetTotal { provider, generation, total }, Answer::Stocked(now)) => {
                let is_right = generation >= self.providers[provider].generation && now > generation;
                is_right.then(|| self.with_stock(provider, Stock { total, generation: now }))
            }
            (Call::SetTotal { .. }, Answer::Conflict) => Some(self.clone()),
            (&Call::ReadConsumer(consumer), Answer::Consumer(found)) => {
                self.if_so(self.consumers[consumer] == found)
            }
            (&Call::ReadStock(provider), Answer::Stock(found)) => {
                let Stock { total, generation } = self.providers[provider];
                let is_right = total == found.total && generation <= found.generation;
                is_right.then(|| self.with_stock(provider, found))
            }
            (&Call::ReadUsed(provider), Answer::Used(used)) => self.if_so(self.used(provider) == used),
            _ => None,
        }
    }

    /// The cell after a call of which nobody knows the answer, if it changed something.
    pub(crate) fn after_unanswered(&self, call: &Call) -> Option<Self> {
        match *call {
            Call::Write(ref writes) => self.written(writes),
            Call::Remove(_) => self.after(call, Answer::Done),
            Call::SetTotal { generation, .. } => self.after(call, Answer::Stocked(generation + 1)),
            Call::ReadConsumer(_) | Call::ReadStock(_) | Call::ReadUsed(_) => None,
        }
    }

    pub(crate) fn used(&self, provider: usize) -> u32 {
        self.consumers.iter().flatten().map(|held| held.amounts[provider]).sum()
    }

    fn if_so(&self, so: bool) -> Option<Self> {
        so.then(|| self.clone())
    }

    fn with_stock(&self, provider: usize, stock: Stock) -> Self {
        let mut after = self.clone();
        after.providers[provider] = stock;
        after
    }

    fn expects(&self, writes: &[Write]) -> bool {
        let generation = |consumer: usize| self.consumers[consumer].map(|held| held.generation);
        writes.iter().all(|write| generation(write.consumer) == write.generation)
    }

    fn written(&self, writes: &[Write]) -> Option<Self> {
        let mut after = self.if_so(self.expects(writes))?;
        let mut counted = [false; PROVIDERS];
        for &Write { consumer, generation, amounts } in writes {
            let before = self.consumers[consumer].map_or([0; PROVIDERS], |held| held.amounts);
            let leaves = amounts == [0; PROVIDERS];
            let held = Held { generation: generation.unwrap_or(0) + 1, amounts };
            after.consumers[consumer] = (!leaves).then_some(held);
            let named = if leaves { before } else { amounts };
            (0..PROVIDERS).for_each(|provider| counted[provider] |= named[provider] > 0);
        }
        for (provider, is_counted) in counted.into_iter().enumerate() {
            let used = after.used(provider);
            if used > self.used(provider) && used > self.providers[provider].total {
                return None;
            }
            after.providers[provider].generation += u64::from(is_counted);
        }
        Some(after)
    }
}
