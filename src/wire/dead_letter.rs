//! Dead letters: what could not be counted, as it came, with headers that say where it stood and
//! why it was rejected. Decides nothing.

use bytes::Bytes;

use crate::domain::position::Partition;
use crate::domain::reject::Reason;
use crate::domain::time::WallMs;
use crate::ports::{Header, Message, Record};

/// What the added headers' names begin with.
const PREFIX: &str = "aggregator.errors.";

/// One rejected thing.
#[derive(Clone, Debug)]
pub struct DeadLetter<'a> {
    /// The topic it was read from.
    pub topic: &'a str,
    /// The partition it was read from.
    pub partition: Partition,
    /// Its record; for an unreadable one all but the offset is empty.
    pub record: &'a Record,
    /// Place in the record's array; `None` for a whole value.
    pub index: Option<u32>,
    /// The rejected bytes; `None` where nobody could read them.
    pub value: Option<Bytes>,
    /// Why.
    pub reason: Reason,
    /// Why, for people.
    pub message: &'a str,
}

impl DeadLetter<'_> {
    /// The message for the dead-letter topic. The record's own headers stay, but for those that an
    /// earlier rejection added. All is copied: a slice would keep its whole batch in memory for as
    /// long as the letter waits.
    #[must_use]
    pub fn into_message(self, now: WallMs) -> Message {
        let own = self.record.headers.iter();
        let own = own.filter(|(name, _)| !name.starts_with(PREFIX));
        let mut headers: Vec<_> =
            own.map(|(name, value)| (name.clone().into(), Bytes::copy_from_slice(value))).collect();
        headers.extend(self.headers());
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let (key, value) = (self.record.key.as_ref().map(copy), self.value.as_ref().map(copy));
        Message { key, value, common: None, headers, timestamp: now }
    }

    fn headers(&self) -> impl Iterator<Item = Header> {
        [
            ("topic", Some(self.topic.to_owned())),
            ("partition", Some(self.partition.to_string())),
            ("offset", Some(self.record.offset.to_string())),
            ("timestamp", self.record.timestamp.map(|at| at.0.to_string())),
            ("index", self.index.map(|index| index.to_string())),
            ("reason", Some(self.reason.name().to_owned())),
            ("message", Some(self.message.to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((format!("{PREFIX}{name}").into(), Bytes::from(text?))))
    }
}
