//! The contract, row by row, as a user meets it: the binary as a child process between a real Kafka
//! and a real Redis, asked over HTTP and on its command line. The tables below read as the
//! contract's own: what is promised, and what proves it.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "the wall clock is the tests' own")]

use support::harness::{service, topic};

mod ask;
mod document;
mod http;
mod life;
mod program;
mod schemas;
mod stage;
mod table;
mod tokens;

use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};

use stage::Stage;

/// What is promised, and what proves it.
type Row = (&'static str, fn(&Stage));

const HTTP: &[Row] = &[
    ("GET /health: how it is doing, with a reason for each component", http::health),
    ("GET /health/live, /livez: 200 while alive", http::live),
    ("GET /health/ready, /readyz: 200 when ready", http::ready),
    ("GET /metrics: Prometheus text, no label per token", http::metrics),
    ("GET /metrics/json: the same as JSON", http::metrics_json),
    ("GET /stats: the producer's statistics, exact in names and types", http::stats),
    ("GET /tokens: active tokens, as messages have them", tokens::list),
    ("GET /tokens: sorted, limited, searched, paged", tokens::pages),
    ("GET /tokens: a wrong parameter is named, with what is accepted", tokens::wrong_parameters),
    ("GET /tokens/{address}: the message as of now; 404 where inactive", tokens::one),
    ("GET /tokens/{address}/history: the last hour in steps", tokens::history),
    ("GET /events: the market and the service's health, each second", tokens::events),
    ("POST /publish: what a tick would publish, once it is acknowledged", tokens::publish),
    ("POST /publish: unknown tokens are listed", tokens::unknown),
    ("POST /publish: wants the token, understands what it is told, or says why not", http::refused),
    ("POST /log-level: changes the level, for whoever may", http::log_level),
    ("GET /: the page", http::page),
    ("GET /config: what is in force and from where, secrets hidden", http::config),
    ("GET /version: the build", http::version),
    ("GET /openapi.json: valid, and no word in it unused", document::is_valid),
    ("GET /openapi.json: every path and method in it is answered, no other is", document::routes),
    ("GET /openapi.json: every parameter is taken as it says, no other is", document::parameters),
    ("GET /openapi.json: every answer is as it says", document::answers),
    ("deploy/schemas: what is read and written is as the files say", schemas::judged),
    ("errors are JSON: unknown path, unknown method", http::errors),
    ("HEAD is GET without the body", http::head),
];

const LIFE: &[Row] = &[
    ("without Kafka and Redis it is alive, not ready, and says why", life::without_anything),
    ("while catching up it is alive and not ready", life::catching_up),
    ("while stopping it is not ready, and ends with 0", life::stopping),
    ("METRICS_ENABLED=false: it listens on no port", life::no_http),
    ("METRICS_PORT=0: it listens on one port, and says on which", life::any_port),
];

const OUTPUT: &[Row] = &[
    ("AGGREGATE_TOMBSTONES: a new consumer loads the active tokens as a table", table::compacted),
    ("AGGREGATE_CLOUDEVENTS: each message is an event, its id is token@end", table::events),
];

const PROGRAM: &[Row] = &[
    ("(nothing) and `run`: logs to stderr alone, in LOG_FORMAT", program::logs),
    ("`run`: 75 where another instance takes over", program::fenced),
    ("`run`: 1 where it fails, in one line", program::failed),
    ("`demo`: the same pipeline and HTTP without Kafka and Redis", program::demo),
    ("`replay FILE`, `replay -`: record values in, messages out", program::replay),
    ("`check`: reaches everything, says what is wrong, changes nothing", program::check),
    ("`topics`: compares, and creates on demand", program::topics),
    ("`completions SHELL`: on stdout", program::completions),
    ("`config`: every setting with its value and origin", program::config),
    ("`healthcheck`: 0 while it is alive, else 1", program::healthcheck),
    ("`--help`, `--version` everywhere: 0, on stdout", program::help),
    ("wrong usage, wrong configuration: 64, all that is wrong at once", program::wrong),
];

const SCHEMAS: &[(&str, fn())] = &[
    ("deploy/schemas: each file is what the fields say", schemas::files),
    ("deploy/schemas: examples are valid, what is rejected is not", schemas::valid),
];

fn main() {
    let arguments = Arguments::from_args();
    let stage = Arc::<OnceLock<Stage>>::default();
    let trial = |(promise, proves): &Row| {
        let (stage, proves) = (Arc::clone(&stage), *proves);
        let proof = move || {
            proves(stage.get_or_init(Stage::set));
            Ok(())
        };
        Trial::test(*promise, proof)
    };
    let rows = [HTTP, LIFE, OUTPUT, PROGRAM].concat();
    let mut trials: Vec<_> = rows.iter().map(trial).collect();
    for (promise, proves) in SCHEMAS {
        trials.push(Trial::test(*promise, || {
            proves();
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Servers end here: nothing is dropped on exit.
    drop(stage);
    conclusion.exit();
}
