use super::*;
use crate::imap::id::ClientId;
use crate::imap::sasl::Credential;
use crate::secret::Secret;
use crate::secret::SecretBuf;

fn credential(user: &[u8], password: &[u8]) -> Credential {
    Credential::with_password(user.to_vec(), Secret::copy_of(password))
}

fn begin(capabilities: &str, credential: &Credential) -> (Login, String) {
    let mut out = SecretBuf::default();
    let login =
        Login::begin(capabilities.as_bytes(), credential, &ClientId::default(), &[], &mut out).unwrap();
    (login, String::from_utf8_lossy(&out).into_owned())
}

#[test]
fn opening_refuses_what_cannot_be_trusted() {
    for (start_tls, said, expected) in [
        (false, &b"* PREAUTH welcome\r\n"[..], Fault::Preauth),
        (false, b"* BYE go away\r\n", Fault::Bye),
        (false, b"+OK POP3 ready\r\n", Fault::Garbage),
        (true, b"* OK [CAPABILITY IMAP4rev1] hi\r\n", Fault::StartTlsMissing),
        (true, b"* OK hi\r\nS NO not today\r\n", Fault::StartTlsRefused),
        (true, b"* OK hi\r\nS OK go\r\n* OK injected\r\n", Fault::BytesBehindStartTls),
        (false, b"* OK hi\r\nX OK what\r\n", Fault::OutOfStep),
    ] {
        let mut opening = Opening::new(start_tls);
        opening.feed(said);
        assert_eq!(opening.step(&mut Vec::new()).unwrap_err(), expected, "{said:?}");
    }
    let mut opening = Opening::new(false);
    opening.feed(&vec![b'x'; LINE_CAP + 1]);
    assert_eq!(opening.step(&mut Vec::new()).unwrap_err(), Fault::TooMuch);
}

#[test]
fn login_forms() {
    let anna = credential(b"anna", b"se\"cret");
    assert_eq!(
        begin("IMAP4rev1 AUTH=PLAIN SASL-IR", &anna).1,
        "L AUTHENTICATE PLAIN AGFubmEAc2UiY3JldA==\r\n"
    );
    let (mut login, sent) = begin("IMAP4rev1 AUTH=PLAIN", &anna);
    assert_eq!(sent, "L AUTHENTICATE PLAIN\r\n");
    login.feed(b"+ \r\n");
    let mut out = SecretBuf::default();
    assert!(matches!(login.step(&mut out), Ok(LoginStep::Need)));
    assert_eq!(&*out, b"AGFubmEAc2UiY3JldA==\r\n");
    assert_eq!(begin("IMAP4rev1", &anna).1, "L LOGIN \"anna\" \"se\\\"cret\"\r\n");
}

#[test]
fn odd_octets_never_stand_on_a_command_line() {
    let (mut login, sent) = begin("IMAP4rev1", &credential(b"anna\r\nx DELETE INBOX", "pä".as_bytes()));
    assert_eq!(sent, "L LOGIN {20}\r\n");
    let mut out = SecretBuf::default();
    login.feed(b"+ ok\r\n");
    login.step(&mut out).unwrap();
    assert_eq!(&*out, b"anna\r\nx DELETE INBOX {3}\r\n");
    let mut out = SecretBuf::default();
    login.feed(b"+ ok\r\n");
    login.step(&mut out).unwrap();
    assert_eq!(&*out, "pä\r\n".as_bytes());
}

#[test]
fn accepted_with_what_follows() {
    let (mut login, _) = begin("IMAP4rev1 AUTH=PLAIN SASL-IR", &credential(b"a", b"b"));
    login.feed(b"* CAPABILITY IMAP4rev1 IDLE\r\nL OK done\r\n* 3 EXISTS\r\n");
    let Ok(LoginStep::Accepted(accepted)) = login.step(&mut SecretBuf::default()) else { panic!() };
    assert_eq!(accepted.leftover, b"* 3 EXISTS\r\n");
    let mut out = Vec::new();
    hand_over(b"a7", false, &accepted, &mut out);
    assert_eq!(out, b"* CAPABILITY IMAP4rev1 IDLE\r\na7 OK done\r\n");
}
