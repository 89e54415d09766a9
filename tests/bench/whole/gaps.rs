//! When the service asks the broker for more: the longest time between two requests to fetch on one
//! connection, as a proxy before the broker sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a proxy has noted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    last_by_connection: BTreeMap<usize, Instant>,
    longest: Duration,
}

impl Gaps {
    /// Notes what a client has sent on a connection.
    pub(crate) fn note(&self, connection: usize, sent: &[u8]) {
        // Length, then the kind of request.
        if sent.get(4..6) != Some(&FETCH) {
            return;
        }
        let mut noted = self.0.lock().unwrap();
        let now = Instant::now();
        if let Some(before) = noted.last_by_connection.insert(connection, now) {
            noted.longest = noted.longest.max(now - before);
        }
    }

    /// The longest one while something goes on.
    pub(crate) fn longest_while(&self, meanwhile: impl FnOnce()) -> Duration {
        *self.0.lock().unwrap() = Noted::default();
        meanwhile();
        let noted = self.0.lock().unwrap();
        assert!(!noted.last_by_connection.is_empty(), "nobody fetched through the proxy");
        noted.longest
    }
}

/// The key of `Fetch`.
const FETCH: [u8; 2] = [0, 1];
