//! How far a text goes on without anything that needs a second look.

/// How many bytes stand before the first that is a quote, a backslash, a control character or no
/// ASCII; all where there is none.
#[inline(always)]
#[must_use]
pub fn plain(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks();
    for (before, chunk) in chunks.iter().enumerate() {
        let odd = odd(chunk);
        if odd != 0 {
            return 16 * before + odd.trailing_zeros() as usize;
        }
    }
    16 * chunks.len() + rest.iter().position(|byte| is_odd(*byte)).unwrap_or(rest.len())
}

/// A bit for each byte that is one of those, the first one lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn odd(chunk: &[u8; 16]) -> u32 {
    use core::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: every x86_64 has SSE2; the load takes any address, and all its 16 bytes are there.
    unsafe {
        let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        // What is no ASCII is negative.
        let below = _mm_cmplt_epi8(bytes, _mm_set1_epi8(b' '.cast_signed()));
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), below)).cast_unsigned()
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn odd(chunk: &[u8; 16]) -> u32 {
    chunk.iter().rev().fold(0, |bits, byte| (bits << 1) | u32::from(is_odd(*byte)))
}

fn is_odd(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..b' ' | 0x80..)
}
