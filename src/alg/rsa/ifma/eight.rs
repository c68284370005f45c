//! Eight signatures: each has a lane, and a number is `L` vectors of one limb.
//!
//! Sums of products are kept by column, unnormalised, in 64 bits: at `L` = 80 a column holds fewer
//! than 2^9 halves of products, each below 2^52. Rows are taken four at a time, so that a column is
//! loaded and stored once for eight multiplications.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_madd52hi_epu64 as high, _mm512_madd52lo_epu64 as low,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
};

use super::super::number::MASK;
use super::{LANES, Modulus, load, store};

/// Eight limbs, each of another number.
type Limbs = __m512i;
/// Rows taken at once.
const ROWS: usize = 4;

#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn power<const L: usize>(
    s: &[[u64; L]; LANES],
    moduli: [&Modulus<L>; LANES],
) -> [[u64; L]; LANES] {
    let gather = |of: &dyn Fn(usize) -> u64| load(&std::array::from_fn(of));
    let s: [Limbs; L] = std::array::from_fn(|limb| gather(&|lane| s[lane][limb]));
    let n: [Limbs; L] = std::array::from_fn(|limb| gather(&|lane| moduli[lane].n[limb]));
    let k0 = gather(&|lane| moduli[lane].k0);

    let mut columns = [[_mm512_setzero_si512(); L]; 2];
    let mut power = s;
    for _ in 0..16 {
        square(&power, &mut columns);
        reduce(&mut columns, &n, k0, &mut power);
    }
    multiply(&power, &s, &mut columns);
    reduce(&mut columns, &n, k0, &mut power);
    let mut results = [[0; L]; LANES];
    for (limb, vector) in power.iter().enumerate() {
        for (result, value) in results.iter_mut().zip(store(*vector)) {
            result[limb] = value;
        }
    }
    results
}

/// `columns = a · b`
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn multiply<const L: usize>(a: &[Limbs; L], b: &[Limbs; L], columns: &mut [[Limbs; L]; 2]) {
    *columns = [[_mm512_setzero_si512(); L]; 2];
    let columns = columns.as_flattened_mut();
    for row in (0..L).step_by(ROWS) {
        let columns = &mut columns[row..];
        let rows = four(&b[row..]);
        add_first::<false>(columns, rows, a);
        add_middle::<false>(columns, rows, a);
        add_last::<false>(columns, rows, a);
    }
}

/// `columns = a²`: what is off the diagonal once, then doubled.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square<const L: usize>(a: &[Limbs; L], columns: &mut [[Limbs; L]; 2]) {
    let zero = _mm512_setzero_si512();
    columns[0][..ROWS].fill(zero);
    columns[1][L - ROWS..].fill(zero);
    let columns = columns.as_flattened_mut();
    let rows = four(a);
    add_first::<true>(&mut columns[ROWS..], rows, &a[ROWS..]);
    add_middle::<true>(&mut columns[ROWS..], rows, &a[ROWS..]);
    add_last::<true>(&mut columns[ROWS..], rows, &a[ROWS..]);
    add_diagonal(columns, rows);
    for row in (ROWS..L - ROWS).step_by(ROWS) {
        let rows = four(&a[row..]);
        let rest = &a[row + ROWS..];
        let columns = &mut columns[2 * row..];
        add_first::<false>(&mut columns[ROWS..], rows, rest);
        add_middle::<false>(&mut columns[ROWS..], rows, rest);
        // Columns that no rows before have reached.
        add_last::<true>(&mut columns[ROWS..], rows, rest);
        add_diagonal(columns, rows);
    }
    add_diagonal(&mut columns[2 * (L - ROWS)..], four(&a[L - ROWS..]));
}

/// `result = columns / R mod n`, below `2n`; limbs of 52 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce<const L: usize>(columns: &mut [[Limbs; L]; 2], n: &[Limbs; L], k0: Limbs, result: &mut [Limbs; L]) {
    let flat = columns.as_flattened_mut();
    let mut digits = quotients(flat, four(n), k0);
    for row in (0..L).step_by(ROWS) {
        let columns = &mut flat[row..];
        // The columns that the next digits need; the next digits; meanwhile, all others.
        add_middle::<false>(columns, &digits, &n[..2 * ROWS]);
        let next = match row + ROWS < L {
            true => quotients(&mut columns[ROWS..], four(n), k0),
            false => digits,
        };
        add_middle::<false>(&mut columns[ROWS..], &digits, &n[ROWS..]);
        add_last::<false>(columns, &digits, n);
        digits = next;
    }
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    // What the lower half carries has been added to the upper one.
    let mut carry = _mm512_setzero_si512();
    for (column, limb) in columns[1].iter().zip(result) {
        let whole = _mm512_add_epi64(*column, carry);
        carry = _mm512_srli_epi64::<52>(whole);
        *limb = _mm512_and_si512(whole, mask);
    }
}

/// The next four quotient digits; the first four columns are done with, and their carry is added to
/// the fifth. What the digits add to the columns from the fifth on is left to the caller.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn quotients(columns: &mut [Limbs], n: &[Limbs; ROWS], k0: Limbs) -> [Limbs; ROWS] {
    let zero = _mm512_setzero_si512();
    let mut digits = [zero; ROWS];
    let mut carry = zero;
    for column in 0..ROWS {
        let mut sum = columns[column];
        for row in 0..column {
            sum = low(high(sum, digits[row], n[column - 1 - row]), digits[row], n[column - row]);
        }
        sum = _mm512_add_epi64(sum, carry);
        digits[column] = low(zero, sum, k0);
        carry = _mm512_srli_epi64::<52>(low(sum, digits[column], n[0]));
    }
    columns[ROWS] = _mm512_add_epi64(columns[ROWS], carry);
    digits
}

/// Adds four rows times `x` to the first four columns.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_first<const FRESH: bool>(columns: &mut [Limbs], rows: &[Limbs; ROWS], x: &[Limbs]) {
    let x = four(x);
    for (column, sum) in columns[..ROWS].iter_mut().enumerate() {
        let mut total = if FRESH { _mm512_setzero_si512() } else { *sum };
        for row in 0..=column {
            total = low(total, rows[row], x[column - row]);
        }
        for row in 0..column {
            total = high(total, rows[row], x[column - 1 - row]);
        }
        *sum = total;
    }
}

/// Adds four rows times `x` to the columns that all four rows reach.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_middle<const FRESH: bool>(columns: &mut [Limbs], rows: &[Limbs; ROWS], x: &[Limbs]) {
    for (window, sum) in x.windows(ROWS + 1).zip(&mut columns[ROWS..]) {
        let [x4, x3, x2, x1, x0]: &[Limbs; ROWS + 1] = window.try_into().expect("windows of five");
        let total = if FRESH { _mm512_setzero_si512() } else { *sum };
        let total = low(high(total, rows[3], *x4), rows[0], *x0);
        let total = high(low(total, rows[1], *x1), rows[0], *x1);
        let total = high(low(total, rows[2], *x2), rows[1], *x2);
        *sum = high(low(total, rows[3], *x3), rows[2], *x3);
    }
}

/// Adds four rows times `x` to the four columns above the last limb of `x`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_last<const FRESH: bool>(columns: &mut [Limbs], rows: &[Limbs; ROWS], x: &[Limbs]) {
    let last = x.last_chunk::<ROWS>().expect("four limbs or more");
    for (column, sum) in columns[x.len()..][..ROWS].iter_mut().enumerate() {
        let mut total = if FRESH { _mm512_setzero_si512() } else { *sum };
        for row in column + 1..ROWS {
            total = low(total, rows[row], last[ROWS + column - row]);
        }
        for row in column..ROWS {
            total = high(total, rows[row], last[ROWS - 1 + column - row]);
        }
        *sum = total;
    }
}

/// Doubles eight columns and adds the square of the four limbs that meet there.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_diagonal(columns: &mut [Limbs], a: &[Limbs; ROWS]) {
    let columns = columns.first_chunk_mut::<{ 2 * ROWS }>().expect("eight columns");
    for left in 0..ROWS {
        for right in left + 1..ROWS {
            columns[left + right] = low(columns[left + right], a[left], a[right]);
            columns[left + right + 1] = high(columns[left + right + 1], a[left], a[right]);
        }
    }
    for (limb, pair) in a.iter().zip(columns.as_chunks_mut::<2>().0) {
        pair[0] = low(_mm512_add_epi64(pair[0], pair[0]), *limb, *limb);
        pair[1] = high(_mm512_add_epi64(pair[1], pair[1]), *limb, *limb);
    }
}

fn four(limbs: &[Limbs]) -> &[Limbs; ROWS] {
    limbs.first_chunk().expect("four limbs or more")
}
