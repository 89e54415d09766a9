//! What changed since the last flush: the places of panes, with their tokens' slots. A flush takes
//! them token by token, so that each is looked up once and its entry names it once; and a token's
//! in the order of their seconds, as they lie.

use super::amount::Amount;
use super::extended::{Cursor, Extended, ExtendedPane};
use super::pane::Pane;
use super::shard::Shard;
use super::store::{PaneRef, PaneStore};
use super::time::Second;

/// The panes that changed, each once.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<(u32, PaneRef)>);

/// So few changes are not looked through for those that have expired.
const MANY: usize = 1_024;
/// A flush looks so many changes ahead for their tokens and panes.
const AHEAD: usize = 12;

impl Shard {
    /// How many changes are noted: never many more than there are live panes.
    #[must_use]
    pub const fn noted_changes(&self) -> usize {
        self.changes.0.len()
    }

    /// Whether anything changed since [`take_changes`](Self::take_changes).
    #[must_use]
    pub const fn has_changes(&self) -> bool {
        !self.changes.0.is_empty()
    }

    /// The panes that changed since it was last called, whole, with their tokens and seconds: token
    /// by token, seconds ascending; and with what the extended figures have of them. Those that
    /// expired meanwhile are not among them, but the last ones of tokens whose closing is owed are.
    pub fn take_changes(
        &mut self,
        mut each: impl FnMut(&str, Second, &Pane, Option<&ExtendedPane>),
    ) {
        let Self { tokens, panes, owed, extended, changes: Changes(changes), .. } = self;
        owed.take().for_each(|(token, second, pane)| each(token, second, &pane, None));
        changes.sort_unstable();
        let (mut of, mut address) = (None, "");
        let (mut cursor, mut known) = (Cursor::default(), ExtendedPane::unknown(0, Amount::ZERO));
        for (at, (slot, place)) in changes.iter().enumerate() {
            if let Some((slot, place)) = changes.get(at + AHEAD) {
                tokens.prefetch_token(*slot);
                panes.prefetch(*place);
            }
            let Some(pane) = panes.take_change(*place) else { continue };
            if of.replace(slot) != Some(slot) {
                address = tokens.get(*slot).map_or("", |token| token.address.as_str());
                extended.iter_mut().for_each(|extended| extended.gather(*slot));
                cursor = Cursor::default();
            }
            let second = place.second();
            let tell = |it: &Extended| it.pane(*slot, second, &mut cursor, &mut known);
            let is_known = extended.as_ref().is_some_and(tell);
            each(address, second, &pane, is_known.then_some(&known));
        }
        let noted = changes.len();
        changes.clear();
        changes.shrink_to(2 * noted.max(MANY));
    }
}

impl Changes {
    /// A pane has changed that had not.
    pub(crate) fn note(&mut self, slot: u32, place: PaneRef) {
        self.0.push((slot, place));
    }

    /// So many panes are left, after the horizon: with the checkpoint away for long, most of what
    /// changed has gone again.
    pub(crate) fn expire(&mut self, horizon: Second, live: usize) {
        if self.0.len() > 2 * live + MANY {
            self.0.retain(|(_, place)| place.second() > horizon);
            self.0.shrink_to(2 * self.0.len());
        }
    }

    /// Tokens have moved to other slots.
    pub(crate) fn moved(&mut self, panes: &PaneStore) {
        let slot = |(_, place): &(u32, PaneRef)| Some((panes.slot(*place)?, *place));
        self.0 = self.0.iter().filter_map(slot).collect();
    }

    /// Bytes that there is memory for.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u32, PaneRef)>()
    }
}
