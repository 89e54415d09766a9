//! Lives of groups from seeds: members come, crash, hang, leave and come back, connections break,
//! messages are lost, the coordinator moves. No shard may ever be published by two; after some
//! quiet each is by one.

use std::collections::BTreeSet;
use std::time::Duration;

use aggregator_service::domain::token::ShardId;
use aggregator_service::domain::warmup::WARM_UP_LIMIT;
use rand::RngExt;

use crate::network::{STEP, World};

/// A life of this many seconds, and the quiet after it: the longest wait is that for a member that
/// is gone in the middle of a rebalance, then come two steps.
const LIFE_SECONDS: u64 = 60;
const QUIET_SECONDS: u64 = 60;

/// One every some seconds.
fn misfortune(world: &mut World) {
    let at = world.random.random_range(0..world.places.len());
    let seconds = Duration::from_secs(world.random.random_range(1..15));
    let now = world.now;
    match world.random.random_range(0..9) {
        0..3 if world.places[at].process.is_none() => world.start(at),
        0 => match &mut world.places[at].process {
            Some(process) if !process.here.retires => process.here.retires = true,
            _ => world.stop(at),
        },
        1 => world.places[at].process = None,
        2 | 3 => {
            if let Some(process) = &mut world.places[at].process {
                process.hangs_until = now + seconds;
            }
        }
        4 => world.cut(),
        5 => {
            world.coordinator.relocate(now);
            world.cut();
        }
        6 => world.losses = world.random.random_range(1..60),
        7 => world.losses = 0,
        _ => world.coordinator.delete(),
    }
}

fn run(world: &mut World, seconds: u64) {
    for _ in 0..seconds * 1_000 / u64::try_from(STEP.as_millis()).unwrap() {
        world.step();
    }
}

fn live(seed: u64) {
    println!("seed {seed}");
    let mut world = World::new(4, seed);
    for _ in 0..LIFE_SECONDS * 10 {
        if world.random.random_ratio(1, 20) {
            misfortune(&mut world);
        }
        for _ in 0..5 {
            world.step();
        }
    }
    world.losses = 0;
    for at in 0..world.places.len() {
        if world.places[at].process.as_ref().is_some_and(|process| process.here.retires) {
            world.stop(at);
        }
    }
    if world.places.iter().all(|place| place.process.is_none()) {
        world.start(0);
    }
    run(&mut world, QUIET_SECONDS);
    for shard in (0..64).map(ShardId) {
        assert_eq!(world.publishers(shard), 1, "{shard:?}: {}", world.picture());
    }
    let processes = world.places.iter().filter_map(|place| place.process.as_ref());
    let shares = processes.map(|one| one.assignment.as_ref().map_or(0, |told| told.shards.len()));
    let shares: Vec<_> = shares.collect();
    assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
}

#[test]
fn no_shard_has_two_publishers_and_after_quiet_each_has_one() {
    for seed in 0..400 {
        live(seed);
    }
}

#[test]
fn one_that_begins_alone_may_load_before_the_first_rebalance_and_publish_after_it() {
    let mut world = World::new(1, 1);
    world.start(0);
    run(&mut world, 1);
    let process = world.places[0].process.as_ref().unwrap();
    let told = process.assignment.clone().unwrap();
    assert_eq!((told.generation, told.shards.len(), *process.lease.borrow()), (-1, 64, None));
    run(&mut world, 4);
    assert_eq!(world.publishers(ShardId(0)), 1);
}

#[test]
fn two_that_begin_at_once_publish_half_each_without_another_step() {
    let mut world = World::new(2, 1);
    world.start(0);
    world.start(1);
    run(&mut world, 5);
    assert!((0..64).map(ShardId).all(|shard| world.publishers(shard) == 1));
}

#[test]
fn while_shards_move_to_a_third_the_others_never_stop_and_a_third_of_them_moves() {
    let mut world = World::new(3, 1);
    world.start(0);
    world.start(1);
    run(&mut world, 10);
    let before = world.places[0].process.as_ref().unwrap().assignment.clone().unwrap();
    world.start(2);
    for _ in 0..500 {
        world.step();
        let published = (0..64).map(ShardId).filter(|shard| world.publishers(*shard) == 1).count();
        assert!(published >= 64 - 21, "{published} at once");
    }
    let after = world.places[0].process.as_ref().unwrap().assignment.clone().unwrap();
    assert!(after.shards.is_subset(&before.shards));
    assert!((0..64).map(ShardId).all(|shard| world.publishers(shard) == 1));
}

#[test]
fn a_third_that_never_can_follow_has_its_share_in_the_end_and_then_there_is_quiet() {
    let mut world = World::new(3, 1);
    world.none_is_ready = true;
    world.start(0);
    world.start(1);
    run(&mut world, 10);
    world.start(2);
    let shares = |world: &World| {
        let processes = world.places.iter().filter_map(|place| place.process.as_ref());
        let told = processes.filter_map(|process| process.assignment.as_ref());
        told.map(|told| told.shards.len()).collect::<Vec<_>>()
    };
    run(&mut world, WARM_UP_LIMIT.as_secs() - 10);
    assert_eq!(shares(&world), [32, 32, 0], "it waits");
    run(&mut world, 20);
    assert_eq!(BTreeSet::from_iter(shares(&world)), [21, 22].into());
    let rebalances = world.coordinator.rebalances;
    run(&mut world, 60);
    assert_eq!(world.coordinator.rebalances, rebalances);
}

#[test]
fn who_retires_is_relieved_before_it_leaves_and_comes_back_as_any_other() {
    for at in [0, 1] {
        let mut world = World::new(3, 1);
        (0..3).for_each(|at| world.start(at));
        run(&mut world, 10);
        world.places[at].process.as_mut().unwrap().here.retires = true;
        let published =
            |world: &World| (0..64).map(ShardId).filter(|it| world.publishers(*it) == 1).count();
        let held = |world: &World| world.places[at].process.as_ref().unwrap().here.held.len();
        for _ in 0..1_000 {
            world.step();
            assert!(published(&world) >= 64 - 22, "what stays is published on");
        }
        assert_eq!((published(&world), held(&world)), (64, 0));
        // The static one dies before it has left: what it said is not held against the next.
        world.places[at].process = None;
        world.start(at);
        run(&mut world, 20);
        assert!(published(&world) == 64 && held(&world) >= 21);
    }
}

#[test]
fn a_static_member_that_crashed_has_its_shards_again_and_nobody_notices() {
    let mut world = World::new(2, 1);
    world.start(0);
    world.start(1);
    run(&mut world, 10);
    let shards = |world: &World, at: usize| {
        world.places[at].process.as_ref().unwrap().assignment.as_ref().unwrap().shards.clone()
    };
    let (before, rebalances) = (shards(&world, 0), world.coordinator.rebalances);
    world.places[0].process = None;
    run(&mut world, 3);
    world.start(0);
    run(&mut world, 2);
    assert_eq!(shards(&world, 0), before);
    assert!((0..64).map(ShardId).all(|shard| world.publishers(shard) == 1));
    assert_eq!(world.coordinator.rebalances, rebalances);
}

#[test]
fn of_two_processes_of_one_name_the_older_notices_before_the_newer_publishes() {
    for hangs_ms in (0..4_000).step_by(100) {
        let mut world = World::new(2, hangs_ms);
        world.start(0);
        world.start(1);
        run(&mut world, 10);
        let older = world.places[0].process.as_mut().unwrap();
        older.hangs_until = world.now + Duration::from_millis(hangs_ms);
        world.start(0);
        run(&mut world, 6);
        assert!(world.places[0].older.is_none(), "the older has ended");
        assert!((0..64).map(ShardId).all(|shard| world.publishers(shard) == 1));
    }
}

#[test]
fn a_static_member_that_crashes_in_the_middle_of_letting_go_does_not_keep_the_others_waiting() {
    let mut world = World::new(2, 1);
    world.start(0);
    run(&mut world, 5);
    world.start(1);
    for _ in 0..500 {
        world.step();
        if (0..64).map(ShardId).any(|shard| world.publishers(shard) == 0) {
            break;
        }
    }
    world.places[0].process = None;
    world.start(0);
    run(&mut world, 5);
    assert!((0..64).map(ShardId).all(|shard| world.publishers(shard) == 1));
}

#[test]
fn who_leaves_is_followed_at_once_and_who_crashes_after_the_session_time_out() {
    let mut world = World::new(2, 1);
    world.start(0);
    world.start(1);
    run(&mut world, 10);
    world.stop(0);
    run(&mut world, 2);
    assert!((0..64).map(ShardId).all(|shard| world.publishers(shard) == 1));
    world.start(0);
    run(&mut world, 10);
    world.places[1].process = None;
    run(&mut world, 9);
    assert_eq!((0..64).map(ShardId).map(|shard| world.publishers(shard)).sum::<usize>(), 32);
    run(&mut world, 3);
    assert!((0..64).map(ShardId).all(|shard| world.publishers(shard) == 1));
}
