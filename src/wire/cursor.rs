//! A place in JSON text, for readers that know what must stand there. Every answer is `None` where
//! something else stands there, or where only a complete JSON reader could be sure.

use crate::domain::decimal::Scanned;
use crate::domain::time::EventTime;

use super::time;

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

    #[inline]
    pub(super) fn pass(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    /// Passes what JSON allows between two words.
    #[inline]
    pub(super) fn blanks(&mut self) {
        if self.rest.first().is_some_and(|byte| *byte <= b' ') {
            self.rest = behind_blanks(self.rest);
        }
    }

    /// The next 16 bytes, the first one lowest; zeros behind the end.
    #[inline]
    pub(super) fn peek_16(&self) -> u128 {
        self.rest.first_chunk().map_or_else(|| last_16(self.rest), |it| u128::from_le_bytes(*it))
    }

    /// Passes a string that is not empty and has no escapes: what stands between its quotes,
    /// which is valid UTF-8.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Option<&'v [u8]> {
        self.expect(b'"')?;
        let mut end = memfn::plain(self.rest);
        if !self.rest.get(end)?.is_ascii() {
            end = end_of_utf8(self.rest)?;
        }
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        self.expect(b'"').filter(|()| end > 0)?;
        Some(text)
    }

    /// Passes a string, or a number that is a usual decimal.
    #[inline(always)]
    pub(super) fn any(&mut self) -> Option<()> {
        if self.rest.first() == Some(&b'"') {
            self.text().map(drop)
        } else {
            self.decimal().map(drop)
        }
    }

    /// Passes a decimal: a string, or a JSON number not below 0.
    #[inline(always)]
    pub(super) fn decimal(&mut self) -> Option<Scanned> {
        let quoted = self.eat(b'"');
        if !quoted && matches!(self.rest, [b'0', b'0'..=b'9', ..]) {
            return None;
        }
        let (decimal, rest) = Scanned::usual(self.rest)?;
        self.rest = rest;
        (!quoted || self.eat(b'"')).then_some(decimal)
    }

    /// Passes a string that is a time.
    #[inline(always)]
    pub(super) fn time(&mut self) -> Option<EventTime> {
        self.expect(b'"')?;
        let (at, rest) = time::usual(self.rest)?;
        self.rest = rest;
        self.expect(b'"')?;
        Some(at)
    }
}

// Apart from the common way, and of slices: a cursor stays in registers.

fn behind_blanks(mut text: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = text.split_first() {
        text = rest;
    }
    text
}

#[cold]
fn last_16(text: &[u8]) -> u128 {
    text.iter().rev().fold(0, |bytes, byte| (bytes << 8) | u128::from(*byte))
}

/// Where a string ends that is not all ASCII, and valid.
#[cold]
fn end_of_utf8(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
    std::str::from_utf8(text.get(..end)?).is_ok().then_some(end)
}
