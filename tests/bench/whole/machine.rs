//! The machine's shape and the versions of all that takes part: without them a figure says little.

use std::fs;
use std::process::Command;

use crate::world::Program;

/// In a few lines.
pub(crate) fn describe(program: &Program) -> String {
    let cores = std::thread::available_parallelism().unwrap();
    let model = line_of("/proc/cpuinfo", "model name").unwrap_or("an unnamed CPU".to_owned());
    let memory = line_of("/proc/meminfo", "MemTotal").unwrap();
    let memory_kb: u64 = memory.trim_end_matches(" kB").parse().unwrap();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let size = fs::metadata(&program.path).unwrap().len();
    format!(
        "{cores} cores ({model}), shared with broker, Redis and this bench; {} GiB; Linux {}\n\
         Kafka {}, {}\n{}: {}, {:.1} MB",
        memory_kb.div_ceil(1 << 20),
        kernel.trim(),
        kafka(),
        redis(),
        program.path.file_name().unwrap().display(),
        said(&program.path, "--version"),
        size as f64 / 1e6,
    )
}

fn line_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).unwrap();
    let value = |line: &str| Some(line.strip_prefix(name)?.trim().strip_prefix(':')?.to_owned());
    text.lines().find_map(value).map(|value| value.trim().to_owned())
}

/// As the tests fetch it, unless `KAFKA_HOME` is set.
fn kafka() -> String {
    match std::env::var("KAFKA_HOME") {
        Ok(_) => "of KAFKA_HOME".to_owned(),
        Err(_) => {
            let pom = include_str!("../../support/kafka/pom.xml");
            let version = pom.split("<kafka>").nth(1).and_then(|rest| rest.split('<').next());
            version.unwrap().to_owned()
        }
    }
}

fn redis() -> String {
    let said = said("redis-server".as_ref(), "--version");
    let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="));
    format!("Redis {}", version.unwrap())
}

fn said(program: &std::path::Path, argument: &str) -> String {
    let done = Command::new(program).arg(argument).output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}
