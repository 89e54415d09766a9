//! What the brokers show: who answers, as what, and whether the addresses that they tell to
//! clients lead anywhere from here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::units::counted;
use super::{Findings, KAFKA};
use crate::kafka::{KafkaError, Member};

/// A broker that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// How long that took.
    pub took: Duration,
    /// The release that it speaks like.
    pub release: Option<&'static str>,
    /// The cluster that it belongs to.
    pub cluster: Option<String>,
    /// All brokers by number, where they say they are.
    pub brokers: Vec<(i32, String)>,
}

/// Why a broker did not answer as it should, and the variables that this is about.
#[derive(Debug)]
pub struct Away {
    /// What was said.
    pub cause: KafkaError,
    /// Variables to look at.
    pub variables: String,
}

/// An address and what came of it.
pub type Answer = (String, Result<Reached, Away>);

/// Of each configured address, and of each that the brokers tell and nobody configured.
#[must_use]
pub fn findings(configured: &[Answer], told: &[(i32, Answer)]) -> Findings {
    let mut findings = Findings::of(KAFKA);
    for (address, answer) in configured {
        match answer {
            Ok(reached) => findings.ok(address, spoken(reached)),
            Err(away) => findings.fail(
                address,
                away.cause.to_string(),
                advice(away).unwrap_or_else(|| {
                    "is it running, is the address in KAFKA_BROKERS right, is the way open?"
                        .to_owned()
                }),
            ),
        }
    }
    for (id, (address, answer)) in told {
        match answer {
            Ok(reached) => findings.ok(address, format!("broker {id}, {}", spoken(reached))),
            Err(away) => findings.fail(
                address,
                format!("broker {id} tells this address to clients: {}", away.cause),
                advice(away).unwrap_or_else(|| {
                    "set the brokers' advertised.listeners to what can be reached from here, \
                     or open the way"
                        .to_owned()
                }),
            ),
        }
    }
    let answers = configured.iter().chain(told.iter().map(|(_, answer)| answer));
    let reached: Vec<_> = answers.filter_map(|(_, answer)| answer.as_ref().ok()).collect();
    clusters(&mut findings, &reached);
    findings
}

/// Of the others in our group. The service itself never joins it.
pub fn members(findings: &mut Findings, group: &str, members: Option<&[Member]>) {
    let Some(members) = members else {
        findings.ok(group, "who else is in this group is not shown to us");
        return;
    };
    if members.is_empty() {
        return;
    }
    let names: BTreeSet<_> =
        members.iter().map(|one| format!("{} at {}", one.client, one.host)).collect();
    let count = counted(members.len(), "other consumer", "other consumers");
    let names: Vec<_> = names.into_iter().take(SHOWN_MEMBERS).collect();
    findings.warn(
        group,
        format!("{count} in this group: {}", names.join(", ")),
        "stop the program that this one replaces: both would publish",
    );
}

fn clusters(findings: &mut Findings, reached: &[&Reached]) {
    let ids: BTreeSet<_> = reached.iter().filter_map(|one| one.cluster.as_deref()).collect();
    let Some(first) = reached.first() else { return };
    let id = ids.iter().copied().collect::<Vec<_>>().join(" and ");
    if ids.len() > 1 {
        let todo = "let KAFKA_BROKERS name the brokers of one cluster";
        findings.fail("cluster", format!("these brokers are of several: {id}"), todo);
        return;
    }
    let brokers = first.brokers.len();
    findings.ok("cluster", format!("{id}, {}", counted(brokers, "broker", "brokers")));
}

fn spoken(reached: &Reached) -> String {
    let release = reached.release.map_or_else(
        || "older than Kafka 2.0".to_owned(),
        |release| format!("speaks as Kafka {release} or newer"),
    );
    format!("answers in {} ms, {release}", reached.took.as_millis())
}

/// Where somebody answers and refuses, which variables to look at.
fn advice(away: &Away) -> Option<String> {
    let refused = matches!(away.cause, KafkaError::Refused { .. });
    refused.then(|| format!("look at {}", away.variables))
}

/// Enough to see who it is.
const SHOWN_MEMBERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn reached(cluster: &str) -> Result<Reached, Away> {
        Ok(Reached {
            took: Duration::from_millis(7),
            release: Some("3.7"),
            cluster: Some(cluster.to_owned()),
            brokers: vec![(1, "a:1".to_owned())],
        })
    }

    #[test]
    fn brokers_of_two_clusters_are_named() {
        let answers = [("a:1".to_owned(), reached("A")), ("b:1".to_owned(), reached("B"))];
        let found = findings(&answers, &[]).into_list();
        assert_eq!(found[0].says, "answers in 7 ms, speaks as Kafka 3.7 or newer");
        assert_eq!(found[2].level, Level::Fail);
        assert!(found[2].says.ends_with("A and B"), "{found:?}");
    }

    #[test]
    fn who_else_is_in_the_group_is_named_once() {
        let member = Member { client: "sarama".to_owned(), host: "10.0.0.5".to_owned() };
        let mut found = Findings::of(KAFKA);
        members(&mut found, "g", Some(&[member.clone(), member]));
        let found = found.into_list();
        assert_eq!(found[0].says, "2 other consumers in this group: sarama at 10.0.0.5");
    }
}
