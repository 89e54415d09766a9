//! The memory functions against the plain meaning of each: lengths 0 to 300 and some large ones,
//! alignments 0 to 15 of both sides, overlaps in both directions, and not a byte beside the range.
#![cfg(all(test, target_arch = "x86_64"))]

const LARGE: [usize; 8] = [511, 1_024, 2_049, 4_095, 4_096, 4_097, 65_537, 1_000_003];
const MARGIN: usize = 64;

fn lengths() -> impl Iterator<Item = usize> {
    (0..=300).chain(LARGE)
}

/// Alignments of both sides: all pairs for small lengths, some for large ones.
fn alignments(length: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = if length <= 300 { 1 } else { 5 };
    (0..16).step_by(step).flat_map(move |a| (0..16).step_by(step).map(move |b| (a, b)))
}

/// Bytes without a period that an error could hide in.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        })
        .collect()
}

/// A buffer in which 16 alignments of `length` bytes fit with a margin on both sides, and its
/// first place whose address is a multiple of 16.
fn buffer(length: usize, seed: u32) -> (Vec<u8>, usize) {
    let bytes = noise(length + 2 * MARGIN + 32, seed);
    let start = bytes.as_ptr().align_offset(16) + MARGIN;
    (bytes, start)
}

#[test]
fn copy_copies_its_range_and_nothing_else() {
    for length in lengths() {
        let (source, from) = buffer(length, 7);
        for (a, b) in alignments(length) {
            let (mut dest, to) = buffer(length, 11);
            let mut expected = dest.clone();
            expected[to + b..to + b + length].copy_from_slice(&source[from + a..from + a + length]);
            let target = dest[to + b..].as_mut_ptr();
            // SAFETY: both buffers hold `length` bytes behind these places.
            let answer = unsafe { memfn::copy(target, source[from + a..].as_ptr(), length) };
            assert_eq!(answer, target);
            assert!(dest == expected, "length {length}, alignments {a} and {b}");
        }
    }
}

#[test]
fn shift_is_right_for_every_overlap_in_both_directions() {
    for length in lengths() {
        let distances = (0..=80).chain([length / 2, length.saturating_sub(1), length]);
        for distance in distances {
            let original = noise(length + distance + 2 * MARGIN, 13);
            let (low, high) = (MARGIN, MARGIN + distance);
            for (from, to) in [(low, high), (high, low)] {
                let mut bytes = original.clone();
                let mut expected = original.clone();
                expected.copy_within(from..from + length, to);
                let start = bytes.as_mut_ptr();
                // SAFETY: the buffer holds `length` bytes behind both places.
                let answer = unsafe { memfn::shift(start.add(to), start.add(from), length) };
                assert_eq!(answer, bytes[to..].as_mut_ptr());
                assert!(bytes == expected, "length {length} from {from} to {to}");
            }
        }
    }
}

#[test]
fn fill_fills_its_range_and_nothing_else() {
    for length in lengths() {
        for (a, _) in alignments(length) {
            for byte in [0, 0x5a, 0xff] {
                let (mut bytes, start) = buffer(length, 17);
                let mut expected = bytes.clone();
                expected[start + a..start + a + length].fill(byte);
                let target = bytes[start + a..].as_mut_ptr();
                // SAFETY: the buffer holds `length` bytes behind this place.
                let answer = unsafe { memfn::fill(target, byte, length) };
                assert_eq!(answer, target);
                assert!(bytes == expected, "length {length}, alignment {a}, byte {byte}");
            }
        }
    }
}

#[test]
fn compare_orders_by_the_first_difference_wherever_it_is() {
    for length in lengths() {
        let step = (length / 300).max(1);
        for (a, b) in [(0, 0), (1, 0), (7, 3), (15, 8)] {
            let (mut left, from) = buffer(length, 19);
            let (mut right, to) = buffer(length, 23);
            let (from, to) = (from + a, to + b);
            right[to..to + length].copy_from_slice(&left[from..from + length]);
            let order = |left: &[u8], right: &[u8]| {
                // SAFETY: both buffers hold `length` bytes behind these places.
                unsafe { memfn::compare(left[from..].as_ptr(), right[to..].as_ptr(), length) }
            };
            assert_eq!(order(&left, &right), 0, "length {length}");
            for at in (0..length).step_by(step) {
                let kept = left[from + at];
                left[from + at] = kept.wrapping_add(0x81);
                // A later difference the other way must not matter.
                let last = right[to + length - 1];
                right[to + length - 1] = last.wrapping_add(1);
                let expected = left[from..from + length].cmp(&right[to..to + length]);
                assert_eq!(order(&left, &right).cmp(&0), expected, "length {length} at {at}");
                left[from + at] = kept;
                right[to + length - 1] = last;
            }
        }
    }
}
