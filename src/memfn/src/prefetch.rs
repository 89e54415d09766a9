//! Bringing memory near before it is needed: a hint, which changes nothing that a program can see.
//! Elsewhere than on x86_64 it does nothing.

/// Bytes in a line of the cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for all lines that a value lies in, and does not wait for them.
// As a call it costs more than what it asks for, and `no_builtins` keeps it one otherwise.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub fn prefetch<T>(value: &T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let first = core::ptr::from_ref(value).cast::<i8>();
    let last = size_of::<T>().saturating_sub(1);
    let mut at = 0;
    loop {
        // SAFETY: a prefetch reads nothing and never faults, and x86_64 always has it. The
        // address, which wraps nowhere, is inside the value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at)) };
        if at == last {
            break;
        }
        at = (at + LINE).min(last);
    }
}

/// Does nothing.
#[inline]
#[cfg(not(target_arch = "x86_64"))]
pub fn prefetch<T>(_: &T) {}
