//! Symbols and names of tokens: the newest of each wins, and there is a bound on how many.

use hashbrown::HashMap;

use super::position::Position;
use super::time::WallMs;

/// What `token-info` said of a token, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenName {
    /// Its symbol; may be empty.
    pub symbol: String,
    /// Its name; may be empty.
    pub name: String,
    /// The record's timestamp, then its place: the greatest is the newest.
    pub said: (WallMs, Position),
}

/// The names of many tokens.
#[derive(Debug)]
pub struct Names {
    name_by_token: HashMap<Box<str>, TokenName>,
    most: usize,
}

impl Names {
    /// No names yet, and room for `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { name_by_token: HashMap::new(), most }
    }

    /// Takes a name in, if it is newer than what is known. True if anything changed.
    pub fn learn(&mut self, token: &str, name: TokenName) -> bool {
        let full = self.name_by_token.len() >= self.most;
        match self.name_by_token.get_mut(token) {
            Some(known) if known.said >= name.said => false,
            Some(known) => {
                *known = name;
                true
            }
            None if full => false,
            None => {
                self.name_by_token.insert(token.into(), name);
                true
            }
        }
    }

    /// What is known of a token.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<&TokenName> {
        self.name_by_token.get(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(at: i64, symbol: &str) -> TokenName {
        let symbol = symbol.to_owned();
        TokenName { symbol, said: (WallMs(at), Position::default()), ..TokenName::default() }
    }

    #[test]
    fn the_newest_wins_in_whatever_order_they_are_read() {
        let mut names = Names::new(2);
        assert!(names.learn("a", said(2, "NEW")));
        assert!(!names.learn("a", said(1, "OLD")));
        assert!(!names.learn("a", said(2, "AGAIN")));
        assert_eq!(names.get("a").map(|name| name.symbol.as_str()), Some("NEW"));
    }

    #[test]
    fn at_the_bound_known_tokens_are_still_renamed() {
        let mut names = Names::new(1);
        assert!(names.learn("a", said(1, "A")));
        assert!(!names.learn("b", said(1, "B")));
        assert!(names.learn("a", said(2, "AA")));
        assert!(names.get("b").is_none());
    }
}
