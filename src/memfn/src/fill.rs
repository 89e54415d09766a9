//! Filling with one byte (memset).

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_set1_epi8};

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

/// At least 16 bytes: single vectors from both ends, or whole rounds and one that ends at the end.
#[inline(always)]
unsafe fn vectors(dest: *mut u8, value: __m128i, n: usize) {
    // SAFETY: every store begins at 0 or later and ends at `n` at most.
    unsafe {
        match n {
            0..=32 => both_ends(dest, value, n - 16),
            33..=ROUND => {
                both_ends(dest, value, 16);
                both_ends(dest.add(n - 32), value, 16);
            }
            _ => {
                let mut at = 0;
                while at < n - ROUND {
                    round(dest.add(at), value);
                    at += ROUND;
                }
                round(dest.add(n - ROUND), value);
            }
        }
    }
}

#[inline(always)]
unsafe fn round(dest: *mut u8, value: __m128i) {
    // SAFETY: `ROUND` bytes are writable, by the caller.
    unsafe {
        both_ends(dest, value, 16);
        both_ends(dest.add(32), value, 16);
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
