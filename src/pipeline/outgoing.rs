//! A message on its way to the brokers, with what is known of it, and those that go together. The
//! messages of a batch are lent to the producer and given to the view after it, not copied.

use std::borrow::Cow;

use bytes::Bytes;

use super::newest::OfToken;
use crate::domain::time::Second;
use crate::domain::token::TokenHash;
use crate::ports::Message;

/// A token's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Hash of the token.
    pub hash: TokenHash,
    /// Why it is sent.
    pub cause: Cause,
    /// What to send. Its key is the token's address.
    pub message: Message,
    /// What the view says, where that is not the message's value: the same as JSON.
    pub view: Option<Box<Bytes>>,
    /// Whether a tombstone follows it.
    pub tombstone: bool,
}

impl Outgoing {
    /// How many messages are sent.
    pub(super) const fn count(&self) -> usize {
        1 + self.tombstone as usize
    }
}

impl OfToken for Outgoing {
    fn hash(&self) -> TokenHash {
        self.hash
    }

    fn token(&self) -> &[u8] {
        self.message.key.as_deref().unwrap_or_default()
    }
}

/// Messages that are sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What to send, without tombstones.
    pub messages: Vec<Message>,
    marks: Vec<Mark>,
}

/// What is known of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    hash: TokenHash,
    cause: Cause,
    view: Option<Box<Bytes>>,
    tombstone: bool,
}

impl Batch {
    pub(super) fn new(outgoing: impl Iterator<Item = Outgoing>) -> Self {
        let apart = |Outgoing { hash, cause, message, view, tombstone }| {
            (Mark { hash, cause, view, tombstone }, message)
        };
        let (marks, messages) = outgoing.map(apart).unzip();
        Self { messages, marks }
    }

    /// What the view says of each token: the token's hash and address, then that.
    pub fn into_view(self) -> impl Iterator<Item = (TokenHash, Bytes, Bytes)> {
        let both = self.marks.into_iter().zip(self.messages);
        both.filter_map(|(mark, message)| {
            let view = mark.view.map(|view| *view).or(message.value);
            Some((mark.hash, message.key?, view?))
        })
    }

    /// What to send: the messages, each tombstone right behind its token's.
    pub(super) fn to_send(&self) -> Cow<'_, [Message]> {
        if self.marks.iter().all(|mark| !mark.tombstone) {
            return Cow::Borrowed(&self.messages);
        }
        let mut all = Vec::with_capacity(2 * self.messages.len());
        for (mark, message) in self.marks.iter().zip(&self.messages) {
            all.push(message.clone());
            if mark.tombstone {
                let (value, common, headers) = (None, None, Vec::new());
                all.push(Message { value, common, headers, ..message.clone() });
            }
        }
        Cow::Owned(all)
    }

    /// What it was made of.
    pub(super) fn outgoing(&self) -> impl DoubleEndedIterator<Item = Outgoing> {
        let whole = |(mark, message): (&Mark, &Message)| Outgoing {
            hash: mark.hash,
            cause: mark.cause,
            message: message.clone(),
            view: mark.view.clone(),
            tombstone: mark.tombstone,
        };
        self.marks.iter().zip(self.messages.iter()).map(whole)
    }

    pub(super) fn causes(&self) -> impl Iterator<Item = Cause> {
        self.marks.iter().map(|mark| mark.cause)
    }
}

/// Why a message is sent: a tick, an order, or a tick that came before an order was fulfilled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The tick's second.
    pub tick: Option<Second>,
    /// The order's number.
    pub order: Option<u64>,
}
