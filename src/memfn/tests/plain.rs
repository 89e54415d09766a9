//! Plain text ends where the standard library says so, wherever that is.
#![cfg(test)]

#[test]
fn a_text_is_plain_up_to_its_first_odd_byte() {
    for length in 0..=70 {
        for at in 0..length {
            for byte in 0..=u8::MAX {
                let mut bytes = vec![b'a'; length];
                bytes[at] = byte;
                let odd = |byte: &u8| !byte.is_ascii() || *byte < b' ' || b"\"\\".contains(byte);
                let expected = bytes.iter().position(odd).unwrap_or(length);
                assert_eq!(memfn::plain(&bytes), expected, "{byte} at {at} of {length}");
            }
        }
    }
}
