//! The files for compose and Kubernetes, against the official schemas, and against what the program
//! and its image really are.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::{BINARY, output, repository, text};
use support::install;

/// A program of the validators: Python packages that carry the official schemas with them.
fn validator(program: &str) -> Command {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let programs = INSTALLED.get_or_init(|| {
        let packages = ["check-jsonschema==0.39.0", "kubernetes-validate==1.37.0"];
        let folder = repository().join("target/tools/validators");
        let done = folder.join("installed");
        if fs::read_to_string(&done).ok() != Some(packages.concat()) {
            install::ensure("virtualenv", &["virtualenv"]);
            let python = ["--quiet", "--clear", "--python", "/usr/bin/python3"];
            output(Command::new("virtualenv").args(python).arg(&folder));
            let mut pip = Command::new(folder.join("bin/pip"));
            output(pip.args(["install", "--quiet"]).args(packages));
            fs::write(&done, packages.concat()).unwrap();
        }
        folder.join("bin")
    });
    Command::new(programs.join(program))
}

/// The documents of a YAML file.
fn documents(path: &str) -> Vec<Value> {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    let input = fs::File::open(repository().join(path)).unwrap();
    let said = output(validator("python").args(["-c", script]).stdin(Stdio::from(input)));
    serde_json::from_str(&said).unwrap()
}

/// The one of this kind.
fn kind(kind: &str) -> Value {
    let found = documents("deploy/kubernetes.yaml").into_iter().find(|one| one["kind"] == kind);
    found.expect(kind)
}

/// Variables as a manifest has them.
fn variables(of: &Value) -> BTreeMap<String, String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    of.as_object().unwrap().iter().map(|(name, value)| (name.clone(), word(value))).collect()
}

/// The program accepts each of these variables, and each one counts.
fn assert_settings(variables: &BTreeMap<String, String>) {
    assert!(!variables.is_empty());
    let shown = output(Command::new(BINARY).env_clear().envs(variables).arg("config"));
    for (name, value) in variables {
        let line = shown.lines().find(|line| line.starts_with(&format!("{name}={value} ")));
        let line = line.unwrap_or_else(|| panic!("{name} is no setting:\n{shown}"));
        assert!(line.ends_with("# environment"), "{line}");
    }
}

/// The file with one name misspelt: a validator that accepts it validates nothing.
fn spoiled(path: &str, right: &str, wrong: &str) -> tempfile::NamedTempFile {
    let (file, right) = (text(path), format!("{right}:"));
    assert!(file.contains(&right), "{right}");
    let mut spoiled = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    spoiled.write_all(file.replacen(&right, &format!("{wrong}:"), 1).as_bytes()).unwrap();
    spoiled
}

#[test]
fn the_compose_file_is_what_its_specification_wants() {
    let check = || {
        let mut command = validator("check-jsonschema");
        command.args(["--builtin-schema", "vendor.compose-spec"]);
        command
    };
    output(check().arg(repository().join("deploy/compose.yaml")));
    let wrong = spoiled("deploy/compose.yaml", "depends_on", "depend_on");
    assert!(!check().arg(wrong.path()).output().unwrap().status.success());
}

#[test]
fn the_compose_file_names_files_settings_and_versions_that_exist() {
    let compose = documents("deploy/compose.yaml").remove(0);
    let services = compose["services"].as_object().unwrap();
    let folder = repository().join("deploy");
    for (name, service) in services {
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let source = mount.as_str().unwrap().split(':').next().unwrap();
            let there = if source.starts_with('.') {
                folder.join(source).exists()
            } else {
                !compose["volumes"].get(source).expect(source).is_boolean()
            };
            assert!(there, "{name}: {source} is not there");
        }
        let conditions = service["depends_on"].as_object().into_iter().flatten();
        for (other, how) in conditions {
            let other_has = &services[other];
            let (healthy, ended) = ("service_healthy", "service_completed_successfully");
            assert!(how["condition"] == healthy || how["condition"] == ended, "{name}: {how}");
            let checked = other_has["healthcheck"].is_object();
            assert_eq!(checked, how["condition"] == healthy, "{name} waits for {other} in vain");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(
                port.as_str().unwrap().starts_with("127.0.0.1:"),
                "{name}: open to all: {port}"
            );
        }
    }
    for name in ["aggregator", "topics"] {
        assert_settings(&variables(&services[name]["environment"]));
        let command = services[name]["command"].as_array().into_iter().flatten();
        let command = command.map(|word| word.as_str().unwrap()).chain(["--help"]);
        output(Command::new(BINARY).args(command));
        let build = &services[name]["build"];
        let context = folder.join(build["context"].as_str().unwrap());
        assert_eq!(context, folder.join("../target/dist"));
        // From the context, which only a release makes.
        assert_eq!(build["dockerfile"], "../../deploy/Containerfile");
        assert_eq!(services[name]["read_only"], true);
    }
    let tested = text("tests/support/kafka/pom.xml");
    let tested = tested.split("<kafka>").nth(1).unwrap().split('<').next().unwrap();
    for name in ["kafka", "trades"] {
        assert_eq!(
            services[name]["image"],
            format!("apache/kafka:{tested}"),
            "what is tested with"
        );
    }
}

#[test]
fn simulated_trades_all_count() {
    let script = repository().join("deploy/simulated-trades");
    let mut trades = Command::new("bash").arg(script).arg("60").stdout(Stdio::piped()).spawn();
    let input = trades.as_mut().unwrap().stdout.take().unwrap();
    let replayed = Command::new(BINARY).env_clear().args(["replay", "-"]).stdin(input).output();
    assert!(trades.unwrap().wait().unwrap().success());
    let said = String::from_utf8(replayed.unwrap().stderr).unwrap();
    assert!(said.contains("60 lines, 60 trades,") && said.contains(" 0 rejected,"), "{said}");
}

#[test]
fn the_manifests_are_what_kubernetes_wants_the_oldest_of_today_and_the_newest() {
    for version in ["1.28", "1.37"] {
        let check = || {
            let mut command = validator("kubernetes-validate");
            command.args(["--strict", "--kubernetes-version", version]);
            command
        };
        output(check().arg(repository().join("deploy/kubernetes.yaml")));
        let wrong = spoiled("deploy/kubernetes.yaml", "runAsNonRoot", "runAsNonroot");
        assert!(!check().arg(wrong.path()).output().unwrap().status.success());
    }
}

#[test]
fn the_manifests_fit_the_program_and_its_image() {
    let settings = variables(&kind("ConfigMap")["data"]);
    assert_settings(&settings);
    let deployment = kind("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(container["image"], format!("aggregator-service:{version}"));
    let image = text("deploy/Containerfile");
    let user = &pod["securityContext"];
    let user = format!("USER {}:{}\n", user["runAsUser"], user["runAsGroup"]);
    assert!(image.contains(&user), "{user}");
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    assert!(image.contains(&format!("EXPOSE {port}\n")));
    let defaults = output(Command::new(BINARY).env_clear().arg("config"));
    assert!(defaults.contains(&format!("METRICS_PORT={port} ")), "{defaults}");
    assert!(defaults.contains("SHUTDOWN_TIMEOUT=10s "), "{defaults}");
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 10);
    let paths = ["startupProbe", "livenessProbe", "readinessProbe"].map(|name| {
        assert_eq!(container[name]["httpGet"]["port"], container["ports"][0]["name"]);
        container[name]["httpGet"]["path"].as_str().unwrap().to_owned()
    });
    assert_eq!(paths, ["/livez", "/livez", "/readyz"]);
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&kind("Service")["spec"]["selector"], labels);
    assert_eq!(&kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);

    let number = |name: &str| settings[name].parse::<u64>().unwrap();
    let held = 500 * number("MAX_TOKENS") + 100 * number("MAX_PANES");
    assert_eq!(container["resources"]["limits"]["memory"], "2Gi");
    assert!(held < (2 << 30) * 3 / 4, "{held} bytes leave too little for the rest");
}
