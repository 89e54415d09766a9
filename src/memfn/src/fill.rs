//! Filling with one byte (memset).

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_set1_epi8, _mm_storeu_si128};

use crate::{REP_BYTES, ROUND};

/// Writes `byte` to `n` places.
///
/// # Safety
/// `dest` is writable for `n` bytes.
#[inline(always)]
pub unsafe fn fill(dest: *mut u8, byte: u8, n: usize) -> *mut u8 {
    let spread = u64::from(byte) * 0x0101_0101_0101_0101;
    // SAFETY: each branch touches the first and the last bytes of `n` only, or a loop's between.
    unsafe {
        match n {
            REP_BYTES.. => rep_stosb(dest, byte, n),
            16.. => vectors(dest, _mm_set1_epi8(byte.cast_signed()), n),
            8.. => both_ends(dest, spread, n - 8),
            4.. => both_ends(dest, spread as u32, n - 4),
            2.. => both_ends(dest, spread as u16, n - 2),
            1 => *dest = byte,
            0 => {}
        }
    }
    dest
}

#[inline(always)]
unsafe fn both_ends<T: Copy>(dest: *mut u8, value: T, last: usize) {
    // SAFETY: the caller chose `T` so that both fit.
    unsafe {
        dest.cast::<T>().write_unaligned(value);
        dest.add(last).cast::<T>().write_unaligned(value);
    }
}

/// At least 16 bytes: whole rounds, single vectors, and one that ends at the end.
#[inline(always)]
unsafe fn vectors(dest: *mut u8, value: __m128i, n: usize) {
    let mut at = 0;
    // SAFETY: every store ends at `n` at most.
    unsafe {
        while at + ROUND <= n {
            for part in [0, 16, 32, 48] {
                _mm_storeu_si128(dest.add(at + part).cast(), value);
            }
            at += ROUND;
        }
        while at + 16 <= n {
            _mm_storeu_si128(dest.add(at).cast(), value);
            at += 16;
        }
        _mm_storeu_si128(dest.add(n - 16).cast(), value);
    }
}

#[inline(always)]
unsafe fn rep_stosb(dest: *mut u8, byte: u8, n: usize) {
    // SAFETY: the caller's promise; the direction flag is clear by the ABI.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") n => _, inout("rdi") dest => _, in("al") byte,
            options(nostack, preserves_flags),
        );
    }
}
