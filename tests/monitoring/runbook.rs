//! The runbook against what it talks of: alerts, log lines, panels, figures, settings.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aggregator_service::config::SETTINGS;
use aggregator_service::domain::position::Partition;
use aggregator_service::metrics::Metrics;

use crate::expressions;
use crate::files::{self, word};

/// What a section says, in this order.
const PARTS: [&str; 4] = ["- **Means**: ", "- **By itself**: ", "- **Look**: ", "- **Do**: "];

/// Topics' and Redis' own names, which look like settings.
const NOT_SETTINGS: [&str; 1] = ["LASTSAVE"];

/// Headings with what stands below them.
fn sections(text: &str) -> Vec<(&str, &str)> {
    text.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).collect()
}

/// As a link within a page names a heading.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

/// What stands between two of `mark`, wherever lines break.
fn marked(text: &str, mark: char) -> Vec<String> {
    let spans = text.split(mark).skip(1).step_by(2);
    spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_alert_leads_to_its_section_and_every_section_has_its_alert() {
    let text = files::text("runbook.md");
    let sections = sections(&text);
    let headings: BTreeSet<_> = sections.iter().map(|(heading, _)| anchor(heading)).collect();
    let mut linked = BTreeSet::new();
    for alert in files::alerts() {
        let anchor = alert.runbook.strip_prefix("runbook.md#").expect("a section of the runbook");
        // AggregatorLagGrowing leads to lag-growing.
        let name = alert.name.strip_prefix("Aggregator").expect("the prefix of all alerts");
        assert_eq!(anchor.replace('-', ""), name.to_lowercase());
        linked.insert(anchor.to_owned());
    }
    assert_eq!(linked, headings);
    for (heading, body) in sections {
        let parts: Vec<_> = body.split("\n- ").skip(1).map(|part| format!("- {part}")).collect();
        assert_eq!(parts.len(), PARTS.len(), "the parts of {heading}");
        for (part, begins) in parts.iter().zip(PARTS) {
            assert!(part.starts_with(begins), "{heading}: {part:?} begins with {begins:?}");
        }
    }
    for link in text.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(headings.contains(link), "no section {link}");
    }
}

#[test]
fn log_lines_panels_figures_and_settings_are_called_what_they_are_called() {
    let text = files::text("runbook.md");
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let lines = marked(&text, '"');
    assert!(lines.len() > 10, "log lines were not found");
    for line in lines {
        assert!(sources.contains(&format!("\"{line}\"")), "no log line {line:?}");
    }
    let dashboard = files::dashboard();
    let panels: BTreeSet<_> = files::panels(&dashboard).map(|it| word(&it["title"])).collect();
    for panel in marked(&text.replace("**", ""), '*') {
        assert!(panels.contains(&panel), "no panel {panel:?}");
    }
    let metrics = Metrics::new().unwrap();
    metrics.set_lag(Partition(0), 0, Some(Duration::ZERO));
    let figures = metrics.text().unwrap();
    for figure in expressions::figures(&text) {
        assert!(figures.contains(&format!("# TYPE {figure} ")), "no figure {figure}");
    }
    let settings: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    for name in marked(&text, '`') {
        let capital = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let setting = capital && !NOT_SETTINGS.contains(&name.as_str());
        assert!(!setting || settings.contains(name.as_str()), "no setting {name}");
    }
}

/// All source text under a folder.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = entries.map(|path| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(path).unwrap(),
        _ => String::new(),
    });
    text.collect()
}
