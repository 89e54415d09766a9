//! Commands that only print.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::site::run;

#[test]
fn completions_are_a_script_that_bash_reads_and_that_knows_every_command() {
    let script = run(&["completions", "bash"], &[]);
    assert_eq!(script.code, 0);
    for command in ["check", "topics", "completions", "config", "demo", "replay", "healthcheck"] {
        assert!(
            script.text.contains(&format!("aggregator__service__{command}"))
                || script.text.contains(&format!("aggregator__service__subcmd__{command}")),
            "{command}"
        );
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.text.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell], &[]).text.contains("check"), "{shell}");
    }
}

#[test]
fn config_is_printed_for_people_and_for_machines_without_secrets() {
    let variables = [("REDIS_PASSWORD", "hunter2"), ("KAFKA_TOPIC", "t")];
    let people = run(&["config"], &variables);
    let machines = run(&["config", "--json"], &variables);
    let value: serde_json::Value = serde_json::from_str(&machines.text).unwrap();
    let settings = value["settings"].as_array().unwrap();
    assert_eq!(settings.len(), people.text.lines().count());
    for setting in settings {
        let [name, value] = ["name", "value"].map(|field| setting[field].as_str().unwrap());
        let line = people.text.lines().find(|line| line.starts_with(&format!("{name}="))).unwrap();
        assert!(line.contains(&format!("{name}={value}")), "{line}");
        assert!(line.ends_with(&format!("# {}", setting["origin"].as_str().unwrap())), "{line}");
    }
    assert!(!people.text.contains("hunter2") && !machines.text.contains("hunter2"));
}
