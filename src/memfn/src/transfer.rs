//! Copying: `copy` for ranges apart (memcpy), `shift` for ranges that may overlap (memmove).

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};

use crate::{REP_BYTES, ROUND};

/// Copies `n` bytes.
///
/// # Safety
/// `src` is readable and `dest` writable for `n` bytes, and the ranges do not overlap.
#[inline(always)]
pub unsafe fn copy(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise; each branch stays within `n` bytes.
    unsafe {
        match n {
            0..=ROUND => small(dest, src, n),
            n if n <= 2 * ROUND => two_rounds(dest, src, n - ROUND),
            n if n < REP_BYTES => forward(dest, src, n),
            _ => rep_movsb(dest, src, n),
        }
    }
    dest
}

/// Copies `n` bytes as if through a buffer.
///
/// # Safety
/// `src` is readable and `dest` writable for `n` bytes.
#[inline(always)]
pub unsafe fn shift(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    let ahead = (dest as usize).wrapping_sub(src as usize);
    let apart = ahead >= n && ahead.wrapping_neg() >= n;
    // SAFETY: the caller's promise; `forward` is for `dest` below `src`, `backward` for above.
    unsafe {
        match n {
            0..=ROUND => small(dest, src, n),
            n if n <= 2 * ROUND => two_rounds(dest, src, n - ROUND),
            n if apart && n >= REP_BYTES => rep_movsb(dest, src, n),
            n if ahead >= n => forward(dest, src, n),
            _ => backward(dest, src, n),
        }
    }
    dest
}

/// Up to [`ROUND`] bytes: everything is loaded before anything is stored.
#[inline(always)]
unsafe fn small(dest: *mut u8, src: *const u8, n: usize) {
    // SAFETY: each branch touches the first and the last bytes of `n` only.
    unsafe {
        match n {
            33.. => {
                let ends =
                    [load(src), load(src.add(16)), load(src.add(n - 32)), load(src.add(n - 16))];
                store(dest, ends[0]);
                store(dest.add(16), ends[1]);
                store(dest.add(n - 32), ends[2]);
                store(dest.add(n - 16), ends[3]);
            }
            16.. => both_ends::<__m128i>(dest, src, n - 16),
            8.. => both_ends::<u64>(dest, src, n - 8),
            4.. => both_ends::<u32>(dest, src, n - 4),
            2.. => both_ends::<u16>(dest, src, n - 2),
            1 => *dest = *src,
            0 => {}
        }
    }
}

/// A `T` at the start and a `T` at `last`.
#[inline(always)]
unsafe fn both_ends<T: Copy>(dest: *mut u8, src: *const u8, last: usize) {
    // SAFETY: the caller chose `T` so that both fit.
    unsafe {
        let (head, tail) =
            (src.cast::<T>().read_unaligned(), src.add(last).cast::<T>().read_unaligned());
        dest.cast::<T>().write_unaligned(head);
        dest.add(last).cast::<T>().write_unaligned(tail);
    }
}

/// A round at the start and one at `last`: both are loaded before either is stored.
#[inline(always)]
unsafe fn two_rounds(dest: *mut u8, src: *const u8, last: usize) {
    // SAFETY: the caller's `n` is `last` and one round.
    unsafe {
        let (head, tail) = (load_round(src), load_round(src.add(last)));
        store_round(dest, head);
        store_round(dest.add(last), tail);
    }
}

/// More than [`ROUND`] bytes, from the start; `dest` is below `src`, or they are apart.
unsafe fn forward(dest: *mut u8, src: *const u8, n: usize) {
    let last = n - ROUND;
    // SAFETY: rounds begin below `last`, so each ends below `n`. The tail is read before the
    // rounds can write over it.
    unsafe {
        let tail = load_round(src.add(last));
        let mut at = 0;
        while at < last {
            store_round(dest.add(at), load_round(src.add(at)));
            at += ROUND;
        }
        store_round(dest.add(last), tail);
    }
}

/// More than [`ROUND`] bytes, from the end; `dest` is above `src`.
unsafe fn backward(dest: *mut u8, src: *const u8, n: usize) {
    // SAFETY: rounds end above `ROUND`, so each begins above 0. The head is read before the
    // rounds can write over it.
    unsafe {
        let head = load_round(src);
        let mut end = n;
        while end > ROUND {
            store_round(dest.add(end - ROUND), load_round(src.add(end - ROUND)));
            end -= ROUND;
        }
        store_round(dest, head);
    }
}

#[inline(always)]
unsafe fn rep_movsb(dest: *mut u8, src: *const u8, n: usize) {
    // SAFETY: the caller's promise; the direction flag is clear by the ABI.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") n => _, inout("rdi") dest => _, inout("rsi") src => _,
            options(nostack, preserves_flags),
        );
    }
}

#[inline(always)]
unsafe fn load(from: *const u8) -> __m128i {
    // SAFETY: 16 bytes are readable, by the caller.
    unsafe { _mm_loadu_si128(from.cast()) }
}

#[inline(always)]
unsafe fn store(to: *mut u8, value: __m128i) {
    // SAFETY: 16 bytes are writable, by the caller.
    unsafe { _mm_storeu_si128(to.cast(), value) }
}

#[inline(always)]
unsafe fn load_round(from: *const u8) -> [__m128i; 4] {
    // SAFETY: `ROUND` bytes are readable, by the caller.
    unsafe { [load(from), load(from.add(16)), load(from.add(32)), load(from.add(48))] }
}

#[inline(always)]
unsafe fn store_round(to: *mut u8, round: [__m128i; 4]) {
    // SAFETY: `ROUND` bytes are writable, by the caller.
    unsafe {
        store(to, round[0]);
        store(to.add(16), round[1]);
        store(to.add(32), round[2]);
        store(to.add(48), round[3]);
    }
}
