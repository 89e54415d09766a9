//! The bytes of one record batch, format 2: header, checksum, compression, records. Pure. Reads
//! more than `rskafka` does: who wrote it in which transaction, the broker's own timestamps,
//! headers with null values and with names that are not UTF-8. Copies no record: a key or value is
//! a slice of its batch.

use std::ops::Range;

use bytes::{Buf, Bytes};
use kafka_protocol::compression::{Decompressor, Gzip, Lz4, Snappy, Zstd};

use crate::domain::position::Offset;
use crate::domain::time::WallMs;
use crate::ports::Record;

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
pub(super) struct Batch {
    pub(super) base: i64,
    pub(super) content: Content,
}

/// What is in a batch.
pub(super) enum Content {
    /// As it was written: the checksum vouches for it.
    Sound(Sound),
    /// Damaged, or of a format that is no longer read. Its last offset is what the header says,
    /// which may be anything.
    Damaged { last: i64 },
}

/// A batch that can be relied on.
pub(super) struct Sound {
    pub(super) last: i64,
    /// Who wrote it; any number where nobody said.
    pub(super) producer: i64,
    attributes: u16,
    first_timestamp: i64,
    newest_timestamp: i64,
    count: i32,
    records: Bytes,
}

impl Batch {
    /// Takes the next whole batch off; `None` where there is none.
    pub(super) fn split_off(bytes: &mut Bytes) -> Option<Self> {
        let mut prefix = bytes.get(..PREFIX_BYTES)?;
        let (base, length) = (prefix.get_i64(), prefix.get_i32());
        let length = usize::try_from(length).ok()?;
        if bytes.len() - PREFIX_BYTES < length {
            return None;
        }
        bytes.advance(PREFIX_BYTES);
        let content = Content::read(base, bytes.split_to(length));
        Some(Self { base, content })
    }
}

impl Content {
    fn read(base: i64, body: Bytes) -> Self {
        let last = match body.get(..UNCHECKED_BYTES + 2 + 4) {
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

impl Sound {
    fn read(last: i64, mut body: Bytes) -> Option<Self> {
        if body.len() < UNCHECKED_BYTES + CHECKED_HEADER_BYTES {
            return None;
        }
        let _leader_epoch = body.get_i32();
        let (magic, checksum) = (body.get_u8(), body.get_u32());
        if magic != MAGIC || crc32c::crc32c(&body) != checksum {
            return None;
        }
        let attributes = body.get_u16();
        let _last_offset_delta = body.get_i32();
        let (first_timestamp, newest_timestamp) = (body.get_i64(), body.get_i64());
        let producer = body.get_i64();
        // The producer's epoch and sequence: not needed.
        body.advance(2 + 4);
        let count = body.get_i32();
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

    /// Appends the records at or above `from`; answers the offsets that could not be read.
    pub(super) fn records_from(
        self,
        base: i64,
        from: Offset,
        records: &mut Vec<Record>,
    ) -> Option<Range<Offset>> {
        let behind = Offset(self.last).next();
        let mut readable = from.max(Offset(base));
        let appended =
            (self.attributes & LOG_APPEND_TIME_BIT != 0).then_some(self.newest_timestamp);
        let Some(mut body) = decompressed(self.attributes, self.records) else {
            return Some(readable..behind);
        };
        for _ in 0..self.count {
            let Some(record) = record(&mut body, base, self.first_timestamp) else {
                return Some(readable..behind).filter(|lost| !lost.is_empty());
            };
            if record.offset >= from {
                let timestamp = appended.map_or(record.timestamp, timestamp_of);
                let record = Record { timestamp, ..record };
                readable = record.offset.next();
                records.push(record);
            }
        }
        None
    }
}

fn decompressed(attributes: u16, mut records: Bytes) -> Option<Bytes> {
    let whole = |bytes: &mut Bytes| Ok(std::mem::take(bytes));
    match attributes & COMPRESSION_BITS {
        0 => Some(records),
        1 => Gzip::decompress(&mut records, whole).ok(),
        2 => Snappy::decompress(&mut records, whole).ok(),
        3 => Lz4::decompress(&mut records, whole).ok(),
        4 => Zstd::decompress(&mut records, whole).ok(),
        _ => None,
    }
}

fn record(body: &mut Bytes, base: i64, first_timestamp: i64) -> Option<Record> {
    let length = usize::try_from(varint(body)?).ok()?;
    let mut body = split_to(body, length)?;
    let _attributes = body.try_get_u8().ok()?;
    let timestamp = first_timestamp.checked_add(varint(&mut body)?)?;
    let offset = base.checked_add(varint(&mut body)?)?;
    let key = nullable(&mut body)?;
    let value = nullable(&mut body)?;
    let mut headers = Vec::new();
    for _ in 0..varint(&mut body)? {
        let name = nullable(&mut body)?.unwrap_or_default();
        let value = nullable(&mut body)?.unwrap_or_default();
        headers.push((String::from_utf8_lossy(&name).into_owned(), value));
    }
    Some(Record { offset: Offset(offset), timestamp: timestamp_of(timestamp), key, value, headers })
}

/// A record's timestamp in milliseconds, if it has one.
fn timestamp_of(millis: i64) -> Option<WallMs> {
    (millis != NO_TIMESTAMP).then_some(WallMs(millis))
}

/// Length and bytes; `Some(None)` is a null.
fn nullable(body: &mut Bytes) -> Option<Option<Bytes>> {
    match varint(body)? {
        -1 => Some(None),
        length => split_to(body, usize::try_from(length).ok()?).map(Some),
    }
}

fn split_to(body: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= body.len()).then(|| body.split_to(length))
}

/// A zig-zag number, 7 bits a byte, the lowest first.
fn varint(body: &mut Bytes) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = body.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}
