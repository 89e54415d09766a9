//! How long the allocator keeps what is free.

use core::ffi::{c_int, c_long};

use libmimalloc_sys as _; // linked for what is declared here

// As mimalloc.h has it; its bindings have it too, by way of one more crate.
unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
    fn mi_option_get(option: c_int) -> c_long;
}

/// `mi_option_purge_delay` of mimalloc 3.
const PURGE_DELAY: c_int = 15;

/// Free memory stays with the process for so many milliseconds; then the system has it back.
/// What stays is used again without the fault that each fresh page costs.
pub fn keep_free_memory(milliseconds: i32) {
    // SAFETY: the number names an option; options are plain numbers that can be set at any time.
    unsafe { mi_option_set(PURGE_DELAY, c_long::from(milliseconds)) };
}

/// For how many milliseconds it stays.
#[must_use]
pub fn free_memory_is_kept() -> i32 {
    // SAFETY: as above.
    let milliseconds = unsafe { mi_option_get(PURGE_DELAY) };
    i32::try_from(milliseconds).unwrap_or(i32::MAX)
}
