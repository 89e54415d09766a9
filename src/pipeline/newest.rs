//! A queue with one place for each token: a newer thing takes the place of an older one that still
//! waits. So it is never longer than there are tokens. Found by the token's hash, which everything
//! in it brings along.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::domain::token::TokenHash;

/// What is said of one token.
pub(super) trait OfToken {
    /// The token's hash.
    fn hash(&self) -> TokenHash;

    /// The token's address.
    fn token(&self) -> &[u8];
}

/// The newest of each token, in the order in which the tokens came.
#[derive(Debug)]
pub(super) struct Newest<T> {
    queue: VecDeque<T>,
    /// The number of what is in front. Those behind have the next ones, so a number is a place.
    first: u64,
    number_by_hash: HashTable<u64>,
}

impl<T: OfToken> Newest<T> {
    pub(super) fn new() -> Self {
        // In the middle: things are put back in front, too.
        let (queue, first, number_by_hash) = (VecDeque::new(), u64::MAX / 2, HashTable::new());
        Self { queue, first, number_by_hash }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// What waits for the token of `like`.
    pub(super) fn get_mut(&mut self, like: &T) -> Option<&mut T> {
        let Self { queue, first, number_by_hash } = self;
        let number = number_by_hash.find(spread(like.hash()), |number| {
            let waits = queue.get(place(*first, *number));
            waits.is_some_and(|waits| waits.token() == like.token())
        })?;
        queue.get_mut(place(*first, *number))
    }

    /// Adds what nothing waits for the token of, behind.
    pub(super) fn push_back(&mut self, thing: T) {
        let number = self.first + self.queue.len() as u64;
        let hash = thing.hash();
        self.queue.push_back(thing);
        self.number(number, hash);
    }

    /// Adds what nothing waits for the token of, in front.
    pub(super) fn push_front(&mut self, thing: T) {
        self.first -= 1;
        let hash = thing.hash();
        self.queue.push_front(thing);
        self.number(self.first, hash);
    }

    /// Takes the first.
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let thing = self.queue.pop_front()?;
        let (number, hash) = (self.first, spread(thing.hash()));
        if let Ok(entry) = self.number_by_hash.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        self.first += 1;
        Some(thing)
    }

    /// Takes the first, if it is a wanted one.
    pub(super) fn pop_front_if(&mut self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        self.queue.front().is_some_and(wanted).then(|| self.pop_front())?
    }

    fn number(&mut self, number: u64, hash: TokenHash) {
        let Self { queue, first, number_by_hash } = self;
        let rehash = |number: &u64| {
            queue.get(place(*first, *number)).map_or(0, |waits| spread(waits.hash()))
        };
        number_by_hash.insert_unique(spread(hash), number, rehash);
    }
}

fn place(first: u64, number: u64) -> usize {
    usize::try_from(number.wrapping_sub(first)).unwrap_or(usize::MAX)
}

/// Tokens of a lane share the bits that chose it: multiply, so that the table's bits differ.
const fn spread(hash: TokenHash) -> u64 {
    (hash.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A token of few, of which some share a hash, and the number of what is said.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Said(u8, u32);

    impl OfToken for Said {
        fn hash(&self) -> TokenHash {
            TokenHash(u32::from(self.0 / 3))
        }

        fn token(&self) -> &[u8] {
            std::slice::from_ref(&self.0)
        }
    }

    proptest! {
        #[test]
        fn it_is_a_queue_in_which_each_token_is_found(
            steps in prop::collection::vec((0_u8..3, 0_u8..20), 0..400),
        ) {
            let (mut newest, mut model) = (Newest::new(), VecDeque::<Said>::new());
            for (number, (step, token)) in (0..).zip(steps) {
                let said = Said(token, number);
                let known = model.iter_mut().find(|older| older.0 == token);
                match (step, newest.get_mut(&said), known) {
                    (0, found, _) => {
                        prop_assert_eq!(found.is_some(), model.iter().any(|one| one.0 == token));
                        prop_assert_eq!(newest.pop_front(), model.pop_front());
                    }
                    (_, Some(older), Some(known)) => {
                        prop_assert_eq!(&*older, &*known);
                        (*older, *known) = (said.clone(), said);
                    }
                    (1, None, None) => {
                        newest.push_back(said.clone());
                        model.push_back(said);
                    }
                    (_, None, None) => {
                        newest.push_front(said.clone());
                        model.push_front(said);
                    }
                    (_, found, known) => prop_assert!(false, "{:?} and {:?}", found, known),
                }
                prop_assert_eq!(newest.len(), model.len());
            }
        }
    }
}
