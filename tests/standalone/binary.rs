//! The static binary: nothing of the system in it, small enough, with its bill of materials.

use std::fs;
use std::process::Command;

use crate::{dist, output, process_status, variables};
use support::harness::service::Service;
use support::{install, redis::RedisServer};

#[test]
fn the_binary_needs_no_interpreter_and_no_library_and_is_small() {
    install::ensure("readelf", &["binutils"]);
    let binary = dist().join("aggregator-service");
    let read = |what: &str| output(Command::new("readelf").args([what, "-W"]).arg(&binary));
    let (header, segments, dynamic) = (read("-h"), read("-l"), read("-d"));
    assert!(header.contains("DYN (Position-Independent Executable"), "{header}");
    assert!(segments.contains("LOAD") && !segments.contains("INTERP"), "{segments}");
    assert!(dynamic.contains("Dynamic section") && !dynamic.contains("NEEDED"), "{dynamic}");
    let size = fs::metadata(&binary).unwrap().len();
    println!("{size} bytes");
    assert!(size <= 12_120_000, "{size} bytes");
}

#[test]
fn the_checksum_is_right_and_the_bill_of_materials_names_what_is_inside() {
    let check = ["--check", "aggregator-service.sha256"];
    output(Command::new("sha256sum").args(check).current_dir(dist()));
    let bill = fs::read(dist().join("aggregator-service.cdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&bill).unwrap();
    let names: Vec<_> = bill["components"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    for name in ["rskafka", "fred", "rustls", "sd-notify"] {
        assert!(names.iter().any(|listed| *listed == name), "{name} is not in {names:?}");
    }
}

#[test]
fn idle_it_is_small_and_takes_no_huge_pages() {
    let redis = RedisServer::start();
    let binary = dist().join("aggregator-service");
    let service = Service::start(&binary, &variables("idle", &redis.addr()));
    service.ready();
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid)).unwrap();
    assert_eq!(process_status(&status, "THP_enabled"), "0", "{status}");
    let resident = process_status(&status, "VmRSS");
    println!("{resident}");
    let kilobytes: u64 = resident.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes <= 15 * 1024, "{resident}");
}
