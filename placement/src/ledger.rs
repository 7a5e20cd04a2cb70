//! The ledger: capacity and use of every (provider, resource class), claimed by compare-and-swap.
//!
//! `docs/claim-protocol.md` describes the protocol, its race and why it is correct; `tests/loom.rs`
//! checks small cases under every interleaving of up to three preemptions. In short: a claim checks
//! every account first, then reserves account by account and releases everything on the first
//! refusal. In the end it checks whether an inventory that it was judged by has changed; if so, it
//! releases everything and retries.

use std::sync::OnceLock;

use crate::consumers::Allocation;
use crate::ids::{ClassId, Row, Timestamp};
use crate::inventory::{Inventory, Units};
use crate::kernel::CLASSES;
use crate::segment::Segmented;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence, spin_loop};

mod rewrite;
mod shift;

pub use rewrite::{InventoryError, ReshapeRefusal, Rewrite};
pub(crate) use shift::Shift;

/// The number of resource classes that the ledger can hold.
#[cfg(not(loom))]
const MAX_CLASSES: usize = 4096;
#[cfg(loom)]
const MAX_CLASSES: usize = 3;

/// The capacity of an account without inventory: no amount fits.
const ABSENT: i64 = i64::MIN;

/// The capacity and use of one class on one provider.
struct Account {
    used: AtomicI64,
    capacity: AtomicI64,
}

impl Default for Account {
    fn default() -> Self {
        Self { used: AtomicI64::new(0), capacity: AtomicI64::new(ABSENT) }
    }
}

/// Everything that a claim on a host needs, on one cache line: the accounts of the
/// [`HOST_CLASSES`](crate::HOST_CLASSES) and the words that guard them.
#[derive(Default)]
#[repr(align(64))]
struct Head {
    /// The Placement generation.
    generation: AtomicU64,
    /// Counts inventory rewrites twice: odd while one is under way.
    sequence: AtomicU32,
    /// Bit `c`: free capacity implies every unit rule of host class `c`, so claims need not check
    /// them.
    plain: AtomicU32,
    accounts: [Account; CLASSES],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Head>() == 64, "a head fills one cache line");

/// The fields of an inventory record.
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

/// Why a claim was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The provider has no inventory of the class.
    #[error("{row} has no inventory of class {}", class.0)]
    NoInventory {
        /// The provider.
        row: Row,
        /// The requested class.
        class: ClassId,
    },
    /// The amount breaks the inventory's unit rules.
    #[error("{amount} of class {} on {row} breaks its unit rules {units:?}", class.0)]
    Units {
        /// The provider.
        row: Row,
        /// The requested class.
        class: ClassId,
        /// The requested amount.
        amount: u32,
        /// The rules it breaks.
        units: Units,
    },
    /// The free capacity is too small.
    #[error("{row} has {free} of class {} free, {amount} requested", class.0)]
    Capacity {
        /// The provider.
        row: Row,
        /// The requested class.
        class: ClassId,
        /// The requested amount.
        amount: u32,
        /// The amount that was free; negative when an inventory shrank below its use.
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
    /// When each provider was last changed through the Placement API, in microseconds.
    changed_at: Segmented<AtomicU64>,
}

impl Default for Ledger {
    fn default() -> Self {
        fn columns<T>() -> Columns<T> {
            (0..MAX_CLASSES).map(|_| OnceLock::new()).collect()
        }
        Self { heads: Segmented::new(), others: columns(), records: columns(), changed_at: Segmented::new() }
    }
}

impl Ledger {
    /// The number of providers a ledger can hold.
    pub const MAX_ROWS: usize = Segmented::<Head>::MAX_ROWS;

    /// The number of resource classes a ledger can hold.
    pub const MAX_CLASSES: usize = MAX_CLASSES;

    /// The amount that consumers may still claim: `None` without inventory, negative when
    /// over-committed.
    ///
    /// Advisory: while the inventory is being rewritten, capacity and use may be of different
    /// versions.
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

    /// The amount that consumers may hold in total, and the amount that they hold; `None` without
    /// inventory.
    ///
    /// Advisory, like [`Self::free`].
    #[inline]
    #[must_use]
    pub(crate) fn capacity_and_used(&self, row: Row, class: ClassId) -> Option<(i64, i64)> {
        self.account(self.heads.get(row.index())?, row, class)?.capacity_and_used()
    }

    /// The inventory record, with all fields of the same version.
    #[must_use]
    pub fn inventory(&self, row: Row, class: ClassId) -> Option<Inventory> {
        let head = self.heads.get(row.index())?;
        let (account, record) = (self.account(head, row, class)?, self.record(row, class)?);
        loop {
            let sequence = stable_sequence(head);
            let present = account.capacity.load(Ordering::Relaxed) != ABSENT;
            let inventory = record.load();
            if unchanged(head, sequence) {
                return present.then_some(inventory);
            }
        }
    }

    /// The provider's generation: every change of its inventories, traits, aggregates or
    /// allocations increments it.
    #[must_use]
    pub fn generation(&self, row: Row) -> u64 {
        self.heads.get(row.index()).map_or(0, |head| head.generation.load(Ordering::Acquire))
    }

    /// The time of the provider's last change by a writer with a clock.
    #[must_use]
    pub fn changed_at(&self, row: Row) -> Timestamp {
        Timestamp(self.changed_at.get(row.index()).map_or(0, |at| at.load(Ordering::Relaxed)))
    }

    pub(crate) fn set_changed_at(&self, row: Row, now: Timestamp) {
        if now != Timestamp::default() {
            self.changed_at.get_or_grow(row.index()).fetch_max(now.0, Ordering::Relaxed);
        }
    }

    /// Counts a change of the provider.
    pub(crate) fn bump_generation(&self, row: Row) {
        self.heads.get_or_grow(row.index()).generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Sets the generation of a provider that no other thread can see yet.
    pub(crate) fn set_generation(&self, row: Row, generation: u64) {
        self.heads.get_or_grow(row.index()).generation.store(generation, Ordering::Release);
    }

    /// Adds the allocations to the use of their accounts without a check of capacity. The
    /// inventories have to exist.
    pub(crate) fn reserve_unchecked(&self, allocations: &[Allocation]) {
        for &Allocation { row, class, amount } in allocations {
            let account = self.heads.get(row.index()).and_then(|head| self.account(head, row, class));
            account.expect("it has an inventory").used.fetch_add(i64::from(amount), Ordering::AcqRel);
        }
    }

    /// Reserves all of the allocations, or none.
    ///
    /// # Errors
    /// The first refusal. It can be premature while another claim, which will itself be refused,
    /// briefly holds some of the capacity; the caller decides whether to retry. A call of
    /// [`Self::check`] before makes that rare.
    pub fn reserve(&self, allocations: &[Allocation]) -> Result<(), Refusal> {
        loop {
            // Sequences never decrease, so their sum is unchanged only if each of them is.
            let mut sequences = 0;
            for (taken, allocation) in allocations.iter().enumerate() {
                match self.take(allocation) {
                    Ok(sequence) => sequences += u64::from(sequence),
                    Err(refusal) => {
                        allocations[..taken].iter().for_each(|allocation| self.release_one(allocation));
                        return Err(refusal);
                    }
                }
            }
            // Counted before the sequences are read: either a rewrite that compares generations
            // observes this claim's count, or this claim observes the rewrite.
            self.bump_generations(allocations);
            fence(Ordering::SeqCst);
            if self.sequences_of(allocations.iter().map(|allocation| allocation.row)) == sequences {
                return Ok(());
            }
            // An inventory was rewritten meanwhile, so the verdict no longer holds.
            self.release_uncounted(allocations);
        }
    }

    /// Releases what [`Self::reserve`] took.
    pub fn release(&self, allocations: &[Allocation]) {
        self.bump_generations(allocations);
        self.release_uncounted(allocations);
    }

    /// Releases the allocations without counting a change of the providers.
    pub(crate) fn release_uncounted(&self, allocations: &[Allocation]) {
        allocations.iter().for_each(|allocation| self.release_one(allocation));
    }

    /// The account of a class on a row, and the head that guards it.
    #[inline]
    fn account_of(&self, row: Row, class: ClassId) -> Result<(&Head, &Account), Refusal> {
        let no_inventory = Refusal::NoInventory { row, class };
        let head = self.heads.get(row.index()).ok_or(no_inventory)?;
        let account = self.account(head, row, class).ok_or(no_inventory)?;
        Ok((head, account))
    }

    /// Reserves an amount from one account; returns the sequence for which the verdict is valid.
    #[inline]
    fn take(&self, &Allocation { row, class, amount }: &Allocation) -> Result<u32, Refusal> {
        let (head, account) = self.account_of(row, class)?;
        loop {
            let sequence = stable_sequence(head);
            let used = account.used.load(Ordering::Relaxed);
            match self.judge(head, account, used, row, class, amount) {
                Ok(()) if account.take(used, i64::from(amount)) => return Ok(sequence),
                Ok(()) => {} // another claim or release came first
                Err(refusal) if unchanged(head, sequence) => return Err(refusal),
                Err(_) => {} // judged by an inventory that was being rewritten
            }
        }
    }

    /// The sum of the rows' current sequences.
    #[inline]
    fn sequences_of(&self, rows: impl Iterator<Item = Row>) -> u64 {
        let heads = rows.map(|row| self.heads.get(row.index()).expect("the claim reserved from it"));
        heads.map(|head| u64::from(head.sequence.load(Ordering::Relaxed))).sum()
    }

    /// Checks whether each of the allocations by itself would be granted now. Reserves nothing.
    ///
    /// # Errors
    /// The first refusal.
    #[inline]
    pub fn check(&self, allocations: &[Allocation]) -> Result<(), Refusal> {
        allocations.iter().try_for_each(|allocation| self.check_one(allocation))
    }

    #[inline]
    fn check_one(&self, &Allocation { row, class, amount }: &Allocation) -> Result<(), Refusal> {
        let (head, account) = self.account_of(row, class)?;
        loop {
            let sequence = stable_sequence(head);
            let used = account.used.load(Ordering::Relaxed);
            let verdict = self.judge(head, account, used, row, class, amount);
            if unchanged(head, sequence) {
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
    fn release_one(&self, &Allocation { row, class, amount }: &Allocation) {
        let account = self.heads.get(row.index()).and_then(|head| self.account(head, row, class));
        let account = account.expect("an allocation's account exists");
        let before = account.used.fetch_sub(i64::from(amount), Ordering::AcqRel);
        debug_assert!(before >= i64::from(amount), "a release exceeds the reservations");
    }

    /// Counts a change of each provider of the allocations.
    pub(crate) fn bump_generations(&self, allocations: &[Allocation]) {
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
    /// Adds `amount` to `used`, if `used` is still current.
    #[inline]
    fn take(&self, used: i64, amount: i64) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        self.used.compare_exchange_weak(used, used + amount, success, failure).is_ok()
    }

    #[inline]
    fn capacity_and_used(&self) -> Option<(i64, i64)> {
        let capacity = self.capacity.load(Ordering::Relaxed);
        (capacity != ABSENT).then(|| (capacity, self.used.load(Ordering::Relaxed)))
    }

    #[inline]
    fn free(&self) -> Option<i64> {
        self.capacity_and_used().map(|(capacity, used)| capacity.saturating_sub(used))
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

/// The inventories' sequence at a moment without a rewrite: a rewrite lasts for a few stores only.
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

/// Whether everything that was read since `sequence` was loaded is of one version.
#[inline]
fn unchanged(head: &Head, sequence: u32) -> bool {
    fence(Ordering::Acquire);
    head.sequence.load(Ordering::Relaxed) == sequence
}
