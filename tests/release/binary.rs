//! The static binary: nothing of the system in it, small enough, with its bill of materials.

use std::fs;
use std::process::Command;

use crate::support::install;
use crate::{dist, output};

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
    assert!(size <= 10 * 1024 * 1024, "{size} bytes");
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
