//! `make bench`: what usher costs, by itself and side by side with others. One table of everything; arguments choose
//! subjects by name.

mod bulk;
mod client;
mod contest;
mod directory;
mod growth;
mod health;
mod held;
mod https;
mod idle;
mod input;
mod latency;
mod mechanisms;
mod micro;
mod peers;
mod refusals;
mod sessions;
mod sources;
mod storm;
mod stub;
mod table;
mod train;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use table::Table;

/// As usher has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Outcome = Result<(), Box<dyn Error>>;

/// Measures, and adds its rows.
type Measure = fn(&mut Table) -> Outcome;

/// Where the table is written to.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");

/// Every subject by its name.
const SUBJECTS: [(&str, Measure); 15] = [
    ("sessions", sessions::measure),
    ("mechanisms", mechanisms::measure),
    ("idle", idle::measure),
    ("bulk", bulk::measure),
    ("https", https::measure),
    ("held", held::measure),
    ("latency", latency::measure),
    ("directory", directory::measure),
    ("growth", growth::measure),
    ("storm", storm::measure),
    ("micro", micro::measure),
    ("input", input::measure),
    ("health", health::measure),
    ("refusals", refusals::measure),
    ("sources", sources::measure),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match wanted.as_slice() {
        [word] if word == stub::WORD => stub::serve(),
        [word, arguments @ ..] if word == micro::WORD => micro::call(arguments),
        [word] if word == train::WORD => train::run(),
        wanted => compare(wanted),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(wanted: &[String]) -> Outcome {
    if let Some(unknown) = wanted.iter().find(|wanted| SUBJECTS.iter().all(|(name, _)| name != *wanted)) {
        return Err(format!("no subject {unknown:?}; known: {:?}", SUBJECTS.map(|(name, _)| name)).into());
    }
    let mut table = Table::default();
    for (name, measure) in SUBJECTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure(&mut table).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    table.write(Path::new(RESULTS))?;
    println!("{}", table.markdown());
    println!("Also in target/bench/bench.md and bench.json.");
    Ok(())
}
