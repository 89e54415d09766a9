//! One entry of a shard's checkpoint: the source positions it reaches, the second that was last
//! published, how far the writer's clock had gone, and panes with their absolute values (see
//! `checkpoint_pane`). Written and read here, stored by `redis`. An entry is read in one pass that
//! checks it to the last byte: panes are handed out before the ones behind them have been seen, so
//! whoever takes them drops them again where the end says that it was no entry.
//! An entry is of the standard version unless a pane in it has what the extended figures add
//! (`checkpoint_extended`): so whoever never asked for those can go back to an older program.
//!
//! ```text
//! entry = version:u8 count (partition offset)* published (latest − published) pane* crc32:u32le
//! ```
//!
//! Every version begins with its number and ends with the checksum of what stands before: a
//! damaged entry is never taken for one of another version.

use crate::domain::extended::ExtendedPane;
use crate::domain::pane::Pane;
use crate::domain::position::{Offset, Partition};
use crate::domain::time::Second;

use super::checkpoint_extended as extended;
pub use super::checkpoint_extended::ExtendedAt;
pub use super::checkpoint_pane::PaneAt;
use super::checkpoint_pane::{Before, Written, take_pane, take_partition};
use super::varint::{Reader, put_length, put_signed};

/// The version byte of the layout without extended figures.
pub const VERSION: u8 = 2;
/// The version byte of the layout with them; both are read.
pub const NEWEST: u8 = 3;
/// Partitions with a position are numbered below this: far more than a topic has, and few enough
/// that a shard can keep a place for each.
pub const MAX_PARTITIONS: i32 = 1 << 20;
const CRC_BYTES: usize = 4;
/// What a pane mostly takes, and an address: an entry does not grow on the way.
const PANE_BYTES: usize = 48;
const TOKEN_BYTES: usize = 48;
/// Room is made for so many panes at most; with more, the entry grows.
const ROOM_PANES: usize = 1 << 16;

/// What an entry says beside its panes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Per source partition the next offset expected.
    pub positions: Vec<(Partition, Offset)>,
    /// The end of the windows that were last published.
    pub published: Second,
    /// The latest second that the writer's clock had shown: windows that end before it may lack
    /// panes that had expired by then.
    pub latest: Second,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a later program, or by an earlier one.
    #[error("checkpoint entry of version {0}, only {VERSION} and {NEWEST} can be read")]
    UnknownVersion(u8),
    /// Not the bytes that were written.
    #[error("checkpoint entry with a wrong checksum")]
    Checksum,
    /// It ends too early.
    #[error("checkpoint entry is truncated")]
    Truncated,
    /// A value that nobody writes.
    #[error("checkpoint entry is malformed: {0}")]
    Malformed(&'static str),
}

/// An entry that is being written.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    before: Written,
}

impl Writer {
    /// Begins an entry, with room for so many panes of so many tokens.
    #[must_use]
    pub fn new(
        positions: impl ExactSizeIterator<Item = (Partition, Offset)>,
        published: Second,
        latest: Second,
        panes: usize,
        tokens: usize,
    ) -> Self {
        let room = panes.min(ROOM_PANES) * PANE_BYTES + tokens.min(panes) * TOKEN_BYTES;
        let mut out = Vec::with_capacity(room);
        out.push(VERSION);
        put_length(&mut out, positions.len());
        for (partition, offset) in positions {
            put_signed(&mut out, i64::from(partition.0));
            put_signed(&mut out, offset.0);
        }
        put_signed(&mut out, published.0);
        put_signed(&mut out, latest.0.wrapping_sub(published.0));
        Self { out, before: Written::new(published) }
    }

    /// Adds a pane, with what the extended figures have of it, unless that is unknown.
    #[inline]
    pub fn put(
        &mut self,
        token: &str,
        second: Second,
        pane: &Pane,
        extended: Option<&ExtendedPane>,
    ) {
        let known = extended.filter(|extended| !extended.unknown);
        let write = known.map(|it| move |out: &mut Vec<u8>| extended::put(out, pane, it));
        self.put_with(token, second, pane, write);
    }

    #[inline]
    fn put_with(
        &mut self,
        token: &str,
        second: Second,
        pane: &Pane,
        extended: Option<impl FnOnce(&mut Vec<u8>)>,
    ) {
        if extended.is_some() {
            self.out.first_mut().into_iter().for_each(|version| *version = NEWEST);
        }
        self.before.put_pane(&mut self.out, token, second, pane, extended);
    }

    /// The whole entry.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut out = self.out;
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

/// Writes an entry of these panes.
pub fn encode<'a>(
    positions: &[(Partition, Offset)],
    published: Second,
    latest: Second,
    panes: impl Iterator<Item = PaneAt<'a>>,
) -> Vec<u8> {
    let most = panes.size_hint().1.unwrap_or_default();
    let mut writer = Writer::new(positions.iter().copied(), published, latest, most, most);
    for PaneAt { token, second, pane, extended } in panes {
        let write = extended.map(|it| move |out: &mut Vec<u8>| it.put(out, &pane));
        writer.put_with(token, second, &pane, write);
    }
    writer.finish()
}

/// Reads an entry, wholly; `each` is given its panes, in the order in which they were written.
///
/// # Errors
/// The bytes are not what [`encode`] writes. What `each` was given until then is worth nothing.
pub fn decode<'a>(bytes: &'a [u8], mut each: impl FnMut(&PaneAt<'a>)) -> Result<Entry, CodecError> {
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(CodecError::Truncated)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(CodecError::Checksum);
    }
    let mut reader = Reader(body);
    let version = reader.byte()?;
    if !(VERSION..=NEWEST).contains(&version) {
        return Err(CodecError::UnknownVersion(version));
    }
    let count: usize = reader.number("number of positions")?;
    // Not reserved: the count is not proven until every position was read.
    let mut positions = Vec::new();
    for _ in 0..count {
        let partition = take_partition(&mut reader)?;
        if !(0..MAX_PARTITIONS).contains(&partition.0) {
            return Err(CodecError::Malformed("partition"));
        }
        positions.push((partition, Offset(reader.signed("offset")?)));
    }
    let published = Second(reader.signed("published second")?);
    let latest = Second(published.0.wrapping_add(reader.signed("latest second")?));
    let mut before = Before::new(published, version == NEWEST);
    while !reader.is_empty() {
        each(&take_pane(&mut reader, &mut before)?);
    }
    Ok(Entry { positions, published, latest })
}
