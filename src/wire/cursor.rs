//! A place in JSON text, for readers that know what must stand there. Every answer is `None` where
//! something else stands there, or where only a complete JSON reader could be sure.

/// What is left of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'v> {
    rest: &'v [u8],
}

impl<'v> Cursor<'v> {
    pub(super) const fn new(text: &'v [u8]) -> Self {
        Self { rest: text }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What stands between this place and a later one.
    pub(super) fn up_to(&self, later: &Self) -> Option<&'v [u8]> {
        self.rest.get(..self.rest.len().checked_sub(later.rest.len())?)
    }

    pub(super) fn pass(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    /// Passes what JSON allows between two words.
    pub(super) fn blanks(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
    }

    /// The next 16 bytes, the first one lowest; zeros behind the end.
    pub(super) fn peek_16(&self) -> u128 {
        if let Some(bytes) = self.rest.first_chunk() {
            return u128::from_le_bytes(*bytes);
        }
        self.rest.iter().rev().fold(0, |bytes, byte| (bytes << 8) | u128::from(*byte))
    }

    /// Passes a string that is not empty and has no escapes: what stands between its quotes,
    /// which is valid UTF-8.
    pub(super) fn text(&mut self) -> Option<&'v [u8]> {
        let inner = self.rest.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        let (text, rest) = inner.split_at_checked(end)?;
        let usual = !text.is_empty() && (text.is_ascii() || std::str::from_utf8(text).is_ok());
        self.rest = rest.strip_prefix(b"\"").filter(|_| usual)?;
        Some(text)
    }

    /// Passes a decimal: a string, or a JSON number not below 0.
    pub(super) fn decimal(&mut self) -> Option<&'v [u8]> {
        if self.rest.first() == Some(&b'"') { self.text() } else { self.number() }
    }

    /// Passes `digits[.digits][e[±]digits]`.
    fn number(&mut self) -> Option<&'v [u8]> {
        let start = *self;
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        start.up_to(self)
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.pass(count).filter(|()| count > 0)
    }
}
