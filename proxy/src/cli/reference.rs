//! `usher reference`: the pages of the book that are made from the program itself.

use super::{Cli, Exit, print};
use clap::{Args, Command, CommandFactory, ValueEnum};
use std::fmt::Write;
use usher_config::schema::{Kind, Shape, said_of, shape};

#[derive(Args)]
pub(super) struct Arguments {
    /// Which page.
    page: Page,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    /// Every command.
    Commands,
    /// Every key of the configuration.
    Configuration,
}

pub(super) fn reference(arguments: &Arguments) -> Exit {
    print(&match arguments.page {
        Page::Commands => commands(),
        Page::Configuration => configuration(),
    })
}

fn commands() -> String {
    let mut page = "# Commands\n\nMade from the program: `usher COMMAND --help` says the same.\n".to_owned();
    let mut command = Cli::command().disable_help_subcommand(true).term_width(100);
    command.build();
    for below in command.get_subcommands_mut() {
        describe(below, &mut page);
    }
    page
}

fn describe(command: &mut Command, page: &mut String) {
    if command.is_hide_set() {
        return;
    }
    let help = command.render_long_help().to_string();
    let name = command.get_bin_name().unwrap_or_default();
    let _ = write!(page, "\n## {name}\n\n```text\n");
    help.trim_end().lines().for_each(|line| {
        let _ = writeln!(page, "{}", line.trim_end());
    });
    page.push_str("```\n");
    for below in command.get_subcommands_mut() {
        describe(below, page);
    }
}

fn configuration() -> String {
    let mut page =
        "# Configuration\n\nMade from the program: `usher init` writes the same as a commented file, and \
                    `usher schema` as a JSON schema for editors.\n"
            .to_owned();
    section(&shape(), &[], &mut page);
    page
}

fn section(shape: &Shape, path: &[&str], page: &mut String) {
    let is_section = |kind: &Kind| matches!(kind, Kind::Table(_) | Kind::Tables(_));
    let keys: Vec<_> = shape.0.iter().filter(|(_, kinds)| !kinds.iter().all(is_section)).collect();
    if !keys.is_empty() {
        page.push_str("\n| key | what may be written | |\n|---|---|---|\n");
    }
    for (key, kinds) in keys {
        let here: Vec<_> = path.iter().copied().chain([*key]).collect();
        let written: Vec<_> = kinds.iter().map(written).collect();
        let said = said_of(&here).unwrap_or_default();
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        let _ = writeln!(page, "| `{key}` | {} | {} |", cell(&written.join(" or ")), cell(&said));
    }
    for (key, kinds) in &shape.0 {
        let here: Vec<_> = path.iter().copied().chain([*key]).collect();
        for kind in kinds {
            let (inner, open, close) = match kind {
                Kind::Table(inner) => (inner, "[", "]"),
                Kind::Tables(inner) => (inner, "[[", "]]"),
                _ => continue,
            };
            let _ =
                writeln!(page, "\n{} `{open}{}{close}`", "#".repeat(here.len().min(3) + 1), here.join("."));
            if let Some(said) = said_of(&here) {
                let _ = writeln!(page, "\n{said}");
            }
            section(inner, &here, page);
        }
    }
}

/// How a value is written, in words.
fn written(kind: &Kind) -> String {
    match kind {
        Kind::Text => "a string".to_owned(),
        Kind::Words(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Number(least) => format!("a whole number from {least} on"),
        Kind::Pattern(pattern) if pattern.contains("KiB") => "a size such as `\"64KiB\"`".to_owned(),
        Kind::Pattern(_) => "a time such as `\"5s\"`".to_owned(),
        Kind::List => "a list".to_owned(),
        Kind::Names => "a table whose keys are yours".to_owned(),
        Kind::Table(_) => "a table, see below".to_owned(),
        Kind::Tables(_) => "a list of tables, see below".to_owned(),
    }
}
