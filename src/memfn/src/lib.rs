//! memcpy, memmove, memset, memcmp and bcmp for the static build: musl's own take some 35 ns for
//! any small copy. Compiled on every x86_64 target under other names, so that they are tested;
//! exported under C's names with musl only. Beside them what is safe to call: a prefetch, bytes as
//! text, a setting of the allocator. The project's only `unsafe` code.
//!
//! Small sizes are two overlapping accesses, all loads before all stores, so they are right for
//! overlapping ranges too. Middle sizes loop over 64 bytes. Large ones leave it to the processor
//! (`rep movsb`, fast since Ivy Bridge).
#![no_std]
// A loop here must not be compiled to a call of the function that it is part of.
#![no_builtins]

#[cfg(target_arch = "x86_64")]
mod compare;
#[cfg(target_arch = "x86_64")]
mod exported;
#[cfg(target_arch = "x86_64")]
mod fill;
mod keep;
mod plain;
mod prefetch;
mod text;
#[cfg(target_arch = "x86_64")]
mod transfer;

#[cfg(target_arch = "x86_64")]
pub use compare::compare;
#[cfg(target_arch = "x86_64")]
pub use fill::fill;
pub use keep::{free_memory_is_kept, keep_free_memory};
pub use plain::plain;
pub use prefetch::prefetch;
pub use text::text;
#[cfg(target_arch = "x86_64")]
pub use transfer::{copy, shift};

/// From here on `rep movsb` and `rep stosb` win over a loop of 16-byte accesses.
#[cfg(target_arch = "x86_64")]
const REP_BYTES: usize = 4_096;

/// One round of the loops: four 16-byte registers.
#[cfg(target_arch = "x86_64")]
const ROUND: usize = 64;
