//! Record batches as they stand in the log, taken apart one by one, so that none spoils the
//! others: what `rskafka` refuses (a header with a null value, or a key that is not UTF-8) is
//! read, a transaction marker is passed, and a batch that nobody can read is reported by its
//! offsets. Pure; the same bytes give the same answer.

use std::ops::Range;

use bytes::{Buf, Bytes};
use kafka_protocol::compression::{Decompressor, Gzip, Lz4, Snappy, Zstd};

use crate::domain::position::Offset;
use crate::domain::time::WallMs;
use crate::ports::{Fetched, Record};

/// Base offset and length: what stands before the part that the length counts.
const PREFIX_BYTES: usize = 12;

/// Leader epoch, magic and checksum: what stands before the part that the checksum covers.
const UNCHECKED_BYTES: usize = 9;

/// Attributes to record count: what stands before the records.
const CHECKED_HEADER_BYTES: usize = 40;

/// The only batch format since Kafka 0.11.
const MAGIC: u8 = 2;

const COMPRESSION_BITS: u16 = 0b111;
const CONTROL_BIT: u16 = 1 << 5;

/// A timestamp that says there is none.
const NO_TIMESTAMP: i64 = -1;

/// One batch of the log.
struct Batch {
    base: i64,
    content: Content,
}

/// What is in a batch.
enum Content {
    /// As it was written: the checksum vouches for it.
    Sound(Sound),
    /// Damaged, or of a format that is no longer read. Its last offset is what the header says,
    /// which may be anything.
    Damaged { last: i64 },
}

struct Sound {
    last: i64,
    attributes: u16,
    first_timestamp: i64,
    count: i32,
    records: Bytes,
}

/// What stands at `from`: records, unreadable ranges, and where to go on. `bytes` are the batches
/// that the broker sent for `from`, `end` its last stable offset. `None` where it sent a part of
/// a batch only.
pub(super) fn read(mut bytes: Bytes, from: Offset, end: Offset) -> Option<Fetched> {
    let mut fetched = Fetched {
        next: from,
        end,
        ..Fetched::default()
    };
    if bytes.is_empty() {
        // The broker sends the first batch whole whatever its size: there is none before `end`.
        fetched.next = from.max(end);
        return Some(fetched);
    }
    let mut batches = 0;
    while let Some(batch) = Batch::split_off(&mut bytes) {
        batch.read_into(&mut fetched);
        batches += 1;
    }
    (batches > 0).then_some(fetched)
}

impl Batch {
    /// Takes the next whole batch off; `None` where there is none.
    fn split_off(bytes: &mut Bytes) -> Option<Self> {
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

    fn read_into(self, fetched: &mut Fetched) {
        let from = fetched.next;
        // A gap right behind a damaged batch: its header told too little.
        if let Some(lost) = fetched.unreadable.last_mut()
            && lost.end == from
            && lost.end.0 < self.base
            && self.base < fetched.end.0
        {
            lost.end = Offset(self.base);
        }
        match self.content {
            Content::Damaged { last } => {
                // One step where the header cannot be right: the broker finds what is next.
                let behind = Offset(last).next();
                let told = from < behind && behind <= fetched.end;
                fetched.next = if told { behind } else { from.next() };
                fetched.unreadable.push(from..fetched.next);
            }
            Content::Sound(batch) if Offset(batch.last) >= from => {
                fetched.next = Offset(batch.last).next();
                if batch.attributes & CONTROL_BIT == 0 {
                    let lost = batch.records_from(self.base, from, &mut fetched.records);
                    fetched.unreadable.extend(lost);
                }
            }
            Content::Sound(_) => {}
        }
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
        let first_timestamp = body.get_i64();
        // Newest timestamp, producer's id, epoch and sequence: not needed.
        body.advance(8 + 8 + 2 + 4);
        Some(Self {
            last,
            attributes,
            first_timestamp,
            count: body.get_i32(),
            records: body,
        })
    }

    /// Appends the records at or above `from`; answers the offsets that could not be read.
    fn records_from(
        self,
        base: i64,
        from: Offset,
        records: &mut Vec<Record>,
    ) -> Option<Range<Offset>> {
        let behind = Offset(self.last).next();
        let mut readable = from.max(Offset(base));
        let Some(mut body) = decompressed(self.attributes, self.records) else {
            return Some(readable..behind);
        };
        for _ in 0..self.count {
            let Some(record) = record(&mut body, base, self.first_timestamp) else {
                return Some(readable..behind).filter(|lost| !lost.is_empty());
            };
            if record.offset >= from {
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
    Some(Record {
        offset: Offset(offset),
        timestamp: timestamp_of(timestamp),
        key,
        value,
        headers,
    })
}

/// A record's timestamp in milliseconds, if it has one.
pub(super) fn timestamp_of(millis: i64) -> Option<WallMs> {
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

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::records::{
        Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
        Record as Written, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };

    use super::*;

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    fn batch(offsets: &[i64], compression: Compression, control: bool) -> BytesMut {
        let written: Vec<Written> = offsets
            .iter()
            .map(|offset| Written {
                transactional: control,
                control,
                delete_horizon: false,
                partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
                producer_id: NO_PRODUCER_ID,
                producer_epoch: NO_PRODUCER_EPOCH,
                sequence: i32::try_from(*offset).expect("small"),
                timestamp_type: TimestampType::Creation,
                offset: *offset,
                timestamp: 1_000 + offset,
                key: (offset % 2 == 0).then(|| Bytes::from_static(b"key")),
                value: Some(Bytes::from(format!("value {offset}"))),
                headers: [("zz".into(), None)].into(),
            })
            .collect();
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions {
            version: 2,
            compression,
        };
        RecordBatchEncoder::encode(&mut bytes, &written, &options).expect("encode");
        bytes
    }

    fn sealed(mut batch: BytesMut) -> BytesMut {
        let checksum = crc32c::crc32c(&batch[PREFIX_BYTES + UNCHECKED_BYTES..]);
        batch[17..21].copy_from_slice(&checksum.to_be_bytes());
        batch
    }

    fn joined(batches: &[BytesMut]) -> Bytes {
        batches.concat().into()
    }

    fn offsets(fetched: &Fetched) -> Vec<i64> {
        fetched
            .records
            .iter()
            .map(|record| record.offset.0)
            .collect()
    }

    #[test]
    fn a_null_header_value_is_read_in_every_compression() {
        for codec in CODECS {
            let bytes = joined(&[batch(&[7, 8, 9], codec, false)]);
            let fetched = read(bytes, Offset(8), Offset(10)).expect("whole");
            assert_eq!(offsets(&fetched), [8, 9], "{codec:?}");
            assert_eq!((fetched.next, fetched.unreadable.len()), (Offset(10), 0));
            assert_eq!(
                fetched.records[0],
                Record {
                    offset: Offset(8),
                    timestamp: Some(WallMs(1_008)),
                    key: Some(Bytes::from_static(b"key")),
                    value: Some(Bytes::from_static(b"value 8")),
                    headers: vec![("zz".to_owned(), Bytes::new())],
                }
            );
        }
    }

    #[test]
    fn a_header_key_that_is_not_text_is_kept_lossily() {
        let mut bytes = batch(&[3], Compression::None, false);
        let at = bytes.windows(2).position(|two| two == b"zz").expect("key");
        bytes[at] = 0xff;
        let fetched = read(joined(&[sealed(bytes)]), Offset(3), Offset(4)).expect("whole");
        assert_eq!(fetched.records[0].headers[0].0, "\u{fffd}z");
    }

    #[test]
    fn a_marker_is_passed_and_is_not_unreadable() {
        let bytes = joined(&[
            batch(&[0, 1], Compression::None, false),
            batch(&[2], Compression::None, true),
            batch(&[3], Compression::None, false),
        ]);
        let fetched = read(bytes, Offset(0), Offset(4)).expect("whole");
        assert_eq!(offsets(&fetched), [0, 1, 3]);
        assert_eq!((fetched.next, fetched.unreadable), (Offset(4), vec![]));
    }

    #[test]
    fn a_damaged_batch_costs_its_own_offsets_only() {
        let mut damaged = batch(&[2, 3, 4], Compression::None, false);
        *damaged.last_mut().expect("a byte") ^= 1;
        let bytes = joined(&[
            batch(&[0, 1], Compression::None, false),
            damaged,
            batch(&[5], Compression::None, false),
        ]);
        let fetched = read(bytes, Offset(0), Offset(6)).expect("whole");
        assert_eq!(offsets(&fetched), [0, 1, 5]);
        assert_eq!(fetched.unreadable, [Offset(2)..Offset(5)]);
        assert_eq!(fetched.next, Offset(6));
    }

    #[test]
    fn a_damaged_last_offset_is_not_believed() {
        for delta in [i32::MAX, -1] {
            let mut damaged = batch(&[2, 3, 4], Compression::None, false);
            damaged[23..27].copy_from_slice(&delta.to_be_bytes());
            let alone = read(joined(&[damaged.clone()]), Offset(2), Offset(6)).expect("whole");
            assert_eq!((alone.next, alone.records), (Offset(3), vec![]));
            let bytes = joined(&[damaged, batch(&[5], Compression::None, false)]);
            let fetched = read(bytes, Offset(2), Offset(6)).expect("whole");
            assert_eq!(offsets(&fetched), [5]);
            assert_eq!(fetched.unreadable, [Offset(2)..Offset(5)]);
        }
    }

    #[test]
    fn what_is_before_a_broken_record_is_kept() {
        let mut broken = batch(&[0, 1, 2], Compression::None, false);
        let at = broken.windows(7).position(|bytes| bytes == b"value 1");
        let at = at.expect("a value");
        // The length of the value, now far beyond the batch.
        broken[at - 1] = 0x7e;
        let fetched = read(joined(&[sealed(broken)]), Offset(0), Offset(3)).expect("whole");
        assert_eq!(offsets(&fetched), [0]);
        assert_eq!(fetched.unreadable, [Offset(1)..Offset(3)]);
    }

    #[test]
    fn nothing_before_the_end_leads_to_the_end_and_a_part_of_a_batch_nowhere() {
        let fetched = read(Bytes::new(), Offset(3), Offset(9)).expect("nothing");
        assert_eq!(fetched.next, Offset(9));
        let fetched = read(Bytes::new(), Offset(9), Offset(9)).expect("nothing");
        assert_eq!(fetched.next, Offset(9));
        let part = batch(&[0, 1], Compression::None, false)
            .freeze()
            .slice(..70);
        assert!(read(part, Offset(0), Offset(2)).is_none());
    }
}
