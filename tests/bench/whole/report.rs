//! What is printed and what is kept: tables, aligned or in Markdown, row by row as they come, and
//! the ratios by name. A run that is cut off has lost nothing. Decides nothing.

use std::path::PathBuf;

use crate::baseline::{self, Ratios};
use crate::spread::Spread;

/// What a run of the bench has to say.
#[derive(Debug)]
pub(crate) struct Report {
    markdown: bool,
    /// Where the ratios are kept.
    save: Option<PathBuf>,
    /// Less is better in each.
    pub(crate) ratios: Ratios,
    widths: Vec<usize>,
}

impl Report {
    pub(crate) fn new(markdown: bool, save: Option<PathBuf>) -> Self {
        Self { markdown, save, ratios: Ratios::new(), widths: Vec::new() }
    }

    /// Keeps a ratio, of which less is better, and answers how it looks.
    pub(crate) fn ratio(&mut self, name: String, ratio: Spread) -> String {
        self.ratios.insert(name, ratio);
        ratio.to_string()
    }

    /// Begins a table: what it is about, and its columns.
    pub(crate) fn table(&mut self, title: &str, columns: &[&str]) {
        self.widths = columns.iter().map(|column| column.chars().count().max(NARROW)).collect();
        println!("\n{title}\n");
        self.print(columns.iter().map(|column| (*column).to_owned()).collect());
        if self.markdown {
            self.print(vec!["---".to_owned(); columns.len()]);
        }
    }

    /// A row of the table that was begun last; what it says is kept at once.
    pub(crate) fn row(&self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.widths.len(), "a cell for each column");
        self.print(cells);
        if let Some(path) = &self.save {
            baseline::save(path, &self.ratios);
        }
    }

    fn print(&self, cells: Vec<String>) {
        if self.markdown {
            println!("| {} |", cells.join(" | "));
            return;
        }
        let cells = cells.iter().zip(&self.widths).map(|(cell, wide)| format!("{cell:<wide$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Room for a median with its range.
const NARROW: usize = 16;
