//! Comparing (memcmp, and bcmp, which needs less).

use core::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8,
};

use crate::ROUND;

/// Below, at or above 0 as the first differing byte of `left` is below, none, or above.
///
/// # Safety
/// Both are readable for `n` bytes.
#[inline(always)]
pub unsafe fn compare(left: *const u8, right: *const u8, n: usize) -> i32 {
    // SAFETY: each branch touches bytes of `n` only. The last access of a branch overlaps bytes
    // that were found equal, so that its first difference is the first one of all.
    unsafe {
        match n {
            16.. => vectors(left, right, n),
            8.. => {
                either(word(left), word(right), || (word(left.add(n - 8)), word(right.add(n - 8))))
            }
            4.. => {
                either(half(left), half(right), || (half(left.add(n - 4)), half(right.add(n - 4))))
            }
            _ => bytes(left, right, n),
        }
    }
}

#[inline(always)]
unsafe fn vectors(left: *const u8, right: *const u8, n: usize) -> i32 {
    let mut at = 0;
    // SAFETY: every load ends at `n` at most.
    unsafe {
        while at + ROUND <= n && round_is_equal(left.add(at), right.add(at)) {
            at += ROUND;
        }
        while at + 16 <= n {
            let differing = difference(left.add(at), right.add(at));
            if differing != 0 {
                return bytes_at(left, right, at + differing.trailing_zeros() as usize);
            }
            at += 16;
        }
        let last = n - 16;
        match difference(left.add(last), right.add(last)) {
            0 => 0,
            differing => bytes_at(left, right, last + differing.trailing_zeros() as usize),
        }
    }
}

#[inline(always)]
unsafe fn round_is_equal(left: *const u8, right: *const u8) -> bool {
    // SAFETY: `ROUND` bytes of each are readable, by the caller.
    unsafe {
        let first = _mm_and_si128(equal(left, right), equal(left.add(16), right.add(16)));
        let (left, right) = (left.add(32), right.add(32));
        let second = _mm_and_si128(equal(left, right), equal(left.add(16), right.add(16)));
        _mm_movemask_epi8(_mm_and_si128(first, second)) == 0xffff
    }
}

/// A bit for each of 16 bytes that differ.
#[inline(always)]
unsafe fn difference(left: *const u8, right: *const u8) -> u32 {
    // SAFETY: 16 bytes of each are readable, by the caller.
    unsafe { !_mm_movemask_epi8(equal(left, right)).cast_unsigned() & 0xffff }
}

/// All ones in each of 16 bytes that are equal.
#[inline(always)]
unsafe fn equal(left: *const u8, right: *const u8) -> __m128i {
    // SAFETY: 16 bytes of each are readable, by the caller.
    unsafe { _mm_cmpeq_epi8(_mm_loadu_si128(left.cast()), _mm_loadu_si128(right.cast())) }
}

/// The first pair's order; where they are equal, the second's.
#[inline(always)]
fn either<T: Ord>(left: T, right: T, second: impl FnOnce() -> (T, T)) -> i32 {
    let (left, right) = if left == right { second() } else { (left, right) };
    left.cmp(&right) as i32
}

/// Eight bytes whose order as a number is their order as bytes.
#[inline(always)]
unsafe fn word(at: *const u8) -> u64 {
    // SAFETY: 8 bytes are readable, by the caller.
    unsafe { at.cast::<u64>().read_unaligned().swap_bytes() }
}

#[inline(always)]
unsafe fn half(at: *const u8) -> u32 {
    // SAFETY: 4 bytes are readable, by the caller.
    unsafe { at.cast::<u32>().read_unaligned().swap_bytes() }
}

#[inline(always)]
unsafe fn bytes(left: *const u8, right: *const u8, n: usize) -> i32 {
    let mut at = 0;
    while at < n {
        // SAFETY: `at` is below `n`.
        let order = unsafe { bytes_at(left, right, at) };
        if order != 0 {
            return order;
        }
        at += 1;
    }
    0
}

#[inline(always)]
unsafe fn bytes_at(left: *const u8, right: *const u8, at: usize) -> i32 {
    // SAFETY: the byte at `at` is readable in both, by the caller.
    unsafe { i32::from(*left.add(at)) - i32::from(*right.add(at)) }
}
