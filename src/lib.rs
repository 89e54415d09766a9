//! aggregator-service: a Kafka stream of token trades in, exact sliding-window aggregates out.
//!
//! ```text
//! main             allocator, then: configuration, telemetry, runtime, app, exit code
//! app/             the composition root: real ports, HTTP, signals
//!   access         TLS and logins from the configuration
//!   clock          the system's clock
//!   connect        builds the real ports, waits for what is away
//!   gauge          what is held, as figures
//!   membership     who is in the group, beside the pipeline
//!   names          reads token-info
//!   systemd        tells systemd how the service is doing
//!   telemetry      the log level at run time, the export beside the pipeline
//!   topics         the topics as they should be
//! check/           what `check` judges; pure
//!   brokers        who answers, and where they say they are
//!   host           settings, port, limits, clock
//!   redis          memory, persistence, checkpoint
//!   report         findings as a page and as JSON
//!   topics         layout, retention, rights
//!   units          sizes and times as people read them
//! config/          layers of text in, one validated configuration out; reads the environment
//!   contradictions settings that are fine alone and not together
//!   duration       durations as in Go
//!   layers         defaults, file, environment, flags: which value wins, and where it is from
//!   parse          one reader for each kind of value
//!   settings       the table of settings
//!   values         types that only settings have
//! cli/             what was asked for
//!   args           the command line's grammar
//!   check/         `check`: asks, within bounds, changing nothing
//!     host         our port, our limits
//!     kafka        brokers, topics, group
//!     redis        server, permissions, checkpoint
//!     registry     how our schema stands
//!   completions    `completions`: for shells
//!   config         `config`: settings and where they come from
//!   demo           `demo`: the pipeline over ports in process
//!   healthcheck    `healthcheck`: is the one on this host alive
//!   replay         `replay`: files, progress, summary
//!   topics         `topics`: compare, create, alter
//! demo/            a market, and its messages as a table
//!   board          the newest message of each token
//!   market         simulated trades
//!   names          symbols and names of its tokens
//!   screen         the terminal while the table is shown
//!   table          the board as text
//! replay/          lines in, messages out, by event time
//!   due            what one tick publishes, by token
//!   lines          lines of any length
//!   player         the event clock and its ticks
//! telemetry/       logging, and spans for the export
//!   level          who may speak
//!   lines          text or JSON, thinned
//!   spans          what the pipeline did, ready for the export
//!   throttle       which lines are worth writing
//! exchange         one HTTP request, one answer
//! endpoint         an HTTP server that we post to
//! registry         the output's schema in a schema registry
//! otlp/            figures and spans for an OpenTelemetry receiver
//!   figures        the registry's figures as OTLP
//!   post           one request to the receiver
//! gauges           states as figures
//! metrics/         figures
//!   kinds          how each kind is made; the bounds of histograms
//!   process        what the system knows of this process
//! sabotage         deliberate bugs, for the simulation's judge to find
//! status/          how the service is doing
//!   faults         what does not work, by component and source
//!   lag            how far reading is behind
//!   overdue        what has failed for longer than it may
//!   phase          where it is in its life
//!   rate           trades a second
//! tls              whom to trust, what to show
//! http/            what the service says of itself
//!   about          the build, the settings
//!   admission      who may change something
//!   everyone       the market of all members of the group
//!   events         the market and the service's health, each second
//!   health         live, ready, health
//!   log_level      what is logged from now on
//!   members        who is in the group; what one member asks another
//!   metrics        figures as text and JSON
//!   openapi        the description of all paths
//!   page           the live page, and what a browser may do with it
//!   parameters     what stands behind the `?`
//!   peer           another member, asked over HTTP
//!   publish        publish now: who may, and what they say
//!   rows           tokens as JSON
//!   server         the bounded server round the router
//!   stats          the producer's statistics
//!   tokens         the market, one token, its history
//! kafka/           the log and the producer over Kafka
//!   admin          questions about the cluster
//!   batch          a record batch as the protocol has it
//!   connect        from addresses to a client that is rebuilt
//!   encoder        messages to a record batch
//!   fetch          one fetch: what is asked, where the batches stand
//!   group/         membership in the consumer group
//!     calls        its requests
//!     leader       the plan, as the leader brings it
//!     machine      what a member does next; pure
//!     part         what a member has of the plan, and says of it
//!     permit       the lease as a permission for a moment, none for who stood still
//!     task         asks, and tells the seat
//!     timing       how long a member waits for what
//!     wire         subscriptions and assignments as bytes
//!   isolate        batches one by one: markers, what was aborted, what is damaged
//!   leader         which broker leads a partition
//!   log            fetching, partition by partition
//!   login          the mechanisms of SASL
//!   producer       one batch in flight
//!   raw            fetch and produce on connections of our own
//!   release        which release a broker speaks like
//!   slots          what is kept for each partition between two uses
//!   topics         topics, created and raised
//!   unpack         decompression
//!   wanted         topics as they should be, and what they lack
//! redis/           the checkpoint and the query view in Redis
//!   admission      are we let in, may we do what we need
//!   checkpoint     claim and flush, fenced and chained
//!   client         a connection that is rebuilt when it is stuck
//!   connect        from an address to a client
//!   inspect        what it says of itself and of the checkpoint
//!   load           a shard's changelog, page by page
//!   names          token names in one hash
//!   scripts        the three Lua scripts
//!   view           each token's last message
//! local/           the ports in process, for `demo` and the simulation
//!   checkpoint     fenced and chained as the real one
//!   group          groups of one and of several
//!   log            partitions of records
//!   producer       what is produced, until taken; a view
//! pipeline/        readers, workers, publishers; generic over the ports
//!   absorb         a batch to its shards
//!   backoff        waits between attempts
//!   batch          what one worker absorbs of one fetch
//!   chain          one shard's flushes in sequence
//!   commits        positions for lag tools
//!   custody        which shards are here, and whether they may be published
//!   dead_letters   rejected things on their way
//!   engine         the shards of one worker
//!   entries        what a flush carries
//!   flusher        changes to the checkpoint
//!   hand_over      shards come to a worker and go from it
//!   load           a shard from its changelog
//!   mailbox        the outbox as the publishers share it
//!   messages       from aggregate to message
//!   names          symbols and names, shared
//!   newest         a queue with one place for each token
//!   orders         what is to be published between ticks
//!   outbox         the newest message of each token
//!   outgoing       a message on its way, and those that go together
//!   produce        one batch to the brokers
//!   promote        from following a shard to owning it
//!   queries        what is asked about tokens between ticks
//!   reader         a partition: fetch, route, hand on
//!   reading        how far partitions are read, and for which shards
//!   recover        claim, load, find the positions
//!   rewind         what shards missed before they came
//!   route          from records to batches
//!   run            the life of the pipeline
//!   shard_flush    what of one shard is sent next
//!   shared         clock, figures, status
//!   standby        shards of others, followed here
//!   steward        shards in step with the assignment
//!   tasks          what runs, and who feeds whom
//!   tick           a tick's steps, and what comes between them
//!   view_queue     messages on their way to the view
//!   worker         the loop: wait for one event, apply it
//! ports/           what the pipeline needs of the world
//!   group          this process' seat in its group
//!   market         questions about active tokens
//!   records        the records of one fetch
//! pool             buffers that are used again
//! wire/            bytes in, values out, and the other way; pure
//!   aggregate      the message
//!   avro           the message in Avro
//!   checkpoint     a changelog entry
//!   checkpoint_extended what the extended figures have of a pane
//!   checkpoint_pane a pane in it
//!   cursor         a place in usual JSON
//!   dead_letter    what could not be counted
//!   envelope       headers, and whether a tombstone follows
//!   extended       the extended fields of a window
//!   fields         what stands in a message, for all formats and schemas
//!   protobuf       the message in Protobuf
//!   registered     formats with a schema, and what stands before their messages
//!   time           RFC 3339 in and out
//!   token_info     what token-info says
//!   trade          a record's value
//!   trade_fields   one element's fields
//!   trade_scan     usual values, in one pass
//!   varint         numbers in few bytes
//! domain/          trades, panes, windows, shards; pure
//!   address        a token's address as it is kept
//!   aggregate      what one message says
//!   amount         sums: integers at 10⁻¹⁸
//!   beside         a shard and its extended figures
//!   budget         how many tokens and panes are held
//!   changes        what changed since the last flush
//!   chunks         lists that grow by little
//!   compact        a pane in half the bytes
//!   cover          a set of shards
//!   decimal        decimal text in and out
//!   dense          where a second stands in a list
//!   digits         digits, eight at a time
//!   emission       when ticks come, and which are of all tokens
//!   extended/      figures of wallets, sides and prices, and of the window before
//!     apply        one visit of a wallet
//!     extremes     highest and lowest prices
//!     hash         of a wallet's text
//!     naive        what the figures are compared with
//!     near         what will be touched, asked for in time
//!     pane         sums up to each pane
//!     recent       trades that are not with their tokens yet
//!     ring         a ring in chunks
//!     rows         what is counted of each pane
//!     save         panes for the checkpoint
//!     settle       the windows move
//!     spans        the windows
//!     tests        figures and their definition
//!     token        the figures of one token
//!     types        what goes in and what comes out
//!     wallets      the wallets of one token
//!   held           what is held of one token
//!   history        a token's last hour in steps
//!   index          from a token's hash to its slot
//!   look           what a shard says between ticks
//!   name           symbols and names
//!   near           what will be touched, asked for in time
//!   owed           closing messages that the brokers may not have yet
//!   pane           one token's trades of one second
//!   plan           which member of the group owns which shard
//!   position       partition, offset, index
//!   price          prices as written
//!   ranking        which tokens come first
//!   ratio          quotients, rounded once
//!   reject         why a trade was rejected
//!   restore        a shard from its checkpoint
//!   shard          tokens by hash: panes, windows, positions
//!   standby        which members follow which shard
//!   store          live panes by second
//!   table          a shard's tokens
//!   time           event time and wall time
//!   token          hash, shard, output partition
//!   trade          one valid trade
//!   warmup         how long one waits for what it is to get
//!   wide           products of 256 bits, divided by powers of ten
//!   window         the configured windows
//! ```
//!
//! Beside it stands `memfn/`, a crate of its own: memcpy and its kin for the static build, and a
//! prefetch.
//!
//! Who may use whom: `main → app → {http, kafka, redis, registry, otlp, telemetry, config} →
//! ports, tls, wire → domain`, never the other way; `tests/architecture.rs` holds the table, and
//! compares this map.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

// Of main.rs alone.
use mimalloc as _;

pub mod app;
pub mod check;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod endpoint;
pub mod exchange;
pub mod gauges;
pub mod http;
pub mod kafka;
pub mod local;
pub mod metrics;
pub mod otlp;
pub mod pipeline;
pub mod pool;
pub mod ports;
pub mod redis;
pub mod registry;
pub mod replay;
pub mod sabotage;
pub mod status;
pub mod telemetry;
pub mod tls;
pub mod wire;
