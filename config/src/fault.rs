//! A fault in the configuration, described so that an operator can fix it. Never contains the value of a secret.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::ops::Range;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte range in the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl Fault {
    /// A fault at `span`.
    pub fn new(span: Range<usize>, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { span, what: what.into(), instead: instead.into() }
    }

    /// The line it stands in, counted from 1.
    pub fn line(&self, text: &str) -> usize {
        let before = text.get(..self.span.start.min(text.len())).unwrap_or(text);
        before.matches('\n').count() + 1
    }
}

/// Renders `faults` of the file `path` with the lines that they refer to, for a terminal or a log.
pub fn render(path: &str, text: &str, faults: &[Fault], colour: bool) -> String {
    let shown = render_as(&Level::ERROR, path, text, faults, colour);
    let count = faults.len();
    shown + &format!("{path}: {count} {}\n", if count == 1 { "fault" } else { "faults" })
}

/// Like [`render`], for warnings: not faults, but worth a look.
pub fn render_warnings(path: &str, text: &str, warnings: &[Fault], colour: bool) -> String {
    render_as(&Level::WARNING, path, text, warnings, colour)
}

fn render_as(level: &Level<'_>, path: &str, text: &str, faults: &[Fault], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut shown = String::new();
    for fault in faults {
        let end = fault.span.end.min(text.len());
        let span = fault.span.start.min(end)..end;
        let snippet = Snippet::source(text).path(path).annotation(AnnotationKind::Primary.span(span));
        let report = [level
            .clone()
            .primary_title(fault.what.as_str())
            .element(snippet)
            .element(Level::HELP.message(fault.instead.as_str()))];
        shown.push_str(&renderer.render(&report));
        shown.push_str("\n\n");
    }
    shown
}
