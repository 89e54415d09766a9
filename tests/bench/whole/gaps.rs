//! How long the service pauses between an answer to a fetch and its next fetch on that connection,
//! as a proxy before the broker sees both: what the broker waits for is not in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a proxy has noted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    answered_by_connection: BTreeMap<usize, Instant>,
    pauses: Vec<Duration>,
}

impl Gaps {
    /// Notes what passes on a connection: a piece of an answer, or a request.
    pub(crate) fn note(&self, connection: usize, answer: bool, piece: &[u8]) {
        let (mut noted, now) = (self.0.lock().unwrap(), Instant::now());
        if answer {
            noted.answered_by_connection.insert(connection, now);
        // Length, then the kind of request.
        } else if piece.get(4..6) == Some(&FETCH) {
            let answered = noted.answered_by_connection.remove(&connection);
            noted.pauses.extend(answered.map(|at| now - at));
        }
    }

    /// The longest one while something goes on, and what 999 of 1,000 are within, in milliseconds.
    pub(crate) fn while_ms(&self, meanwhile: impl FnOnce()) -> [f64; 2] {
        *self.0.lock().unwrap() = Noted::default();
        meanwhile();
        let mut pauses = std::mem::take(&mut self.0.lock().unwrap().pauses);
        assert!(pauses.len() >= 1_000, "{} fetches went through the proxy", pauses.len());
        pauses.sort_unstable();
        let last = pauses.len() - 1;
        [last, last * 999 / 1_000].map(|at| pauses[at].as_secs_f64() * 1e3)
    }
}

/// The key of `Fetch`.
const FETCH: [u8; 2] = [0, 1];
