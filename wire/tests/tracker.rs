//! After login: the tracker against a slow, plain reading of the same octets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use proptest::prelude::*;
use usher_wire::imap::capability::scrub_line;
use usher_wire::imap::tracker::{Fault, Out, Rest, Tracker};

/// Feeds `input` in `pieces` of these sizes and collects what goes on.
fn feed(
    input: &[u8],
    cuts: &[usize],
    mut step: impl FnMut(&[u8]) -> (usize, Option<Vec<u8>>, bool),
) -> Vec<u8> {
    let (mut held, mut out) = (Vec::new(), Vec::new());
    let mut rest = input;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (now, later) = rest.split_at((*cuts.next().unwrap_or(&1)).clamp(1, rest.len()));
        rest = later;
        held.extend_from_slice(now);
        loop {
            let (taken, more, stuck) = step(&held);
            held.drain(..taken);
            out.extend(more.unwrap_or_default());
            if stuck {
                break;
            }
        }
        assert!(held.len() <= 8 * 1024 + now.len(), "ever more is held");
    }
    out
}

fn server(tracker: &mut Tracker, input: &[u8]) -> (usize, Option<Vec<u8>>, bool) {
    let moved = tracker.server(input, false).unwrap();
    let stuck = moved.is_stuck();
    let out = match moved.out {
        Out::Nothing => None,
        Out::Forward(bytes) => Some(bytes.to_vec()),
        Out::Insert(bytes) => Some(bytes),
    };
    (moved.taken, out, stuck)
}

/// One response of a server, and what a client is to see of it.
fn response() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let text = "[ -z|~]{0,30}";
    prop_oneof![
        text.prop_map(|text| {
            let line = format!("* OK {text} {{9}}\r\n").into_bytes();
            (line.clone(), line)
        }),
        text.prop_map(|text| {
            let line =
                format!("* 1 FETCH (FLAGS () X \"{}\")\r\n", text.replace(['"', '\\'], "")).into_bytes();
            (line.clone(), line)
        }),
        (proptest::collection::vec(any::<u8>(), 0..300), 0u8..2).prop_map(|(bytes, tail)| {
            let end: &[u8] = if tail == 0 { b")\r\n" } else { b" FLAGS {2}\r\n\r\n)\r\n" };
            let head = format!("* 1 FETCH (BODY[] {{{}}}\r\n", bytes.len());
            let all = [head.as_bytes(), &bytes, end].concat();
            (all.clone(), all)
        }),
        proptest::sample::subsequence(
            vec![
                "IMAP4rev1",
                "STARTTLS",
                "AUTH=PLAIN",
                "IDLE",
                "COMPRESS=DEFLATE",
                "UNAUTHENTICATE",
                "X-REFERRALS"
            ],
            0..7
        )
        .prop_map(|names| {
            let line = format!("* CAPABILITY {}", names.join(" "));
            let shown = scrub_line(line.as_bytes()).unwrap();
            ([line.as_bytes(), b"\r\n"].concat(), [&shown[..], b"\r\n"].concat())
        }),
        (0u8..5).prop_map(|tag| {
            let line = format!("t{tag} OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] x\r\n");
            (line.into_bytes(), format!("t{tag} OK [CAPABILITY IMAP4rev1] x\r\n").into_bytes())
        }),
        Just((b"+ go on\r\n".to_vec(), b"+ go on\r\n".to_vec())),
        (100usize..5000).prop_map(|length| {
            let line = format!("* SEARCH{}\r\n", " 7".repeat(length)).into_bytes();
            (line.clone(), line)
        }),
    ]
}

proptest! {
    #[test]
    fn responses_go_on_whole_and_scrubbed(
        responses in proptest::collection::vec(response(), 0..20),
        cuts in proptest::collection::vec(1usize..200, 1..20),
    ) {
        let sent: Vec<u8> = responses.iter().flat_map(|(sent, _)| sent.clone()).collect();
        let shown: Vec<u8> = responses.iter().flat_map(|(_, shown)| shown.clone()).collect();
        let mut tracker = Tracker::default();
        let out = feed(&sent, &cuts, |input| server(&mut tracker, input));
        prop_assert_eq!(&out, &shown);
        prop_assert!(tracker.at_boundary());
        // Cut anywhere, the tracker is between two responses exactly where the plain reading is.
        let cut = cuts[0].min(sent.len());
        let mut tracker = Tracker::default();
        feed(&sent[..cut], &[cut.max(1)], |input| server(&mut tracker, input));
        let ends: Vec<usize> = responses.iter().scan(0, |at, (sent, _)| { *at += sent.len(); Some(*at) }).collect();
        if ends.contains(&cut) {
            prop_assert!(tracker.at_boundary());
        }
    }

    /// A whole session against a plain server: nothing forbidden arrives there, everything else does, and
    /// the answers come in the order of the commands.
    #[test]
    fn a_pipelining_client_and_a_plain_server(
        commands in proptest::collection::vec((0u8..9, proptest::collection::vec(any::<u8>(), 0..60)), 1..25),
        cuts in proptest::collection::vec(1usize..80, 1..10),
    ) {
        let mut sent = Vec::new();
        let mut expected = Vec::new();
        for (at, (kind, payload)) in commands.iter().enumerate() {
            let tag = format!("t{at}");
            let size = payload.len();
            let mut say = |text: String| sent.extend_from_slice(text.as_bytes());
            match kind {
                0 => say(format!("{tag} NOOP\r\n")),
                1 => say(format!("{tag} UNAUTHENTICATE\r\n")),
                2 => say(format!("{tag} compress DEFLATE\r\n")),
                // The server refuses synchronizing literals of odd sizes; the client then sends none.
                3 | 4 if size % 2 == 1 => say(format!("{tag} APPEND x {{{size}}}\r\n")),
                3 | 4 => {
                    say(format!("{tag} APPEND x {{{size}}}\r\n"));
                    sent.extend_from_slice(payload);
                    sent.extend_from_slice(b"\r\n");
                }
                5 => {
                    say(format!("{tag} APPEND x {{{size}+}}\r\n"));
                    sent.extend_from_slice(payload);
                    sent.extend_from_slice(b"\r\n");
                }
                6 => say(format!("{tag} IDLE\r\nDONE\r\n")),
                // The server answers without a look at the literal: its octets are no commands all the same.
                7 => say(format!("{tag} NOOP {{19+}}\r\nx UNAUTHENTICATE\r\n\r\n\r\n")),
                _ => say(format!("{tag} ID (\"x-originating-ip\" \"6.6.6.6\" \"a\" \"b\")\r\n")),
            }
            expected.push((tag, matches!(kind, 1 | 2)));
        }
        let mut tracker = Tracker::default();
        let mut plain = PlainServer::default();
        let (mut held, mut to_client) = (Vec::new(), Vec::new());
        let mut rest = sent.as_slice();
        let mut cuts = cuts.iter().cycle();
        let mut turns = 0;
        while !rest.is_empty() || !held.is_empty() {
            turns += 1;
            prop_assert!(turns < 100_000, "stuck with {:?}", String::from_utf8_lossy(&held));
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            rest = later;
            held.extend_from_slice(now);
            loop {
                let moved = tracker.client(&held).unwrap();
                let (taken, stuck) = (moved.taken, moved.is_stuck());
                match moved.out {
                    Out::Nothing => {}
                    Out::Forward(bytes) => plain.take(bytes),
                    Out::Insert(bytes) => plain.take(&bytes),
                }
                held.drain(..taken);
                if stuck {
                    break;
                }
            }
            // The server's answers, and the tracker's own between them.
            let mut said = std::mem::take(&mut plain.said);
            loop {
                to_client.extend(tracker.take_answers());
                let (taken, out, stuck) = server(&mut tracker, &said);
                said.drain(..taken);
                to_client.extend(out.unwrap_or_default());
                if stuck {
                    break;
                }
            }
            to_client.extend(tracker.take_answers());
            prop_assert!(said.is_empty());
        }
        let lines = String::from_utf8_lossy(&to_client).into_owned();
        let tagged: Vec<&str> = lines.lines().filter(|line| line.starts_with('t')).collect();
        prop_assert_eq!(tagged.len(), expected.len(), "{}", lines);
        for (line, (tag, refused)) in tagged.iter().zip(&expected) {
            let head = format!("{tag} ");
            prop_assert!(line.starts_with(&head), "{} for {}: {}", line, tag, lines);
            prop_assert_eq!(line.contains("NO Not available here."), *refused);
        }
        for (kind, payload) in &commands {
            if matches!(kind, 3..=5) && payload.len() % 2 == 0 {
                prop_assert!(plain.literals.contains(payload));
            }
        }
        let commands = plain.commands.join("\n").to_ascii_uppercase();
        prop_assert!(!commands.contains("UNAUTHENTICATE") && !commands.contains("COMPRESS"), "{}", commands);
        prop_assert!(!commands.contains("6.6.6.6"), "{}", commands);
    }
}

/// A server that reads one octet after the other and answers what it must.
#[derive(Default)]
struct PlainServer {
    line: Vec<u8>,
    literal: Option<(usize, Vec<u8>)>,
    tag: String,
    idle: bool,
    in_append: bool,
    said: Vec<u8>,
    commands: Vec<String>,
    literals: Vec<Vec<u8>>,
}

impl PlainServer {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some((size, literal)) = &mut self.literal {
                if literal.len() < *size {
                    literal.push(*byte);
                    continue;
                }
                let (_, literal) = self.literal.take().unwrap();
                self.literals.push(literal);
            }
            self.line.push(*byte);
            if *byte == b'\n' {
                let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
                self.line.clear();
                self.end_of_line(&line);
            }
        }
    }

    fn end_of_line(&mut self, line: &str) {
        if self.idle {
            assert_eq!(line, "DONE");
            self.idle = false;
            self.said.extend_from_slice(format!("{} OK idled\r\n", self.tag).as_bytes());
            return;
        }
        if self.in_append {
            assert_eq!(line, "");
            self.in_append = false;
            self.said.extend_from_slice(format!("{} OK appended {{3}}\r\n", self.tag).as_bytes());
            return;
        }
        self.commands.push(line.to_owned());
        self.tag = line.split(' ').next().unwrap().to_owned();
        let tag = &self.tag;
        let announced = line.strip_suffix('}').and_then(|head| head.split_once('{'));
        if let Some((_, size)) = announced.filter(|(head, _)| head.contains(" APPEND ")) {
            // None comes with a plus: the server has the word on each.
            let size: usize = size.parse().unwrap();
            if size % 2 == 1 {
                self.said.extend_from_slice(format!("{tag} NO [TOOBIG] odd\r\n").as_bytes());
                return;
            }
            self.said.extend_from_slice(b"+ go on\r\n");
            self.literal = Some((size, Vec::new()));
            self.in_append = true;
        } else if line.contains(" IDLE") {
            self.idle = true;
            self.said.extend_from_slice(b"+ idling\r\n");
        } else {
            self.said.extend_from_slice(format!("* 1 EXISTS\r\n{tag} OK done\r\n").as_bytes());
        }
    }
}

/// When a session can be ended without cutting anything off.
#[test]
fn rest_is_known_at_every_step() {
    let mut tracker = Tracker::default();
    assert_eq!(tracker.rest(), Rest::Between);
    let mut step = |from_client: &str, from_server: &str| {
        // All of it, as a relay offers it again and again.
        let mut up = from_client.as_bytes();
        while !up.is_empty() {
            let moved = tracker.client(up).unwrap();
            if moved.is_stuck() {
                break;
            }
            up = &up[moved.taken..];
        }
        let mut down = from_server.as_bytes();
        while !down.is_empty() {
            let moved = tracker.server(down, false).unwrap();
            if moved.is_stuck() {
                break;
            }
            down = &down[moved.taken..];
        }
        tracker.rest()
    };
    for (client, server, rest) in [
        ("a NOOP\r\n", "", Rest::Busy),
        ("", "* 1 EXISTS\r\n", Rest::Busy),
        ("", "a OK done\r\n", Rest::Between),
        ("", "* 2 EXISTS\r\n", Rest::Between),
        ("b IDLE\r\n", "", Rest::Busy),
        ("", "+ idling\r\n", Rest::Idle),
        ("", "* 3 EXISTS\r\n", Rest::Idle),
        ("", "* 1 FETCH (X {9}\r\n", Rest::Busy),
        ("", "123456789)\r\n", Rest::Idle),
        ("DONE\r\n", "", Rest::Busy),
        ("", "b OK\r\n", Rest::Between),
        ("c APPEND INBOX {3}\r\n", "", Rest::Busy),
        ("", "+ go\r\n", Rest::Busy),
        ("abc\r\n", "", Rest::Busy),
        ("", "c OK\r\n", Rest::Between),
        ("d NOOP\r\ne IDLE\r\n", "", Rest::Busy),
        ("", "d OK\r\n+ idling\r\n", Rest::Idle),
        // Half a command could be anything.
        ("DONE\r\n", "e OK\r\n", Rest::Between),
        (
            "f SELECT a very long name that goes on and on and on until there is no doubt any more that it is a line of a command",
            "",
            Rest::Busy,
        ),
    ] {
        assert_eq!(step(client, server), rest, "{client:?} {server:?}");
    }
}

/// What the tracker says of `sent`, which comes in pieces of `size` octets, and what of it went on.
fn sent_in_pieces(sent: &[u8], size: usize) -> (Result<(), Fault>, Vec<u8>) {
    let (mut tracker, mut held, mut out) = (Tracker::default(), Vec::new(), Vec::new());
    for piece in sent.chunks(size) {
        held.extend_from_slice(piece);
        loop {
            let moved = match tracker.client(&held) {
                Ok(moved) => moved,
                Err(fault) => return (Err(fault), out),
            };
            let (taken, stuck) = (moved.taken, moved.is_stuck());
            match moved.out {
                Out::Nothing => {}
                Out::Forward(bytes) => out.extend_from_slice(bytes),
                Out::Insert(bytes) => out.extend_from_slice(&bytes),
            }
            held.drain(..taken);
            if stuck {
                break;
            }
        }
    }
    (Ok(()), out)
}

/// Whatever could be a literal to somebody and is none by the grammar ends the session, however it comes.
#[test]
fn braces_that_might_be_a_literal_are_none_or_exactly_one() {
    let ambiguous = [
        "{+13}",
        "{13 }",
        "{ 13}",
        "{13+ }",
        "{13 +}",
        "{13++}",
        "{-13}",
        "{0x13}",
        "{13-}",
        "{13.0}",
        "{}",
        "{+}",
        "{x}",
        "{13}}",
        "{13}x}",
        "{13\"}",
        "{x} {y}",
        "~{+13}",
        "{\t13}",
        "{13,}",
        "x{13 }y}",
        "\"{13}",
        "\"\\\"{13+}",
        "{99999999999999999999999}",
        "{18446744073709551616+}",
        "({1 3}",
        "\"a\" {+13}",
        "{\"a\"}",
    ];
    for verb in ["APPEND INBOX", "NOOP", "X-THING", "UNAUTHENTICATE", "LOGIN"] {
        for end in ambiguous {
            let sent = format!("a {verb} {end}\r\nb NOOP\r\n");
            for size in [1, 2, 3, 7, sent.len()] {
                let (said, out) = sent_in_pieces(sent.as_bytes(), size);
                assert_eq!(said, Err(Fault::AmbiguousLiteral), "{sent:?} by {size}");
                assert!(
                    !out.contains(&b'\n'),
                    "{sent:?}: no line of it is whole: {:?}",
                    String::from_utf8_lossy(&out)
                );
            }
        }
    }
    for end in ["x}", "\"{13\" x}", "\"a\\\"{\" }", "{13} x", "\"{+13}\"", "}", "\"{\" \"}\" }"] {
        let sent = format!("a SEARCH TEXT {end}\r\n");
        for size in [1, 2, 3, 7, sent.len()] {
            let (said, out) = sent_in_pieces(sent.as_bytes(), size);
            assert_eq!((said, out.as_slice()), (Ok(()), sent.as_bytes()), "{sent:?} by {size}");
        }
    }
}

/// Whoever is logged in stays that one; what asks otherwise never goes on.
#[test]
fn no_second_login_goes_on() {
    for verb in
        ["LOGIN bob x", "login bob x", "AUTHENTICATE PLAIN", "AUTHENTICATE PLAIN AGJvYgB4", "PROXYAUTH bob"]
    {
        for end in ["", " {3}", " {3+}\r\nabc"] {
            let sent = format!("a {verb}{end}\r\n");
            let mut tracker = Tracker::default();
            let (said, out) = (sent_in_pieces(sent.as_bytes(), 1), tracker.take_answers());
            assert_eq!((said, out), ((Ok(()), Vec::new()), Vec::new()), "{sent:?}");
            let mut rest = sent.as_bytes();
            loop {
                let moved = tracker.client(rest).unwrap();
                if moved.is_stuck() {
                    break;
                }
                rest = &rest[moved.taken..];
            }
            assert_eq!(tracker.take_answers(), b"a BAD Already logged in.\r\n", "{sent:?}");
        }
    }
    let mut tracker = Tracker::default();
    tracker.client(b"a STARTTLS\r\n").unwrap();
    tracker.client(b"").unwrap();
    assert_eq!(tracker.take_answers(), b"a BAD Not after login.\r\n");
}
