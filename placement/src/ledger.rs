//! The ledger: capacity and use of every (provider, resource class), claimed by compare-and-swap.
//!
//! The protocol, its race and why it is right are written down in `docs/claim-protocol.md`; `tests/loom.rs`
//! checks small cases of it under every interleaving of up to three preemptions. In short: a claim looks at every
//! account first, then takes room account by account and gives all of it back on the first refusal; after taking room
//! from an account it looks whether the provider's inventories changed meanwhile, and if so gives that room back and
//! tries the account again.

use std::sync::OnceLock;

use crate::consumers::Allocation;
use crate::ids::{ClassId, Row};
use crate::inventory::{Inventory, Units};
use crate::kernel::CLASSES;
use crate::segment::Segmented;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence, spin_loop};

/// Resource classes the ledger can hold.
#[cfg(not(loom))]
const MAX_CLASSES: usize = 4096;
#[cfg(loom)]
const MAX_CLASSES: usize = 3;

/// The capacity of an account without inventory: no amount fits.
const ABSENT: i64 = i64::MIN;

/// What one provider has and gave of one class.
struct Account {
    used: AtomicI64,
    capacity: AtomicI64,
}

impl Default for Account {
    fn default() -> Self {
        Self { used: AtomicI64::new(0), capacity: AtomicI64::new(ABSENT) }
    }
}

/// Everything a claim on a host needs, on one cache line: the accounts of the [`HOST_CLASSES`](crate::HOST_CLASSES) and what guards them.
#[derive(Default)]
#[repr(align(64))]
struct Head {
    /// The Placement generation.
    generation: AtomicU64,
    /// Counts inventory rewrites twice: odd while one is under way.
    sequence: AtomicU32,
    /// Bit `c`: host class `c` has no unit rule that free capacity does not imply, so claims need not look.
    plain: AtomicU32,
    accounts: [Account; CLASSES],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Head>() == 64, "a head fills one cache line");

/// The fields of an inventory record, as they were written.
#[derive(Default)]
struct Record {
    ratio_bits: AtomicU64,
    total: AtomicU32,
    reserved: AtomicU32,
    min_unit: AtomicU32,
    max_unit: AtomicU32,
    step_size: AtomicU32,
}

impl Record {
    fn units(&self) -> Units {
        Units {
            min_unit: self.min_unit.load(Ordering::Relaxed),
            max_unit: self.max_unit.load(Ordering::Relaxed),
            step_size: self.step_size.load(Ordering::Relaxed),
        }
    }

    fn load(&self) -> Inventory {
        Inventory {
            total: self.total.load(Ordering::Relaxed),
            reserved: self.reserved.load(Ordering::Relaxed),
            units: self.units(),
            allocation_ratio: f64::from_bits(self.ratio_bits.load(Ordering::Relaxed)),
        }
    }

    fn store(&self, inventory: &Inventory) {
        self.total.store(inventory.total, Ordering::Relaxed);
        self.reserved.store(inventory.reserved, Ordering::Relaxed);
        self.min_unit.store(inventory.units.min_unit, Ordering::Relaxed);
        self.max_unit.store(inventory.units.max_unit, Ordering::Relaxed);
        self.step_size.store(inventory.units.step_size, Ordering::Relaxed);
        self.ratio_bits.store(inventory.allocation_ratio.to_bits(), Ordering::Relaxed);
    }
}

/// Why a claim got nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The provider has no inventory of the class.
    #[error("{row} has no inventory of class {}", class.0)]
    NoInventory {
        /// The provider.
        row: Row,
        /// The class asked for.
        class: ClassId,
    },
    /// The amount breaks the inventory's unit rules.
    #[error("{amount} of class {} on {row} breaks its unit rules {units:?}", class.0)]
    Units {
        /// The provider.
        row: Row,
        /// The class asked for.
        class: ClassId,
        /// The amount asked for.
        amount: u32,
        /// The rules it breaks.
        units: Units,
    },
    /// Not enough is free.
    #[error("{row} has {free} of class {} free, {amount} asked for", class.0)]
    Capacity {
        /// The provider.
        row: Row,
        /// The class asked for.
        class: ClassId,
        /// The amount asked for.
        amount: u32,
        /// What was free at that moment; negative when an inventory shrank below its use.
        free: i64,
    },
}

impl Refusal {
    /// The provider that refused.
    #[must_use]
    pub const fn row(&self) -> Row {
        match *self {
            Self::NoInventory { row, .. } | Self::Units { row, .. } | Self::Capacity { row, .. } => row,
        }
    }
}

/// An inventory that still has allocations cannot be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the inventory of class {} on {row} is in use", class.0)]
pub struct InventoryInUse {
    /// The provider.
    pub row: Row,
    /// The class.
    pub class: ClassId,
}

/// One segmented column per resource class, allocated when the class is first used.
type Columns<T> = Box<[OnceLock<Segmented<T>>]>;

/// Accounts and inventory records of every provider.
pub struct Ledger {
    heads: Segmented<Head>,
    /// The accounts of the classes beyond the host classes.
    others: Columns<Account>,
    records: Columns<Record>,
}

impl Default for Ledger {
    fn default() -> Self {
        fn columns<T>() -> Columns<T> {
            (0..MAX_CLASSES).map(|_| OnceLock::new()).collect()
        }
        Self { heads: Segmented::new(), others: columns(), records: columns() }
    }
}

impl Ledger {
    /// The number of providers a ledger can hold.
    pub const MAX_ROWS: usize = Segmented::<Head>::MAX_ROWS;

    /// The number of resource classes a ledger can hold.
    pub const MAX_CLASSES: usize = MAX_CLASSES;

    /// What consumers may still take, `None` without inventory; negative when over-committed.
    ///
    /// Advisory: while the inventory is being rewritten the two numbers it is made of may not belong together.
    #[inline]
    #[must_use]
    pub fn free(&self, row: Row, class: ClassId) -> Option<i64> {
        self.account(self.heads.get(row.index())?, row, class)?.free()
    }

    /// The free amounts of the host classes; see [`Self::free`].
    #[inline]
    #[must_use]
    pub fn host_free(&self, row: Row) -> [Option<i64>; CLASSES] {
        self.heads
            .get(row.index())
            .map_or([None; CLASSES], |head| head.accounts.each_ref().map(Account::free))
    }

    /// The sum of all allocations.
    #[must_use]
    pub fn used(&self, row: Row, class: ClassId) -> i64 {
        let account = self.heads.get(row.index()).and_then(|head| self.account(head, row, class));
        account.map_or(0, |account| account.used.load(Ordering::Acquire))
    }

    /// The inventory record, all fields of the same version.
    #[must_use]
    pub fn inventory(&self, row: Row, class: ClassId) -> Option<Inventory> {
        let head = self.heads.get(row.index())?;
        let (account, record) = (self.account(head, row, class)?, self.record(row, class)?);
        loop {
            let sequence = stable_sequence(head);
            let present = account.capacity.load(Ordering::Relaxed) != ABSENT;
            let inventory = record.load();
            fence(Ordering::Acquire);
            if head.sequence.load(Ordering::Relaxed) == sequence {
                return present.then_some(inventory);
            }
        }
    }

    /// The provider's generation: every change of its inventories, traits, aggregates or allocations adds one.
    #[must_use]
    pub fn generation(&self, row: Row) -> u64 {
        self.heads.get(row.index()).map_or(0, |head| head.generation.load(Ordering::Acquire))
    }

    /// Counts a change of the provider.
    pub fn bump_generation(&self, row: Row) {
        self.heads.get_or_grow(row.index()).generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes all of the allocations' room, or none.
    ///
    /// # Errors
    /// The first refusal. While another claim that will itself be refused holds some of the room for that moment,
    /// a refusal can be premature; the caller decides whether to look again. [`Self::look`] first makes that rare.
    pub fn reserve(&self, allocations: &[Allocation]) -> Result<(), Refusal> {
        for (taken, allocation) in allocations.iter().enumerate() {
            if let Err(refusal) = self.reserve_one(allocation) {
                allocations[..taken].iter().for_each(|allocation| self.give_back(allocation));
                return Err(refusal);
            }
        }
        self.bump_generations(allocations);
        Ok(())
    }

    /// Gives back what [`Self::reserve`] took.
    pub fn release(&self, allocations: &[Allocation]) {
        allocations.iter().for_each(|allocation| self.give_back(allocation));
        self.bump_generations(allocations);
    }

    /// Puts, replaces or (with `None`) removes an inventory. The caller serialises writers of one provider.
    ///
    /// # Errors
    /// Removing an inventory that has allocations, or from which a claim that will be refused holds room for this
    /// moment. Shrinking below the used amount is allowed, as in Placement:
    /// nothing more fits until consumers leave.
    pub fn set_inventory(
        &self,
        row: Row,
        class: ClassId,
        inventory: Option<&Inventory>,
    ) -> Result<(), InventoryInUse> {
        let head = self.heads.get_or_grow(row.index());
        let record = self.records[class.index()].get_or_init(Segmented::new).get_or_grow(row.index());
        let account = match head.accounts.get(class.index()) {
            Some(account) => account,
            None => self.others[class.index()].get_or_init(Segmented::new).get_or_grow(row.index()),
        };
        head.sequence.fetch_add(1, Ordering::Relaxed);
        // Either this writer sees a claim's room in `used`, or that claim sees the odd sequence: see reserve_one.
        fence(Ordering::SeqCst);
        let in_use = inventory.is_none() && account.used.load(Ordering::Relaxed) != 0;
        if !in_use {
            if let Some(inventory) = inventory {
                record.store(inventory);
            }
            account.capacity.store(inventory.map_or(ABSENT, Inventory::capacity), Ordering::Relaxed);
            head.set_plain(class, inventory.is_some_and(Inventory::capacity_implies_units));
        }
        head.sequence.fetch_add(1, Ordering::Release);
        if in_use { Err(InventoryInUse { row, class }) } else { Ok(()) }
    }

    #[inline]
    fn reserve_one(&self, &Allocation { row, class, amount }: &Allocation) -> Result<(), Refusal> {
        let no_inventory = Refusal::NoInventory { row, class };
        let head = self.heads.get(row.index()).ok_or(no_inventory)?;
        let account = self.account(head, row, class).ok_or(no_inventory)?;
        let mut sequence = stable_sequence(head);
        loop {
            let used = account.used.load(Ordering::Relaxed);
            let verdict = self.judge(head, account, used, row, class, amount);
            if verdict.is_ok()
                && account
                    .used
                    .compare_exchange_weak(
                        used,
                        used + i64::from(amount),
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    )
                    .is_err()
            {
                continue; // another claim or release came first
            }
            fence(Ordering::SeqCst);
            if head.sequence.load(Ordering::Relaxed) == sequence {
                return verdict;
            }
            // The inventory was rewritten under our eyes: what we judged by is void.
            if verdict.is_ok() {
                account.used.fetch_sub(i64::from(amount), Ordering::AcqRel);
            }
            sequence = stable_sequence(head);
        }
    }

    /// Whether each of the allocations by itself would be granted now. Takes nothing.
    ///
    /// # Errors
    /// The first refusal.
    #[inline]
    pub fn look(&self, allocations: &[Allocation]) -> Result<(), Refusal> {
        allocations.iter().try_for_each(|allocation| self.look_at(allocation))
    }

    #[inline]
    fn look_at(&self, &Allocation { row, class, amount }: &Allocation) -> Result<(), Refusal> {
        let no_inventory = Refusal::NoInventory { row, class };
        let head = self.heads.get(row.index()).ok_or(no_inventory)?;
        let account = self.account(head, row, class).ok_or(no_inventory)?;
        loop {
            let sequence = stable_sequence(head);
            let used = account.used.load(Ordering::Relaxed);
            let verdict = self.judge(head, account, used, row, class, amount);
            fence(Ordering::Acquire);
            if head.sequence.load(Ordering::Relaxed) == sequence {
                return verdict;
            }
        }
    }

    /// Whether `amount` is granted on top of `used`.
    #[inline]
    fn judge(
        &self,
        head: &Head,
        account: &Account,
        used: i64,
        row: Row,
        class: ClassId,
        amount: u32,
    ) -> Result<(), Refusal> {
        let capacity = account.capacity.load(Ordering::Relaxed);
        if capacity == ABSENT {
            return Err(Refusal::NoInventory { row, class });
        }
        if !head.is_plain(class) || amount == 0 {
            let units = self.record(row, class).map_or_else(Units::default, Record::units);
            if !units.allow(amount) {
                return Err(Refusal::Units { row, class, amount, units });
            }
        }
        let free = capacity.saturating_sub(used);
        if free < i64::from(amount) {
            return Err(Refusal::Capacity { row, class, amount, free });
        }
        Ok(())
    }

    #[inline]
    fn give_back(&self, &Allocation { row, class, amount }: &Allocation) {
        let account = self.heads.get(row.index()).and_then(|head| self.account(head, row, class));
        let account = account.expect("an allocation's account exists");
        let before = account.used.fetch_sub(i64::from(amount), Ordering::AcqRel);
        debug_assert!(before >= i64::from(amount), "more given back than taken");
    }

    fn bump_generations(&self, allocations: &[Allocation]) {
        for (i, allocation) in allocations.iter().enumerate() {
            if allocations[..i].iter().all(|earlier| earlier.row != allocation.row) {
                self.bump_generation(allocation.row);
            }
        }
    }

    #[inline]
    fn account<'a>(&'a self, head: &'a Head, row: Row, class: ClassId) -> Option<&'a Account> {
        match head.accounts.get(class.index()) {
            Some(account) => Some(account),
            None => self.others.get(class.index())?.get()?.get(row.index()),
        }
    }

    #[inline]
    fn record(&self, row: Row, class: ClassId) -> Option<&Record> {
        self.records.get(class.index())?.get()?.get(row.index())
    }
}

impl Account {
    #[inline]
    fn free(&self) -> Option<i64> {
        let capacity = self.capacity.load(Ordering::Relaxed);
        (capacity != ABSENT).then(|| capacity.saturating_sub(self.used.load(Ordering::Relaxed)))
    }
}

impl Head {
    #[inline]
    fn is_plain(&self, class: ClassId) -> bool {
        class.index() < CLASSES && self.plain.load(Ordering::Relaxed) >> class.index() & 1 == 1
    }

    fn set_plain(&self, class: ClassId, plain: bool) {
        if class.index() < CLASSES {
            let bit = 1 << class.index();
            let others = self.plain.load(Ordering::Relaxed) & !bit;
            self.plain.store(others | if plain { bit } else { 0 }, Ordering::Relaxed);
        }
    }
}

/// The inventories' sequence at a moment when nobody rewrites them: a writer is there for a few stores only.
#[inline]
fn stable_sequence(head: &Head) -> u32 {
    loop {
        let sequence = head.sequence.load(Ordering::Acquire);
        if sequence.is_multiple_of(2) {
            return sequence;
        }
        spin_loop();
    }
}
