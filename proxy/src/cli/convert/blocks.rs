//! Files of words, braces and semicolons or lines, as nginx and Dovecot write them.

/// One setting or the beginning of a block: where it is, in which blocks, and its words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The line's number, from 1.
    pub(super) line: usize,
    /// The words of the blocks around it, the outermost first.
    pub(super) within: Vec<Vec<String>>,
    pub(super) words: Vec<String>,
    /// It opens a block.
    pub(super) is_block: bool,
}

impl Setting {
    /// Whether it is in a block that begins with this word.
    pub(super) fn is_within(&self, word: &str) -> bool {
        self.within.iter().any(|block| block.first().is_some_and(|first| first == word))
    }

    /// Its word at this place, or nothing.
    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map(String::as_str).unwrap_or_default()
    }
}

/// Reads all of them. With `by_lines`, the end of a line ends a setting; else a semicolon does.
pub(super) fn read(text: &str, by_lines: bool) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut within: Vec<Vec<String>> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut begun = 1;
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        for word in split(line) {
            if words.is_empty() {
                begun = at + 1;
            }
            match word {
                "{" => {
                    let block = std::mem::take(&mut words);
                    settings.push(Setting {
                        line: begun,
                        within: within.clone(),
                        words: block.clone(),
                        is_block: true,
                    });
                    within.push(block);
                }
                "}" => {
                    end(&mut settings, begun, &within, &mut words);
                    within.pop();
                }
                ";" => end(&mut settings, begun, &within, &mut words),
                word => words.push(word.trim_matches(['"', '\'']).to_owned()),
            }
        }
        if by_lines {
            end(&mut settings, begun, &within, &mut words);
        }
    }
    settings
}

fn end(settings: &mut Vec<Setting>, line: usize, within: &[Vec<String>], words: &mut Vec<String>) {
    if !words.is_empty() {
        let words = std::mem::take(words);
        settings.push(Setting { line, within: within.to_vec(), words, is_block: false });
    }
}

/// Words, and braces and semicolons on their own.
fn split(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().flat_map(|word| word.split_inclusive(['{', '}', ';'])).flat_map(|part| {
        let (word, mark) = part.split_at(part.len() - usize::from(part.ends_with(['{', '}', ';'])));
        [word, mark].into_iter().filter(|part| !part.is_empty())
    })
}
