//! Numbers in radix 2^52, least significant limb first, and plain arithmetic for the work done once per key.

/// Bits in a limb: the operands of `vpmadd52luq`.
pub(crate) const LIMB_BITS: usize = 52;
pub(crate) const MASK: u64 = (1 << LIMB_BITS) - 1;

/// Returns the limbs of a big-endian number. Bytes beyond `L` limbs must be zero.
pub(crate) fn limbs<const L: usize>(bytes: &[u8]) -> [u64; L] {
    let mut number = [0; L];
    read_limbs(bytes, &mut number);
    number
}

/// Writes the limbs of a big-endian number to `number`. Bytes beyond `L` limbs must be zero.
pub(crate) fn read_limbs<const L: usize>(bytes: &[u8], number: &mut [u64; L]) {
    // Two limbs are thirteen bytes.
    let (pairs, last) = number.as_chunks_mut::<2>();
    let mut rest = bytes;
    let two = |bytes: &[u8; 13]| {
        let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes));
        [word(bytes.last_chunk()) & MASK, word(bytes.first_chunk()) >> 12]
    };
    for pair in pairs {
        (*pair, rest) = match rest.split_last_chunk() {
            Some((above, bytes)) => (two(bytes), above),
            None => {
                let mut bytes = [0; 13];
                bytes[13 - rest.len()..].copy_from_slice(rest);
                (two(&bytes), &[][..])
            }
        };
    }
    for limb in last {
        *limb = rest.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte)) & MASK;
    }
}

/// Reports whether `a < b`.
pub(crate) fn is_less<const L: usize>(a: &[u64; L], b: &[u64; L]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// Subtracts `b` from `a`, for `a >= b`.
fn subtract_from<const L: usize>(a: &mut [u64; L], b: &[u64; L]) {
    let mut borrow = 0;
    for (limb, b) in a.iter_mut().zip(b) {
        let difference = limb.wrapping_sub(*b).wrapping_sub(borrow);
        borrow = difference >> 63;
        *limb = difference & MASK;
    }
}

/// Returns `a - b`, for `a >= b`.
pub(crate) fn subtract<const L: usize>(a: &[u64; L], b: &[u64; L]) -> [u64; L] {
    let mut a = *a;
    subtract_from(&mut a, b);
    a
}

/// Adds `b` to `a`; the sum must fit.
pub(crate) fn add_to<const L: usize>(a: &mut [u64; L], b: &[u64; L]) {
    let mut carry = 0;
    for (limb, b) in a.iter_mut().zip(b) {
        let sum = *limb + b + carry;
        carry = sum >> LIMB_BITS;
        *limb = sum & MASK;
    }
}

/// Returns `a + b`, which must fit.
pub(crate) fn add<const L: usize>(a: &[u64; L], b: &[u64; L]) -> [u64; L] {
    let mut a = *a;
    add_to(&mut a, b);
    a
}

/// Reduces `a` modulo `n`, for `a` below `4n`. A greater `a`, which only a wrong result can be, stays at `n` or
/// above: it equals no reduced number, and costs no more.
pub(crate) fn reduce<const L: usize>(a: &mut [u64; L], n: &[u64; L]) {
    for _ in 0..3 {
        if is_less(a, n) {
            break;
        }
        subtract_from(a, n);
    }
}

/// Returns `a mod n`; see [`reduce`].
pub(crate) fn reduced<const L: usize>(a: &[u64; L], n: &[u64; L]) -> [u64; L] {
    let mut a = *a;
    reduce(&mut a, n);
    a
}

/// Returns `2^bits · a mod n`, for `a < n`.
pub(crate) fn shifted<const L: usize>(a: &[u64; L], bits: usize, n: &[u64; L]) -> [u64; L] {
    (0..bits).fold(*a, |a, _| reduced(&add(&a, &a), n))
}

/// Returns `2^exponent mod n`, for an odd `n` of `bits` bits and an exponent of at least `bits - 1`.
pub(crate) fn power_of_two<const L: usize>(exponent: usize, n: &[u64; L], bits: usize, k0: u64) -> [u64; L] {
    let r = L * LIMB_BITS;
    if exponent <= r {
        // All but the last bits of n are below it.
        let mut power = [0; L];
        power[(bits - 1) / LIMB_BITS] = 1 << ((bits - 1) % LIMB_BITS);
        return shifted(&power, exponent - (bits - 1), n);
    }
    // A number half as far from R, squared, is as far.
    let root = power_of_two((exponent + r) / 2, n, bits, k0);
    shifted(&reduced(&montgomery(&root, &root, n, k0), n), (exponent + r) % 2, n)
}

/// Returns `-n⁻¹ mod 2^52`, for odd `n`: each Newton iteration doubles the correct bits.
pub(crate) fn negated_inverse(n0: u64) -> u64 {
    let mut inverse = 1_u64;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(n0.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg() & MASK
}

/// Returns `a · b / R mod n`, below `2n` for factors below `2n`: Montgomery multiplication a limb at a time, in
/// plain integers. `R` is `2^(52·L)`.
pub(crate) fn montgomery<const L: usize>(a: &[u64; L], b: &[u64; L], n: &[u64; L], k0: u64) -> [u64; L] {
    let mut sum = [0_u128; L];
    for digit in b {
        for (limb, factor) in sum.iter_mut().zip(a) {
            *limb += u128::from(*digit) * u128::from(*factor);
        }
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^64 is what is meant")]
        let quotient = (sum[0] as u64).wrapping_mul(k0) & MASK;
        for (limb, factor) in sum.iter_mut().zip(n) {
            *limb += u128::from(quotient) * u128::from(*factor);
        }
        let carry = sum[0] >> LIMB_BITS;
        sum.rotate_left(1);
        sum[L - 1] = 0;
        sum[0] += carry;
    }
    let mut carry = 0;
    sum.map(|limb| {
        let whole = limb + carry;
        carry = whole >> LIMB_BITS;
        #[expect(clippy::cast_possible_truncation, reason = "masked to 52 bits")]
        let limb = whole as u64 & MASK;
        limb
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By adding and doubling: slow, and unlike Montgomery's product in every step.
    fn plain<const L: usize>(a: &[u64; L], b: &[u64; L], n: &[u64; L]) -> [u64; L] {
        let mut product = [0; L];
        for bit in (0..L * LIMB_BITS).rev() {
            product = shifted(&product, 1, n);
            if b[bit / LIMB_BITS] >> (bit % LIMB_BITS) & 1 == 1 {
                product = reduced(&add(&product, a), n);
            }
        }
        product
    }

    #[test]
    fn numbers_are_read() {
        let number: [u64; 3] = limbs(&[1, 0, 1, 0, 0, 0, 0, 0, 0xf]);
        let value = 0x01_0001_0000_0000_000f_u128;
        assert_eq!(u128::from(number[0]) | u128::from(number[1]) << LIMB_BITS, value);
        assert_eq!(number[2], 0);
        for length in 0..=26 {
            let bytes: Vec<u8> = (1..=length).map(|byte: u8| byte.wrapping_mul(37)).collect();
            let number: [u64; 4] = limbs(&bytes);
            let back = |bit: usize| number[bit / LIMB_BITS] >> (bit % LIMB_BITS) & 1;
            for (place, byte) in bytes.iter().rev().enumerate() {
                let read = (0..8).fold(0, |byte, bit| byte | back(place * 8 + bit) << bit);
                assert_eq!(read, u64::from(*byte), "{length} {place}");
            }
            assert!((usize::from(length) * 8..208).all(|bit| back(bit) == 0));
        }
        assert_eq!(shifted(&[1], 10, &[7]), [1024 % 7]);
        let n = [MASK - 30, MASK, MASK >> 3];
        for exponent in [153, 156, 157, 158, 171, 260, 1001] {
            let power = power_of_two(exponent, &n, 153, negated_inverse(n[0]));
            assert_eq!(power, shifted(&[1, 0, 0], exponent, &n), "{exponent}");
        }
        for n0 in [1_u64, 3, MASK, 0x0001_2345_6789_abcd] {
            assert_eq!(n0.wrapping_mul(negated_inverse(n0)) & MASK, MASK, "{n0}");
        }
    }

    /// 64 limbs have 256 bits more than a modulus of 3072 bits: subtracting until it fits would not end.
    #[test]
    fn a_wrong_answer_is_not_reduced_for_ever() {
        let n: [u64; 64] = limbs(&[&[0x80][..], &[0; 382], &[1]].concat());
        assert!(!is_less(&reduced(&[MASK; 64], &n), &n));
        let three = add(&add(&n, &n), &n);
        assert_eq!(reduced(&add(&three, &limbs(&[7])), &n), limbs(&[7]));
    }

    #[test]
    fn montgomery_is_multiplication() {
        // Three limbs, three bits to spare.
        let n = [MASK - 30, MASK, MASK >> 3];
        let k0 = negated_inverse(n[0]);
        let r = shifted(&[1, 0, 0], 3 * LIMB_BITS, &n);
        let mut a = subtract(&n, &[1, 0, 0]);
        for round in 0..if cfg!(miri) { 2 } else { 50_u64 } {
            let b = reduced(&[MASK - round, round, 5 + round], &n);
            let product = montgomery(&a, &b, &n, k0);
            assert_eq!(plain(&reduced(&product, &n), &r, &n), plain(&a, &b, &n));
            a = plain(&a, &b, &n);
        }
    }
}
