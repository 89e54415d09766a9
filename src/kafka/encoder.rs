//! Messages to one record batch, as "Record Batch" and "Record" in Kafka's protocol guide have it
//! (<https://kafka.apache.org/documentation/#recordbatch>): format 2, Snappy. Pure. Its
//! memory is used again from batch to batch, all but the bytes that it hands out; the general
//! encoder of `kafka-protocol` takes new memory for each record and each block.
//!
//! Snappy stands in the frames of snappy-java, which Kafka's own clients write and read: a head,
//! then blocks of their own, each behind its length.

use std::fmt;

use bytes::{BufMut, Bytes};
use rskafka::client::error::ProtocolError;
use snap::raw::max_compress_len;

use super::batch::{PREFIX_BYTES, UNCHECKED_BYTES};
use super::connect::KafkaError;
use crate::domain::time::WallMs;
use crate::ports::Message;

/// The only batch format since Kafka 0.11.
const MAGIC: i8 = 2;

/// Attributes: Snappy, timestamps of creation, no transaction.
const SNAPPY: i16 = 2;

/// Leader epoch, producer id, epoch and sequence of a batch that has none.
const NONE: i8 = -1;

/// Head of snappy-java's frames: magic, version, the oldest version that can read it.
const FRAMES: &[u8; 16] = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";

/// Bytes of a block. Its table of what was seen fits the nearest cache: a fifth faster than blocks
/// of 32 kB, for a tenth more bytes (measured with five windows a message).
const BLOCK: usize = 8 << 10;

/// A value is brought near while so many messages before it are compressed: with many active tokens
/// it was made long ago.
const AHEAD: usize = 4;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Turns messages into batches.
pub struct Encoder {
    records: Vec<u8>,
    block: Vec<u8>,
    snappy: snap::raw::Encoder,
}

impl Encoder {
    /// An encoder that has no memory yet but for one block.
    #[must_use]
    pub fn new() -> Self {
        let block = vec![0; max_compress_len(BLOCK)];
        Self { records: Vec::new(), block, snappy: snap::raw::Encoder::new() }
    }

    /// One batch.
    ///
    /// # Errors
    /// It would be larger than a batch can be.
    pub fn encode(&mut self, messages: &[Message]) -> Result<Bytes, KafkaError> {
        let times = || messages.iter().map(|message| message.timestamp.0);
        let (first, newest) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let values = messages.iter().flat_map(|message| &message.value).map(Bytes::len);
        let mut batch = Vec::with_capacity(HEADER_BYTES + values.sum::<usize>() / 2);
        batch.put_i64(0); // the broker counts from where the log ends
        batch.put_i32(0); // the length, below
        batch.put_i32(NONE.into());
        batch.put_i8(MAGIC);
        batch.put_u32(0); // the checksum, below
        batch.put_i16(SNAPPY);
        let count = i32::try_from(messages.len()).map_err(too_large)?;
        batch.put_i32(count.saturating_sub(1)); // offset of the last, from the first
        batch.put_i64(first);
        batch.put_i64(newest);
        batch.put_i64(NONE.into());
        batch.put_i16(NONE.into());
        batch.put_i32(NONE.into());
        batch.put_i32(count);
        self.compress(&mut batch, first, messages)?;
        let length = i32::try_from(batch.len() - PREFIX_BYTES).map_err(too_large)?;
        let checked = batch.get(PREFIX_BYTES + UNCHECKED_BYTES..).unwrap_or_default();
        let checksum = crc32c::crc32c(checked);
        put_at(&mut batch, LENGTH_AT, length.to_be_bytes());
        put_at(&mut batch, CHECKSUM_AT, checksum.to_be_bytes());
        Ok(batch.into())
    }

    /// Block by block: no more records stand ready than fill one, and those are in the nearest
    /// cache.
    fn compress(
        &mut self,
        batch: &mut Vec<u8>,
        first: i64,
        messages: &[Message],
    ) -> Result<(), KafkaError> {
        let Self { records, block, snappy } = self;
        batch.put_slice(FRAMES);
        let mut compress = |records: &[u8]| {
            // Neither too large nor without room: it answers always.
            let length = snappy.compress(records, block).map_err(too_large)?;
            batch.put_u32(u32::try_from(length).map_err(too_large)?);
            batch.put_slice(block.get(..length).unwrap_or_default());
            Ok(())
        };
        records.clear();
        for (place, (at, message)) in (0..).zip(messages).enumerate() {
            let later = messages.get(place + AHEAD).and_then(|later| later.value.as_ref());
            later
                .into_iter()
                .flat_map(|value| value.iter().step_by(LINE))
                .for_each(memfn::prefetch);
            record(records, at, first, message);
            let whole = records.len() - records.len() % BLOCK;
            if whole > 0 {
                records
                    .get(..whole)
                    .unwrap_or_default()
                    .chunks(BLOCK)
                    .try_for_each(&mut compress)?;
                records.drain(..whole);
            }
        }
        records.chunks(BLOCK).try_for_each(compress)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("room", &self.records.capacity()).finish_non_exhaustive()
    }
}

/// Where the length and the checksum stand.
const LENGTH_AT: usize = 8;
const CHECKSUM_AT: usize = 17;

/// What stands before the records.
const HEADER_BYTES: usize = 61;

fn put_at(batch: &mut [u8], at: usize, bytes: [u8; 4]) {
    if let Some(place) = batch.get_mut(at..at + 4) {
        place.copy_from_slice(&bytes);
    }
}

/// A batch that brokers would refuse, too: it is split.
fn too_large<E>(_: E) -> KafkaError {
    KafkaError::Broker(ProtocolError::MessageTooLarge)
}

/// Appends a record: `at` is its place, `first` the batch's first timestamp.
fn record(out: &mut Vec<u8>, at: i64, first: i64, message: &Message) {
    let Message { key, value, timestamp: WallMs(timestamp), .. } = message;
    let later = timestamp.wrapping_sub(first);
    let (key, value) = (key.as_deref(), value.as_deref());
    let (mut headers, mut of_headers) = (0, 0);
    message.all_headers().for_each(|(name, value)| {
        headers += 1;
        of_headers += bytes_size(Some(name.as_bytes())) + bytes_size(Some(value));
    });
    let size = ATTRIBUTES.len()
        + number_size(later)
        + number_size(at)
        + bytes_size(key)
        + bytes_size(value)
        + number_size(headers)
        + of_headers;
    number(out, length(size));
    out.extend_from_slice(ATTRIBUTES);
    number(out, later);
    number(out, at);
    bytes(out, key);
    bytes(out, value);
    number(out, headers);
    message.all_headers().for_each(|(name, value)| {
        bytes(out, Some(name.as_bytes()));
        bytes(out, Some(value));
    });
}

/// A record's attributes: none is in use.
const ATTRIBUTES: &[u8] = &[0];

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Bytes behind their length; a null has the length −1.
fn bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    number(out, bytes.map_or(-1, |bytes| length(bytes.len())));
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn bytes_size(bytes: Option<&[u8]>) -> usize {
    let length = bytes.map_or(-1, |bytes| length(bytes.len()));
    number_size(length) + bytes.map_or(0, <[u8]>::len)
}

/// Seven bits a byte, least first, zigzag.
fn number(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest > 0x7f {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

fn number_size(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or(usize::MAX)
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::{Compression, RecordBatchDecoder};

    use super::*;

    /// The records as `kafka-protocol` reads them. One encoder writes all batches.
    #[test]
    fn another_decoder_reads_what_was_written() {
        let mut encoder = Encoder::new();
        for count in [1, 2, 50, 300] {
            let messages: Vec<_> = (0..count).map(message).collect();
            let mut batch = encoder.encode(&messages).unwrap();
            let set = RecordBatchDecoder::decode(&mut batch).unwrap();
            assert_eq!((set.version, set.compression), (2, Compression::Snappy));
            assert!(batch.is_empty(), "the length is right");
            assert_eq!(set.records.len(), messages.len());
            for ((at, record), message) in (0..).zip(&set.records).zip(&messages) {
                let headers = record
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string().into(), value.clone().unwrap()));
                let read = Message {
                    key: record.key.clone(),
                    value: record.value.clone(),
                    common: None,
                    headers: headers.collect(),
                    timestamp: WallMs(record.timestamp),
                };
                assert_eq!((&read, record.offset), (message, at));
            }
        }
    }

    /// Of every kind: no key, no value, sizes around a length's bytes and a block, times that are
    /// earlier than the first.
    fn message(number: i64) -> Message {
        let size = [0, 1, 63, 64, 8_191, 8_192, 20_000][usize::try_from(number % 7).unwrap()];
        let noise = (0_u32..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()[0]);
        let header = |name: &str| (name.to_owned().into(), Bytes::from(number.to_string()));
        Message {
            key: (number % 3 > 0).then(|| format!("key {number}").into()),
            value: (number % 5 > 0).then(|| noise.collect()),
            common: None,
            headers: ["a", "b", "c"]
                .iter()
                .take(usize::try_from(number % 4).unwrap())
                .map(|n| header(n))
                .collect(),
            timestamp: WallMs(1_750_000_000_000 - number * 977),
        }
    }

    #[test]
    fn sizes_are_those_that_are_written() {
        let ends = (0..63).map(|bits| 1_i64 << bits);
        for value in ends.flat_map(|end| [end - 1, end, -end, -end - 1]) {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out.len(), number_size(value), "{value}");
        }
    }
}
