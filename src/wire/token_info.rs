//! What `token-info` says: an object or an array of them, with `Token`, `Symbol` and `Name` in
//! either spelling. And how a name is stored. An element that says nothing usable is passed over.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::name::TokenName;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::time::WallMs;
use crate::domain::trade::MAX_TOKEN_BYTES;

/// The longest symbol or name that is shown.
pub const MAX_NAME_BYTES: usize = 256;

/// Hands every usable element to `each`: token, symbol, name. Answers how many were not.
pub fn decode(value: &[u8], mut each: impl FnMut(&str, String, String)) -> u64 {
    let elements: Result<Vec<&RawValue>, _> = match value.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(value),
        _ => serde_json::from_slice(value).map(|single| vec![single]),
    };
    let Ok(elements) = elements else { return 1 };
    let mut unusable = 0;
    for element in elements {
        // A derived reader would take an array for the fields in their order.
        let object = Some(element.get()).filter(|element| element.starts_with('{'));
        match object.map(serde_json::from_str::<Info>).transpose() {
            Ok(Some(Info { token, symbol, name })) if fits(&token, &symbol, &name) => {
                each(&token, symbol.unwrap_or_default(), name.unwrap_or_default());
            }
            _ => unusable += 1,
        }
    }
    unusable
}

/// A name as it is stored.
#[must_use]
pub fn encode_stored(name: &TokenName) -> String {
    let (WallMs(at_ms), position) = name.said;
    let stored = Stored {
        symbol: name.symbol.clone(),
        name: name.name.clone(),
        at_ms,
        partition: position.partition.0,
        offset: position.offset.0,
        index: position.index,
    };
    serde_json::to_string(&stored).unwrap_or_default()
}

/// A stored name; `None` where the text is something else.
#[must_use]
pub fn decode_stored(text: &[u8]) -> Option<TokenName> {
    let Stored { symbol, name, at_ms, partition, offset, index } =
        serde_json::from_slice(text).ok()?;
    let (partition, offset) = (Partition(partition), Offset(offset));
    Some(TokenName { symbol, name, said: (WallMs(at_ms), Position { partition, offset, index }) })
}

#[derive(Deserialize)]
struct Info {
    #[serde(alias = "Token")]
    token: String,
    #[serde(alias = "Symbol", default)]
    symbol: Option<String>,
    #[serde(alias = "Name", default)]
    name: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Stored {
    symbol: String,
    name: String,
    at_ms: i64,
    partition: i32,
    offset: i64,
    index: u32,
}

fn fits(token: &str, symbol: &Option<String>, name: &Option<String>) -> bool {
    let short = |text: &Option<String>| text.as_ref().is_none_or(|t| t.len() <= MAX_NAME_BYTES);
    (1..=MAX_TOKEN_BYTES).contains(&token.len()) && short(symbol) && short(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &str) -> (Vec<(String, String, String)>, u64) {
        let mut found = Vec::new();
        let unusable = decode(value.as_bytes(), |token, symbol, name| {
            found.push((token.to_owned(), symbol, name));
        });
        (found, unusable)
    }

    fn one(token: &str, symbol: &str, name: &str) -> (String, String, String) {
        (token.to_owned(), symbol.to_owned(), name.to_owned())
    }

    #[test]
    fn both_spellings_are_read_alone_and_in_arrays() {
        let value = r#"{"Token":"a","Symbol":"A","Name":"Alpha","Decimals":9}"#;
        assert_eq!(decoded(value), (vec![one("a", "A", "Alpha")], 0));
        let value = r#" [{"token":"b","name":"B \"x\""},{"token":"c","symbol":null}]"#;
        assert_eq!(decoded(value), (vec![one("b", "", "B \"x\""), one("c", "", "")], 0));
    }

    #[test]
    fn what_is_unusable_is_counted_and_costs_nothing_else() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let value =
            format!(r#"[1,{{"token":""}},{{"token":"a","name":"{long}"}},{{"token":"b"}}]"#);
        assert_eq!(decoded(&value), (vec![one("b", "", "")], 3));
        assert_eq!(decoded("{"), (vec![], 1));
    }

    #[test]
    fn an_array_in_place_of_an_object_is_unusable() {
        assert_eq!(
            decoded(r#"[["a","A","Alpha"],["b"],{"token":"c"}]"#),
            (vec![one("c", "", "")], 2)
        );
    }

    #[test]
    fn a_stored_name_comes_back() {
        let position = Position { partition: Partition(2), offset: Offset(7), index: 1 };
        let said = (WallMs(5), position);
        let name = TokenName { symbol: "Ω".to_owned(), name: "\"".to_owned(), said };
        assert_eq!(decode_stored(encode_stored(&name).as_bytes()), Some(name));
        assert_eq!(decode_stored(b"{}"), None);
    }
}
