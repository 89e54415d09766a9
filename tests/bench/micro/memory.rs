//! Copying, filling and comparing at the sizes of our load: token addresses, messages, buffers.
//! The platform's own functions, unless the bench is built for musl: then it measures `memfn`.

use divan::{Bencher, black_box};

/// A number, an address, a trade, an aggregate's message, a fetch.
const SIZES: [usize; 5] = [8, 44, 320, 1_643, 4 << 20];

#[divan::bench(args = SIZES)]
fn copy(bencher: Bencher, bytes: usize) {
    let (source, mut target) = (vec![1_u8; bytes], vec![0_u8; bytes]);
    bencher.bench_local(|| black_box(&mut target[..]).copy_from_slice(black_box(&source)));
}

#[divan::bench(args = SIZES)]
fn fill(bencher: Bencher, bytes: usize) {
    let mut target = vec![0_u8; bytes];
    bencher.bench_local(|| black_box(&mut target[..]).fill(black_box(1)));
}

#[divan::bench(args = SIZES)]
fn compare(bencher: Bencher, bytes: usize) {
    let (left, right) = (vec![1_u8; bytes], vec![1_u8; bytes]);
    bencher.bench_local(|| black_box(&left[..]).cmp(black_box(&right)));
}
