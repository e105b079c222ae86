//! What operators get wrong, and that they are told all of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

fn faults(text: &str) -> Vec<(usize, String)> {
    match usher_config::load(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| (fault.line(text), fault.what.clone())).collect(),
    }
}

const GOOD: &str = r#"
[server]
name = "mail.example.com"
state_dir = "/var/lib/usher"
[[listener]]
protocol = "imaps"
address = "[::]:993"
[[instance_host]]
name = "ih1.example.com"
imap = { address = "10.0.0.11:993", tls = "implicit" }
"#;

#[test]
fn every_fault_is_told_at_once_with_its_line() {
    let text = r#"
[server]
nmae = "mail.example.com"
state_dir = 5
[[listener]]
protocol = "imapz"
address = "993"
[[instance_host]]
name = "ih1"
imap = { address = "10.0.0.11", tls = "implicit", client_address = "xclient" }
fingerprints = ["sha256:12"]
[[instance_host]]
name = "IH1"
imap = { address = "10.0.0.11:143", tls = "none" }
max_sessions = 0
[limits]
idle = "31 minutes"
[[admin]]
"#;
    let told = faults(text);
    let lines: Vec<usize> = told.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 6, 7, 10, 10, 11, 13, 15, 17, 18], "{told:#?}");
}

#[test]
fn a_good_file_has_none() {
    assert_eq!(faults(GOOD), []);
}

#[test]
fn one_fault_each() {
    for (line, expected) in [
        ("[[listener]]\nprotocol = \"imap\"\naddress = \"[::]:993\"", "twice"),
        ("[[listener]]\nprotocol = \"imaps\"\naddress = \"[::]:1\"\nplaintext_from = [\"::/0\"]", "STARTTLS"),
        (
            "[[listener]]\nprotocol = \"imap\"\naddress = \"[::]:1\"\nproxy_protocol = {}",
            "needs at least one trusted sender",
        ),
        ("[[listener]]\nprotocol = \"imap\"\naddress = \"[::]:1\"\nplaintext_from = [\"x\"]", "network"),
        ("[[domain]]\nname = \"a.com\"\n[[domain]]\nname = \"A.com\"", "twice"),
        ("[[domain]]\nname = \"a.com\"\ndefault_for = [\"any\", \"any\"]", "two domains"),
        ("[[domain]]\nname = \"a.com\"\nseparators = [\"##\"]", "separator"),
        ("[directory]\nsource = \"postgres\"", "has no `postgres`"),
        ("[directory]\nsource = \"mysql\"", "there is no source \"mysql\""),
        ("[directory]\nsource = [\"embedded\", \"embedded\"]", "listed twice"),
        ("[directory]\n[directory.redis]\nurl = \"redis://127.0.0.1\"", "`source` does not name it"),
        (
            "[directory]\nsource = \"postgres\"\n[directory.postgres]\nurl = \"postgres://u:secret@db/x\"",
            "a password does not belong",
        ),
        (
            "[directory]\nsource = \"postgres\"\n[directory.postgres]\nurl = \"mysql://db\"",
            "does not begin with",
        ),
        (
            "[directory]\nsource = \"postgres\"\n[directory.postgres]\nurl = \"postgres://db/x\"\nquery = \"SELECT host FROM users\"",
            "`$1` stands for the user",
        ),
        (
            "[directory]\nsource = \"ldap\"\n[directory.ldap]\nurl = \"ldaps://l\"\nbase = \"dc=a\"",
            "nothing says what is searched",
        ),
        (
            "[directory]\nsource = \"ldap\"\n[directory.ldap]\nurl = \"ldap://l\"\nbase = \"dc=a\"\npreset = \"mailhost\"\nbind_dn = \"cn=u\"\npassword_file = \"/x\"",
            "read on its way",
        ),
        (
            "[directory]\nsource = \"ldap\"\n[directory.ldap]\nurl = \"ldaps://l\"\nbase = \"dc=a\"\npreset = \"mailhost\"\nbind_dn = \"cn=u\"",
            "is nobody",
        ),
        (
            "[directory]\nsource = \"ldap\"\n[directory.ldap]\nurl = \"ldapi:///\"\nbase = \"dc=a\"\npreset = \"mailhost\"",
            "no server can be reached so",
        ),
        (
            "[directory]\nsource = \"ldap\"\n[directory.ldap]\nurl = \"ldaps://l\"\nbase = \"dc=a\"\nfilter = \"(uid=anna)\"\nhost_attribute = \"h\"",
            "the same for everybody",
        ),
        (
            "[directory]\nsource = \"redis\"\n[directory.redis]\nurl = \"redis://10.0.0.1\"\npassword_file = \"/x\"",
            "read on its way",
        ),
        (
            "[directory]\nsource = \"redis\"\n[directory.redis]\nurl = \"redis://10.0.0.1\"\nkey = \"usher\"",
            "the same for everybody",
        ),
        (
            "[directory]\nsource = \"http\"\n[directory.http]\nurl = \"https://l/users\"",
            "does not say who is meant",
        ),
        (
            "[directory]\nsource = \"http\"\n[directory.http]\nurl = \"http://l/auth\"\nstyle = \"auth_http\"\nsend_password = true",
            "read on its way",
        ),
        (
            "[directory]\nsource = \"http\"\n[directory.http]\nurl = \"https://l/{user}\"\nsecret_file = \"/x\"",
            "how the secret is shown",
        ),
        ("[[listener]]\nprotocol = \"lookup\"\naddress = \"0.0.0.0:9145\"", "others could ask who exists"),
        (
            "[[listener]]\nprotocol = \"lookup\"\naddress = \"127.0.0.1:9145\"\nserves = [\"pop3\"]",
            "nobody asks by",
        ),
        ("[[listener]]\nprotocol = \"lookup\"\naddress = \"127.0.0.1:9145\"\nserves = []", "is empty"),
        (
            "[[listener]]\nprotocol = \"lookup\"\naddress = \"127.0.0.1:9145\"\n[[listener]]\nprotocol = \"lookup\"\naddress = \"127.0.0.1:9145\"",
            "127.0.0.1:9145",
        ),
        ("[limits]\nidle = \"0s\"", "`idle`"),
        ("[storage]\narray = \"cas\"", "unknown key `storage`"),
        (
            "[[instance_host]]\nname = \"x\"\nimap = { address = \"x:1\", tls = \"none\" }\nfingerprints = [\"sha256:aa\"]",
            "fingerprint",
        ),
        ("[[instance_host]]\nname = \"x\"", "no `imap`"),
        ("[[certificate]]\nchain = \"x\"", "no `key`"),
        ("[acme]\naccept_terms = true", "no `directory`"),
        ("[tls]\nversions = [\"1.1\"]", "not a version of TLS"),
        ("[tls]\nversions = []", "is empty"),
        ("[tls]\ncipher_suites = [\"RC4-MD5\"]", "no cipher suite"),
        (
            "[tls]\ncipher_suites = [\"TLS_AES_256_GCM_SHA384\"]",
            "none of the `cipher_suites` is one of TLS 1.2",
        ),
        (
            "[acme]\ndirectory = \"http://ca.test/dir\"\naccept_terms = true",
            "not the address of an ACME directory",
        ),
        ("[acme]\ndirectory = \"https://ca.test/dir\"", "terms"),
        ("[acme]\ndirectory = \"https://ca.test/dir\"\naccept_terms = false", "terms"),
        ("[acme]\ndirectory = \"https://ca.test/dir\"\naccept_terms = true", "no listener speaks"),
        (
            "[acme]\ndirectory = \"https://ca.test/dir\"\naccept_terms = true\nnames = [\"*.a.com\"]",
            "no certificate can be had for",
        ),
        ("[acme]\ndirectory = \"https://ca.test/dir\"\naccept_terms = true\nnames = []", "is empty"),
        (
            "[acme]\ndirectory = \"https://ca.test/dir\"\naccept_terms = true\ncontact = [\"a@b.com\"]",
            "somebody to write to",
        ),
        ("[[listener]]\nprotocol = \"tcp\"\naddress = \"[::]:135\"", "no `array`"),
        ("[[listener]]\nprotocol = \"tcp\"\naddress = \"[::]:135\"\narray = \"rpc\"", "no [[array]]"),
        ("[[listener]]\nprotocol = \"imap\"\naddress = \"[::]:5-6\"", "range"),
        ("[[listener]]\nprotocol = \"imap\"\naddress = \"[::]:6-5\"", "`address`"),
        ("[[array]]\nname = \"rpc\"\nmembers = []", "without members"),
        (
            "[[array]]\nname = \"rpc\"\nmembers = [ { name = \"a\", tcp = { address = \"a:b:c\" } } ]",
            "not a host name",
        ),
        (
            "[[array]]\nname = \"rpc\"\nmembers = [ { name = \"a\" }, { name = \"A\" } ]",
            "the member \"A\" appears twice",
        ),
        (
            "[[array]]\nname = \"a\"\nhealth = { agent = \"x:1\" }\nmembers = [ { name = \"a\" } ]",
            "unknown key `agent`",
        ),
        (
            "[[array]]\nname = \"a\"\nmembers = [ { name = \"a\", fingerprints = [\"sha256:aa\"] } ]",
            "never checked",
        ),
        ("[admin]\nlisten = \"9143\"", "`listen`"),
        ("[admin]\nsockt = \"x\"", "unknown key `sockt`"),
        ("[limits]\nmemory = \"2 GB\"", "`memory`"),
        ("[server", ""),
    ] {
        let told = faults(&format!("{GOOD}{line}\n"));
        assert!(told.iter().any(|(_, what)| what.contains(expected)), "{line}: {told:?}");
    }
}

const HTTPS: &str = "[[listener]]\nprotocol = \"https\"\naddress = \"[::]:443\"\n\
     [[array]]\nname = \"cas\"\nmembers = [ { name = \"c1\", http = { address = \"c1:443\", tls = \"implicit\" } } ]\n\
     [[array]]\nname = \"rpc\"\nmembers = [ { name = \"c1\", tcp = { address = \"c1\" } } ]\n";

#[test]
fn https_sections_are_whole() {
    let identity = |words: &str| format!("[[https.identity]]\n{words}");
    for (section, expected) in [
        ("[https]\narray = \"none\"".to_owned(), "no [[array]] \"none\""),
        ("[https]\narray = \"rpc\"".to_owned(), "has no `http`"),
        ("[https]\nresponse_timeout = 5".to_owned(), "`response_timeout`"),
        ("[https]\nbody_limit = \"5\"".to_owned(), "`body_limit`"),
        ("[https]\ntrusted = [\"x\"]".to_owned(), "network"),
        ("[https]\ncookies = true".to_owned(), "unknown key `cookies`"),
        (identity("claim = \"sub\""), "no `from`"),
        (identity("from = \"nose\""), "cannot be \"nose\""),
        (identity("from = \"path\""), "no `template`"),
        (identity("from = \"path\"\ntemplate = \"/x/\""), "valid path template"),
        (identity("from = \"path\"\ntemplate = \"/{tenant}/{user}/\""), "valid path template"),
        (identity("from = \"query\"\ntemplate = \"User={user}\""), "valid query template"),
        (identity("from = \"host\"\nhost = \"a.example.com\""), "names nobody"),
        (identity("from = \"host\"\nhost = \"a.b\"\ntenant = \"a\"\ndomain = \"b\""), "not both"),
        (identity("from = \"form\"\npath = \"login\"\nfield = \"u\""), "`path`"),
        (identity("from = \"header\"\nname = \"X-User\""), "needs at least one trusted sender"),
        (identity("from = \"header\"\nname = \"X User\"\nsenders = [\"::1\"]"), "header field"),
        (identity("from = \"client-certificate\""), "client_ca"),
        (identity("from = \"basic\"\nfield = \"x\""), "unknown key `field`"),
        ("[[https.path]]\nresponse_timeout = \"1h\"".to_owned(), "no `prefix`"),
        ("[[https.path]]\nprefix = \"/a%20b\"".to_owned(), "`prefix`"),
        ("[client_setup]\nsmtp = { address = \"smtp\", tls = \"starttls\" }".to_owned(), "`address`"),
        ("[client_setup]\nsigning = { chain = \"x\" }".to_owned(), "no `key`"),
        ("[limits]\nhttp_min_rate = \"5\"".to_owned(), "`http_min_rate`"),
        (
            "[[listener]]\nprotocol = \"https\"\naddress = \"[::]:444\"\nredirect_from = \"[::]:443\""
                .to_owned(),
            "twice",
        ),
        (
            "[[listener]]\nprotocol = \"https\"\naddress = \"[::]:444\"\narray = \"cas\"".to_owned(),
            "only `tcp` spreads",
        ),
        (
            "[[listener]]\nprotocol = \"imaps\"\naddress = \"[::]:444\"\nhsts = \"1d\"".to_owned(),
            "belong to HTTPS",
        ),
        (
            "[[instance_host]]\nname = \"y\"\nimap = { address = \"y:1\", tls = \"none\" }\n\
             http = { address = \"y:2\", tls = \"none\", client_address = \"imap-id\" }"
                .to_owned(),
            "no IMAP ID",
        ),
        (
            "[[instance_host]]\nname = \"y\"\nimap = { address = \"y:1\", tls = \"none\" }\n\
             http = { address = \"y:2\", tls = \"none\", version = \"3\" }"
                .to_owned(),
            "cannot be \"3\"",
        ),
    ] {
        let told = faults(&format!("{GOOD}{HTTPS}{section}\n"));
        assert!(told.iter().any(|(_, what)| what.contains(expected)), "{section}: {told:?}");
    }
    let told = faults(&format!("{GOOD}[https]\n"));
    assert!(told[0].1.contains("without a listener"), "{told:?}");
    let whole = "[https]\narray = \"cas\"\n[[https.identity]]\nfrom = \"basic\"\n[[https.identity]]\n\
                 from = \"path\"\ntemplate = \"/{tenant}/\"\n[[https.identity]]\nfrom = \"form\"\n\
                 path = \"/login\"\nfield = \"username\"\n";
    assert_eq!(faults(&format!("{GOOD}{HTTPS}{whole}")), []);
}

#[test]
fn probes_are_whole() {
    for (health, expected) in [
        ("imap = { probe = \"login\" }", "needs a user"),
        ("imap = { probe = \"tcp\", user = \"x\" }", "logs in"),
        ("imap = { probe = \"ping\" }", "cannot be \"ping\""),
        ("http = { probe = \"get\", path = \"x\" }", "`path`"),
        ("http = { probe = \"get\", status = 42 }", "`status`"),
        ("http = {}", "no `probe`"),
        ("tcp = { probe = \"tcp\" }", "unknown key `tcp`"),
        ("agent = \"10.0.0.1\"", "`agent`"),
        ("http = { probe = \"tcp\", path = \"/\" }", "sends a request"),
        ("rise = 0", "`rise`"),
    ] {
        let told = faults(&format!("{GOOD}[instance_host.health]\n{health}\n"));
        assert!(told.iter().any(|(_, what)| what.contains(expected)), "{health}: {told:?}");
    }
}

#[test]
fn the_socket_is_found_in_a_file_with_faults() {
    let socket = |text: &str| usher_config::admin_socket(text);
    assert_eq!(socket(GOOD), Some("/var/lib/usher/admin.sock".into()));
    assert_eq!(socket("[admin]\nsocket = \"/run/x\"\n[oops]\n[[["), Some("/run/x".into()));
    assert_eq!(socket("x"), None);
}

#[test]
fn the_nearest_known_key_is_named() {
    let text = GOOD.replace("state_dir", "statedir");
    let faults = usher_config::load(&text).unwrap_err();
    assert!(faults.iter().any(|fault| fault.instead == "did you mean `state_dir`?"), "{faults:?}");
    let shown = usher_config::fault::render("usher.toml", &text, &faults, false);
    assert!(shown.contains("usher.toml:4"), "{shown}");
}

proptest::proptest! {
    /// Whatever a file holds, it is judged.
    #[test]
    fn nothing_makes_it_panic(cut in 0usize..2000, junk in "\\PC{0,20}") {
        let template = usher_config::template::TEMPLATE;
        let at = (0..=cut.min(template.len())).rev().find(|at| template.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}{junk}{}", &template[..at], &template[at..]);
        if let Err(faults) = usher_config::load(&text) {
            proptest::prop_assert!(!faults.is_empty());
            usher_config::fault::render("x", &text, &faults, false);
        }
    }
}
