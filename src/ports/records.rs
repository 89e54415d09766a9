//! The records of one fetch as one object: the bytes in two buffers, and for each record an entry
//! that says where its parts stand. So a record costs no allocation and no reference count; who
//! needs one for longer than the fetch makes an owned [`Record`] of it.
//!
//! The buffers are the answer of a broker, as it came, and what was decompressed of it. A [`Place`]
//! counts through both, the answer first.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::domain::position::Offset;
use crate::domain::time::WallMs;
use crate::pool::{Pooled, Reusable};

/// One record of the input, by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp; `None` where it has none.
    pub timestamp: Option<WallMs>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<(String, Bytes)>,
}

/// The records of one fetch, in offset order.
pub type Records = Pooled<Content>;

/// What [`Records`] hold; goes back to its pool with them.
#[derive(Debug, Default)]
pub struct Content {
    /// A broker's answer.
    pub answer: Area,
    /// What was decompressed of it; of records that were built one by one, all.
    pub bodies: Area,
    /// A record each, in offset order.
    pub entries: Vec<Entry>,
    /// Names and values of their headers.
    pub headers: Vec<(Place, Place)>,
}

/// Where some bytes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The first of them.
    pub start: u32,
    /// How many they are; [`Place::NULL`] has `u32::MAX`.
    pub length: u32,
}

/// Where one record's parts stand.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp; `None` where it has none.
    pub timestamp: Option<WallMs>,
    /// Its key.
    pub key: Place,
    /// Its value.
    pub value: Place,
    /// Its headers, among all.
    pub headers: Range<u32>,
}

/// A record of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    content: &'a Content,
    entry: &'a Entry,
}

/// Bytes that are written from the front. Whatever was in it once stays initialised, so nothing is
/// zeroed twice.
#[derive(Debug, Default)]
pub struct Area {
    bytes: BytesMut,
    filled: usize,
}

impl Place {
    /// No bytes, not even none.
    pub const NULL: Self = Self { start: 0, length: u32::MAX };

    /// `length` bytes from `start` on. No buffer is as large as 4 GiB.
    #[must_use]
    pub fn at(start: usize, length: usize) -> Self {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX - 1);
        Self { start: number(start), length: number(length) }
    }

    /// As a range of what begins at `base`; `None` for a null, or where it stands before.
    #[must_use]
    pub fn range_from(self, base: usize) -> Option<Range<usize>> {
        let start = usize::try_from(self.start).ok()?.checked_sub(base)?;
        let length = usize::try_from(self.length).ok()?;
        (self != Self::NULL).then_some(start..start + length)
    }
}

impl Content {
    /// How many records there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One of the records.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<RecordView<'_>> {
        Some(RecordView { content: self, entry: self.entries.get(at)? })
    }

    /// The last of them.
    #[must_use]
    pub fn last(&self) -> Option<RecordView<'_>> {
        Some(RecordView { content: self, entry: self.entries.last()? })
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordView<'_>> {
        self.entries.iter().map(|entry| RecordView { content: self, entry })
    }

    /// All of them, by themselves.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Record> {
        self.iter().map(RecordView::to_record).collect()
    }

    /// Where places end.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.answer.filled + self.bodies.filled
    }

    /// What stands at a place; `None` for a null.
    #[must_use]
    pub fn bytes(&self, place: Place) -> Option<&[u8]> {
        match place.range_from(self.answer.filled) {
            Some(range) => self.bodies.filled().get(range),
            None => self.answer.filled().get(place.range_from(0)?),
        }
    }

    fn push(&mut self, record: &Record) {
        let headers = self.headers.len();
        for (name, value) in &record.headers {
            let place = (self.copy(name.as_bytes()), self.copy(value));
            self.headers.push(place);
        }
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let entry = Entry {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_ref().map_or(Place::NULL, |key| self.copy(key)),
            value: record.value.as_ref().map_or(Place::NULL, |value| self.copy(value)),
            headers: number(headers)..number(self.headers.len()),
        };
        self.entries.push(entry);
    }

    fn copy(&mut self, bytes: &[u8]) -> Place {
        let place = Place::at(self.end(), bytes.len());
        self.bodies.room(bytes.len()).copy_from_slice(bytes);
        self.bodies.fill(bytes.len());
        place
    }
}

impl Reusable for Content {
    fn bytes(&self) -> usize {
        let index = self.entries.capacity() * size_of::<Entry>();
        self.answer.bytes.capacity() + self.bodies.bytes.capacity() + index
    }

    fn clear(&mut self) {
        self.answer.filled = 0;
        self.bodies.filled = 0;
        self.entries.clear();
        self.headers.clear();
    }
}

impl<'a> RecordView<'a> {
    /// Its offset.
    #[must_use]
    pub const fn offset(self) -> Offset {
        self.entry.offset
    }

    /// Its timestamp; `None` where it has none.
    #[must_use]
    pub const fn timestamp(self) -> Option<WallMs> {
        self.entry.timestamp
    }

    /// Its value; `None` is a tombstone.
    #[must_use]
    pub fn value(self) -> Option<&'a [u8]> {
        self.content.bytes(self.entry.value)
    }

    /// Where its value stands.
    #[must_use]
    pub const fn place(self) -> Place {
        self.entry.value
    }

    /// The record by itself, with a copy of all but its value. A header's name that is not text is
    /// kept lossily, a null value of one is empty.
    #[must_use]
    pub fn without_value(self) -> Record {
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let Entry { offset, timestamp, key, ref headers, .. } = *self.entry;
        let headers = self.content.headers.get(number(headers.start)..number(headers.end));
        let bytes = |place| self.content.bytes(place).unwrap_or_default();
        let header = |(name, value): &(Place, Place)| {
            let name = String::from_utf8_lossy(bytes(*name)).into_owned();
            (name, Bytes::copy_from_slice(bytes(*value)))
        };
        Record {
            offset,
            timestamp,
            key: self.content.bytes(key).map(Bytes::copy_from_slice),
            value: None,
            headers: headers.unwrap_or_default().iter().map(header).collect(),
        }
    }

    /// The record by itself, with a copy of all.
    #[must_use]
    pub fn to_record(self) -> Record {
        Record { value: self.value().map(Bytes::copy_from_slice), ..self.without_value() }
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut content = Self::default();
        records.into_iter().for_each(|record| content.push(&record));
        content
    }
}

impl From<Vec<Record>> for Records {
    fn from(records: Vec<Record>) -> Self {
        records.into_iter().collect()
    }
}

impl Area {
    /// What was written.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Room for `length` bytes behind it, with anything in it.
    pub fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.filled..end).unwrap_or_default()
    }

    /// So many bytes of the room were written.
    pub fn fill(&mut self, length: usize) {
        self.filled = (self.filled + length).min(self.bytes.len());
    }

    /// How many bytes could be written without more memory.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.bytes.len() - self.filled
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Only the first `length` bytes were written.
    pub fn truncate(&mut self, length: usize) {
        self.filled = self.filled.min(length);
    }

    /// Lends what was written to `read` as [`Bytes`]; of those it keeps none.
    pub fn lend<T>(&mut self, read: impl FnOnce(Bytes) -> T) -> T {
        let whole = std::mem::take(&mut self.bytes).freeze();
        let said = read(whole.slice(..self.filled));
        // Not copied: nobody else has a part of it any more.
        self.bytes = whole.into();
        said
    }
}
