//! The rooms of each crate, from those above to those below: nobody below knows anybody above.

use crate::arrows::Arrows;
use crate::modules::{FileId, House};
use std::collections::BTreeMap;

/// A fault for each pair of rooms that know each other, in a circle of any length.
pub(crate) fn upward(house: &House, arrows: &Arrows) -> Vec<String> {
    let mut between: BTreeMap<(String, String), String> = BTreeMap::new();
    for ((from, to), name) in arrows {
        let (above, below) = (room(house, *from), room(house, *to));
        if above != below {
            let path = |file: &FileId| house.files[*file].path.display().to_string();
            between
                .entry((above, below))
                .or_insert_with(|| format!("{} -> {} ({name})", path(from), path(to)));
        }
    }
    let names: Vec<&String> = between.keys().map(|(above, _)| above).collect();
    let mut faults = Vec::new();
    for start in names {
        if let Some(way) = back(&between, start) {
            faults.push(format!(
                "the room {start} is reached from a room below it:\n    {}",
                way.join("\n    ")
            ));
        }
    }
    faults.dedup();
    faults
}

/// The room of a file: the folder or file directly in its crate.
fn room(house: &House, file: FileId) -> String {
    let file = &house.files[file];
    let mut inside = file.path.components().skip_while(|part| part.as_os_str() != file.of).skip(2);
    let first =
        inside.next().map_or_else(String::new, |part| part.as_os_str().to_string_lossy().into_owned());
    format!("{}/{}", file.of, first.trim_end_matches(".rs"))
}

/// The shortest way from a room back to itself.
fn back(between: &BTreeMap<(String, String), String>, start: &str) -> Option<Vec<String>> {
    let mut ways: Vec<(String, Vec<String>)> = vec![(start.to_owned(), Vec::new())];
    let mut seen: Vec<String> = Vec::new();
    let mut at = 0;
    while at < ways.len() {
        let (here, way) = ways[at].clone();
        at += 1;
        for ((_, to), why) in between.iter().filter(|((from, _), _)| *from == here) {
            let mut way = way.clone();
            way.push(why.clone());
            if to == start {
                return Some(way);
            }
            if !seen.contains(to) {
                seen.push(to.clone());
                ways.push((to.clone(), way));
            }
        }
    }
    None
}
