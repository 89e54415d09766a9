//! What `token-info` says, and names as they are stored.

use aggregator_service::domain::name::TokenName;
use aggregator_service::domain::position::Position;
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::trade::MAX_TOKEN_BYTES;
use aggregator_service::wire::token_info::{MAX_NAME_BYTES, decode, decode_stored, encode_stored};

use super::json;

/// Every usable element as the slow reading has it, the others counted; each name comes back as it
/// was stored; no bytes in Redis do harm.
pub fn token_info(value: &[u8]) {
    let mut said = Vec::new();
    let unusable = decode(value, |token, symbol, name| {
        said.push((token.to_owned(), symbol, name));
    });
    let expected = expected(value);
    let usable: Vec<_> = expected.iter().flatten().cloned().collect();
    assert_eq!(said, usable);
    assert_eq!(unusable, u64::try_from(expected.len() - usable.len()).expect("few"));
    for (at, (_, symbol, name)) in (i64::MIN..).zip(said) {
        let name = TokenName { symbol, name, said: (WallMs(at), Position::default()) };
        assert_eq!(decode_stored(encode_stored(&name).as_bytes()), Some(name));
    }
    if let Some(name) = decode_stored(value) {
        assert_eq!(decode_stored(encode_stored(&name).as_bytes()), Some(name));
    }
}

type Name = (String, String, String);

fn expected(value: &[u8]) -> Vec<Option<Name>> {
    let text = std::str::from_utf8(value).ok();
    let Some(whole) = text.and_then(json::whole) else { return vec![None] };
    let elements = json::elements(whole).unwrap_or_else(|| vec![whole]);
    elements.into_iter().map(element).collect()
}

/// A field that comes twice, in whichever spelling, makes an element unusable; a name of a field
/// that is no text, too.
fn element(element: &str) -> Option<Name> {
    let fields = json::fields(element)?;
    let field = |pascal: &str, snake: &str| -> Result<Option<String>, ()> {
        let ours =
            |name: &Option<String>| name.as_deref().is_some_and(|n| n == pascal || n == snake);
        let mut found = fields.iter().filter(|(name, _)| ours(name)).map(|(_, value)| *value);
        match (found.next(), found.next()) {
            (None, _) | (Some("null"), None) => Ok(None),
            (Some(value), None) => json::text(value).map(Some).ok_or(()),
            (Some(_), Some(_)) => Err(()),
        }
    };
    if fields.iter().any(|(name, _)| name.is_none()) {
        return None;
    }
    let short = |text: &String| text.len() <= MAX_NAME_BYTES;
    let token = field("Token", "token").ok()??;
    let symbol = field("Symbol", "symbol").ok()?.unwrap_or_default();
    let name = field("Name", "name").ok()?.unwrap_or_default();
    let fits = (1..=MAX_TOKEN_BYTES).contains(&token.len()) && short(&symbol) && short(&name);
    fits.then_some((token, symbol, name))
}
