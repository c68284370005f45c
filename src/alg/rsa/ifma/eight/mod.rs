//! Eight signatures: each has a lane, and a number is `L` vectors of one limb.
//!
//! Sums of products are kept by column, unnormalised, in 64 bits with a sign: at `L` = 80 a column
//! holds fewer than 2^9 halves of products, each below 2^52.
//!
//! A number of `L` limbs is two of `H`, and each of these two of `Q`, so that three products do for
//! four (Karatsuba): a square is three squares of `H` limbs. It is reduced from both ends, since only
//! then are there products to do so with: the top `H` limbs are folded, times `2^(52·F) mod n`; the
//! low `H` are taken off as Montgomery does. So `R` is `2^(52·H)` here.
//!
//! Differences of halves are kept without the bits above their limbs, with a sign beside them; a product
//! of two has that put right. Columns may be negative, and so may the number that is left of a small
//! one: `n` is added to each result. It is above `n - n/2^14` then, and below `2n + n/2^7`: the part
//! below the fold and the part above it are small, and Montgomery's digits add less than `n`.
//!
//! The target is added to the last product before that is reduced. Of the numbers that are left where
//! the power is right, [`right`] and whole moduli more, only `n + right` is within those bounds.

mod block;

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64 as add, _mm512_and_si512 as and, _mm512_cmpeq_epi64_mask,
    _mm512_cmpneq_epi64_mask, _mm512_or_si512 as or, _mm512_set1_epi64, _mm512_setzero_si512 as zero,
    _mm512_srai_epi64 as shift_right, _mm512_sub_epi64 as subtract,
};

use super::super::number::MASK;
use super::{HASH_LIMBS, LANES, Lane, across, fold_at, load, right};

/// Eight limbs, each of another number.
type Limbs = __m512i;

/// Whether `s^65537 mod n` is what its lane says, of each of eight.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn are_powers<const L: usize, const H: usize, const Q: usize, const B: usize>(
    s: &[[u64; L]; LANES],
    lanes: &[Lane<'_, L>; LANES],
) -> [bool; LANES] {
    let (mut n, mut fold) = ([zero(); L], [zero(); L]);
    across(lanes.each_ref().map(|lane| &lane.modulus.n), &mut n);
    across(lanes.each_ref().map(|lane| &lane.modulus.fold), &mut fold);
    let key = Keys {
        k0: load(&lanes.each_ref().map(|lane| lane.modulus.k0)),
        n_differences: differences::<L, H, Q>(&n),
        fold_differences: differences::<L, H, Q>(&fold),
        n: &n,
        fold: &fold,
    };
    let mut work = Work::<L, H, Q> {
        columns: [[zero(); L]; 2],
        cross: [zero(); L],
        difference: [zero(); H],
        top: [zero(); H],
        digits: [zero(); H],
    };
    let (mut base, mut power) = ([zero(); L], [zero(); L]);
    across(s.each_ref(), &mut power);
    normalise(power.iter().zip(&n).map(|(limb, n)| add(*limb, *n)), &mut base);
    power = base;
    for _ in 0..16 {
        square::<L, H, Q, B>(&power, &mut work);
        reduce::<L, H, Q, B>(&mut work, &key, &mut power);
    }
    let [low, high] = &mut work.columns;
    across(lanes.each_ref().map(|lane| &lane.target.constant), low);
    high.fill(zero());
    let columns = work.columns.as_flattened_mut();
    let mut hash = [zero(); HASH_LIMBS];
    across(lanes.each_ref().map(|lane| &lane.hash), &mut hash);
    let mut factor = [zero(); L];
    across(lanes.each_ref().map(|lane| &lane.target.factor), &mut factor);
    for (i, hash) in hash.as_chunks::<B>().0.iter().enumerate() {
        for (j, factor) in factor.as_chunks::<B>().0.iter().enumerate() {
            block::add_product(&mut columns[(i + j) * B..], hash, factor);
        }
    }
    let (of_base, of_power) = (differences::<L, H, Q>(&base), differences::<L, H, Q>(&power));
    for (i, a) in factors(&base, &of_base).into_iter().enumerate() {
        for (j, b) in factors(&power, &of_power).into_iter().enumerate() {
            let columns = &mut columns[(i + j) * H..];
            add_outer_products::<H, Q, B>(columns, a, b);
            subtract_middle_product::<H, Q, B>(columns, a, b);
        }
    }
    reduce::<L, H, Q, B>(&mut work, &key, &mut power);
    let right = const { right::<L>() };
    let wanted = n.iter().zip(&right).map(|(n, limb)| add(*n, _mm512_set1_epi64(limb.cast_signed())));
    normalise(wanted, &mut base);
    let equal = equal(&power, &base);
    std::array::from_fn(|lane| equal >> lane & 1 == 1)
}

/// The lanes in which two numbers are the same, a bit for each.
#[target_feature(enable = "avx512f")]
fn equal(a: &[Limbs], b: &[Limbs]) -> u8 {
    a.iter().zip(b).fold(u8::MAX, |equal, (a, b)| equal & _mm512_cmpeq_epi64_mask(*a, *b))
}

/// The moduli, in the form in which they are multiplied with.
struct Keys<'v, const L: usize, const Q: usize> {
    n: &'v [Limbs; L],
    n_differences: [Difference<Q>; 2],
    k0: Limbs,
    fold: &'v [Limbs; L],
    fold_differences: [Difference<Q>; 2],
}

/// What a product needs room for, had once.
struct Work<const L: usize, const H: usize, const Q: usize> {
    columns: [[Limbs; L]; 2],
    cross: [Limbs; L],
    difference: [Limbs; H],
    top: [Limbs; H],
    digits: [Limbs; H],
}

/// Half of a number.
#[derive(Clone, Copy)]
struct Factor<'v, const H: usize, const Q: usize> {
    limbs: &'v [Limbs; H],
    difference: &'v Difference<Q>,
}

/// The lower half of a half, less the upper one.
struct Difference<const Q: usize> {
    limbs: [Limbs; Q],
    /// All ones where it is negative.
    sign: Limbs,
}

impl<const Q: usize> Difference<Q> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn of(half: &[Limbs]) -> Self {
        let (low, high) = half.split_at(Q);
        let mut limbs = [zero(); Q];
        let sign = normalise(low.iter().zip(high).map(|(a, b)| subtract(*a, *b)), &mut limbs);
        Self { limbs, sign }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn differences<const L: usize, const H: usize, const Q: usize>(number: &[Limbs; L]) -> [Difference<Q>; 2] {
    [Difference::of(&number[..H]), Difference::of(&number[H..])]
}

/// Carries from column to column, so that limbs of 52 bits are left; what is carried beyond them.
///
/// Each column carries into the next by itself, all at once; only if that fills one of them again, as
/// chance hardly ever does, they are gone through one after the other.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn normalise(columns: impl Iterator<Item = Limbs>, limbs: &mut [Limbs]) -> Limbs {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    let (mut carry, mut all) = (zero(), zero());
    for (column, limb) in columns.zip(&mut *limbs) {
        *limb = add(and(column, mask), carry);
        carry = shift_right::<52>(column);
        all = or(all, *limb);
    }
    if _mm512_cmpneq_epi64_mask(and(all, mask), all) != 0 {
        carry = add(carry, carry_on(limbs));
    }
    carry
}

#[cold]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carry_on(limbs: &mut [Limbs]) -> Limbs {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    let mut carry = zero();
    for limb in limbs {
        let whole = add(*limb, carry);
        carry = shift_right::<52>(whole);
        *limb = and(whole, mask);
    }
    carry
}

/// With [`subtract_middle_product`], `columns += a · b`. With halves `a0, a1, b0, b1` that is `a0·b0 · (1
/// + X) + a1·b1 · (X + X²) - (a0 - a1) · (b0 - b1) · X`, where `X` is `2^(52·Q)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_outer_products<const H: usize, const Q: usize, const B: usize>(
    columns: &mut [Limbs],
    a: Factor<'_, H, Q>,
    b: Factor<'_, H, Q>,
) {
    let halves = a.limbs.as_chunks::<Q>().0.iter().zip(b.limbs.as_chunks::<Q>().0);
    for (half, (a, b)) in halves.enumerate() {
        for (i, a) in a.as_chunks::<B>().0.iter().enumerate() {
            for (j, b) in b.as_chunks::<B>().0.iter().enumerate() {
                block::add_product_twice::<B, Q>(&mut columns[half * Q + (i + j) * B..], a, b);
            }
        }
    }
}

/// The rest of what [`add_outer_products`] says.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn subtract_middle_product<const H: usize, const Q: usize, const B: usize>(
    columns: &mut [Limbs],
    a: Factor<'_, H, Q>,
    b: Factor<'_, H, Q>,
) {
    let (a, b) = (a.difference, b.difference);
    for (i, a) in a.limbs.as_chunks::<B>().0.iter().enumerate() {
        for (j, b) in b.limbs.as_chunks::<B>().0.iter().enumerate() {
            block::subtract_product(&mut columns[Q + (i + j) * B..], a, b);
        }
    }
    // What was subtracted was (a0 - a1 + σX) · (b0 - b1 + τX); a sign is -σ or -τ.
    let columns = &mut columns[2 * Q..=3 * Q];
    for (column, (a_limb, b_limb)) in columns.iter_mut().zip(a.limbs.iter().zip(&b.limbs)) {
        *column = add(*column, add(and(a.sign, *b_limb), and(b.sign, *a_limb)));
    }
    columns[Q] = subtract(columns[Q], and(and(a.sign, b.sign), _mm512_set1_epi64(1)));
}

/// `columns = a²`. With halves it is `a0² · (1 + X) + a1² · (X + X²) - (a0 - a1)² · X`, where `X` is
/// `2^(52·H)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square<const L: usize, const H: usize, const Q: usize, const B: usize>(
    a: &[Limbs; L],
    work: &mut Work<L, H, Q>,
) {
    let columns = work.columns.as_flattened_mut();
    let (low, high) = a.split_at(H);
    square_low::<L, H, B>(columns, low, &mut work.cross);
    square_high::<L, H, B>(&mut columns[H..], high, &mut work.cross);
    let sign = normalise(low.iter().zip(high).map(|(a, b)| subtract(*a, *b)), &mut work.difference);
    square_middle::<L, H, B>(&mut columns[H..], &work.difference, &mut work.cross);
    // What was subtracted was (a0 - a1 + σX)²; the sign is -σ.
    let columns = &mut columns[2 * H..=3 * H];
    for (column, limb) in columns.iter_mut().zip(&work.difference) {
        *column = add(*column, and(sign, add(*limb, *limb)));
    }
    columns[H] = add(columns[H], sign);
}

/// `a²`, there and `H` columns above; both are new but for what the former adds to the latter.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_low<const L: usize, const H: usize, const B: usize>(
    columns: &mut [Limbs],
    a: &[Limbs],
    cross: &mut [Limbs; L],
) {
    let columns = &mut columns[..3 * H];
    square_of_half::<L, H, B>(a, cross, |column, sum| {
        columns[column] = if column < H { sum } else { add(columns[column], sum) };
        columns[column + H] = sum;
    });
}

/// `a²`, there and `H` columns above; the last `H` columns are new.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_high<const L: usize, const H: usize, const B: usize>(
    columns: &mut [Limbs],
    a: &[Limbs],
    cross: &mut [Limbs; L],
) {
    let columns = &mut columns[..3 * H];
    square_of_half::<L, H, B>(a, cross, |column, sum| {
        columns[column] = add(columns[column], sum);
        columns[column + H] = if column < H { add(columns[column + H], sum) } else { sum };
    });
}

/// `columns -= a²`
#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_middle<const L: usize, const H: usize, const B: usize>(
    columns: &mut [Limbs],
    a: &[Limbs],
    cross: &mut [Limbs; L],
) {
    let columns = &mut columns[..2 * H];
    square_of_half::<L, H, B>(a, cross, |column, sum| columns[column] = subtract(columns[column], sum));
}

/// The square of `H` limbs: products of different blocks, doubled, and squares of blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_of_half<const L: usize, const H: usize, const B: usize>(
    a: &[Limbs],
    cross: &mut [Limbs; L],
    mut tell: impl FnMut(usize, Limbs),
) {
    if let [first, second] = a.as_chunks::<B>().0 {
        let cross = &mut cross[..2 * B];
        block::product(first, second, |column, sum| cross[column] = add(sum, sum));
        block::square(first, |column, sum| {
            tell(column, if column < B { sum } else { add(sum, cross[column - B]) });
        });
        block::square(second, |column, sum| {
            tell(2 * B + column, if column < B { add(sum, cross[B + column]) } else { sum });
        });
        return;
    }
    cross.fill(zero());
    let blocks = a.as_chunks::<B>().0;
    for (i, a) in blocks.iter().enumerate() {
        for (j, b) in blocks.iter().enumerate().skip(i + 1) {
            block::add_product(&mut cross[(i + j) * B..], a, b);
        }
    }
    for (i, a) in blocks.iter().enumerate() {
        let cross = &cross[2 * B * i..][..2 * B];
        block::square(a, |column, sum| {
            tell(2 * B * i + column, add(sum, add(cross[column], cross[column])));
        });
    }
}

/// `result = columns / R mod n`, near or above `n`; limbs of 52 bits. Columns from `fold_at + H` on are
/// zero, by the bounds, and those from `L + H` on are left as they are: the next square sets them.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce<const L: usize, const H: usize, const Q: usize, const B: usize>(
    work: &mut Work<L, H, Q>,
    key: &Keys<'_, L, Q>,
    result: &mut [Limbs; L],
) {
    let columns = work.columns.as_flattened_mut();
    let fold_at = const { fold_at(L) };
    normalise(columns[fold_at..].iter().copied(), &mut work.top);
    columns[fold_at..L + H].fill(zero());
    let top = Factor { limbs: &work.top, difference: &Difference::of(&work.top) };
    let [fold_low, fold_high] = factors(key.fold, &key.fold_differences);
    let [_, n_high] = factors(key.n, &key.n_differences);
    add_outer_products::<H, Q, B>(columns, top, fold_low);
    subtract_middle_product::<H, Q, B>(columns, top, fold_low);
    let n = key.n[..H].as_chunks::<B>().0;
    let digits = work.digits.as_chunks_mut::<B>().0;
    // Each digit waits for the one before: something else to do meanwhile comes next.
    block::quotients(columns, &n[0], key.k0, &mut digits[0]);
    add_outer_products::<H, Q, B>(&mut columns[H..], top, fold_high);
    for (row, digits) in digits.iter_mut().enumerate() {
        let columns = &mut columns[row * B..];
        if row > 0 {
            block::quotients(columns, &n[0], key.k0, digits);
        }
        if row == H / B - 1 {
            subtract_middle_product::<H, Q, B>(&mut columns[H - row * B..], top, fold_high);
        }
        block::add_upper(&mut columns[B..], digits, &n[0]);
        for (index, n) in n.iter().enumerate().skip(1) {
            block::add_product(&mut columns[index * B..], digits, n);
        }
    }
    let digits = Factor { limbs: &work.digits, difference: &Difference::of(&work.digits) };
    add_outer_products::<H, Q, B>(&mut columns[H..], digits, n_high);
    subtract_middle_product::<H, Q, B>(&mut columns[H..], digits, n_high);
    normalise(columns[H..].iter().zip(key.n).map(|(column, n)| add(*column, *n)), result);
}

/// Both halves of a number.
fn factors<'v, const L: usize, const H: usize, const Q: usize>(
    number: &'v [Limbs; L],
    [low, high]: &'v [Difference<Q>; 2],
) -> [Factor<'v, H, Q>; 2] {
    let whole = "two halves";
    [
        Factor { limbs: number.first_chunk().expect(whole), difference: low },
        Factor { limbs: number.last_chunk().expect(whole), difference: high },
    ]
}
