//! The rules of the house that a compiler does not know: who may use whom, the map, sizes, the
//! paragraph on top of each file, and that nothing of one machine gets in.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder or file under `src/`, and what no line of it may contain. Paths, not prose: comments
/// are not looked at.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("domain/", &["tokio", "async ", ".await", "tracing", "rskafka", "fred::", "axum"]),
    ("domain/", &["std::env", "std::fs", "std::net", "std::io", "std::thread", "std::process"]),
    ("wire/", &["tokio", "async ", ".await", "tracing", "rskafka", "fred::", "axum", "std::env"]),
    ("wire/", &["std::fs", "std::net", "std::thread", "std::process"]),
    // Channels and deadlines of tokio, no tasks and no sockets.
    ("ports/", &["tokio::spawn", "tokio::net", "tokio::task", "tokio::select", "tracing"]),
    ("ports/", &["rskafka", "fred::", "kafka_protocol", "axum", "prometheus"]),
    // A path is routed by the annotation that describes it: by `routed!`.
    ("http/", &[".route(\"", "routing::get", "routing::post"]),
    ("check/", &["tokio", "async ", ".await", "tracing", "std::env", "std::fs", "std::net"]),
    ("", &["unsafe {", "unsafe fn", "unbounded_channel"]),
];

/// Pure folders, and the only crates that their `use` lines may name.
const CRATES: &[(&str, &str)] = &[
    ("domain/", "foldhash hashbrown itoa memfn num_bigint rust_decimal serde thiserror time"),
    (
        "wire/",
        "bytes crc32fast hashbrown itoa memchr memfn num_bigint rust_decimal ryu serde \
         serde_json thiserror time",
    ),
];

/// Modules under `src/`, and the only modules of ours that each may use beside itself.
const USES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("wire", &["domain", "ports"]),
    ("ports", &["domain", "pool"]),
    ("config", &["domain", "wire"]),
    ("status", &["domain"]),
    ("metrics", &["domain"]),
    ("gauges", &["domain", "metrics", "status"]),
    ("telemetry", &["config"]),
    // Figures as they are, spans as telemetry has them; beside the pipeline, never in it.
    ("otlp", &["endpoint", "metrics", "telemetry"]),
    ("registry", &["endpoint", "tls", "wire"]),
    ("endpoint", &["exchange"]),
    ("exchange", &[]),
    ("http", &["domain", "exchange", "gauges", "metrics", "ports", "status", "wire"]),
    ("pool", &[]),
    ("tls", &[]),
    ("kafka", &["config", "domain", "metrics", "pool", "ports", "status", "tls", "wire"]),
    ("redis", &["config", "domain", "metrics", "ports", "status", "tls", "wire"]),
    ("check", &["config", "domain", "kafka", "redis", "wire"]),
    ("local", &["domain", "metrics", "ports", "wire"]),
    ("pipeline", &["domain", "metrics", "pool", "ports", "sabotage", "status", "wire"]),
];

/// What only one place may do, and the place.
const HOMES: &[(&str, &[&str])] = &[
    ("env::var", &["config/mod.rs"]),
    // A lease is counted by the clock that nobody sets.
    ("Instant::now", &["app.rs", "app/", "ports/group.rs"]),
    ("SystemTime::now", &["app.rs", "app/"]),
    ("now_utc", &["app.rs", "app/"]),
];

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_COLUMNS: usize = 100;

struct Source {
    /// Relative to the repository.
    path: String,
    text: String,
}

impl Source {
    /// Its lines with numbers, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Its lines up to the tests at its bottom, comments left out.
    fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    walk(&root().join("tests"), &mut paths);
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
    };
    let sources: Vec<_> = paths.into_iter().map(read).collect();
    assert!(sources.len() > 30, "the sources were not found");
    sources
}

fn product_files() -> Vec<Source> {
    let ours =
        |source: &Source| source.path.starts_with("src/") && !source.path.starts_with("src/memfn/");
    rust_files().into_iter().filter(ours).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// The README's table of faults names a test in each row, and each of them exists.
#[test]
fn every_fault_in_the_readme_has_its_test() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, table) = readme.split_once("| fault | outcome | test |").expect("the table of faults");
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 30, "{} faults", rows.len());
    let tests: String = rust_files().into_iter().map(|source| source.text).collect();
    for row in rows {
        let name = row.trim_end_matches([' ', '|']).rsplit("| ").next().unwrap().trim_matches('`');
        assert!(tests.contains(&format!("fn {name}(")), "no test of this name: {row}");
    }
}

/// Every crate that we name has a reason, and nothing else has one.
#[test]
fn every_dependency_is_justified() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut named = BTreeSet::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once(" = ")
        {
            named.insert(name);
        }
    }
    let table = fs::read_to_string(root().join(".cargo/dependencies.md")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let crates = rows.flat_map(|(crates, _)| crates.split(", ")).filter(|name| *name != "crate");
    assert_eq!(named, crates.collect());
}

#[test]
fn no_folder_uses_what_it_must_not() {
    let mut broken = Vec::new();
    for source in product_files() {
        let inside = source.path.trim_start_matches("src/");
        let rules = FORBIDDEN.iter().filter(|(place, _)| inside.starts_with(place));
        for word in rules.flat_map(|(_, words)| words.iter()) {
            for (line, _) in source.product().filter(|(_, text)| text.contains(word)) {
                broken.push(format!("{}:{line}: {word:?}", source.path));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn pure_folders_name_only_the_crates_that_they_may() {
    let own = ["std", "core", "super", "self", "crate"];
    let mut broken = Vec::new();
    for source in product_files() {
        let inside = source.path.trim_start_matches("src/");
        for (_, crates) in CRATES.iter().filter(|(folder, _)| inside.starts_with(folder)) {
            let known = |used: &str| crates.split(' ').any(|name| name == used);
            for (line, text) in source.product() {
                let text = text.trim_start().trim_start_matches("pub ");
                let Some(used) = text.strip_prefix("use ") else {
                    continue;
                };
                let used = used.split([':', ';', ' ']).next().unwrap_or_default();
                if !own.contains(&used) && !known(used) {
                    broken.push(format!("{}:{line}: {used:?}", source.path));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn modules_use_each_other_in_one_direction() {
    let mut broken = Vec::new();
    for source in product_files() {
        let inside = source.path.trim_start_matches("src/").trim_end_matches(".rs");
        let module = inside.split('/').next().unwrap();
        let Some((_, allowed)) = USES.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        for (line, text) in source.product() {
            for used in text.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
                let used = used.unwrap_or_default();
                if used != module && !allowed.contains(&used) {
                    broken.push(format!("{}:{line}: {module} uses {used:?}", source.path));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn clocks_and_environment_are_read_at_home_only() {
    let mut broken = Vec::new();
    for source in product_files() {
        let inside = source.path.trim_start_matches("src/");
        for (word, homes) in HOMES {
            if homes.iter().any(|home| inside.starts_with(home)) {
                continue;
            }
            for (line, _) in source.product().filter(|(_, text)| text.contains(word)) {
                broken.push(format!("{}:{line}: {word} belongs to {homes:?}", source.path));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_file_says_on_top_what_it_owns() {
    let silent = rust_files()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect::<Vec<_>>();
    assert_none(&silent);
}

#[test]
fn files_functions_and_lines_are_short() {
    let mut broken = Vec::new();
    for source in rust_files() {
        let lines = source.text.lines().count();
        if lines > MAX_FILE_LINES {
            broken.push(format!("{}: {lines} lines", source.path));
        }
        for (line, text) in source.text.lines().enumerate() {
            if text.chars().count() > MAX_COLUMNS {
                broken.push(format!("{}:{}: too wide", source.path, line + 1));
            }
        }
        for (line, length) in functions(&source) {
            if length > MAX_FUNCTION_LINES {
                broken.push(format!("{}:{line}: a function of {length} lines", source.path));
            }
        }
    }
    assert_none(&broken);
}

/// Where functions begin, and how many lines they have: rustfmt closes each at its own indent.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let lines: Vec<_> = source.code().collect();
    let opens = |text: &str| {
        let text = text.trim_start();
        let words = text.split('(').next().unwrap_or_default();
        words.split(' ').any(|word| word == "fn") && !text.ends_with(';') && !text.contains('"')
    };
    let mut found = Vec::new();
    for (place, (first, text)) in lines.iter().enumerate() {
        // A signature may span lines; one that ends in `;` has no body.
        let signature = lines[place..].iter().find(|(_, text)| text.ends_with(['{', ';', '}']));
        if opens(text) && signature.is_some_and(|(_, text)| text.ends_with('{')) {
            let end = format!("{}}}", &text[..text.len() - text.trim_start().len()]);
            let last = lines[place..].iter().find(|(_, text)| *text == end);
            found.push((*first, last.map_or(1, |(last, _)| last - first + 1)));
        }
    }
    found
}

/// The map is the first `text` block of `lib.rs`: one line a module, `name` or `folder/`, two
/// blanks of indent for each folder, then what it is for.
#[test]
fn the_map_on_top_of_lib_is_the_tree() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let block = text.lines().skip_while(|line| *line != "//! ```text").skip(1);
    let mut folders: Vec<String> = Vec::new();
    let mut mapped = BTreeSet::new();
    for line in block.take_while(|line| *line != "//! ```") {
        let line = line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default();
        let depth = (line.len() - line.trim_start().len()) / 2;
        let (name, purpose) = line.trim_start().split_once(' ').expect("a module and its purpose");
        assert!(!purpose.trim().is_empty(), "{name} has no purpose");
        folders.truncate(depth);
        let path = format!("{}{name}", folders.concat());
        if name.ends_with('/') {
            folders.push(name.to_owned());
        } else {
            mapped.insert(path);
        }
    }
    let present = |source: Source| {
        let path = source.path.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
        (!path.ends_with("/mod") && path != "lib").then_some(path)
    };
    let tree: BTreeSet<_> = product_files().into_iter().filter_map(present).collect();
    let missing: Vec<_> = tree.difference(&mapped).collect();
    let stale: Vec<_> = mapped.difference(&tree).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not mapped {missing:?}, gone {stale:?}");
}

#[test]
fn nothing_of_one_machine_gets_in() {
    let listed =
        std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    // A source archive has no index; then there is nothing new to find either.
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        return;
    };
    let names = String::from_utf8(listed.stdout).unwrap();
    let homes = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let mut broken = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty() && *name != "Cargo.lock") {
        let text = fs::read(root().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        for (line, _) in text
            .lines()
            .enumerate()
            .filter(|(_, text)| homes.iter().any(|home| text.contains(home.as_str())))
        {
            broken.push(format!("{name}:{}", line + 1));
        }
    }
    assert_none(&broken);
}
