//! Before login: the meaning of input does not depend on how it arrives, and a second parser agrees.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::secret::Secret as CodecSecret;
use proptest::prelude::*;
use usher_wire::imap::capability::{Offer, Privacy};
use usher_wire::imap::preauth::{Preauth, Step};
use usher_wire::imap::reply::Code;

/// User and password.
type Claimed = (Vec<u8>, Vec<u8>);

/// What a conversation comes to: everything said, and who claimed to be whom.
fn converse(pieces: &[&[u8]]) -> (String, Vec<Claimed>) {
    let mut preauth = Preauth::new(Privacy::Tls, Offer::passwords());
    let (mut out, mut claims) = (Vec::new(), Vec::new());
    let mut pieces = pieces.iter().copied();
    let mut rest: &[u8] = &[];
    loop {
        match preauth.step(&mut out) {
            Step::Answered => {}
            Step::Need => {
                while rest.is_empty() {
                    match pieces.next() {
                        Some(piece) => rest = piece,
                        None => return (String::from_utf8_lossy(&out).into_owned(), claims),
                    }
                }
                let most = preauth.room().min(rest.len());
                assert!(most > 0, "stuck: no room for what is needed");
                preauth.feed(&rest[..most]);
                rest = &rest[most..];
            }
            Step::StartTls(_) => unreachable!("TLS within TLS"),
            Step::Claim(claim) => {
                let credential = &claim.credential;
                claims.push((credential.acting_user().to_vec(), credential.password.reveal().to_vec()));
                preauth.refuse(&claim, Code::AuthenticationFailed, None, &mut out);
            }
            Step::Close(cause) => {
                out.extend_from_slice(format!("{cause:?}").as_bytes());
                return (String::from_utf8_lossy(&out).into_owned(), claims);
            }
        }
    }
}

/// Pieces of commands in any order: far more telling than octets at random.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        proptest::sample::select(vec![
            "a ",
            "b",
            " ",
            "\r\n",
            "\n",
            "\r",
            "\0",
            "LOGIN ",
            "NOOP",
            "ID ",
            "(",
            ")",
            "NIL",
            "CAPABILITY",
            "AUTHENTICATE ",
            "PLAIN",
            "LOGIN",
            "STARTTLS",
            "LOGOUT",
            "\"x\"",
            "\"",
            "\\\"",
            "{3}\r\n",
            "{3+}\r\n",
            "{4097+}\r\n",
            "{99999999}\r\n",
            "{-1}",
            "xyz",
            "*",
            "+",
            "=",
            "AGFubmEAc2VjcmV0",
            "GET / HTTP/1.1",
            "ENABLE X",
            "SELECT INBOX",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
        (0usize..20_000).prop_map(|length| vec![b'x'; length]),
    ];
    proptest::collection::vec(fragment, 0..40).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn any_split_means_the_same(input in input(), cuts in proptest::collection::vec(0usize..2000, 0..30)) {
        let whole = converse(&[&input]);
        let mut pieces = Vec::new();
        let mut rest = input.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            pieces.push(now);
            rest = later;
        }
        pieces.push(rest);
        prop_assert_eq!(&whole, &converse(&pieces));
        let octets: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&whole, &converse(&octets));
    }

    /// What is said grows no faster than what was heard: nobody is amplified.
    #[test]
    fn answers_are_bounded(input in input()) {
        let (said, _) = converse(&[&input]);
        prop_assert!(said.len() <= 200 * (input.len() + 1));
    }

    /// Logins that imap-codec reads are read alike here.
    #[test]
    fn logins_are_read_as_imap_codec_reads_them(
        tag in "[A-Za-z0-9.]{1,8}",
        user in "[ -~]{1,12}",
        password in "[ -~]{1,12}",
        forms in (0u8..3, 0u8..3),
    ) {
        let write = |text: &str, form: u8| match form {
            0 => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            1 => format!("{{{}+}}\r\n{text}", text.len()),
            _ => text.to_owned(),
        };
        let line = format!("{tag} LOGIN {} {}\r\n", write(&user, forms.0), write(&password, forms.1));
        let theirs = CommandCodec::default().decode(line.as_bytes()).ok().and_then(|(rest, command)| {
            match command.body {
                CommandBody::Login { username, password } if rest.is_empty() => {
                    let secret = CodecSecret::declassify(&password).as_ref().to_vec();
                    Some((username.as_ref().to_vec(), secret))
                }
                _ => None,
            }
        });
        let ours = converse(&[line.as_bytes()]).1.into_iter().next();
        // What its grammar has no place for is read here as it was written, if at all.
        let lenient = forms.0 == 2 && user.contains(['%', '*', '\\'])
            || forms.1 == 2 && (password.contains(['%', '*', '\\']) || password.ends_with(' '));
        if theirs.is_some() || !lenient {
            prop_assert_eq!(ours, theirs, "{}", line);
        } else if let Some((our_user, our_password)) = ours
            // As it was written: not where it was written as a quoted string.
            && !(forms.0 == 2 && user.contains('"') || forms.1 == 2 && password.contains('"'))
        {
            prop_assert_eq!(our_user, user.into_bytes());
            let written = if forms.1 == 2 { password.trim_end() } else { &password };
            prop_assert_eq!(our_password, written.as_bytes());
        }
    }

    /// So are whole commands of any kind that may stand before login; a blank behind them is nothing.
    #[test]
    fn commands_are_taken_when_imap_codec_takes_them(
        verb in proptest::sample::select(vec!["CAPABILITY", "NOOP", "LOGOUT", "ID", "noop"]),
        rest in proptest::sample::select(vec!["", " ", " NIL", " ()", " (\"a\" \"b\")", " (\"a\" NIL)", " x", " (\"a\")"]),
    ) {
        let rest = rest.trim_end();
        let line = format!("a {verb}{rest}\r\n");
        let theirs = CommandCodec::default().decode(line.as_bytes()).is_ok_and(|(rest, _)| rest.is_empty());
        let said = converse(&[line.as_bytes()]).0;
        let ours = said.contains("a OK");
        prop_assert_eq!(ours, theirs, "{} {}", line, said);
    }
}
