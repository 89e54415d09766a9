//! Findings as a page for people, and as JSON for machines.

use console::Style;
use serde::Serialize;

use super::{Finding, Level};

/// A page: a group after the other, a line for each finding, below it what to do. Coloured where
/// stdout is a terminal that wants it.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let mut page = String::new();
    let widest = findings.iter().map(|one| one.about.chars().count()).max().unwrap_or(0);
    let width = widest.min(MAX_ABOUT);
    let mut group = "";
    for finding in findings {
        if finding.group != group {
            group = finding.group;
            let gap = if page.is_empty() { "" } else { "\n" };
            add(&mut page, &format!("{gap}{}", Style::new().bold().apply_to(group)));
        }
        let (word, style) = shown(finding.level);
        let Finding { about, says, .. } = finding;
        add(&mut page, &format!("  {}  {about:<width$}  {says}", style.apply_to(word)));
        if let Some(todo) = &finding.todo {
            add(&mut page, &format!("          {:<width$}→ {todo}", ""));
        }
    }
    add(&mut page, &format!("\n{}", summary(findings)));
    page
}

/// One JSON object: the worst level, and the findings.
///
/// # Errors
/// Never: what is written is text and words.
pub fn json(findings: &[Finding]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        verdict: Level,
        findings: &'a [Finding],
    }
    let report = Report { verdict: worst(findings), findings };
    serde_json::to_string(&report).map(|text| text + "\n")
}

/// The worst level among them.
#[must_use]
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (ok, warn, fail) = (count(Level::Ok), count(Level::Warn), count(Level::Fail));
    match worst(findings) {
        Level::Ok => format!("all {ok} findings are ok"),
        Level::Warn => format!("nothing fails; {warn} to look at, {ok} ok"),
        Level::Fail => format!("{fail} failed, {warn} to look at, {ok} ok"),
    }
}

fn shown(level: Level) -> (&'static str, Style) {
    match level {
        Level::Ok => ("ok  ", Style::new().green()),
        Level::Warn => ("warn", Style::new().yellow()),
        Level::Fail => ("fail", Style::new().red().bold()),
    }
}

fn add(page: &mut String, line: &str) {
    page.push_str(line.trim_end());
    page.push('\n');
}

/// Names longer than this push their own line only.
const MAX_ABOUT: usize = 24;

#[cfg(test)]
mod tests {
    use super::super::Findings;
    use super::*;

    fn findings() -> Vec<Finding> {
        let mut kafka = Findings::of("Kafka");
        kafka.ok("a:1", "is there");
        kafka.warn("b:22", "is slow", "wait");
        let mut redis = Findings::of("Redis");
        redis.fail("r:3", "is away", "start it");
        [kafka.into_list(), redis.into_list()].concat()
    }

    #[test]
    fn a_page_is_aligned_and_says_what_to_do() {
        let page = "Kafka\n  ok    a:1   is there\n  warn  b:22  is slow\n              → wait\n\n\
                    Redis\n  fail  r:3   is away\n              → start it\n\n\
                    1 failed, 1 to look at, 1 ok\n";
        assert_eq!(console::strip_ansi_codes(&text(&findings())), page);
    }

    #[test]
    fn machines_get_the_same() {
        let value: serde_json::Value = serde_json::from_str(&json(&findings()).unwrap()).unwrap();
        assert_eq!(value["verdict"], "fail");
        assert_eq!(value["findings"][1]["level"], "warn");
        assert_eq!(value["findings"][0].get("todo"), None);
    }
}
