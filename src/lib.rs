//! aggregator-service: a Kafka stream of token trades in, exact sliding-window aggregates out.
//!
//! ```text
//! main             allocator, then: configuration, telemetry, runtime, app, exit code
//! config/          layers of text in, one validated configuration out; reads the environment
//!   duration       durations as in Go
//!   layers         defaults, file, environment, flags: which value wins, and where it is from
//!   parse          one reader for each kind of value
//!   settings       the table of settings
//!   values         types that only settings have
//! cli/             what was asked for
//!   args           the command line's grammar
//!   config         `config`: settings and where they come from
//!   healthcheck    `healthcheck`: is the one on this host alive
//! telemetry        logging
//! metrics          figures
//! status           how the service is doing
//! http/            what the service says of itself
//!   health         live, ready, health
//!   metrics        figures as text and JSON
//!   server         the bounded server round the router
//!   stats          the producer's statistics
//! ports            what the pipeline needs of the world
//! wire/            bytes in, values out, and the other way; pure
//!   aggregate      the message
//!   checkpoint     a changelog entry
//!   trade          a record's value
//! domain/          trades, panes, windows, shards; pure
//!   aggregate      what one message says
//!   amount         sums: integers at 10⁻¹⁸
//!   budget         how many tokens and panes are held
//!   pane           one token's trades of one second
//!   position       partition, offset, index
//!   price          prices as written
//!   reject         why a trade was rejected
//!   shard          tokens by hash: panes, windows, positions
//!   time           event time and wall time
//!   token          hash, shard, output partition
//!   trade          one valid trade
//!   window         the configured windows
//! ```
//!
//! Beside it stands `memfn/`, a crate of its own: memcpy and its kin for the static build.
//!
//! Who may use whom: `main → app → {http, kafka, redis, telemetry, config} → ports, wire → domain`,
//! never the other way; `tests/architecture.rs` holds the table, and compares this map.

pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod metrics;
pub mod ports;
pub mod status;
pub mod telemetry;
pub mod wire;
