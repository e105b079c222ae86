//! Files that know each other in a circle.

use crate::arrows::Arrows;
use crate::modules::{FileId, House};
use std::collections::BTreeSet;

/// A fault for each circle.
pub(crate) fn among(house: &House, arrows: &Arrows) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for file in 0..house.files.len() {
        let circle: BTreeSet<FileId> = reached(arrows, file)
            .into_iter()
            .filter(|other| *other != file && reached(arrows, *other).contains(&file))
            .chain([file])
            .collect();
        if circle.len() > 1 && seen.insert(circle.clone()) {
            faults.push(told(house, arrows, &circle));
        }
    }
    faults
}

/// All files that one can come to from `file`.
fn reached(arrows: &Arrows, file: FileId) -> BTreeSet<FileId> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(from) = open.pop() {
        for ((_, to), _) in arrows.range((from, 0)..=(from, FileId::MAX)) {
            if reached.insert(*to) {
                open.push(*to);
            }
        }
    }
    reached
}

fn told(house: &House, arrows: &Arrows, circle: &BTreeSet<FileId>) -> String {
    let mut text = "these files know each other in a circle:".to_owned();
    for ((from, to), name) in
        arrows.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to))
    {
        let path = |file: &FileId| house.files[*file].path.display();
        text += &format!("\n    {} -> {} ({name})", path(from), path(to));
    }
    text
}
