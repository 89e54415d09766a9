//! What lies between the service and Redis delays, trickles, cuts, swallows.

use std::time::Duration;

use crate::operator::{recovers, sees, verdicts};
use crate::stage::Stage;
use support::proxy::{Proxy, Weather};
use support::redis::RedisServer;

#[test]
fn a_slow_narrow_or_cut_network_to_redis_costs_nothing() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(&redis.addr());
    let mut stage = Stage::set("narrow", proxy.addr());
    let service = stage.ready();
    stage.under_load(|| {
        for weather in [Weather::Slow(Duration::from_millis(60)), Weather::Trickle(40_000)] {
            proxy.weather(weather);
            std::thread::sleep(WHILE);
        }
        proxy.weather(Weather::Clear);
    });
    let service = stage.holds(service);
    stage.under_load(|| {
        for _ in 0..20 {
            proxy.cut();
            std::thread::sleep(WHILE / 20);
        }
    });
    stage.holds(service);
}

#[test]
fn a_network_to_redis_that_swallows_everything_costs_nothing() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(&redis.addr());
    let mut stage = Stage::set("swallow", proxy.addr());
    let service = stage.ready();
    stage.under_load(|| {
        proxy.weather(Weather::Swallow);
        sees(&service, "Unresponsive");
        proxy.weather(Weather::Clear);
        recovers(&service);
    });
    stage.holds(service);
}

#[test]
fn writes_whose_replies_are_lost_count_once() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(&redis.addr());
    let mut stage = Stage::set("replies", proxy.addr());
    let service = stage.ready();
    stage.under_load(|| {
        proxy.weather(Weather::SwallowReplies);
        sees(&service, "Unresponsive");
        proxy.weather(Weather::Clear);
        recovers(&service);
    });
    assert!(verdicts(&service, "duplicate") >= 1.0, "what had taken effect was sent again");
    stage.holds(service);
}

const WHILE: Duration = Duration::from_millis(1_500);
