//! C's names, in the static build only: elsewhere the platform's own are as good.
#![cfg(target_env = "musl")]

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    // SAFETY: as C's.
    unsafe { crate::copy(dest, src, n) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(dest: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    // SAFETY: as C's.
    unsafe { crate::shift(dest, src, n) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(dest: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // C converts to `unsigned char`.
    let byte = byte.to_le_bytes()[0];
    // SAFETY: as C's.
    unsafe { crate::fill(dest, byte, n) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, n: usize) -> i32 {
    // SAFETY: as C's.
    unsafe { crate::compare(left, right, n) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, n: usize) -> i32 {
    // SAFETY: as C's.
    unsafe { crate::compare(left, right, n) }
}
