//! Distributions, and tables of them.

/// Numbers in ascending order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted(pub(crate) Vec<f64>);

impl From<Vec<f64>> for Sorted {
    fn from(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        Self(numbers)
    }
}

impl Sorted {
    /// The smallest number that so many of a hundred do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }
}

/// Prints a table in Markdown: text to the left in its first column, numbers to the right in the others.
pub(crate) fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([head[column].chars().count(), 4])
            .max()
            .unwrap_or(4)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    println!("\n{title}\n\n{}", line(&head));
    let rules = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => "-".repeat(width + 2),
            _ => format!("{}:", "-".repeat(width + 1)),
        });
    println!("|{}|", rules.collect::<Vec<_>>().join("|"));
    for row in rows {
        println!("{}", line(row));
    }
}

/// A number of seconds as milliseconds, or a dash.
pub(crate) fn millis(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |it| format!("{:.1}", it * 1e3))
}
