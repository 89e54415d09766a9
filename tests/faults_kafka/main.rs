//! The service as a child process between a Redis and a Kafka that fails in every way that the
//! field knows: silent, killed, behind a bad network, its leaders moving, its topics changed under
//! the reader. Afterwards a judge that knows only the log compares every message with the oracle;
//! what was lost has to be named. Scenarios wait more than they work and run side by side.
//!
//! `BROKERS_SEED` sets the seed; each scenario prints it.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the tests' own")]

use support::harness::{judge, model, notes, service, topic, workload};

mod brokers;
mod foreign;
mod network;
mod site;
mod stage;
mod topics;
mod weather;

use libtest_mimic::{Arguments, Trial};

/// Far more than there are.
const SIDE_BY_SIDE: usize = 32;

macro_rules! trials {
    ($($scenario:path),* $(,)?) => {
        vec![$(Trial::test(stringify!($scenario).replace(' ', ""), || {
            $scenario();
            Ok(())
        })),*]
    };
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(SIDE_BY_SIDE));
    let trials = trials![
        brokers::a_broker_that_is_silent_for_30_s_costs_nothing_and_doubles_nothing,
        brokers::a_broker_that_is_killed_and_leads_in_a_later_epoch_costs_nothing,
        brokers::leaders_that_move_among_three_brokers_cost_nothing,
        foreign::transactions_compaction_codecs_and_odd_headers_are_counted_exactly,
        network::connections_that_are_slow_trickle_are_cut_or_refused_cost_nothing,
        network::connections_that_swallow_everything_cost_nothing,
        network::connections_that_swallow_replies_cost_nothing,
        network::a_backlog_is_read_over_a_connection_that_trickles,
        topics::partitions_that_are_added_are_read_from_their_start,
        topics::a_topic_that_is_made_again_while_it_is_read_is_read_from_its_start,
        topics::a_topic_that_is_made_again_while_nobody_reads_is_read_from_its_start,
        topics::records_that_retention_removed_unread_are_named_and_the_others_are_exact,
        weather::the_proxy_does_what_its_weather_says,
    ];
    libtest_mimic::run(&arguments, trials).exit();
}
