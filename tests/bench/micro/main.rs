//! What each step of a trade costs by itself, in time and in allocations: one file a step.
//! Asserts nothing of time. `cargo bench --bench micro`, a word more chooses: `-- parse`.
#![cfg(test)]

mod checkpoint;
mod extended;
mod fetch;
mod held;
mod memory;
mod panes;
mod parse;
mod path;
mod publish;

/// Counts allocations beside the time; over the allocator that the release uses.
#[global_allocator]
static ALLOCATOR: divan::AllocProfiler<mimalloc::MiMalloc> =
    divan::AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    if held::asked() {
        return;
    }
    divan::main();
}
