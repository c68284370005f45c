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
//! Differences of halves are kept modulo `2^(52·Q)`, with a sign beside them; a product of two has
//! that put right. Columns may be negative, and so may the number that is left of a small one: `n` is
//! added to each result. They are below `3n`, then, and not below `n`.
//!
//! What the power should be is taken from the last product before that is reduced: `n` or `2n` is left
//! where it is right.

mod block;

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64 as add, _mm512_and_si512 as and, _mm512_cmpeq_epi64_mask, _mm512_set1_epi64,
    _mm512_setzero_si512 as zero, _mm512_srai_epi64 as shift_right, _mm512_sub_epi64 as subtract,
};

use super::super::number::MASK;
use super::{HASH_LIMBS, LANES, Lane, across, load};

/// Eight limbs, each of another number.
type Limbs = __m512i;

/// Whether `s^65537 mod n` is what its lane says, of each of eight.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn are_powers<const L: usize, const H: usize, const Q: usize, const B: usize>(
    s: &[[u64; L]; LANES],
    lanes: &[Lane<'_, L>; LANES],
) -> [bool; LANES] {
    let n = across(lanes.each_ref().map(|lane| &lane.modulus.n));
    let fold = across(lanes.each_ref().map(|lane| &lane.modulus.fold));
    let key = Keys::<L, H, Q> {
        n_upper: Half::of(&n[H..]),
        n,
        k0: load(&lanes.each_ref().map(|lane| lane.modulus.k0)),
        fold: [Half::of(&fold[..H]), Half::of(&fold[H..])],
        fold_at: lanes[0].modulus.fold_at,
    };
    let mut base = [zero(); L];
    normalise(across(s.each_ref()).iter().zip(&key.n).map(|(limb, n)| add(*limb, *n)), &mut base);
    let mut work = Work::<L, H, Q> {
        columns: [[zero(); L]; 2],
        cross: [zero(); L],
        difference: [zero(); H],
        top: Half::of(&[zero(); H]),
        digits: Half::of(&[zero(); H]),
    };
    let mut power = base;
    for _ in 0..16 {
        square::<L, H, Q, B>(&power, &mut work);
        reduce::<L, H, Q, B>(&mut work, &key, &mut power);
    }
    work.columns = [across(lanes.each_ref().map(|lane| &lane.target.constant)), [zero(); L]];
    let columns = work.columns.as_flattened_mut();
    let hash: [Limbs; HASH_LIMBS] = across(lanes.each_ref().map(|lane| &lane.hash));
    let factor = across(lanes.each_ref().map(|lane| &lane.target.factor));
    for (i, hash) in hash.as_chunks::<B>().0.iter().enumerate() {
        for (j, factor) in factor.as_chunks::<B>().0.iter().enumerate() {
            block::add_product(&mut columns[(i + j) * B..], hash, factor);
        }
    }
    for (i, a) in power.chunks(H).enumerate() {
        for (j, b) in base.chunks(H).enumerate() {
            add_product::<H, Q, B>(&mut columns[(i + j) * H..], &Half::of(a), &Half::of(b));
        }
    }
    reduce::<L, H, Q, B>(&mut work, &key, &mut power);
    let mut twice = [zero(); L];
    normalise(key.n.iter().map(|limb| add(*limb, *limb)), &mut twice);
    let equal = equal(&power, &key.n) | equal(&power, &twice);
    std::array::from_fn(|lane| equal >> lane & 1 == 1)
}

/// The lanes in which two numbers are the same, a bit for each.
#[target_feature(enable = "avx512f")]
fn equal(a: &[Limbs], b: &[Limbs]) -> u8 {
    a.iter().zip(b).fold(u8::MAX, |equal, (a, b)| equal & _mm512_cmpeq_epi64_mask(*a, *b))
}

/// The moduli, in the form in which they are multiplied with.
struct Keys<const L: usize, const H: usize, const Q: usize> {
    n: [Limbs; L],
    n_upper: Half<H, Q>,
    k0: Limbs,
    fold: [Half<H, Q>; 2],
    fold_at: usize,
}

/// What a product needs room for, had once.
struct Work<const L: usize, const H: usize, const Q: usize> {
    columns: [[Limbs; L]; 2],
    cross: [Limbs; L],
    difference: [Limbs; H],
    top: Half<H, Q>,
    digits: Half<H, Q>,
}

/// Half of a number, and the lower half of that less the upper one.
struct Half<const H: usize, const Q: usize> {
    limbs: [Limbs; H],
    difference: [Limbs; Q],
    /// All ones where the difference is negative.
    sign: Limbs,
}

impl<const H: usize, const Q: usize> Half<H, Q> {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn of(limbs: &[Limbs]) -> Self {
        let limbs = *limbs.first_chunk().expect("as many limbs");
        let mut half = Self { limbs, difference: [zero(); Q], sign: zero() };
        half.subtract();
        half
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn subtract(&mut self) {
        let (low, high) = self.limbs.split_at(Q);
        self.sign = normalise(low.iter().zip(high).map(|(a, b)| subtract(*a, *b)), &mut self.difference);
    }
}

/// Carries from column to column, so that limbs of 52 bits are left; what is carried beyond them.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn normalise(columns: impl Iterator<Item = Limbs>, limbs: &mut [Limbs]) -> Limbs {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    let mut carry = zero();
    for (column, limb) in columns.zip(limbs) {
        let whole = add(column, carry);
        carry = shift_right::<52>(whole);
        *limb = and(whole, mask);
    }
    carry
}

/// `columns += a · b`. With halves `a0, a1, b0, b1` it is `a0·b0 · (1 + X) + a1·b1 · (X + X²) -
/// (a0 - a1) · (b0 - b1) · X`, where `X` is `2^(52·Q)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_product<const H: usize, const Q: usize, const B: usize>(
    columns: &mut [Limbs],
    a: &Half<H, Q>,
    b: &Half<H, Q>,
) {
    let blocks = |limbs: &[Limbs]| limbs.len() / B;
    let (a_low, a_high) = a.limbs.as_chunks::<B>().0.split_at(blocks(&a.difference));
    let (b_low, b_high) = b.limbs.as_chunks::<B>().0.split_at(blocks(&b.difference));
    for (low, a, b) in [(0, a_low, b_low), (Q, a_high, b_high)] {
        for (i, a) in a.iter().enumerate() {
            for (j, b) in b.iter().enumerate() {
                block::add_product_twice::<B, Q>(&mut columns[low + (i + j) * B..], a, b);
            }
        }
    }
    for (i, a) in a.difference.as_chunks::<B>().0.iter().enumerate() {
        for (j, b) in b.difference.as_chunks::<B>().0.iter().enumerate() {
            block::subtract_product(&mut columns[Q + (i + j) * B..], a, b);
        }
    }
    // What was subtracted was (a0 - a1 + σX) · (b0 - b1 + τX); a sign is -σ or -τ.
    let columns = &mut columns[2 * Q..=3 * Q];
    for limb in 0..Q {
        let excess = add(and(a.sign, b.difference[limb]), and(b.sign, a.difference[limb]));
        columns[limb] = add(columns[limb], excess);
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

/// `result = columns / R mod n`, below `3n`; limbs of 52 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce<const L: usize, const H: usize, const Q: usize, const B: usize>(
    work: &mut Work<L, H, Q>,
    key: &Keys<L, H, Q>,
    result: &mut [Limbs; L],
) {
    let columns = work.columns.as_flattened_mut();
    normalise(columns[key.fold_at..].iter().copied(), &mut work.top.limbs);
    columns[key.fold_at..L + H].fill(zero());
    work.top.subtract();
    add_product::<H, Q, B>(columns, &work.top, &key.fold[0]);
    let n = key.n[..H].as_chunks::<B>().0;
    let digits = work.digits.limbs.as_chunks_mut::<B>().0;
    // Each digit waits for the one before: something else to do meanwhile comes next.
    block::quotients(columns, &n[0], key.k0, &mut digits[0]);
    add_product::<H, Q, B>(&mut columns[H..], &work.top, &key.fold[1]);
    for (row, digits) in digits.iter_mut().enumerate() {
        let columns = &mut columns[row * B..];
        if row > 0 {
            block::quotients(columns, &n[0], key.k0, digits);
        }
        block::add_upper(&mut columns[B..], digits, &n[0]);
        for (index, n) in n.iter().enumerate().skip(1) {
            block::add_product(&mut columns[index * B..], digits, n);
        }
    }
    work.digits.subtract();
    add_product::<H, Q, B>(&mut columns[H..], &work.digits, &key.n_upper);
    normalise(columns[H..].iter().zip(&key.n).map(|(column, n)| add(*column, *n)), result);
}
