//! Buffers that are used again. Fresh memory of some megabytes comes from the system page by page,
//! each cleared by the kernel: that would cost more than decoding what is read into it.
//!
//! A [`Pooled`] thing goes back when it is dropped, wherever that is, and the one that went back
//! last is taken first: it is still in the cache. What is kept is bounded in bytes, and given up
//! when only little has been asked for during a while.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What needs less is made and dropped as it comes: the allocator has it at hand, and a buffer of
/// megabytes would be wasted on it.
pub const SMALL_BYTES: usize = 64 << 10;

/// So many small needs in a row mean that the loud hour is over. A partition with nothing new has
/// two a second.
const QUIET: u32 = 64;

/// What can be used again.
pub trait Reusable: Default {
    /// The memory that it holds.
    fn bytes(&self) -> usize;

    /// Forgets what is in it, and keeps the memory.
    fn clear(&mut self);
}

/// Things that wait for their next use.
pub struct Pool<T> {
    kept: Mutex<Kept<T>>,
    limit: usize,
}

struct Kept<T> {
    things: Vec<T>,
    bytes: usize,
    small_in_a_row: u32,
}

/// A thing that goes back to its pool, if it has one.
#[derive(Default)]
pub struct Pooled<T: Reusable> {
    thing: T,
    pool: Option<Arc<Pool<T>>>,
}

impl<T: Reusable> Pool<T> {
    /// An empty one that keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        let kept = Kept { things: Vec::new(), bytes: 0, small_in_a_row: 0 };
        Arc::new(Self { kept: Mutex::new(kept), limit })
    }

    /// A thing with nothing in it, for about so many bytes.
    #[must_use]
    pub fn take(self: &Arc<Self>, bytes: usize) -> Pooled<T> {
        if bytes < SMALL_BYTES {
            self.rest();
            return Pooled { thing: T::default(), pool: None };
        }
        let thing = self.lock().take().unwrap_or_default();
        Pooled { thing, pool: Some(Arc::clone(self)) }
    }

    /// Nothing is needed just now.
    pub fn rest(&self) {
        let mut kept = self.lock();
        kept.small_in_a_row = kept.small_in_a_row.saturating_add(1);
        if kept.small_in_a_row >= QUIET {
            (kept.things, kept.bytes) = (Vec::new(), 0);
        }
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn put(&self, mut thing: T) {
        thing.clear();
        let bytes = thing.bytes();
        let mut kept = self.lock();
        if kept.bytes + bytes <= self.limit {
            kept.bytes += bytes;
            kept.things.push(thing);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Reusable> Kept<T> {
    fn take(&mut self) -> Option<T> {
        self.small_in_a_row = 0;
        let thing = self.things.pop()?;
        self.bytes -= thing.bytes();
        Some(thing)
    }
}

impl<T: Reusable> Drop for Pooled<T> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put(std::mem::take(&mut self.thing));
        }
    }
}

impl<T: Reusable> Deref for Pooled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T: Reusable> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.thing
    }
}

impl<T: Reusable + fmt::Debug> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.thing.fmt(f)
    }
}

impl<T: Reusable> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("bytes", &self.bytes()).field("limit", &self.limit).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Reusable for Vec<u8> {
        fn bytes(&self) -> usize {
            self.capacity()
        }

        fn clear(&mut self) {
            Self::clear(self);
        }
    }

    const LARGE: usize = 1 << 20;

    fn used(pool: &Arc<Pool<Vec<u8>>>) -> Pooled<Vec<u8>> {
        let mut buffer = pool.take(LARGE);
        buffer.resize(LARGE, 7);
        buffer
    }

    #[test]
    fn what_was_given_back_last_is_taken_first_and_empty() {
        let pool = Pool::new(4 * LARGE);
        let (first, second) = (used(&pool), used(&pool));
        let place = second.as_ptr();
        drop(first);
        drop(second);
        let again = pool.take(LARGE);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, LARGE));
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let pool = Pool::new(2 * LARGE);
        drop([used(&pool), used(&pool), used(&pool)]);
        assert_eq!(pool.bytes(), 2 * LARGE);
    }

    #[test]
    fn all_is_given_up_after_a_quiet_while_and_not_during_a_loud_one() {
        let pool = Pool::new(4 * LARGE);
        drop(used(&pool));
        for _ in 0..3 {
            (1..QUIET).for_each(|_| drop(pool.take(SMALL_BYTES - 1)));
            assert_eq!(pool.bytes(), LARGE);
            drop(pool.take(LARGE));
        }
        (0..QUIET).for_each(|_| pool.rest());
        assert_eq!(pool.bytes(), 0);
    }
}
