//! Record batches as they stand in the log, taken one by one, so that none spoils the others:
//! what `rskafka` refuses is read, a transaction marker is passed, and a batch that nobody can
//! read is reported by its offsets. Pure; the same bytes give the same answer.

use bytes::Bytes;

use super::batch::{Batch, Content};
use crate::domain::position::Offset;
use crate::ports::Fetched;

/// What stands at `from`: records, unreadable ranges, and where to go on. `bytes` are the batches
/// that the broker sent for `from`, `end` its last stable offset. `None` where it sent a part of
/// a batch only.
pub(super) fn read(mut bytes: Bytes, from: Offset, end: Offset) -> Option<Fetched> {
    let mut fetched = Fetched { next: from, end, ..Fetched::default() };
    if bytes.is_empty() {
        // The broker sends the first batch whole whatever its size: there is none before `end`.
        fetched.next = from.max(end);
        return Some(fetched);
    }
    let mut batches = 0;
    while let Some(batch) = Batch::split_off(&mut bytes) {
        add(batch, &mut fetched);
        batches += 1;
    }
    (batches > 0).then_some(fetched)
}

/// Adds a batch to what was read; it is the next one in the log.
fn add(batch: Batch, fetched: &mut Fetched) {
    let from = fetched.next;
    // A gap right behind a damaged batch: its header told too little.
    if let Some(lost) = fetched.unreadable.last_mut()
        && lost.end == from
        && lost.end.0 < batch.base
        && batch.base < fetched.end.0
    {
        lost.end = Offset(batch.base);
    }
    match batch.content {
        Content::Damaged { last } => {
            // One step where the header cannot be right: the broker finds what is next.
            let behind = Offset(last).next();
            let told = from < behind && behind <= fetched.end;
            fetched.next = if told { behind } else { from.next() };
            fetched.unreadable.push(from..fetched.next);
        }
        Content::Sound(sound) if Offset(sound.last) >= from => {
            fetched.next = Offset(sound.last).next();
            if !sound.is_marker() {
                let lost = sound.records_from(batch.base, from, &mut fetched.records);
                fetched.unreadable.extend(lost);
            }
        }
        Content::Sound(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::records::{
        Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
        Record as Written, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };

    use super::*;
    use crate::domain::time::WallMs;
    use crate::kafka::batch::{PREFIX_BYTES, UNCHECKED_BYTES};
    use crate::ports::Record;

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
        let options = RecordEncodeOptions { version: 2, compression };
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
        fetched.records.iter().map(|record| record.offset.0).collect()
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
        let part = batch(&[0, 1], Compression::None, false).freeze().slice(..70);
        assert!(read(part, Offset(0), Offset(2)).is_none());
    }
}
