//! `/openapi.json` against the rules of OpenAPI 3.1, against the routes, and against what is really
//! answered.

use std::collections::BTreeSet;

use aggregator_service::domain::trade::MAX_TOKEN_BYTES;
use roas::validation::{Options, Validate};
use serde_json::{Value, json};

use crate::ask::{Answer, ask};
use crate::stage::{QUIET, Stage, until};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The paths with their operations by method.
fn paths(document: &Value) -> impl Iterator<Item = (&String, Vec<(&String, &Value)>)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().map(|(path, item)| (path, item.as_object().unwrap().iter().collect()))
}

/// Where a path can be asked for.
fn concrete(path: &str) -> String {
    path.replace("{address}", QUIET)
}

pub(crate) fn is_valid(stage: &Stage) {
    let text = stage.ask("GET /openapi.json").body;
    let document: roas::v3_1::spec::Spec = serde_json::from_str(&text).unwrap();
    // Nothing is let pass: unused schemas and tags are errors, too.
    if let Err(errors) = document.validate(Options::empty(), None) {
        panic!("{errors}");
    }
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["info"]["version"], stage.json("/version")["version"]);
    for (path, operations) in paths(&document) {
        for (method, operation) in operations {
            let described = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert!(described(&operation["summary"]), "{method} {path}");
            assert!(!operation["tags"].as_array().unwrap().is_empty(), "{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(described(&parameter["description"]), "{method} {path}: {parameter}");
            }
        }
    }
    examples_are_valid(&document);
    let longest = &document["components"]["schemas"]["Wanted"]["properties"]["token"]["maxLength"];
    assert_eq!(*longest, MAX_TOKEN_BYTES);
}

/// Every example of a schema is one of it.
fn examples_are_valid(document: &Value) {
    let mut seen = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            validate(document, &json!({"$ref": format!("#/components/schemas/{name}")}), example);
            seen += 1;
        }
        for (_, property) in schema["properties"].as_object().into_iter().flatten() {
            for example in property["examples"].as_array().into_iter().flatten() {
                validate(document, property, example);
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "{seen} examples");
}

pub(crate) fn routes(stage: &Stage) {
    let document = stage.json("/openapi.json");
    for (path, operations) in paths(&document) {
        let mut expected: BTreeSet<_> =
            operations.iter().map(|(method, _)| method.to_uppercase()).collect();
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        let answered = METHODS.into_iter().filter(|method| {
            let answer = stage.ask(&format!("{method} {}", concrete(path)));
            assert_ne!(answer.status, 404, "{method} {path}: {answer:?}");
            answer.status != 405
        });
        assert_eq!(answered.map(str::to_owned).collect::<BTreeSet<_>>(), expected, "{path}");
    }
}

pub(crate) fn parameters(stage: &Stage) {
    let document = stage.json("/openapi.json");
    let mut seen = 0;
    for (path, operations) in paths(&document) {
        for (method, operation) in operations {
            let ask = |query: &str| {
                // A stream that was left is noticed a little later, and some have room at once.
                until("room for a stream", || pages_open(stage) < 8);
                let path = concrete(path);
                stage.ask(&format!("{} {path}?{query}", method.to_uppercase())).status
            };
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                let (accepted, refused) = values(&parameter["schema"]);
                let name = parameter["name"].as_str().unwrap();
                for value in accepted {
                    assert_eq!(ask(&format!("{name}={value}")), 200, "{path}?{name}={value}");
                }
                for value in refused {
                    assert_eq!(ask(&format!("{name}={value}")), 400, "{path}?{name}={value}");
                }
                seen += 1;
            }
            if path.starts_with("/tokens") || path == "/events" {
                assert_eq!(ask("luck=1"), 400, "{path} takes what is not in the document");
            }
        }
    }
    assert!(seen > 8, "{seen} parameters");
}

/// How many streams of `/events` are open.
fn pages_open(stage: &Stage) -> u32 {
    let figures = stage.ask("GET /metrics").body;
    let open = figures.lines().find_map(|line| line.strip_prefix("aggregator_pages_open "));
    open.expect("the figure").parse().unwrap()
}

/// Values at the edge of what a schema accepts, and such beyond it.
fn values(schema: &Value) -> (Vec<String>, Vec<String>) {
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    if let Some(names) = schema["enum"].as_array() {
        accepted.extend(names.iter().filter_map(Value::as_str).map(str::to_owned));
        refused.push("luck".to_owned());
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
        accepted.extend([least, most].map(|number| number.to_string()));
        refused.extend([least - 1, most + 1].map(|number| number.to_string()));
        refused.push("many".to_owned());
    }
    if let Some(longest) = schema["maxLength"].as_u64() {
        let longest = usize::try_from(longest).unwrap();
        accepted.push("x".repeat(longest));
        refused.push("x".repeat(longest + 1));
    }
    (accepted, refused)
}

/// Whether the one on this port answers as the document says, whatever state it is in.
pub(crate) fn conform(port: u16) {
    let document = ask(port, "GET /openapi.json").json();
    for (path, operations) in paths(&document) {
        for (method, operation) in operations {
            let request = format!("{} {}", method.to_uppercase(), concrete(path));
            conforms(&document, &request, operation, &ask(port, &request));
        }
    }
}

pub(crate) fn answers(stage: &Stage) {
    conform(stage.port);
    let document = stage.json("/openapi.json");
    let publish = &document["paths"]["/publish"]["post"];
    for wanted in [json!({"token": QUIET}), json!({}), json!({"tokens": ["nobody"]})] {
        conforms(&document, "publish", publish, &stage.post("/publish", &wanted));
    }
}

/// Whether that is an answer that the document promises.
fn conforms(document: &Value, what: &str, operation: &Value, answer: &Answer) {
    let promised = &operation["responses"][answer.status.to_string()];
    assert!(promised.is_object(), "{what}: {} is not documented", answer.status);
    let contents = promised["content"].as_object().expect("a body");
    let (kind, content) = contents.iter().next().unwrap();
    assert!(answer.header("content-type").unwrap().starts_with(&**kind), "{what}: {answer:?}");
    if kind == "application/json" {
        validate(document, &content["schema"], &answer.json());
    }
}

/// The schema's references lead into the document. What an object may have beside what is
/// described is nothing.
fn validate(document: &Value, schema: &Value, value: &Value) {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    for (_, component) in schema["components"]["schemas"].as_object_mut().unwrap() {
        if component["properties"].is_object() {
            component["additionalProperties"] = json!(false);
        }
    }
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?} in {value}");
}
