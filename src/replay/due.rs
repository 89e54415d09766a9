//! What one tick publishes, collected from all shards and handed out in the order of the tokens:
//! shards keep theirs in an order of their own. The memory is used again from tick to tick.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::DefaultHashBuilder;

use crate::domain::aggregate::{Aggregate, ExtendedFigures, Figures};
use crate::domain::emission::Emission;
use crate::domain::time::Second;
use crate::domain::token::TokenHash;
use crate::pipeline::engine::Engine;

/// The aggregates of one tick.
#[derive(Debug, Default)]
pub struct Due {
    end: Second,
    rows: Vec<Row>,
    tokens: String,
    figures: Vec<Figures>,
    extended: Vec<ExtendedFigures>,
    marks: DefaultHashBuilder,
}

#[derive(Debug)]
struct Row {
    token: Range<usize>,
    hash: TokenHash,
    figures: Range<usize>,
    extended: Range<usize>,
}

impl Due {
    /// Takes what the tick of this second publishes of every shard, in place of what was here.
    pub fn collect(&mut self, engine: &mut Engine, tick: Second, emission: &Emission) {
        self.rows.clear();
        self.tokens.clear();
        self.figures.clear();
        self.extended.clear();
        for shard in 0..engine.count() {
            if emission.is_always_whole() {
                engine.due(shard, tick, |aggregate| self.push(aggregate));
                continue;
            }
            engine.due_marked(shard, tick, |before, aggregate| {
                let mark = self.marks.hash_one((aggregate.windows, aggregate.extended));
                if emission.is_whole(tick) || before != Some(mark) {
                    self.push(aggregate);
                }
                mark
            });
        }
        let Self { rows, tokens, .. } = self;
        rows.sort_unstable_by_key(|row| tokens.get(row.token.clone()));
    }

    /// The aggregates, by token.
    pub fn iter(&self) -> impl Iterator<Item = Aggregate<'_>> {
        self.rows.iter().filter_map(|row| {
            Some(Aggregate {
                token: self.tokens.get(row.token.clone())?,
                hash: row.hash,
                end: self.end,
                windows: self.figures.get(row.figures.clone())?,
                extended: self.extended.get(row.extended.clone())?,
            })
        })
    }

    fn push(&mut self, aggregate: &Aggregate<'_>) {
        self.end = aggregate.end;
        let (token, figures) = (self.tokens.len(), self.figures.len());
        let extended = self.extended.len();
        self.tokens.push_str(aggregate.token);
        self.figures.extend_from_slice(aggregate.windows);
        self.extended.extend_from_slice(aggregate.extended);
        self.rows.push(Row {
            token: token..self.tokens.len(),
            hash: aggregate.hash,
            figures: figures..self.figures.len(),
            extended: extended..self.extended.len(),
        });
    }
}
