//! What does not work at the moment, by component and by the task that met it: the success of one
//! partition says nothing of another. Of one component the fault that has lasted longest counts.
//! Pure.

use std::collections::BTreeMap;

use crate::domain::time::WallMs;

/// What the service depends on, as `/health` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Reading trades; a source is a partition.
    Kafka,
    /// Publishing aggregates; a source is an output partition.
    Publishing,
    /// Writing the checkpoint; a source is a worker.
    Checkpoint,
    /// Publishing dead letters.
    DeadLetters,
    /// Writing the query view.
    View,
    /// The schema of what is published.
    Registry,
}

/// The source of what concerns a component as a whole.
pub const WHOLE: i32 = -1;

/// What every source last met.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<Component, BTreeMap<i32, Option<Fault>>>);

/// An answer that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// When it was first asked for.
    pub(super) since: WallMs,
    /// What was said instead, where anything was.
    pub(super) cause: Option<String>,
}

impl Component {
    /// Its name on pages and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Publishing => "publishing",
            Self::Checkpoint => "checkpoint",
            Self::DeadLetters => "dead_letters",
            Self::View => "view",
            Self::Registry => "schema_registry",
        }
    }

    /// What is wrong with it, as a reason.
    pub(super) fn because(self, reason: &str) -> String {
        format!("{}: {reason}", self.name())
    }
}

impl Fault {
    /// What was said.
    pub(super) fn words(&self) -> &str {
        self.cause.as_deref().unwrap_or("no answer")
    }
}

impl Faults {
    /// A source waits for an answer, unless it has been waiting for one already.
    pub(super) fn asks(&mut self, component: Component, source: i32, now: WallMs) {
        let fault = self.of(component, source);
        let since = fault.as_ref().map_or(now, |fault| fault.since.min(now));
        let cause = fault.take().and_then(|fault| fault.cause);
        *fault = Some(Fault { since, cause });
    }

    /// A source was told why it does not work.
    pub(super) fn fails(&mut self, component: Component, source: i32, now: WallMs, cause: String) {
        let fault = self.of(component, source);
        // A clock that was set back makes no fault younger than it is.
        let since = fault.as_ref().map_or(now, |fault| fault.since.min(now));
        *fault = Some(Fault { since, cause: Some(cause) });
    }

    /// A source works.
    pub(super) fn works(&mut self, component: Component, source: i32) {
        *self.of(component, source) = None;
    }

    /// Nobody asks this source any more.
    pub(super) fn forget(&mut self, component: Component, source: i32) {
        if let Some(sources) = self.0.get_mut(&component) {
            sources.remove(&source);
        }
    }

    /// Every component that was heard of, with what it was told; of several, the one that has
    /// lasted longest.
    pub(super) fn told(&self) -> impl Iterator<Item = (Component, Option<&Fault>)> {
        self.0.iter().map(|(component, sources)| {
            let told = sources.values().flatten().filter(|fault| fault.cause.is_some());
            (*component, told.min_by_key(|fault| fault.since))
        })
    }

    /// What a component has owed for longest, whether or not it was told why.
    pub(super) fn oldest(&self, component: Component) -> Option<&Fault> {
        self.0.get(&component)?.values().flatten().min_by_key(|fault| fault.since)
    }

    fn of(&mut self, component: Component, source: i32) -> &mut Option<Fault> {
        self.0.entry(component).or_default().entry(source).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: Component = Component::Kafka;

    fn told(faults: &Faults) -> Option<(i64, String)> {
        let fault = faults.told().next()?.1?;
        Some((fault.since.0, fault.cause.clone()?))
    }

    #[test]
    fn the_success_of_one_source_hides_no_failure_of_another_and_the_longest_counts() {
        let mut faults = Faults::default();
        faults.fails(KAFKA, 0, WallMs(20), "zero".to_owned());
        faults.fails(KAFKA, 1, WallMs(10), "one".to_owned());
        faults.works(KAFKA, 2);
        assert_eq!(told(&faults), Some((10, "one".to_owned())));
        faults.works(KAFKA, 1);
        assert_eq!(told(&faults), Some((20, "zero".to_owned())));
        faults.forget(KAFKA, 0);
        assert_eq!(told(&faults), None);
        assert_eq!(faults.told().count(), 1, "it was heard of");
    }

    #[test]
    fn a_fault_lasts_from_its_begin_and_says_what_was_said_last() {
        let mut faults = Faults::default();
        faults.asks(KAFKA, 0, WallMs(10));
        assert_eq!(told(&faults), None);
        faults.fails(KAFKA, 0, WallMs(20), "first".to_owned());
        faults.asks(KAFKA, 0, WallMs(25));
        faults.fails(KAFKA, 0, WallMs(30), "then".to_owned());
        assert_eq!(told(&faults), Some((10, "then".to_owned())));
        faults.fails(KAFKA, 0, WallMs(5), "the clock was set back".to_owned());
        assert_eq!(faults.oldest(KAFKA).map(|fault| fault.since), Some(WallMs(5)));
    }
}
