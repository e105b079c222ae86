//! Reads commands: lines, literals, and the arguments they make.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arg {
    /// An atom; brackets keep what is inside together.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Arg>),
}

impl Arg {
    /// Atom or text as text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Atom(atom) => atom.clone(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::List(_) => String::new(),
        }
    }
}

/// One command as it came: its lines, and its literals in between.
pub(super) struct Raw {
    pub(super) lines: Vec<String>,
    literals: Vec<Vec<u8>>,
}

/// Reads one command, asking for synchronizing literals. `None`: the client is gone.
pub(super) async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
) -> std::io::Result<Option<Raw>> {
    let mut raw = Raw { lines: Vec::new(), literals: Vec::new() };
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        let literal = line.strip_suffix('}').and_then(|head| head.rsplit_once('{')).and_then(|(_, size)| {
            let digits = size.strip_suffix('+');
            digits.unwrap_or(size).parse::<usize>().ok().map(|size| (size, digits.is_none()))
        });
        raw.lines.push(line);
        let Some((size, sync)) = literal else { return Ok(Some(raw)) };
        if sync {
            stream.write_all(b"+ go on\r\n").await?;
            stream.flush().await?;
        }
        let mut bytes = vec![0; size];
        stream.read_exact(&mut bytes).await?;
        raw.literals.push(bytes);
    }
}

/// Reads the arguments of a command.
pub(super) fn args(raw: &Raw) -> Vec<Arg> {
    let mut stack: Vec<Vec<Arg>> = vec![Vec::new()];
    let mut literals = raw.literals.iter();
    for (at, line) in raw.lines.iter().enumerate() {
        let last = at + 1 == raw.lines.len();
        let line = if last { line.as_str() } else { line.rsplit_once('{').map_or("", |(head, _)| head) };
        words(line, &mut stack);
        if !last && let (Some(list), Some(bytes)) = (stack.last_mut(), literals.next()) {
            list.push(Arg::Text(bytes.clone()));
        }
    }
    stack.into_iter().next().unwrap_or_default()
}

fn words(line: &str, stack: &mut Vec<Vec<Arg>>) {
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' => {}
            '(' => stack.push(Vec::new()),
            ')' => {
                if stack.len() > 1
                    && let Some(list) = stack.pop()
                    && let Some(outer) = stack.last_mut()
                {
                    outer.push(Arg::List(list));
                }
            }
            '"' => {
                let mut text = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => text.extend(chars.next()),
                        c => text.push(c),
                    }
                }
                stack.last_mut().into_iter().for_each(|list| list.push(Arg::Text(text.clone().into_bytes())));
            }
            c => {
                let mut atom = String::from(c);
                let mut depth = usize::from(c == '[');
                while let Some(c) = chars.peek() {
                    match c {
                        '[' => depth += 1,
                        ']' => depth = depth.saturating_sub(1),
                        ' ' | '(' | ')' if depth == 0 => break,
                        _ => {}
                    }
                    atom.extend(chars.next());
                }
                stack.last_mut().into_iter().for_each(|list| list.push(Arg::Atom(atom.clone())));
            }
        }
    }
}

/// Whether `number` is in a sequence set such as `1:3,5,7:*`, where `*` is `last`.
pub(super) fn in_set(set: &str, number: u32, last: u32) -> bool {
    let value = |text: &str| if text == "*" { Some(last) } else { text.parse().ok() };
    set.split(',').any(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        match (value(from), value(to)) {
            (Some(from), Some(to)) => (from.min(to)..=from.max(to)).contains(&number),
            _ => false,
        }
    })
}
