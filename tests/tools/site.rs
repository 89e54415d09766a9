//! One broker for all tests, a Redis and topics for each, and our program beside them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use aggregator_service::kafka::{Admin, Found};

use crate::service::Service;
use support::kafka::secure::SecureKafka;
use support::kafka::{Session, free_ports};
use support::redis::{RedisServer, free_port};

/// The variables and names of the topics of one test.
const TOPICS: [(&str, &str); 4] = [
    ("KAFKA_TOPIC", "trades"),
    ("AGGREGATE_TOPIC", "aggregates"),
    ("DLQ_TOPIC", "letters"),
    ("TOKEN_INFO_TOPIC", "info"),
];

/// The broker: it asks what `bob` may do, everybody else may do everything. On a listener of its
/// own it tells an address to clients where nobody listens.
pub(crate) struct Kafka {
    pub(crate) secure: SecureKafka,
    /// Where the wrong address is told.
    pub(crate) astray: String,
}

pub(crate) fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| {
        let [port] = free_ports();
        let secure = SecureKafka::start_with(&[
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            ("super.users", "User:ANONYMOUS;User:alice"),
            ("+listeners", &format!(",ASTRAY://127.0.0.1:{port}")),
            ("+advertised.listeners", ",ASTRAY://127.0.0.1:1"),
            ("+listener.security.protocol.map", ",ASTRAY:PLAINTEXT"),
        ]);
        Kafka { secure, astray: format!("127.0.0.1:{port}") }
    })
}

/// Topics of one test, and how they and its Redis are reached.
pub(crate) struct Site {
    name: String,
    variables: BTreeMap<String, String>,
}

impl Site {
    pub(crate) fn new(name: &str, redis: &RedisServer) -> Self {
        let topics = TOPICS.map(|(variable, kind)| (variable, format!("{name}-{kind}")));
        let others = [
            ("KAFKA_BROKERS", kafka().secure.broker.address()),
            ("KAFKA_CONSUMER_GROUP", name.to_owned()),
            ("REDIS_ADDR", redis.addr()),
            ("METRICS_PORT", free_port().to_string()),
        ];
        let all = topics.into_iter().chain(others);
        let variables = all.map(|(name, value)| (name.to_owned(), value)).collect();
        Self { name: name.to_owned(), variables }
    }

    /// With a variable of its own.
    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// Runs our program to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = variables.collect();
        run(words, &variables)
    }

    /// Starts the service; where it answers HTTP is where `check` looks from then on.
    pub(crate) fn start(&mut self) -> Service {
        self.variables.remove("METRICS_PORT");
        let all: Vec<_> = self.variables.clone().into_iter().collect();
        let service = Service::start(program(), &all);
        self.variables.insert("METRICS_PORT".to_owned(), service.port.to_string());
        service
    }

    /// Gives an order to the broker by Java's own client.
    pub(crate) fn order(&self, words: &[&str]) {
        static SESSION: OnceLock<Mutex<Session>> = OnceLock::new();
        let start = || Mutex::new(Session::start(&kafka().secure.broker.address()));
        let session = SESSION.get_or_init(start).lock();
        session.unwrap_or_else(PoisonError::into_inner).order(words);
    }

    /// The topics of this test and of the broker itself, as they are.
    pub(crate) fn topics(&self) -> Vec<String> {
        let config = kafka().secure.broker.config();
        let list = async {
            let client = aggregator_service::kafka::connect(&config, crate::service::PATIENCE);
            client.await.unwrap().list_topics().await.unwrap()
        };
        let ours = |topic: &rskafka::topic::Topic| {
            topic.name.starts_with(&self.name) || topic.name.starts_with("__")
        };
        let listed = block_on(list).into_iter().filter(ours);
        let mut listed: Vec<_> = listed.map(|topic| format!("{topic:?}")).collect();
        listed.sort();
        listed
    }

    /// All settings of the topics of this test.
    pub(crate) fn settings(&self) -> Vec<Found> {
        let config = kafka().secure.broker.config();
        let names = TOPICS.map(|(_, kind)| format!("{}-{kind}", self.name));
        block_on(async {
            let mut admin = Admin::any(&config).await.unwrap();
            admin.topics(&names.each_ref().map(String::as_str)).await.unwrap()
        })
    }
}

/// How our program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) text: String,
    pub(crate) complaint: String,
}

impl Ended {
    /// It ended with this exit code.
    pub(crate) fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}{}", self.text, self.complaint);
        self
    }

    /// One of its lines is a finding of this level, about this, that begins so.
    pub(crate) fn says(&self, level: &str, about: &str, says: &str) {
        let is_it = |line: &str| {
            let rest = line.strip_prefix("  ").and_then(|line| line.strip_prefix(level));
            let rest = rest.and_then(|line| line.trim_start().strip_prefix(about));
            rest.is_some_and(|rest| rest.contains(says))
        };
        let found = self.text.lines().any(is_it);
        assert!(found, "no {level:?} of {about:?} says {says:?}:\n{}", self.text);
    }
}

/// Runs our program to its end, with these variables and no others.
pub(crate) fn run(words: &[&str], variables: &[(&str, &str)]) -> Ended {
    let output = Command::new(program())
        .args(words)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let [text, complaint] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    println!("$ aggregator-service {}\n{text}{complaint}", words.join(" "));
    Ended { code: output.status.code().unwrap(), text, complaint }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_aggregator-service"))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}
