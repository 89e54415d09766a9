//! The Lua scripts and how they are run: by hash, with their source where a node does not know
//! them yet (a new node, a restart, a failover). All keys of one run lie in one slot.

use std::sync::LazyLock;

use fred::types::Value;

use super::client::{Call, Client, SendError};

/// Tries every command.
pub(super) static ADMISSION: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("admission.lua")));
/// Takes a shard over.
pub(super) static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("claim.lua")));
/// Appends an entry.
pub(super) static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("append.lua")));
/// Replaces the changelog by a snapshot.
pub(super) static REPLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("replace.lua")));
/// Writes messages to the query view.
pub(super) static VIEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("view.lua")));

/// A script and its hash.
#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    sha: String,
}

/// One run of a script.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) keys: Vec<Value>,
    pub(super) args: Vec<Value>,
}

impl Script {
    fn new(source: &'static str) -> Self {
        let sha = fred::util::sha1_hash(source);
        Self { source, sha }
    }

    /// Runs the script once for each of `runs`, in one round trip (two where it was not known);
    /// an answer for each.
    pub(super) async fn run(&self, client: &Client, runs: &[Run]) -> Vec<Result<Value, SendError>> {
        let by_hash = runs.iter().map(|run| run.call("EVALSHA", &self.sha));
        let mut answers = client.send(by_hash.collect()).await;
        let (unknown, again): (Vec<usize>, Vec<Call>) = answers
            .iter()
            .zip(runs)
            .enumerate()
            .filter(|(_, (answer, _))| is_unknown(answer))
            .map(|(index, (_, run))| (index, run.call("EVAL", self.source)))
            .unzip();
        if !again.is_empty() {
            for (index, answer) in unknown.into_iter().zip(client.send(again).await) {
                if let Some(slot) = answers.get_mut(index) {
                    *slot = answer;
                }
            }
        }
        answers
    }
}

impl Run {
    fn call(&self, command: &'static str, script: &str) -> Call {
        let count = i64::try_from(self.keys.len()).unwrap_or(i64::MAX);
        let mut args = Vec::with_capacity(2 + self.keys.len() + self.args.len());
        args.extend([Value::from(script), Value::from(count)]);
        args.extend(self.keys.iter().chain(&self.args).cloned());
        Call::keyed(command, FIRST_KEY, args)
    }
}

fn is_unknown(answer: &Result<Value, SendError>) -> bool {
    matches!(answer, Err(error) if error.says("NOSCRIPT"))
}

/// Where the first key stands among a script call's arguments: after the script and the count.
const FIRST_KEY: usize = 2;
