//! The soak: a steady load, a fault every so often, everything judged as it comes.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::auditor::{Auditor, Tally};
use crate::faults::{Deck, lasts};
use crate::load;
use crate::topic::Topic;
use crate::world::{Inflicted, Seen, Settings, Shared, World};
use support::kafka::KafkaBroker;
use support::redis::RedisServer;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) settings: Settings,
    pub(crate) took: Duration,
    pub(crate) tally: Tally,
    pub(crate) seen: Seen,
    pub(crate) faults: Vec<Inflicted>,
}

impl Report {
    /// Whether nothing is wrong.
    pub(crate) fn clean(&self) -> bool {
        self.tally.clean() && self.seen.broken_stops == 0
    }
}

/// Time for the last trades to be shown: those that lie ahead, a tick, and a busy machine.
const END_WITHIN: Duration = Duration::from_secs(90);

/// Soaks; ends early where something is found.
pub(crate) fn run(settings: &Settings, kafka: &mut KafkaBroker) -> Report {
    println!("{}: seed {}", settings.name, settings.seed);
    let begun = Instant::now();
    let shared = Shared::default();
    shared.loading.store(true, SeqCst);
    let open = |kind: &str| Topic::open(kafka, &format!("{}-{kind}", settings.name));
    let [to, log, aggregates, letters, trades] =
        ["trades", "trades", "aggregates", "letters", "trades"].map(open);
    let redis = RedisServer::start();
    let mut world =
        World { settings, shared: &shared, kafka, redis, trades, seen: Seen::default() };
    let service = world.start();
    let tally = std::thread::scope(|scope| {
        let auditor = Auditor::new(settings, &shared);
        let auditor = scope.spawn(move || auditor.run([&log, &aggregates, &letters]));
        let loader = scope.spawn(|| load::run(settings, &to, &shared));
        let over = Over(&shared);
        direct(&mut world, service, begun, loader);
        drop(over);
        auditor.join().expect("the auditor")
    });
    let faults = shared.faults.lock().unwrap().clone();
    let seen = world.seen.clone();
    Report { settings: settings.clone(), took: begun.elapsed(), tally, seen, faults }
}

/// Ends the other threads, also where this one panics.
struct Over<'a>(&'a Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.loading.store(false, SeqCst);
        self.0.over.store(true, SeqCst);
    }
}

/// One fault in every period, at a moment of chance of its first half.
fn direct(
    world: &mut World<'_>,
    mut service: crate::service::Service,
    begun: Instant,
    loader: std::thread::ScopedJoinHandle<'_, ()>,
) {
    let Settings { lasts: whole, fault_every, seed, .. } = *world.settings;
    let mut rng = StdRng::seed_from_u64(seed.wrapping_add(1));
    let mut deck = Deck::new();
    service.ready();
    for period in 0_u32.. {
        let at = fault_every * period;
        if at + fault_every > whole || world.shared.tally.lock().unwrap().findings() > 0 {
            break;
        }
        let moment = at + fault_every.mul_f64(rng.random_range(0.25..0.5));
        world.watch(&service, begun + moment);
        let fault = deck.draw(&mut rng);
        let lasts = lasts(&mut rng, fault_every);
        service = world.inflict(fault, lasts, service);
        let tally = world.shared.tally.lock().unwrap().clone();
        println!(
            "{:>6.0} s: {fault:?} {lasts:.1?}; {} trades, {} messages, {} findings",
            begun.elapsed().as_secs_f64(),
            tally.trades,
            tally.messages,
            tally.findings(),
        );
    }
    world.watch(&service, begun + whole);
    world.shared.loading.store(false, SeqCst);
    loader.join().expect("the load");
    let until = Instant::now() + END_WITHIN;
    let pause = Duration::from_millis(500);
    // What was read last is in the tally one look later.
    std::thread::sleep(pause * 4);
    while Instant::now() < until {
        let tally = world.shared.tally.lock().unwrap().clone();
        if tally.findings() > 0 || tally.trades == tally.counted {
            break;
        }
        std::thread::sleep(pause);
    }
    world.look(&service);
    world.stop(service);
}
