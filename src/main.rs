//! The program: allocator and memory functions of the static build. The rest is in the library.

use memfn as _;

/// musl's own allocator has one lock and costs half of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
