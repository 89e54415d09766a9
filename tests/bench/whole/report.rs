//! What is printed and what is kept: tables, aligned or in Markdown, and the ratios by name.
//! Decides nothing.

use crate::baseline::Ratios;
use crate::spread::Spread;

/// What a run of the bench has to say.
#[derive(Debug)]
pub(crate) struct Report {
    markdown: bool,
    /// Less is better in each.
    pub(crate) ratios: Ratios,
}

impl Report {
    pub(crate) fn new(markdown: bool) -> Self {
        Self { markdown, ratios: Ratios::new() }
    }

    /// Keeps a ratio, of which less is better, and answers how it looks.
    pub(crate) fn ratio(&mut self, name: String, ratio: Spread) -> String {
        self.ratios.insert(name, ratio);
        ratio.to_string()
    }

    /// Prints a table: what it is about, the columns, the rows.
    pub(crate) fn table(&self, title: &str, columns: &[&str], rows: &[Vec<String>]) {
        let head = columns.iter().map(|column| (*column).to_owned()).collect();
        let rule = columns.iter().map(|_| "---".to_owned()).collect();
        let lines: Vec<Vec<String>> = if self.markdown {
            [head, rule].into_iter().chain(rows.iter().cloned()).collect()
        } else {
            [head].into_iter().chain(rows.iter().cloned()).collect()
        };
        println!("\n{title}\n");
        for line in &lines {
            println!("{}", self.line(line, &lines));
        }
    }

    fn line(&self, line: &[String], lines: &[Vec<String>]) -> String {
        if self.markdown {
            return format!("| {} |", line.join(" | "));
        }
        let wide = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap();
        let cells = line.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", wide(at)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}
