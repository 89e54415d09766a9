//! `check`'s judgement: facts in, findings out. Pure: who asks, and for how long, is `cli::check`'s
//! matter. A finding says what is, what that means here, and what to do.

pub mod brokers;
pub mod host;
pub mod redis;
pub mod report;
pub mod topics;
pub mod units;

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it belongs.
    pub group: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub about: String,
    /// What is.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and will not in some event.
    Warn,
    /// The service cannot do its work.
    Fail,
}

/// The findings of one group.
#[derive(Debug)]
pub struct Findings {
    group: &'static str,
    list: Vec<Finding>,
}

impl Findings {
    /// None yet.
    #[must_use]
    pub const fn of(group: &'static str) -> Self {
        Self { group, list: Vec::new() }
    }

    /// As it should be.
    pub fn ok(&mut self, about: &str, says: impl Into<String>) {
        self.add(Level::Ok, about, says.into(), None);
    }

    /// It works, and will not in some event.
    pub fn warn(&mut self, about: &str, says: impl Into<String>, todo: impl Into<String>) {
        self.add(Level::Warn, about, says.into(), Some(todo.into()));
    }

    /// The service cannot do its work.
    pub fn fail(&mut self, about: &str, says: impl Into<String>, todo: impl Into<String>) {
        self.add(Level::Fail, about, says.into(), Some(todo.into()));
    }

    /// All of them.
    #[must_use]
    pub fn into_list(self) -> Vec<Finding> {
        self.list
    }

    fn add(&mut self, level: Level, about: &str, says: String, todo: Option<String>) {
        self.list.push(Finding { group: self.group, level, about: about.to_owned(), says, todo });
    }
}

/// The names of the groups, in the order in which they are shown.
pub const CONFIGURATION: &str = "configuration";
/// Brokers.
pub const KAFKA: &str = "Kafka";
/// Topics.
pub const TOPICS: &str = "topics";
/// Redis.
pub const REDIS: &str = "Redis";
/// The schema registry.
pub const REGISTRY: &str = "schema registry";
/// Where we run.
pub const HOST: &str = "this host";
