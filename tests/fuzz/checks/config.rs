//! Configuration out of a TOML text and an environment.
//!
//! An input is text: the TOML file, a line `---`, then a line for each variable, `NAME=VALUE`; one
//! that begins with `--set ` is a flag.

use std::cell::RefCell;
use std::io::{Seek, Write};

use aggregator_service::config::{Config, ConfigArgs, Kind, SETTINGS};
use tempfile::NamedTempFile;

/// Whatever stands in the layers, each problem is one line that names what is wrong; no secret is
/// in it or among what is shown; what is shown, given again, is the same configuration.
pub fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (file, variables) = text.split_once("---\n").unwrap_or((&text, ""));
    let (flags, env): (Vec<_>, Vec<_>) =
        variables.lines().partition(|line| line.starts_with("--set "));
    let flags = flags.into_iter().map(|line| line.trim_start_matches("--set "));
    let answer = load(file, pairs(flags), pairs(env));
    let secret = is_secret(&text);
    match answer {
        Ok(config) => {
            let names = config.shown.iter().map(|shown| shown.name);
            assert!(names.eq(SETTINGS.iter().map(|setting| setting.name)));
            assert!(!secret || config.shown.iter().all(|shown| !shown.value.contains(SECRET)));
            assert!(!secret || !format!("{:?}", config.shown).contains(SECRET));
            again(&config);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let typed = problem.ends_with(": no such setting");
                assert!(typed || !problem.contains(char::is_control), "{problem:?}");
                assert!(!secret || !problem.contains(SECRET), "a secret: {problem}");
                assert!(named(&problem), "nothing is named: {problem}");
            }
        }
    }
}

fn load(
    file: &str,
    set: Vec<(String, String)>,
    env: Vec<(String, String)>,
) -> Result<Config, Vec<String>> {
    thread_local! {
        static FILE: RefCell<NamedTempFile> =
            RefCell::new(NamedTempFile::new().expect("a temporary file"));
    }
    FILE.with_borrow_mut(|temporary| {
        temporary.as_file().set_len(0).expect("a file");
        temporary.rewind().expect("a file");
        temporary.write_all(file.as_bytes()).expect("a file");
        let args = ConfigArgs { config: Some(temporary.path().to_owned()), set };
        Config::load(&args, env.into_iter()).map_err(|error| error.0)
    })
}

fn pairs<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
    let pairs = lines.into_iter().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A problem begins with a setting's name or the file, or it is about a name that is no setting's.
fn named(problem: &str) -> bool {
    let name = problem.split_once(": ").map(|(name, _)| name);
    name == Some("the file")
        || SETTINGS.iter().any(|setting| name == Some(setting.name))
        || problem.ends_with(": unknown key in the file")
        || problem.ends_with(": no such setting")
}

/// What was hidden cannot be given again.
fn again(config: &Config) {
    let hidden = |value: &str| value.contains("***");
    let open = config.shown.iter().filter(|shown| !hidden(&shown.value));
    let mut env: Vec<_> = open.map(|shown| (shown.name.to_owned(), shown.value.clone())).collect();
    let password = config.kafka_sasl_password.iter().map(|secret| secret.expose().to_owned());
    env.extend(password.map(|secret| ("KAFKA_SASL_PASSWORD".to_owned(), secret)));
    let second = load("", Vec::new(), env).expect("accepted before");
    for (first, second) in config.shown.iter().zip(&second.shown) {
        assert!(first.value == second.value || hidden(&first.value), "{first:?}, {second:?}");
    }
}

/// Whether the secret stands in the input where it is one, and nowhere else. Texts of several lines
/// are left out: what is in them may look like a setting.
fn is_secret(input: &str) -> bool {
    let (secret, open): (Vec<_>, Vec<_>) = input.lines().partition(|line| hides(line));
    let several = ["\"\"\"", "'''"].iter().any(|quote| input.contains(quote));
    let said = |lines: &[&str]| lines.iter().any(|line| line.contains(SECRET));
    said(&secret) && !said(&open) && !several
}

fn hides(line: &str) -> bool {
    let Some((name, value)) = line.trim_start_matches("--set ").split_once('=') else {
        return false;
    };
    let name = name.trim().to_ascii_uppercase();
    let inside = |value: &str| {
        let (scheme, rest) = value.split_once("://").unwrap_or(("", value));
        let (login, host) = rest.rsplit_once('@')?;
        Some(login.contains(SECRET) && !scheme.contains(SECRET) && !host.contains(SECRET))
    };
    (name == "REDIS_ADDR" && inside(value) == Some(true))
        || SETTINGS.iter().any(|one| one.kind == Kind::Secret && one.name == name)
}

const SECRET: &str = "s3cr3t";
