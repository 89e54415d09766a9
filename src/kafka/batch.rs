//! The bytes of one record batch, format 2: header, checksum, compression, records. Pure. Reads
//! more than `rskafka` does: who wrote it in which transaction, the broker's own timestamps,
//! headers with null values and with names that are not UTF-8. Copies nothing: a record is where
//! its parts stand in the broker's answer, or in what was decompressed of it.

use std::ops::Range;

use bytes::Buf;

use super::unpack::{Failure, unpack};
use crate::domain::position::Offset;
use crate::domain::time::WallMs;
use crate::ports::records::{Area, Entry, Place};

/// Base offset and length: what stands before the part that the length counts.
pub(super) const PREFIX_BYTES: usize = 12;

/// Leader epoch, magic and checksum: what stands before the part that the checksum covers.
pub(super) const UNCHECKED_BYTES: usize = 9;

/// Attributes to record count: what stands before the records.
const CHECKED_HEADER_BYTES: usize = 40;

/// The only batch format since Kafka 0.11.
const MAGIC: u8 = 2;

const COMPRESSION_BITS: u16 = 0b111;
const LOG_APPEND_TIME_BIT: u16 = 1 << 3;
const TRANSACTIONAL_BIT: u16 = 1 << 4;
const CONTROL_BIT: u16 = 1 << 5;

/// A timestamp that says there is none.
const NO_TIMESTAMP: i64 = -1;

/// One batch of the log.
pub(super) struct Batch<'a> {
    pub(super) base: i64,
    pub(super) content: Content<'a>,
}

/// What is in a batch.
pub(super) enum Content<'a> {
    /// As it was written: the checksum vouches for it.
    Sound(Sound<'a>),
    /// Damaged, or of a format that is no longer read. Its last offset is what the header says,
    /// which may be anything.
    Damaged { last: i64 },
}

/// A batch that can be relied on.
pub(super) struct Sound<'a> {
    pub(super) last: i64,
    /// Who wrote it; any number where nobody said.
    pub(super) producer: i64,
    attributes: u16,
    first_timestamp: i64,
    newest_timestamp: i64,
    count: i32,
    records: Cursor<'a>,
}

/// Where records go: what is decompressed, and where each one's parts stand.
pub(super) struct Index<'a> {
    pub(super) bodies: &'a mut Area,
    /// The most that is decompressed.
    pub(super) limit: usize,
    pub(super) entries: &'a mut Vec<Entry>,
    pub(super) headers: &'a mut Vec<(Place, Place)>,
}

/// What became of a batch's records.
pub(super) enum Indexed {
    /// All are there.
    All,
    /// Those at these offsets could not be read.
    Lost(Range<Offset>),
    /// None was read: there is no room for what would be decompressed.
    NoRoom,
}

/// What is left to read of some bytes, and the place of their end.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    end: usize,
}

impl<'a> Batch<'a> {
    /// Takes the next whole batch off; `None` where there is none.
    pub(super) fn split_off(answer: &mut Cursor<'a>) -> Option<Self> {
        let mut prefix = answer.rest.get(..PREFIX_BYTES)?;
        let (base, length) = (prefix.get_i64(), prefix.get_i32());
        let mut batch = answer.split_to(PREFIX_BYTES + usize::try_from(length).ok()?)?;
        batch.split_to(PREFIX_BYTES)?;
        Some(Self { base, content: Content::read(base, batch) })
    }
}

impl<'a> Content<'a> {
    fn read(base: i64, body: Cursor<'a>) -> Self {
        let last = match body.rest.get(..UNCHECKED_BYTES + 2 + 4) {
            Some([_, _, _, _, MAGIC, _, _, _, _, _, _, a, b, c, d]) => {
                base.saturating_add(i64::from(i32::from_be_bytes([*a, *b, *c, *d])))
            }
            _ => base,
        };
        Sound::read(last, body)
            .filter(|batch| base <= batch.last)
            .map_or(Self::Damaged { last }, Self::Sound)
    }
}

impl<'a> Sound<'a> {
    fn read(last: i64, mut body: Cursor<'a>) -> Option<Self> {
        if body.rest.len() < UNCHECKED_BYTES + CHECKED_HEADER_BYTES {
            return None;
        }
        let mut unchecked = body.split_to(UNCHECKED_BYTES)?.rest;
        let _leader_epoch = unchecked.get_i32();
        let (magic, checksum) = (unchecked.get_u8(), unchecked.get_u32());
        if magic != MAGIC || crc32c::crc32c(body.rest) != checksum {
            return None;
        }
        let mut header = body.split_to(CHECKED_HEADER_BYTES)?.rest;
        let attributes = header.get_u16();
        let _last_offset_delta = header.get_i32();
        let (first_timestamp, newest_timestamp) = (header.get_i64(), header.get_i64());
        let producer = header.get_i64();
        // The producer's epoch and sequence: not needed.
        header.advance(2 + 4);
        let count = header.get_i32();
        Some(Self {
            last,
            producer,
            attributes,
            first_timestamp,
            newest_timestamp,
            count,
            records: body,
        })
    }

    /// Whether it is a transaction marker and holds no records.
    pub(super) const fn is_marker(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether it belongs to a transaction.
    pub(super) const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Adds the records at or above `from` to the index; bodies are placed from `before` on.
    pub(super) fn index(
        &self,
        base: i64,
        from: Offset,
        before: usize,
        index: &mut Index<'_>,
    ) -> Indexed {
        let Index { bodies, limit, entries, headers } = index;
        let behind = Offset(self.last).next();
        let mut readable = from.max(Offset(base));
        let mut body = self.records.clone();
        let codec = self.attributes & COMPRESSION_BITS;
        if codec != 0 {
            let begin = bodies.len();
            match unpack(codec, body.rest, *limit, bodies) {
                Ok(()) => {}
                Err(Failure::TooMuch) if begin > 0 => return Indexed::NoRoom,
                Err(_) => return Indexed::Lost(readable..behind),
            }
            let rest = bodies.filled().get(begin..).unwrap_or_default();
            body = Cursor { rest, end: before + bodies.len() };
        }
        let appended =
            (self.attributes & LOG_APPEND_TIME_BIT != 0).then_some(self.newest_timestamp);
        for _ in 0..self.count {
            let Some(record) = record(&mut body, base, self.first_timestamp, headers) else {
                let lost = readable..behind;
                return if lost.is_empty() { Indexed::All } else { Indexed::Lost(lost) };
            };
            if record.offset >= from {
                let timestamp = appended.map_or(record.timestamp, timestamp_of);
                readable = record.offset.next();
                entries.push(Entry { timestamp, ..record });
            }
        }
        Indexed::All
    }
}

fn record(
    body: &mut Cursor<'_>,
    base: i64,
    first_timestamp: i64,
    headers: &mut Vec<(Place, Place)>,
) -> Option<Entry> {
    let length = usize::try_from(body.varint()?).ok()?;
    let mut body = body.split_to(length)?;
    let _attributes = body.split_to(1)?;
    let timestamp = first_timestamp.checked_add(body.varint()?)?;
    let offset = base.checked_add(body.varint()?)?;
    let key = body.nullable()?;
    let value = body.nullable()?;
    let first = u32::try_from(headers.len()).ok()?;
    for _ in 0..body.varint()? {
        headers.push((body.nullable()?, body.nullable()?));
    }
    let headers = first..u32::try_from(headers.len()).ok()?;
    Some(Entry { offset: Offset(offset), timestamp: timestamp_of(timestamp), key, value, headers })
}

/// A record's timestamp in milliseconds, if it has one.
fn timestamp_of(millis: i64) -> Option<WallMs> {
    (millis != NO_TIMESTAMP).then_some(WallMs(millis))
}

impl<'a> Cursor<'a> {
    /// At the begin of a part of some bytes.
    pub(super) fn new(bytes: &'a [u8], part: Range<usize>) -> Option<Self> {
        Some(Self { end: part.end, rest: bytes.get(part)? })
    }

    /// Takes the next `length` bytes off.
    fn split_to(&mut self, length: usize) -> Option<Self> {
        let (part, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Self { rest: part, end: self.end - rest.len() })
    }

    /// Length and bytes.
    fn nullable(&mut self) -> Option<Place> {
        let length = match self.varint()? {
            -1 => return Some(Place::NULL),
            length => usize::try_from(length).ok()?,
        };
        let start = self.end - self.rest.len();
        self.rest = self.rest.get(length..)?;
        Some(Place::at(start, length))
    }

    /// A zig-zag number, 7 bits a byte, the lowest first.
    fn varint(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        None
    }
}
