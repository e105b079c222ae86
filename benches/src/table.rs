//! The one table that everything measured stands in: for people in Markdown, for programs in JSON.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// One kind of work, measured on one or more proxies in turn.
pub(crate) struct Row {
    work: String,
    unit: &'static str,
    /// Each contestant's figures, one a run; usher's first. Runs of one number were made side by side.
    figures: Vec<(String, Vec<f64>)>,
    limits: Vec<Limit>,
}

/// What a figure is held against.
struct Limit {
    /// Another contestant; `None`: the figure itself.
    against: Option<&'static str>,
    must: f64,
    aim: f64,
}

impl Row {
    /// A row without figures.
    pub(crate) fn new(work: impl Into<String>, unit: &'static str) -> Self {
        Self { work: work.into(), unit, figures: Vec::new(), limits: Vec::new() }
    }

    /// The ratio to `other` that must be reached, and the one that is aimed at.
    pub(crate) fn against(mut self, other: &'static str, must: f64, aim: f64) -> Self {
        self.limits.push(Limit { against: Some(other), must, aim });
        self
    }

    /// The figure that must be reached, and the one that is aimed at.
    pub(crate) fn at_most(mut self, must: f64, aim: f64) -> Self {
        self.limits.push(Limit { against: None, must, aim });
        self
    }

    /// Adds the figure of one run.
    pub(crate) fn add(&mut self, who: &str, figure: f64) {
        match self.figures.iter_mut().find(|(name, _)| name == who) {
            Some((_, figures)) => figures.push(figure),
            None => self.figures.push((who.to_owned(), vec![figure])),
        }
    }

    /// The median of `who`'s figures.
    pub(crate) fn median(&self, who: &str) -> f64 {
        Spread::of(self.runs(who)).median
    }

    /// The runs of `who`; none, where it was not measured.
    fn runs(&self, who: &str) -> &[f64] {
        self.figures.iter().find(|(name, _)| name == who).map_or(&[], |(_, runs)| runs)
    }

    /// The ratio of usher's figure to another's: the median of the ratios of those runs that were side by side.
    fn ratio(&self, other: &str) -> Option<f64> {
        let (_, own) = self.figures.first()?;
        let ratios: Vec<f64> = own.iter().zip(self.runs(other)).map(|(own, other)| own / other).collect();
        (!ratios.is_empty()).then(|| Spread::of(&ratios).median)
    }

    /// What a limit says of the figures: their ratio or value, and whether it is reached.
    fn judged(&self, limit: &Limit) -> Option<(f64, &'static str)> {
        let value = match limit.against {
            Some(other) => self.ratio(other)?,
            None => Spread::of(&self.figures.first()?.1).median,
        };
        let word = match value {
            value if value <= limit.aim => "aim",
            value if value <= limit.must => "must",
            _ => "missed",
        };
        Some((value, word))
    }

    fn cell(&self, who: &str) -> String {
        match self.runs(who) {
            [] => String::new(),
            runs => {
                let Spread { median, least, most } = Spread::of(runs);
                format!("{} ({} to {})", short(median), short(least), short(most))
            }
        }
    }

    fn markdown(&self, contestants: &[String]) -> String {
        let mut line = format!("| {}, {} |", self.work, self.unit);
        for who in contestants {
            let _ = write!(line, " {} |", self.cell(who));
        }
        let judged = self.limits.iter().filter_map(|limit| {
            let (value, word) = self.judged(limit)?;
            let against = limit.against.map_or(String::new(), |other| format!("{other} "));
            Some(format!("{against}{} ≤ {} ({}): {word}", short(value), short(limit.must), short(limit.aim)))
        });
        let _ = write!(line, " {} |", judged.collect::<Vec<_>>().join("; "));
        line
    }

    fn json(&self) -> Value {
        let figures = self.figures.iter().map(|(who, runs)| {
            let Spread { median, least, most } = Spread::of(runs);
            let ratio = self.ratio(who);
            json!({ "who": who, "median": median, "min": least, "max": most, "runs": runs, "usher_to_it": ratio })
        });
        let limits = self.limits.iter().map(|limit| {
            let (value, word) = self.judged(limit).unzip();
            json!({ "against": limit.against, "must": limit.must, "aim": limit.aim, "value": value, "reached": word })
        });
        json!({
            "work": self.work,
            "unit": self.unit,
            "figures": figures.collect::<Vec<_>>(),
            "limits": limits.collect::<Vec<_>>(),
        })
    }
}

/// All rows, as they are measured.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Takes a row, and shows it to whoever waits.
    pub(crate) fn add(&mut self, row: Row) {
        let names: Vec<String> = row.figures.iter().map(|(who, _)| who.clone()).collect();
        eprintln!("{}  [{}]", row.markdown(&names), names.join(", "));
        self.0.push(row);
    }

    /// For people.
    pub(crate) fn markdown(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        for (who, _) in self.0.iter().flat_map(|row| &row.figures) {
            if !names.contains(who) {
                names.push(who.clone());
            }
        }
        let mut text = format!("| work | {} | ratio or value ≤ must (aim) |\n|---|", names.join(" | "));
        text.push_str(&"---:|".repeat(names.len()));
        text.push_str("---|\n");
        for row in &self.0 {
            text.push_str(&row.markdown(&names));
            text.push('\n');
        }
        text
    }

    /// Writes both into `dir`.
    pub(crate) fn write(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("bench.md"), self.markdown())?;
        let rows: Vec<Value> = self.0.iter().map(Row::json).collect();
        std::fs::write(dir.join("bench.json"), format!("{:#}\n", json!({ "rows": rows })))
    }
}

/// The middle of several figures, and how far they lie apart.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |at: usize| sorted.get(at).copied().unwrap_or(f64::NAN);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        } else {
            at(middle)
        };
        Self { median, least: at(0), most: at(sorted.len().saturating_sub(1)) }
    }
}

/// Three digits that count.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
