//! The allocator's setting is the one that is meant: the bindings give it no name.

use memfn::{free_memory_is_kept, keep_free_memory};

#[test]
fn free_memory_is_kept_for_as_long_as_was_said() {
    assert_eq!(free_memory_is_kept(), 1_000, "as mimalloc comes");
    keep_free_memory(10_000);
    assert_eq!(free_memory_is_kept(), 10_000);
}
