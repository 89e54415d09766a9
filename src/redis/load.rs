//! Reading a shard's changelog page by page, up to the entry that was the last when it began.
//! Pure: what to ask for and what an answer means. A changelog that does not reach that entry is
//! never taken for a whole one, nor are pages of two: with each it is asked which snapshot it began
//! with.

use bytes::Bytes;
use fred::types::Value;

use crate::ports::Page;

/// What the meta key says of a changelog.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) token: String,
    sequence: String,
    last: String,
    snapshot: String,
}

impl Meta {
    /// Of the answer to `HMGET tok seq lastid snap`; `None` where a field is missing.
    pub(super) fn of(answer: Value) -> Option<Self> {
        let mut fields = answer.into_array().into_iter();
        let mut field = || fields.next().and_then(Value::into_string);
        let (token, sequence, last) = (field()?, field()?, field()?);
        Some(Self { token, sequence, last, snapshot: field().unwrap_or_else(no_snapshot) })
    }

    /// Where reading begins; `None` where nothing was ever written.
    pub(super) fn cursor(self) -> Option<Cursor> {
        let Self { sequence, last, snapshot, .. } = self;
        let (from, count) = ("-".to_owned(), FIRST_COUNT);
        (sequence != "0").then_some(Cursor { from, last, count, snapshot })
    }
}

/// A place in a changelog.
#[derive(Debug)]
pub(super) struct Cursor {
    from: String,
    last: String,
    count: usize,
    /// The number of the snapshot that the changelog began with; 0: none.
    snapshot: String,
}

impl Cursor {
    /// Of the text that a page gave out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(str::to_owned);
        let (from, last) = (words.next()?, words.next()?);
        let count = words.next()?.parse().ok()?;
        Some(Self { from, last, count, snapshot: words.next()?.to_owned() })
    }

    /// The arguments of `XRANGE`.
    pub(super) fn range(&self, key: &str) -> Vec<Value> {
        let (from, last) = (self.from.as_str(), self.last.as_str());
        let count = Value::from(self.count.to_string());
        vec![key.into(), from.into(), last.into(), "COUNT".into(), count]
    }

    fn after(&self, id: &str, bytes: usize) -> String {
        let fitting = self.count.saturating_mul(PAGE_BYTES) / bytes.max(1);
        let count = fitting.clamp(1, self.count.saturating_mul(COUNT_GROWTH).min(MAX_COUNT));
        format!("({id} {} {count} {}", self.last, self.snapshot)
    }
}

/// The page of an answer to [`Cursor::range`], and to `HGET snap` after it; or what is wrong with
/// it.
pub(super) fn read_page(
    cursor: &Cursor,
    answer: Value,
    snapshot: Value,
) -> Result<Page, &'static str> {
    if snapshot.into_string().unwrap_or_else(no_snapshot) != cursor.snapshot {
        return Err("it was written anew meanwhile");
    }
    let entries = answer.into_array().into_iter().map(entry);
    let entries: Option<Vec<(String, Bytes)>> = entries.collect();
    let entries = entries.ok_or("an entry is not of our making")?;
    let Some((id, _)) = entries.last() else {
        return Err("its last entry is missing");
    };
    let bytes = entries.iter().map(|(_, blob)| blob.len()).sum();
    let next = (*id != cursor.last).then(|| cursor.after(id, bytes));
    let blobs = entries.into_iter().map(|(_, blob)| blob).filter(|blob| !blob.is_empty());
    Ok(Page { blobs: blobs.collect(), cursor: next })
}

/// The blob of an answer with one entry at most.
pub(super) fn newest_blob(answer: Value) -> Result<Option<Bytes>, &'static str> {
    let first = answer.into_array().into_iter().next().map(entry);
    first.map(|one| one.map(|(_, blob)| blob).ok_or("an entry is not of our making")).transpose()
}

fn no_snapshot() -> String {
    "0".to_owned()
}

/// `[id, [field, blob]]`
fn entry(value: Value) -> Option<(String, Bytes)> {
    let mut entry = value.into_array().into_iter();
    let id = entry.next()?.into_string()?;
    let blob = entry.next()?.into_array().into_iter().nth(1)?.into_bytes()?;
    Some((id, blob))
}

/// Aimed at, per page: a round trip is then small beside the transfer, and memory is bounded.
const PAGE_BYTES: usize = 4 << 20;
/// Entries of the first page, when their size is not known yet.
const FIRST_COUNT: usize = 16;
/// A page of small entries says little about the next: grow step by step.
const COUNT_GROWTH: usize = 2;
/// At most, so that small entries before large ones do not make a page huge.
const MAX_COUNT: usize = 1_024;
