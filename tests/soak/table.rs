//! What a soak came to, as a table in Markdown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::FAULTS;
use crate::soak::Report;

/// Prints the table.
pub(crate) fn print(report: &Report) {
    let Report { settings, took, tally, seen, faults } = report;
    let names: Vec<_> = settings.spans.iter().map(|(name, _)| *name).collect();
    println!(
        "\n{:.0} minutes, {} trades/s of {} tokens, windows {}, a tick every {} s, seed {}\n",
        took.as_secs_f64() / 60.0,
        settings.rate,
        settings.tokens,
        names.join(","),
        settings.interval,
        settings.seed,
    );
    let rows: [(&str, String); 19] = [
        ("records in", format!("{} ({} of them twice)", tally.records, tally.produced_again)),
        ("trades in", tally.trades.to_string()),
        ("trades counted", tally.counted.to_string()),
        ("lost", tally.lost.to_string()),
        ("doubled", tally.doubled.to_string()),
        ("messages out, each compared in every field", tally.messages.to_string()),
        ("wrong figures", (tally.wrong + tally.left_out + tally.differing).to_string()),
        ("messages missing", (tally.missing + tally.unclosed).to_string()),
        ("messages that must not be", tally.surplus.to_string()),
        ("messages sent again, or older after newer", {
            format!("{} / {}", tally.sent_again, tally.older_after_newer)
        }),
        ("closing messages", tally.closed.to_string()),
        ("bad things in", tally.bad.to_string()),
        ("dead letters out", format!("{} ({} again)", tally.letters, tally.letters_again)),
        ("dead letters missing", tally.letters_missing.to_string()),
        ("ticks", format!("{} ({} skipped in faults)", tally.ticks, tally.ticks_missed)),
        ("longest gap between ticks", gap(tally.longest_gap_ms)),
        ("longest gap outside of faults", gap(tally.longest_calm_gap_ms)),
        ("trades read again and not counted again", format!("{:.0}", seen.read_again)),
        ("largest memory", format!("{:.1} MB", kilobytes(seen.peak_kb) / 1_000.0)),
    ];
    println!("| what | figure |\n|---|---|");
    for (name, figure) in rows {
        println!("| {name} | {figure} |");
    }
    println!("\n| fault | times | ready again at the latest |\n|---|---|---|");
    let mut by_fault: BTreeMap<_, (u32, Duration)> = BTreeMap::new();
    for inflicted in faults {
        let (times, longest) = by_fault.entry(inflicted.what).or_default();
        *times += 1;
        *longest = (*longest).max(inflicted.recovery);
    }
    for (_, name) in FAULTS {
        let (times, longest) = by_fault.get(name).copied().unwrap_or_default();
        println!("| {name} | {times} | {:.1} s |", longest.as_secs_f64());
    }
}

fn gap(ms: i64) -> String {
    format!("{:.1} s", Duration::from_millis(ms.unsigned_abs()).as_secs_f64())
}

fn kilobytes(count: u64) -> f64 {
    u32::try_from(count).unwrap().into()
}
