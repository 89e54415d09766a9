//! Record batches as they stand in the log, taken one by one, so that none spoils the others: a
//! transaction marker is passed, so is what was aborted, and a batch that nobody can read is
//! reported by its offsets. Pure; the same bytes give the same answer.

use std::collections::BTreeSet;
use std::ops::Range;

use super::batch::{Batch, Content, Cursor, Index, Indexed, Sound};
use crate::domain::position::Offset;
use crate::ports::{Fetched, Records, records};

/// The most that is decompressed of one fetch: what a broker takes as one batch is a few megabytes,
/// and trades shrink to a tenth at best.
const BODIES_BYTES: usize = 256 << 20;

/// What a broker sent for an offset.
#[derive(Debug, Default)]
pub struct Batches {
    /// The answer, and no record yet.
    pub records: Records,
    /// Where whole record batches stand in it, perhaps a cut-off one behind them; the first one
    /// holds the offset.
    pub place: Range<usize>,
    /// The last stable offset.
    pub end: Offset,
    /// The aborted transactions among them: first offset and producer.
    pub aborted: Vec<(Offset, i64)>,
}

/// The aborted transactions of some batches, followed from batch to batch.
struct Aborted {
    /// Those that begin further on, the next one last.
    coming: Vec<(Offset, i64)>,
    /// Producers that are inside one.
    inside: BTreeSet<i64>,
}

/// How far batches have been read.
struct Progress {
    next: Offset,
    end: Offset,
    unreadable: Vec<Range<Offset>>,
    aborted: Aborted,
}

impl Aborted {
    fn new(mut coming: Vec<(Offset, i64)>) -> Self {
        coming.sort_unstable_by(|left, right| right.cmp(left));
        Self { coming, inside: BTreeSet::new() }
    }

    /// Whether the next batch of the log was aborted.
    fn holds(&mut self, batch: &Sound) -> bool {
        while let Some((_, producer)) =
            self.coming.pop_if(|(first, _)| *first <= Offset(batch.last))
        {
            self.inside.insert(producer);
        }
        if batch.is_marker() {
            self.inside.remove(&batch.producer);
            return false;
        }
        batch.is_transactional() && self.inside.contains(&batch.producer)
    }
}

impl Batches {
    /// What stands at `from`: records, unreadable ranges, and where to go on. `None` where the
    /// broker sent a part of a batch only.
    #[must_use]
    pub fn read(self, from: Offset) -> Option<Fetched> {
        self.read_within(from, BODIES_BYTES)
    }

    fn read_within(self, from: Offset, limit: usize) -> Option<Fetched> {
        let Self { mut records, place, end, aborted } = self;
        if place.is_empty() {
            // The broker sends the first batch whole whatever its size: there is none before `end`.
            return Some(Fetched { next: from.max(end), end, ..Fetched::default() });
        }
        let aborted = Aborted::new(aborted);
        let mut progress = Progress { next: from, end, unreadable: Vec::new(), aborted };
        let records::Content { answer, bodies, entries, headers } = &mut *records;
        let mut index = Index { bodies, limit, entries, headers };
        let mut rest = Cursor::new(answer.filled(), place)?;
        let mut batches = 0;
        while let Some(batch) = Batch::split_off(&mut rest) {
            batches += 1;
            if !progress.add(&batch, answer.len(), &mut index) {
                break;
            }
        }
        let Progress { next, unreadable, .. } = progress;
        (batches > 0).then_some(Fetched { records, unreadable, next, end })
    }
}

impl Progress {
    /// Adds a batch to what was read; it is the next one in the log. False where there is no room
    /// for it: it is fetched again.
    fn add(&mut self, batch: &Batch<'_>, before: usize, index: &mut Index<'_>) -> bool {
        let from = self.next;
        // A gap right behind a damaged batch: its header told too little.
        if let Some(lost) = self.unreadable.last_mut()
            && lost.end == from
            && lost.end.0 < batch.base
            && batch.base < self.end.0
        {
            lost.end = Offset(batch.base);
        }
        match &batch.content {
            Content::Damaged { last } => {
                // One step where the header cannot be right: the broker finds what is next.
                let behind = Offset(*last).next();
                let told = from < behind && behind <= self.end;
                self.next = if told { behind } else { from.next() };
                self.unreadable.push(from..self.next);
            }
            Content::Sound(sound) => {
                let left_out = self.aborted.holds(sound) || sound.is_marker();
                if Offset(sound.last) < from {
                    return true;
                }
                if !left_out {
                    match sound.index(batch.base, from, before, index) {
                        Indexed::All => {}
                        Indexed::Lost(range) => self.unreadable.push(range),
                        Indexed::NoRoom => return false,
                    }
                }
                self.next = Offset(sound.last).next();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
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
        written(offsets, compression, control, None)
    }

    /// A batch of a producer's transaction, or its marker.
    fn transactional(offset: i64, producer: i64, control: bool) -> BytesMut {
        written(&[offset], Compression::None, control, Some(producer))
    }

    fn written(
        offsets: &[i64],
        compression: Compression,
        control: bool,
        producer: Option<i64>,
    ) -> BytesMut {
        let written: Vec<Written> = offsets
            .iter()
            .map(|offset| Written {
                transactional: control || producer.is_some(),
                control,
                delete_horizon: false,
                partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
                producer_id: producer.unwrap_or(NO_PRODUCER_ID),
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

    fn read(bytes: Bytes, from: Offset, end: Offset) -> Option<Fetched> {
        batches(&bytes, end, Vec::new()).read(from)
    }

    fn batches(bytes: &[u8], end: Offset, aborted: Vec<(Offset, i64)>) -> Batches {
        let mut records = Records::default();
        records.answer.room(bytes.len()).copy_from_slice(bytes);
        records.answer.fill(bytes.len());
        Batches { records, place: 0..bytes.len(), end, aborted }
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
        fetched.records.iter().map(|record| record.offset().0).collect()
    }

    #[test]
    fn a_null_header_value_is_read_in_every_compression() {
        for codec in CODECS {
            let bytes = joined(&[batch(&[7, 8, 9], codec, false)]);
            let fetched = read(bytes, Offset(8), Offset(10)).expect("whole");
            assert_eq!(offsets(&fetched), [8, 9], "{codec:?}");
            assert_eq!((fetched.next, fetched.unreadable.len()), (Offset(10), 0));
            assert_eq!(
                fetched.records.to_vec()[0],
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
        assert_eq!(fetched.records.to_vec()[0].headers[0].0, "\u{fffd}z");
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
    fn what_was_aborted_is_passed_and_what_stands_between_it_is_read() {
        let bytes = joined(&[
            transactional(0, 7, false),
            transactional(1, 8, false),
            batch(&[2], Compression::None, false),
            transactional(3, 8, true),
            transactional(4, 7, false),
            transactional(5, 7, true),
            transactional(6, 7, false),
            transactional(7, 7, true),
            transactional(8, 8, false),
        ]);
        // 7 aborted its first transaction and committed its second, 8 the other way round.
        let aborted = vec![(Offset(8), 8), (Offset(0), 7)];
        let batches = || batches(&bytes, Offset(9), aborted.clone());
        let fetched = batches().read(Offset(0)).expect("whole");
        assert_eq!(offsets(&fetched), [1, 2, 6]);
        assert_eq!((fetched.next, fetched.unreadable), (Offset(9), vec![]));
        let fetched = batches().read(Offset(4)).expect("whole");
        assert_eq!(offsets(&fetched), [6]);
    }

    #[test]
    fn a_timestamp_that_the_broker_set_is_the_batches_own() {
        let mut stamped = batch(&[0, 1], Compression::None, false);
        stamped[22] |= 1 << 3;
        stamped[35..43].copy_from_slice(&5_000_i64.to_be_bytes());
        let fetched = read(joined(&[sealed(stamped)]), Offset(0), Offset(2)).expect("whole");
        let stamps: Vec<_> = fetched.records.iter().map(|record| record.timestamp()).collect();
        assert_eq!(stamps, [Some(WallMs(5_000)); 2]);
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
            assert_eq!((alone.next, alone.records.len()), (Offset(3), 0));
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
    fn what_there_is_no_room_for_is_left_to_the_next_fetch_and_alone_it_is_lost() {
        let bytes = joined(&[
            batch(&[0], Compression::None, false),
            batch(&[1], Compression::Zstd, false),
            batch(&[2, 3, 4], Compression::Zstd, false),
            batch(&[5], Compression::Zstd, false),
        ]);
        let read = |from, limit| {
            let fetched = batches(&bytes, Offset(6), Vec::new()).read_within(from, limit);
            let fetched = fetched.expect("whole");
            (offsets(&fetched), fetched.next, fetched.unreadable)
        };
        let all = vec![0, 1, 2, 3, 4, 5];
        assert_eq!(read(Offset(0), 1_000), (all, Offset(6), vec![]));
        assert_eq!(read(Offset(0), 30), (vec![0, 1], Offset(2), vec![]));
        assert_eq!(read(Offset(2), 30), (vec![5], Offset(6), vec![Offset(2)..Offset(5)]));
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
