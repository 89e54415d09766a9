//! Asks the schema registry, where one is needed: how our schema stands there.

use tokio::time::timeout;

use crate::app::access;
use crate::check::{Findings, REGISTRY};
use crate::kafka::ANSWER_LIMIT;
use crate::registry::{Registry, RegistryError, Standing};

pub(super) async fn look(registry: Option<&Registry>) -> Findings {
    let mut findings = Findings::of(REGISTRY);
    let Some(registry) = registry else { return findings };
    let subject = registry.subject();
    match timeout(ANSWER_LIMIT, registry.look()).await {
        Ok(Ok(Standing::Registered(id))) => {
            findings.ok(subject, format!("our schema is registered, id {id}"));
        }
        Ok(Ok(Standing::Fits)) => {
            findings.ok(subject, "our schema is not registered yet, and fits: the start does it");
        }
        Ok(Err(error @ RegistryError::Away { .. })) => {
            let todo = "is it running, is SCHEMA_REGISTRY_URL right, is the way open?";
            findings.fail(subject, error.to_string(), todo);
        }
        Ok(Err(error @ RegistryError::Incompatible { .. })) => {
            let todo = "write to another AGGREGATE_TOPIC, or have the subject's compatibility set";
            findings.fail(subject, error.to_string(), todo);
        }
        Ok(Err(error)) => {
            let todo = format!("look at {}", access::registry_variables(&error));
            findings.fail(subject, error.to_string(), todo);
        }
        Err(_) => {
            let says = format!("the schema registry has not answered within {ANSWER_LIMIT:?}");
            findings.fail(subject, says, "is the way open, is the registry well?");
        }
    }
    findings
}
