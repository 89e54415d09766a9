//! ASCII of every length is the same text; a byte beyond it, anywhere, is not taken for text.
#![cfg(test)]

#[test]
fn what_is_ascii_is_text_and_nothing_else_is() {
    for length in 0..=130 {
        let mut bytes: Vec<u8> = (0..=127).cycle().take(length).collect();
        assert_eq!(memfn::ascii(&bytes), core::str::from_utf8(&bytes).ok());
        for at in 0..length {
            let before = core::mem::replace(&mut bytes[at], beyond_ascii(at));
            assert_eq!(memfn::ascii(&bytes), None, "{at} of {length}");
            bytes[at] = before;
        }
    }
}

/// Some byte beyond ASCII.
fn beyond_ascii(at: usize) -> u8 {
    0x80 | u8::try_from(at % 128).expect("below 128")
}
