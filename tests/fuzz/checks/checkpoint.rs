//! Checkpoint entries against a plain reading of the layout.

use aggregator_service::domain::pane::{Flow, Mark, Pane, Sums};
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::Second;
use aggregator_service::domain::trade::MAX_TOKEN_BYTES;
use aggregator_service::wire::checkpoint::{
    self, CodecError, Entry, MAX_PARTITIONS, NEWEST, PaneAt, VERSION, encode,
};

/// As they came, the bytes are an entry only where a checksum says so. Behind a version and before
/// a right checksum they are what the plain reading says; written again they say the same; and one
/// changed bit is noticed.
pub fn checkpoint(bytes: &[u8]) {
    if let Ok((_, panes)) = decode(bytes) {
        let (body, crc) = bytes.split_last_chunk::<4>().expect("a checksum");
        assert_eq!(crc32fast::hash(body).to_le_bytes(), *crc);
        assert_eq!(panes.len(), plain(body).expect("an entry").1.len());
    }
    let sealed = sealed(bytes);
    let expected = plain(&sealed[..sealed.len() - 4]);
    match decode(&sealed) {
        Ok(read) => {
            assert_eq!(Some(&read), expected.as_ref());
            let (entry, panes) = &read;
            let Entry { positions, published, latest } = entry;
            let again = encode(positions, *published, *latest, panes.iter().copied());
            assert_eq!(decode(&again).as_ref(), Ok(&read), "what was written");
            assert!(again.len() <= sealed.len(), "written in the fewest bytes");
            changed(again);
        }
        Err(error) => {
            assert!(expected.is_none(), "{error}");
            assert!(matches!(error, CodecError::Truncated | CodecError::Malformed(_)), "{error}");
        }
    }
}

fn decode(bytes: &[u8]) -> Result<(Entry, Vec<PaneAt<'_>>), CodecError> {
    let mut panes = Vec::new();
    let entry = checkpoint::decode(bytes, |pane| panes.push(*pane))?;
    Ok((entry, panes))
}

/// Every bit counts, and another version is one only with a right checksum.
fn changed(mut entry: Vec<u8>) {
    let other = sealed_as(NEWEST + 1, &entry[1..entry.len() - 4]);
    assert_eq!(decode(&other).err(), Some(CodecError::UnknownVersion(NEWEST + 1)));
    let place = entry.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let (byte, bit) = (place % entry.len(), place % 8);
    entry[byte] ^= 1 << bit;
    assert_eq!(decode(&entry).err(), Some(CodecError::Checksum));
}

fn sealed(body: &[u8]) -> Vec<u8> {
    sealed_as(VERSION, body)
}

fn sealed_as(version: u8, body: &[u8]) -> Vec<u8> {
    let mut entry = [&[version], body].concat();
    let crc = crc32fast::hash(&entry);
    entry.extend_from_slice(&crc.to_le_bytes());
    entry
}

/// Reads an entry without its checksum.
fn plain(body: &[u8]) -> Option<(Entry, Vec<PaneAt<'_>>)> {
    let mut plain = Plain { rest: body.get(1..)? };
    let mut positions = Vec::new();
    for _ in 0..usize::try_from(plain.number()?).ok()? {
        let known = |partition: &Partition| (0..MAX_PARTITIONS).contains(&partition.0);
        positions.push((plain.partition().filter(known)?, Offset(plain.signed()?)));
    }
    let published = Second(plain.signed()?);
    let latest = Second(published.0.wrapping_add(plain.signed()?));
    let (mut token, mut second, mut offset) = ("", published.0, 0_i64);
    let mut panes = Vec::new();
    while !plain.rest.is_empty() {
        let flags = plain.byte()?;
        let flag = |bit: u32| flags >> bit & 1 == 1;
        if flag(7) {
            return None;
        }
        if !flag(0) {
            token = plain.token()?;
        }
        if token.is_empty() {
            return None;
        }
        second = second.wrapping_add(plain.signed()?);
        let unit = if flag(4) { 1_000_000_000 } else { 1 };
        let sell = if flag(1) { plain.flow(unit)? } else { Flow::default() };
        let buy = if flag(2) { plain.flow(unit)? } else { Flow::default() };
        let usd = if flag(3) { i128::try_from(plain.number()?).ok()? } else { 0 };
        let first = plain.mark(&mut offset, None)?;
        let last = if flag(5) {
            first
        } else {
            plain.mark(&mut offset, flag(6).then_some(first.price))?
        };
        let pane = Pane { sums: Sums { sell, buy, usd }, first, last };
        panes.push(PaneAt { token, second: Second(second), pane, extended: None });
    }
    Some((Entry { positions, published, latest }, panes))
}

struct Plain<'a> {
    rest: &'a [u8],
}

impl<'a> Plain<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|byte| byte[0])
    }

    /// Groups of 7 bits, the least first, together below 2¹²⁸; 19 of them at most.
    fn number(&mut self) -> Option<u128> {
        let more = self.rest.iter().take_while(|byte| **byte >= 0x80).count();
        let groups = self.bytes(more + 1)?;
        if groups.len() > 19 || (groups.len() == 19 && groups[18] > 3) {
            return None;
        }
        Some(groups.iter().rev().fold(0, |value, group| value << 7 | u128::from(group & 0x7f)))
    }

    fn signed(&mut self) -> Option<i64> {
        let zigzag = i128::from(u64::try_from(self.number()?).ok()?);
        i64::try_from(if zigzag % 2 == 0 { zigzag / 2 } else { -(zigzag + 1) / 2 }).ok()
    }

    fn partition(&mut self) -> Option<Partition> {
        i32::try_from(self.signed()?).ok().map(Partition)
    }

    fn token(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let fits = (1..=MAX_TOKEN_BYTES).contains(&length);
        std::str::from_utf8(self.bytes(length).filter(|_| fits)?).ok()
    }

    fn flow(&mut self, unit: i128) -> Option<Flow> {
        let count = u64::try_from(self.number()?).ok()?;
        Some(Flow { count, volume: i128::try_from(self.number()?).ok()?.checked_mul(unit)? })
    }

    fn mark(&mut self, offset: &mut i64, price: Option<Price>) -> Option<Mark> {
        let packed = u64::try_from(self.number()?).ok()?;
        let nanos = if packed % 2 == 0 { (packed / 2).checked_mul(1_000_000)? } else { packed / 2 };
        let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
        let partition = self.partition()?;
        *offset = offset.wrapping_add(self.signed()?);
        let index = u32::try_from(self.number()?).ok()?;
        let position = Position { partition, offset: Offset(*offset), index };
        let price = match price {
            Some(price) => price,
            None => {
                let scale = self.byte()?;
                Price::from_parts(self.number()?, scale)?
            }
        };
        Some(Mark { nanos, position, price })
    }
}
