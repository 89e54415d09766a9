//! `topics`: the topics as they are beside the topics as they should be, and what makes them so.
//! Compares, unless it is told to create or to alter; never deletes, never makes anything less.

use std::io::{self, Write};

use super::args::TopicsArgs;
use crate::app::{Exit, access, topics as plan};
use crate::check::units::counted;
use crate::config::Config;
use crate::kafka::{self, Admin, Found, KafkaError, Lack, NEW_PARTITIONS, Topic, Wanted, kept};

/// Compares, creates, alters as told, and prints a table. Fails where a topic is still missing or
/// lacks something.
///
/// # Errors
/// Kafka cannot be asked; stdout cannot be written.
pub async fn run(config: &Config, args: &TopicsArgs) -> anyhow::Result<Exit> {
    let access = access::of(config).await?;
    let wanted = told(plan::wanted(config), args);
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let asking = async {
        let mut admin = Admin::controller(&access.kafka).await?;
        let found = admin.topics(&names).await?;
        Ok((admin, found))
    };
    let (mut admin, found) = asking.await.map_err(|error| complaint(config, error))?;
    let mut rows = Vec::with_capacity(wanted.len());
    for (wanted, found) in wanted.iter().zip(&found) {
        let verdict = settle(&mut admin, wanted, found, args).await;
        rows.push(Row { wanted, found, verdict });
    }
    io::stdout().write_all(table(&rows).as_bytes())?;
    let agree = rows.iter().all(|row| row.verdict.agrees);
    Ok(if agree { Exit::Stopped } else { Exit::Failed })
}

/// A topic and what came of it.
struct Row<'a> {
    wanted: &'a Wanted,
    found: &'a Found,
    verdict: Verdict,
}

/// Whether all is as wanted now, and in words.
struct Verdict {
    agrees: bool,
    words: String,
}

/// With what the command line wants more.
fn told(mut wanted: Vec<Wanted>, args: &TopicsArgs) -> Vec<Wanted> {
    for topic in &mut wanted {
        if matches!(topic.variable, "KAFKA_TOPIC" | "AGGREGATE_TOPIC") {
            topic.partitions = args.partitions;
        }
        topic.replicas = args.replication;
    }
    wanted
}

async fn settle(admin: &mut Admin, wanted: &Wanted, found: &Found, args: &TopicsArgs) -> Verdict {
    let no = |words: String| Verdict { agrees: false, words };
    match found {
        Found::Hidden => no("not shown to us: Describe is not permitted".to_owned()),
        Found::Missing if !args.create => no("missing: --create creates it".to_owned()),
        Found::Missing => match create(admin, wanted).await {
            Ok(()) => Verdict { agrees: true, words: "created".to_owned() },
            Err(error) => no(format!("missing, and not created: {error}")),
        },
        Found::There(topic) => make_up(admin, wanted, topic, args).await,
    }
}

async fn create(admin: &mut Admin, wanted: &Wanted) -> Result<(), KafkaError> {
    for refused in kafka::create(admin, &[wanted], false).await? {
        refused.map_err(KafkaError::Down)?;
    }
    kafka::settled(admin, &wanted.name, |topic| topic.partitions > 0).await
}

/// What is said of a lack that was made up for, or why it was not.
async fn raised(
    admin: &mut Admin,
    wanted: &Wanted,
    lack: &Lack,
    now: String,
) -> Result<String, String> {
    let altered = match kafka::alter(admin, wanted, lack).await {
        Ok(()) => {
            let made = |topic: &Topic| !wanted.lacks(topic).contains(lack);
            kafka::settled(admin, &wanted.name, made).await
        }
        refused => refused,
    };
    altered.map(|()| now).map_err(|error| format!("{lack}, and not altered: {error}"))
}

async fn make_up(admin: &mut Admin, wanted: &Wanted, topic: &Topic, args: &TopicsArgs) -> Verdict {
    let (mut agrees, mut words) = (true, Vec::new());
    if topic.settings.is_none() {
        words.push("its settings are not shown to us: DescribeConfigs is not permitted".to_owned());
        agrees = false;
    }
    for lack in wanted.lacks(topic) {
        let outcome = match &lack {
            Lack::Partitions(count) if args.alter => {
                raised(admin, wanted, &lack, format!("now {count} partitions")).await
            }
            Lack::Retention(time) if args.alter => {
                raised(admin, wanted, &lack, format!("now kept {}", kept(*time))).await
            }
            Lack::Partitions(_) | Lack::Retention(_) => Err(format!("{lack} (--alter raises it)")),
            Lack::Replicas(_) => Err(format!("{lack} (kafka-reassign-partitions adds them)")),
            Lack::NotCompacted => Err(format!("{lack} (set its cleanup.policy to compact)")),
            Lack::Compacted => Err(format!("{lack} (set its cleanup.policy to delete)")),
        };
        agrees &= outcome.is_ok();
        words.push(outcome.unwrap_or_else(|said| said));
    }
    if words.is_empty() {
        words.push("as wanted".to_owned());
    }
    Verdict { agrees, words: words.join("; ") }
}

/// In columns: topic, wanted, found, verdict.
fn table(rows: &[Row<'_>]) -> String {
    let head = ["topic", "wanted", "found", "verdict"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let found = match row.found {
            Found::There(topic) => layout(topic),
            Found::Missing | Found::Hidden => "-".to_owned(),
        };
        [row.wanted.name.clone(), plan_of(row.wanted), found, row.verdict.words.clone()]
    });
    let lines: Vec<[String; 4]> = std::iter::once(head).chain(cells).collect();
    let mut widths = [0; 4];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut page = String::new();
    for [topic, wanted, found, verdict] in &lines {
        let [a, b, c, _] = widths;
        page.push_str(&format!("{topic:<a$}  {wanted:<b$}  {found:<c$}  {verdict}\n"));
    }
    page
}

fn plan_of(wanted: &Wanted) -> String {
    let partitions = wanted.partitions.map_or_else(
        || format!("any partitions (new: {NEW_PARTITIONS})"),
        |partitions| format!("≥ {partitions} partitions"),
    );
    let replicas = wanted.replicas.map(|replicas| format!("≥ {replicas} copies, "));
    let kept_for = if wanted.retention.is_some() { "kept ≥ " } else { "kept " };
    let (replicas, time) = (replicas.unwrap_or_default(), kept(wanted.retention));
    format!("{partitions}, {replicas}{kept_for}{time}")
}

fn layout(topic: &Topic) -> String {
    let partitions = counted(topic.partitions, "partition", "partitions");
    let copies = counted(topic.replicas, "copy", "copies");
    let time = if topic.settings.is_some() { kept(topic.retention()) } else { "?".to_owned() };
    let compacted = if topic.is_compacted() { ", compacted" } else { "" };
    format!("{partitions}, {copies}, kept {time}{compacted}")
}

fn complaint(config: &Config, error: KafkaError) -> anyhow::Error {
    match &error {
        KafkaError::Refused { refusal, .. } => {
            let variables = access::kafka_variables(config, *refusal);
            anyhow::Error::new(error).context(variables)
        }
        KafkaError::Unreachable { .. }
        | KafkaError::NoTopic { .. }
        | KafkaError::Broker(_)
        | KafkaError::Undecodable(_)
        | KafkaError::Down(_) => anyhow::Error::new(error)
            .context(format!("Kafka at {} cannot be asked", config.kafka_brokers.join(","))),
    }
}
