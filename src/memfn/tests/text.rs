//! Whatever bytes stand where, they are the text that the standard library takes them for.
#![cfg(test)]

#[test]
fn text_is_what_is_utf8_and_nothing_else_is() {
    for length in 0..=130 {
        let mut bytes: Vec<u8> = (0..=127).cycle().take(length).collect();
        assert_eq!(memfn::text(&bytes), core::str::from_utf8(&bytes).ok());
        for at in 0..length {
            for byte in [0x80, 0xc3, 0xff] {
                let before = core::mem::replace(&mut bytes[at], byte);
                assert_eq!(memfn::text(&bytes), core::str::from_utf8(&bytes).ok());
                bytes[at] = before;
            }
        }
    }
    assert_eq!(memfn::text("So11é🦀".as_bytes()), Some("So11é🦀"));
}
