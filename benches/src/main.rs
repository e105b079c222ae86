//! `make bench`: what usher costs. Prints one table a subject; arguments choose subjects by name.

mod directory;
mod health;
mod https;
mod idle;
mod input;
mod peers;

use std::error::Error;
use std::process::ExitCode;

type Outcome = Result<(), Box<dyn Error>>;

/// Measures and prints.
type Measure = fn() -> Outcome;

/// Every subject by its name.
const SUBJECTS: [(&str, Measure); 5] = [
    ("idle", idle::measure),
    ("input", input::measure),
    ("directory", directory::measure),
    ("health", health::measure),
    ("https", https::measure),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| SUBJECTS.iter().all(|(name, _)| name != *wanted)) {
        eprintln!("no subject {unknown:?}; known: {:?}", SUBJECTS.map(|(name, _)| name));
        return ExitCode::from(2);
    }
    for (name, measure) in SUBJECTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("## {name}\n");
            if let Err(error) = measure() {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
            println!();
        }
    }
    ExitCode::SUCCESS
}
