//! ASCII as text, without looking for anything beyond it: of a short text that takes a fraction of
//! the time that UTF-8 takes.

/// The text that these bytes are; `None` where they are not all ASCII.
#[inline]
#[must_use]
pub fn ascii(bytes: &[u8]) -> Option<&str> {
    // SAFETY: ASCII is valid UTF-8.
    bytes.is_ascii().then(|| unsafe { core::str::from_utf8_unchecked(bytes) })
}
