//! Loads a shard from its changelog, page by page, into its final form.

use crate::domain::shard::Shard;
use crate::domain::time::Second;
use crate::domain::token::ShardId;
use crate::ports::{CheckpointError, Page};
use crate::sabotage::Bug;
use crate::wire::checkpoint::{self, CodecError, Entry};

/// How far a shard's changelog reaches.
pub(super) struct Reach {
    /// The last tick that was published.
    pub(super) published: Second,
    /// How far the clock had gone.
    pub(super) latest: Second,
}

/// Loads a shard's changelog into it, page by page.
pub(super) async fn load<F>(
    id: ShardId,
    shard: &mut Shard,
    page: impl Fn(Option<String>) -> F,
) -> Result<Reach, CheckpointError>
where
    F: Future<Output = Result<Page, CheckpointError>>,
{
    let mut cursor = None;
    let mut reach: Option<Reach> = None;
    loop {
        let page = page(cursor).await?;
        let skipped = page.cursor.is_some() && Bug::PageSkipped.on();
        for blob in &page.blobs {
            // An error ends the load, and what was restored goes with the shard.
            let entry = checkpoint::decode(blob, |pane| {
                if !skipped {
                    // Decoded where it is wanted alone.
                    let extended = pane.extended.filter(|_| shard.is_extended());
                    let extended = extended.map(|it| it.pane(&pane.pane.sums));
                    shard.restore(pane.token, pane.second, &pane.pane, extended);
                }
            });
            let Entry { positions, published, latest } =
                entry.map_err(|cause| unreadable(id, cause))?;
            for (partition, next) in positions {
                shard.restart(partition, next);
            }
            let before = reach.unwrap_or(Reach { published, latest });
            reach = Some(Reach {
                published: before.published.max(published),
                latest: before.latest.max(latest),
            });
        }
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    reach.ok_or_else(|| CheckpointError::Damaged { shard: id, cause: "no entry".to_owned() })
}

fn unreadable(shard: ShardId, cause: CodecError) -> CheckpointError {
    match cause {
        CodecError::UnknownVersion(found) if found > checkpoint::NEWEST => {
            let known = u32::from(checkpoint::NEWEST);
            CheckpointError::NewerFormat { shard, found: u32::from(found), known }
        }
        CodecError::UnknownVersion(_)
        | CodecError::Checksum
        | CodecError::Truncated
        | CodecError::Malformed(_) => CheckpointError::Damaged { shard, cause: cause.to_string() },
    }
}
