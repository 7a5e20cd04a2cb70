//! Column kernels: 64 rows in, one mask word out.
//!
//! The only module of the crate with `unsafe`: the vector forms, selected at run time by the
//! processor's features. Each has a scalar twin and a property test that both agree.

/// The number of classes compared at once: those that every VM requests.
pub const CLASSES: usize = 3;

/// An amount that every row satisfies: the class is not requested.
pub const NOT_ASKED: i32 = i32::MIN;

/// One column's values for 64 rows, aligned to cache lines.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Lanes(pub [i32; 64]);

impl Lanes {
    /// Every lane has this value.
    #[must_use]
    pub const fn splat(value: i32) -> Self {
        Self([value; 64])
    }
}

/// The free amounts of an unused lane.
pub const NOTHING: [i32; CLASSES] = [i32::MIN; CLASSES];

/// A block of unused lanes.
pub const EMPTY: [Lanes; CLASSES] = [const { Lanes::splat(i32::MIN) }; CLASSES];

/// One lane of a block.
#[must_use]
#[inline]
pub fn lane_of<const N: usize>(block: &[Lanes; N], lane: usize) -> [i32; N] {
    std::array::from_fn(|column| block[column].0[lane])
}

/// Writes one lane of a block.
#[inline]
pub fn set_lane<const N: usize>(block: &mut [Lanes; N], lane: usize, values: [i32; N]) {
    for (column, value) in block.iter_mut().zip(values) {
        column.0[lane] = value;
    }
}

/// Updates `summary`'s lane, the largest values of `block`, after one lane changed from `old` to
/// `new`.
#[inline]
pub fn summarise<const N: usize>(
    summary: &mut [Lanes; N],
    lane: usize,
    block: &[Lanes; N],
    old: [i32; N],
    new: [i32; N],
) {
    for column in 0..N {
        let top = &mut summary[column].0[lane];
        if new[column] >= *top {
            *top = new[column];
        } else if old[column] == *top {
            *top = largest(&block[column]);
        }
    }
}

/// The rows whose first columns, one per class, all reach the needed amounts, as a mask word (lane
/// 0 is bit 0).
#[must_use]
#[inline]
pub fn fits<const N: usize>(values: &[Lanes; N], need: [i32; CLASSES]) -> u64 {
    const { assert!(N >= CLASSES) };
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::fits(values, need) };
    }
    scalar::fits(values, need)
}

/// The rows whose value is at least `need`, as a mask word.
#[must_use]
#[inline]
pub fn at_least(values: &Lanes, need: i32) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::at_least(values, need) };
    }
    scalar::at_least(values, need)
}

/// The lanes whose value is at least `bar`, as a mask word. A NaN never is.
#[must_use]
#[inline]
pub fn reach(values: &[f64; 64], bar: f64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::reach(values, bar) };
    }
    scalar::reach(values, bar)
}

/// The largest of 64 values.
#[must_use]
#[inline]
pub fn largest(values: &Lanes) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::largest(values) };
    }
    scalar::largest(values)
}

/// The smallest of 64 values, ignoring unused lanes; `i32::MAX` when all lanes are unused.
#[must_use]
#[inline]
pub fn smallest(values: &Lanes) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::smallest(values) };
    }
    scalar::smallest(values)
}

/// The smallest and the largest [`weighed`] value of the lanes in `mask`; `(i32::MAX, i32::MIN)` of
/// an empty mask.
#[must_use]
#[inline]
pub fn range(values: &Lanes, mask: u64) -> (i32, i32) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::range(values, mask) };
    }
    scalar::range(values, mask)
}

/// Updates `summary`'s lane, the smallest values of `block`, as [`summarise`] does for the largest.
#[inline]
pub fn summarise_smallest<const N: usize>(
    summary: &mut [Lanes; N],
    lane: usize,
    block: &[Lanes; N],
    old: [i32; N],
    new: [i32; N],
) {
    for column in 0..N {
        let bottom = &mut summary[column].0[lane];
        if new[column] != i32::MIN && new[column] <= *bottom {
            *bottom = new[column];
        } else if old[column] == *bottom {
            *bottom = smallest(&block[column]);
        }
    }
}

/// A linear term of a weighted score: `multiplier * (amount - low) / range`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// The weight of the normalised amount.
    pub multiplier: f64,
    /// The amount that normalises to 0.
    pub low: f64,
    /// The distance from `low` to the amount that normalises to 1; 0 makes every amount 0.
    pub range: f64,
}

impl Term {
    /// A term that is 0 for every amount.
    pub const NOTHING: Self = Self { multiplier: 0.0, low: 0.0, range: 0.0 };

    /// The term's share of a score, in double precision. Each step rounds, so the order of steps is
    /// part of the result.
    #[must_use]
    #[inline(always)]
    pub fn of(&self, amount: i32) -> f64 {
        if self.range == 0.0 { 0.0 } else { self.multiplier * ((f64::from(amount) - self.low) / self.range) }
    }
}

/// An amount for weighing: an unused lane weighs as 0.
#[must_use]
#[inline(always)]
pub const fn weighed(amount: i32) -> i32 {
    if amount == i32::MIN { 0 } else { amount }
}

/// The scores of 64 rows: the sum of the terms, in order.
#[inline]
pub fn scores<const N: usize>(values: &[Lanes; N], terms: &[Term; N], out: &mut [f64; 64]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::scores(values, terms, out) };
    }
    scalar::scores(values, terms, out);
}

/// Runs `loops` compiled for the widest registers that this module uses. For plain loops over lanes
/// in other modules; they have to be inlined into the closure.
#[inline]
pub fn wide<R>(loops: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::wide(loops) };
    }
    loops()
}

/// The scalar forms, which the vector forms must equal.
pub mod scalar {
    use super::{CLASSES, Lanes, Term, weighed};

    /// See [`super::scores`].
    #[inline(always)]
    pub fn scores<const N: usize>(values: &[Lanes; N], terms: &[Term; N], out: &mut [f64; 64]) {
        *out = [0.0; 64];
        for (values, term) in values.iter().zip(terms) {
            for (score, &amount) in out.iter_mut().zip(&values.0) {
                *score += term.of(weighed(amount));
            }
        }
    }

    /// See [`super::smallest`].
    #[must_use]
    #[inline(always)]
    pub fn smallest(values: &Lanes) -> i32 {
        // Subtracting one turns an unused lane into the largest number. (Compilers do not vectorise
        // a selection here.)
        let least = values.0.iter().fold(i32::MAX, |least, value| least.min(value.wrapping_sub(1)));
        if least == i32::MAX { i32::MAX } else { least + 1 }
    }

    /// See [`super::range`].
    #[must_use]
    pub fn range(values: &Lanes, mask: u64) -> (i32, i32) {
        let members = values.0.iter().enumerate().filter(|(lane, _)| mask >> lane & 1 == 1);
        members.fold((i32::MAX, i32::MIN), |(low, high), (_, &value)| {
            (low.min(weighed(value)), high.max(weighed(value)))
        })
    }

    /// See [`super::at_least`].
    #[must_use]
    pub fn at_least(values: &Lanes, need: i32) -> u64 {
        values.0.iter().enumerate().fold(0, |mask, (lane, &value)| mask | u64::from(value >= need) << lane)
    }

    /// See [`super::reach`].
    #[must_use]
    pub fn reach(values: &[f64; 64], bar: f64) -> u64 {
        values.iter().enumerate().fold(0, |mask, (lane, &value)| mask | u64::from(value >= bar) << lane)
    }

    /// See [`super::fits`].
    #[must_use]
    pub fn fits<const N: usize>(values: &[Lanes; N], need: [i32; CLASSES]) -> u64 {
        values.iter().zip(need).fold(u64::MAX, |mask, (values, need)| mask & at_least(values, need))
    }

    /// See [`super::largest`].
    #[must_use]
    #[inline(always)]
    pub fn largest(values: &Lanes) -> i32 {
        values.0.iter().copied().fold(i32::MIN, i32::max)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _CMP_GE_OQ, _mm256_and_si256, _mm256_andnot_si256, _mm256_blendv_epi8, _mm256_castsi256_ps,
        _mm256_cmp_pd, _mm256_cmpeq_epi32, _mm256_cmpgt_epi32, _mm256_load_si256, _mm256_loadu_pd,
        _mm256_max_epi32, _mm256_min_epi32, _mm256_movemask_pd, _mm256_movemask_ps, _mm256_or_si256,
        _mm256_set1_epi32, _mm256_set1_pd, _mm256_setr_epi32, _mm256_storeu_si256,
    };

    use super::{CLASSES, Lanes, Term};

    /// The number of rows in a register.
    const WIDTH: usize = 8;

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn fits<const N: usize>(values: &[Lanes; N], need: [i32; CLASSES]) -> u64 {
        let need = need.map(|need| _mm256_set1_epi32(need));
        let mut mask = 0;
        for part in 0..64 / WIDTH {
            let short = |class: usize| _mm256_cmpgt_epi32(need[class], load(&values[class], part));
            let short = _mm256_or_si256(short(0), _mm256_or_si256(short(1), short(2)));
            mask |= passed(short) << (part * WIDTH);
        }
        mask
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn at_least(values: &Lanes, need: i32) -> u64 {
        let need = _mm256_set1_epi32(need);
        (0..64 / WIDTH).fold(0, |mask, part| {
            mask | passed(_mm256_cmpgt_epi32(need, load(values, part))) << (part * WIDTH)
        })
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn reach(values: &[f64; 64], bar: f64) -> u64 {
        let bar = _mm256_set1_pd(bar);
        let mut mask = 0;
        for (part, values) in values.chunks_exact(WIDTH / 2).enumerate() {
            // SAFETY: a chunk is four doubles; the load needs no alignment.
            let values = unsafe { _mm256_loadu_pd(values.as_ptr()) };
            let reached = _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_GE_OQ>(values, bar));
            mask |= u64::from(reached.cast_unsigned()) << (part * WIDTH / 2);
        }
        mask
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn largest(values: &Lanes) -> i32 {
        super::scalar::largest(values) // inlined here, the compiler uses the wide registers
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn wide<R>(loops: impl FnOnce() -> R) -> R {
        loops()
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn smallest(values: &Lanes) -> i32 {
        super::scalar::smallest(values)
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn scores<const N: usize>(values: &[Lanes; N], terms: &[Term; N], out: &mut [f64; 64]) {
        super::scalar::scores(values, terms, out);
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    pub(super) unsafe fn range(values: &Lanes, mask: u64) -> (i32, i32) {
        let nothing = _mm256_set1_epi32(i32::MIN);
        let (mut low, mut high) = (_mm256_set1_epi32(i32::MAX), nothing);
        for part in 0..64 / WIDTH {
            let members = members(mask >> (part * WIDTH));
            let values = load(values, part);
            let weighed = _mm256_andnot_si256(_mm256_cmpeq_epi32(values, nothing), values);
            low = _mm256_min_epi32(low, _mm256_blendv_epi8(_mm256_set1_epi32(i32::MAX), weighed, members));
            high = _mm256_max_epi32(high, _mm256_blendv_epi8(nothing, weighed, members));
        }
        let fold = |values, with: fn(i32, i32) -> i32| lanes(values).into_iter().reduce(with).unwrap_or(0);
        (fold(low, i32::min), fold(high, i32::max))
    }

    /// All bits of the lanes whose bit in the lowest byte of `mask` is set.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn members(mask: u64) -> __m256i {
        let bit_of_lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let byte = _mm256_set1_epi32(i32::from(mask.to_le_bytes()[0]));
        _mm256_cmpeq_epi32(_mm256_and_si256(byte, bit_of_lane), bit_of_lane)
    }

    /// A register's lanes.
    #[target_feature(enable = "avx2")]
    #[inline]
    #[allow(unsafe_code)]
    fn lanes(register: __m256i) -> [i32; WIDTH] {
        let mut lanes = [0; WIDTH];
        // SAFETY: the array has the size of the register; the store needs no alignment.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), register) };
        lanes
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    #[allow(unsafe_code)]
    fn load(values: &Lanes, part: usize) -> __m256i {
        let lanes = &values.0[part * WIDTH..(part + 1) * WIDTH];
        // SAFETY: the slice has WIDTH lanes of 4 bytes, and starts a multiple of 32 bytes into a
        // 64-aligned array.
        unsafe { _mm256_load_si256(lanes.as_ptr().cast()) }
    }

    /// The lanes that are not `short`, as bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn passed(short: __m256i) -> u64 {
        let all = _mm256_set1_epi32(-1);
        let passed = _mm256_castsi256_ps(_mm256_andnot_si256(short, all));
        u64::from(_mm256_movemask_ps(passed).cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lanes() -> impl Strategy<Value = Lanes> {
        let value = prop_oneof![any::<i32>(), -2..3_i32, Just(i32::MIN), Just(i32::MAX)];
        proptest::collection::vec(value, 64).prop_map(|values| Lanes(values.try_into().unwrap()))
    }

    fn need() -> impl Strategy<Value = i32> {
        prop_oneof![any::<i32>(), -2..3_i32, Just(NOT_ASKED), Just(i32::MAX)]
    }

    proptest! {
        #[test]
        fn vector_and_scalar_agree(
            a in lanes(), b in lanes(), c in lanes(), needs in [need(), need(), need()], mask in any::<u64>(),
        ) {
            let block = [a, b, c];
            prop_assert_eq!(fits(&block, needs), scalar::fits(&block, needs));
            prop_assert_eq!(at_least(&block[0], needs[0]), scalar::at_least(&block[0], needs[0]));
            prop_assert_eq!(largest(&block[0]), scalar::largest(&block[0]));
            let something = block[0].0.into_iter().filter(|&value| value != i32::MIN);
            prop_assert_eq!(smallest(&block[0]), something.min().unwrap_or(i32::MAX));
            for mask in [0, mask, u64::MAX] {
                prop_assert_eq!(range(&block[0], mask), scalar::range(&block[0], mask));
            }
            let terms = needs.map(|n| Term { multiplier: f64::from(n) / 7.0, low: 3.0, range: f64::from(n % 3) });
            let (mut vector, mut plain) = ([0.0; 64], [0.0; 64]);
            scores(&block, &terms, &mut vector);
            scalar::scores(&block, &terms, &mut plain);
            prop_assert_eq!(vector.map(f64::to_bits), plain.map(f64::to_bits));
            for bar in [f64::NEG_INFINITY, plain[0], f64::from(needs[0]), f64::NAN] {
                prop_assert_eq!(reach(&plain, bar), scalar::reach(&plain, bar));
            }
        }
    }

    #[test]
    fn what_is_not_asked_for_passes_everywhere() {
        assert_eq!(fits(&EMPTY, [NOT_ASKED; CLASSES]), u64::MAX);
    }
}
