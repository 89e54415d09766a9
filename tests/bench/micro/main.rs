//! What each step of a trade costs by itself, in time and in allocations: one file a step.
//! Asserts nothing of time. `cargo bench --bench micro`, a word more chooses: `-- parse`.
#![cfg(test)]

mod checkpoint;
mod counting;
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
static ALLOCATOR: divan::AllocProfiler<counting::Counting> =
    divan::AllocProfiler::new(counting::Counting);

fn main() {
    if held::asked() {
        return;
    }
    divan::main();
}
