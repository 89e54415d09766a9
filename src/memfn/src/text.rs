//! Bytes as text: ASCII, which most text is, in a fraction of the time that UTF-8 takes.

/// The text that these bytes are; `None` where they are no UTF-8.
#[inline]
#[must_use]
pub fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is valid UTF-8.
        return Some(unsafe { core::str::from_utf8_unchecked(bytes) });
    }
    core::str::from_utf8(bytes).ok()
}
