//! Client set-up: what mail clients ask for, and what is served beside it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::process::Command;
use usher_tests::certificate::Certificate;
use usher_tests::http::{Answer, ask, get};
use usher_tests::usher::{HTTPS, IMAP, IMAPS, Setup, Usher};
use usher_tests::web::Web;

const OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";

fn with_setup(setup: Setup, keys: &str) -> Usher {
    setup
        .https("")
        .section(&format!(
            "[client_setup]\ndisplay_name = \"Archive & more\"\n\
             smtp = {{ address = \"smtp.example.com:587\", tls = \"starttls\" }}\n{keys}"
        ))
        .start()
}

fn question(address: &str, schema: &str) -> String {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Autodiscover \
         xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\"><Request>\
         <EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{schema}</AcceptableResponseSchema>\
         </Request></Autodiscover>"
    );
    format!(
        "POST /AutoDiscover/Autodiscover.xml HTTP/1.1\r\nHost: mail.test\r\nContent-Type: text/xml\r\n\
         Content-Length: {}\r\n\r\n{xml}",
        xml.len()
    )
}

/// The text of the elements called `name`, read by a real parser.
fn elements(answer: &Answer, name: &str) -> Vec<String> {
    let script = "import sys, xml.etree.ElementTree as t\n\
                  for e in t.fromstring(sys.stdin.read()).iter():\n\
                  \tif e.tag.split('}')[-1] == sys.argv[1]: print(e.text)";
    let said = piped(&["python3", "-c", script, name], &answer.body);
    said.lines().map(str::to_owned).collect()
}

/// What a program says of `input`.
fn piped(words: &[&str], input: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let output = Command::new(words[0])
        .args(&words[1..])
        .stdin(std::fs::File::open(file.path()).unwrap())
        .output()
        .expect("the program is installed; tests/install-peers does it");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn outlook_is_told_in_xml() {
    let usher = with_setup(Setup::new(), "");
    let answer = ask(usher.https(), question("anna@example.com", OUTLOOK));
    assert_eq!(answer.status, 200);
    assert_eq!(elements(&answer, "Type"), ["IMAP", "IMAP", "SMTP"]);
    assert_eq!(elements(&answer, "Server"), ["mail.test", "mail.test", "smtp.example.com"]);
    assert_eq!(elements(&answer, "Port"), [IMAPS.to_string(), IMAP.to_string(), "587".to_owned()]);
    assert_eq!(elements(&answer, "Encryption"), ["SSL", "TLS", "TLS"]);
    assert_eq!(elements(&answer, "LoginName")[0], "anna@example.com");
    assert_eq!(elements(&answer, "DisplayName"), ["Archive & more"]);
    for (address, schema, code) in [
        ("", OUTLOOK, "600"),
        ("anna@example.com", "mobilesync", "601"),
        ("anna@elsewhere.net", OUTLOOK, "500"),
    ] {
        let answer = ask(usher.https(), question(address, schema));
        assert_eq!(elements(&answer, "ErrorCode"), [code], "{address} {schema}");
    }
    let get = ask(usher.https(), get("/autodiscover/autodiscover.xml", ""));
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

#[test]
fn newer_clients_are_told_in_json_where_the_xml_is() {
    let usher = with_setup(Setup::new(), "");
    let json = |target: &str| {
        let answer = ask(usher.https(), get(target, ""));
        (answer.status, answer.json())
    };
    for target in [
        "/autodiscover/autodiscover.json?Email=anna%40example.com&Protocol=AutodiscoverV1",
        "/Autodiscover/Autodiscover.json/v1.0/anna%40example.com?Protocol=autodiscoverv1",
    ] {
        let (status, answer) = json(target);
        assert_eq!(status, 200);
        assert_eq!(answer["Url"], format!("https://mail.test:{HTTPS}/autodiscover/autodiscover.xml"));
        assert_eq!(answer["Protocol"], "AutodiscoverV1");
    }
    let (status, answer) = json("/autodiscover/autodiscover.json?Email=anna%40example.com&Protocol=EWS");
    assert_eq!((status, answer["ErrorCode"].as_str()), (400, Some("InvalidProtocol")));
    let (status, answer) = json("/autodiscover/autodiscover.json?Protocol=AutodiscoverV1");
    assert_eq!((status, answer["ErrorCode"].as_str()), (400, Some("MandatoryParameterMissing")));
}

#[test]
fn thunderbird_is_told_at_either_place() {
    let usher = with_setup(Setup::new(), "");
    for target in [
        "/.well-known/autoconfig/mail/config-v1.1.xml",
        "/mail/config-v1.1.xml?emailaddress=anna%40example.com",
    ] {
        let answer = ask(usher.https(), get(target, ""));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/xml; charset=utf-8")));
        assert_eq!(elements(&answer, "hostname"), ["mail.test", "mail.test", "smtp.example.com"]);
        assert_eq!(elements(&answer, "socketType"), ["SSL", "STARTTLS", "STARTTLS"]);
        assert_eq!(elements(&answer, "domain"), ["example.com"]);
        assert_eq!(elements(&answer, "username")[0], "%EMAILADDRESS%");
    }
    assert_eq!(ask(usher.https(), get("/mail/config-v1.1.xml?emailaddress=a%40b.c", "")).status, 404);
}

#[test]
fn it_is_served_where_the_configuration_says_so() {
    // 161: in front of an archive it would take clients from the mail server
    let silent = Setup::new().https("").start();
    assert_eq!(ask(silent.https(), get("/mail/config-v1.1.xml", "")).status, 401);
    let usher = Setup::new().https("").section("[client_setup]").start();
    let answer = ask(usher.https(), get("/mail/config-v1.1.xml", ""));
    assert_eq!(elements(&answer, "hostname"), ["mail.test", "mail.test"]);
    // A profile without a server for outgoing mail is none that devices take.
    assert_eq!(ask(usher.https(), get("/profile.mobileconfig?email=anna%40example.com", "")).status, 404);
}

#[test]
fn apple_devices_get_a_profile_signed_by_the_operators_key() {
    let profile = "/profile.mobileconfig?email=anna%40example.com";
    let read = "import sys, plistlib\np = plistlib.loads(sys.stdin.buffer.read())\nc = p['PayloadContent'][0]\n\
                print(p['PayloadType'], p['PayloadUUID'], c['PayloadType'], c['EmailAccountType'], \
                c['IncomingMailServerHostName'], c['IncomingMailServerPortNumber'], c['EmailAddress'])";
    let usher = with_setup(Setup::new(), "");
    let plain = ask(usher.https(), get(profile, ""));
    assert_eq!((plain.status, plain.header("content-type")), (200, Some("application/x-apple-aspen-config")));
    let said = piped(&["python3", "-c", read], &plain.body);
    assert!(
        said.starts_with("Configuration ")
            && said.contains(" com.apple.mail.managed EmailTypeIMAP mail.test ")
    );
    assert!(said.ends_with(&format!(" {IMAPS} anna@example.com\n")), "{said}");
    let again = ask(usher.https(), get(profile, ""));
    assert_eq!(plain.body, again.body, "the same account, the same profile");
    assert_eq!(ask(usher.https(), get("/profile.mobileconfig?email=a%40b.c", "")).status, 404);
    // Signed by ECDSA and by RSA, and verified by openssl.
    for kind in [&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..], &["-newkey", "rsa:2048"]] {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = (dir.path().join("sign.pem"), dir.path().join("sign.key"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-subj", "/CN=profiles", "-days", "9"])
            .args(["-addext", "subjectAltName=DNS:profiles.test"])
            .args(kind)
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&chain)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let usher = with_setup(Setup::new(), &format!("signing = {{ chain = {chain:?}, key = {key:?} }}"));
        let signed = ask(usher.https(), get(profile, ""));
        let chain = chain.to_str().unwrap();
        let words = ["openssl", "cms", "-verify", "-inform", "DER", "-CAfile", chain, "-purpose", "any"];
        let said = piped(&words, &signed.body);
        assert_eq!(said.as_bytes(), plain.body, "{kind:?}");
        let mut torn = signed.body.clone();
        let at = torn.windows(9).position(|part| part == b"anna@exam").unwrap();
        torn[at] = b'b';
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), torn).unwrap();
        let judged = Command::new(words[0]).args(&words[1..]).arg("-in").arg(file.path()).output().unwrap();
        assert!(!judged.status.success(), "a changed profile is not good any more");
    }
}

#[test]
fn without_client_set_up_these_pages_are_the_backends() {
    let setup = Setup::new();
    let address = setup.at(8450);
    let web = Web::start("m.test", address, None);
    let usher = setup
        .https("")
        .section(&format!(
            "[client_setup]\nserve = false\n[https]\narray = \"a\"\n[[array]]\nname = \"a\"\nmembers = [{{ name = \"m.test\", \
             http = {{ address = \"{address}\", tls = \"none\" }} }}]"
        ))
        .start();
    assert_eq!(ask(usher.https(), question("anna@example.com", OUTLOOK)).header("x-held-by"), Some("m.test"));
    assert_eq!(web.asked().last().map(String::as_str), Some("POST /AutoDiscover/Autodiscover.xml"));
    // Whether usher takes requests is its own to say.
    assert_eq!(ask(usher.https(), get("/healthcheck.htm", "")).header("x-held-by"), None);
}

#[test]
fn faults_of_the_files_are_told_with_their_line() {
    let certificate = Certificate::for_names(&["x.test"]);
    let setup = Setup::new().https("").section(
        "[https]\nclient_ca = \"/none/ca.pem\"\n[client_setup]\n\
         signing = { chain = \"/none/chain.pem\", key = \"/none/key\" }",
    );
    let setup = setup.users(&[]);
    let config = setup.dir.path().join("usher.toml");
    let output = usher_tests::usher::command(&["check", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("/none/ca.pem") && said.contains("/none/chain.pem") && said.contains("2 faults"),
        "{said}"
    );
    drop(certificate);
}

#[test]
fn the_records_to_publish_are_printed() {
    let usher = with_setup(Setup::new(), "");
    let said = usher.did(&["dns"]);
    for (owner, what) in [
        ("_imaps._tcp.example.com.", format!("SRV   0 1 {IMAPS} mail.test.")),
        ("autoconfig.example.com.", "CNAME mail.test.".to_owned()),
        ("mail.test.", format!("A     {}", usher.https().ip())),
    ] {
        let line = said.lines().find(|line| line.starts_with(owner)).unwrap_or_else(|| panic!("{said}"));
        assert!(line.ends_with(&what), "{line}");
    }
}
