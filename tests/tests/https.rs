//! The main way of HTTPS: each request reaches the host that holds its user's archive.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::sync::Arc;
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::frames;
use usher_tests::http::{Answer, ask, basic, connect, get};
use usher_tests::scripted::Scripted;
use usher_tests::usher::{Setup, Usher};
use usher_tests::web::Web;

/// Hosts w0, w1, w2 over TLS with pins, and members m0, m1 of the array `cas`.
struct House {
    usher: Usher,
    hosts: Vec<Arc<Web>>,
    _members: Vec<Arc<Web>>,
}

const USERS: [(&str, &str); 6] = [
    ("anna@example.com", "w0.test"),
    ("ben@example.com", "w1.test"),
    ("carla@example.com", "w2.test"),
    ("tenant:acme", "w1.test"),
    ("tenant:bolt", "w2.test"),
    ("@example.org", "w2.test"),
];

fn house(identities: &str, array: &str) -> House {
    house_of(Setup::new(), identities, array)
}

fn house_of(setup: Setup, identities: &str, array: &str) -> House {
    let certificate = Certificate::for_names(&["web.test"]);
    let pin = format!("fingerprints = [{:?}]", certificate.pin());
    let mut setup = setup.https("hsts = \"365d\"");
    let mut hosts = Vec::new();
    for at in 0..3_u16 {
        let (name, address) = (format!("w{at}.test"), setup.at(8440 + at));
        hosts.push(Web::start(&name, address, Some(&certificate)));
        setup = setup.web_host(&name, address, "tls = \"implicit\"", &pin);
    }
    let members: Vec<_> = (0..2_u16)
        .map(|at| Web::start(&format!("m{at}.test"), setup.at(8450 + at), Some(&certificate)))
        .collect();
    let member = |at: u16| {
        let address = setup.at(8450 + at);
        format!(
            "{{ name = \"m{at}.test\", http = {{ address = \"{address}\", tls = \"implicit\" }}, {pin} }}"
        )
    };
    let section = format!(
        "[https]\narray = \"cas\"\n{identities}\n[[array]]\nname = \"cas\"\n{array}\n\
         health = {{ http = {{ probe = \"none\" }} }}\nmembers = [{}, {}]",
        member(0),
        member(1)
    );
    let usher = setup.section(&section).users(&USERS).start();
    House { usher, hosts, _members: members }
}

fn held_by(answer: &Answer) -> &str {
    assert!(answer.status < 400, "{} {}", answer.status, answer.text());
    answer.header("x-held-by").unwrap_or_else(|| panic!("{answer:?}"))
}

fn from(words: &str) -> String {
    format!("[[https.identity]]\n{words}\n")
}

#[test]
fn basic_names_the_user_and_the_host_decides_on_the_password() {
    let house = house(&from("from = \"basic\""), "");
    let mut client = connect(house.usher.https());
    for (user, host) in [("anna@example.com", "w0.test"), ("Ben", "w1.test"), ("x@example.org", "w2.test")] {
        for _ in 0..2 {
            client.send(get("/a?b=c", &basic(user)));
            let answer = client.http_answer();
            assert_eq!(held_by(&answer), host);
            let seen = answer.json();
            assert_eq!(seen["target"], "/a?b=c");
            assert_eq!(seen["headers"]["host"][0], "mail.test");
            assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
            assert_eq!(answer.header("via"), Some("1.1 mail.test"));
        }
    }
    // One connection to each host serves all of them.
    assert_eq!(house.hosts.iter().map(|host| host.connections()).collect::<Vec<_>>(), [1, 1, 1]);
    let unknown = ask(house.usher.https(), get("/", &basic("nobody")));
    assert_eq!((unknown.status, unknown.header("www-authenticate").is_some()), (401, true));
    let line = house.usher.wait_for_log("request client=");
    assert!(line.contains("user=\"anna@example.com\"") && line.contains("host=\"w0.test\""), "{line}");
    assert!(!house.usher.log().contains("secret"));
}

#[test]
fn each_place_of_a_request_can_name_somebody() {
    let claims = "eyJ0ZW5hbnQiOiJhY21lIn0";
    for (identity, request, host) in [
        (
            "from = \"bearer\"\nclaim = \"tenant\"\nnames = \"tenant\"",
            get("/", &format!("Authorization: Bearer x.{claims}.y\r\n")),
            "w1.test",
        ),
        ("from = \"path\"\ntemplate = \"/{tenant}/\"", get("/ACME/inbox", ""), "w1.test"),
        (
            "from = \"path\"\ntemplate = \"/dav/{user}/\"",
            get("/dav/carla%40example.com/x%2Fy", ""),
            "w2.test",
        ),
        (
            "from = \"query\"\ntemplate = \"?User={user}\"",
            get("/sync?a=b&User=ben%40example.com", ""),
            "w1.test",
        ),
        (
            "from = \"header\"\nname = \"X-User\"\nsenders = [\"127.0.0.0/8\"]",
            get("/", "X-User: ben\r\n"),
            "w1.test",
        ),
        ("from = \"host\"\nhost = \"mail.test\"\ntenant = \"bolt\"", get("/", ""), "w2.test"),
        ("from = \"host\"\nhost = \"mail.test\"\ndomain = \"example.org\"", get("/", ""), "w2.test"),
    ] {
        let house = house(&from(identity), "");
        assert_eq!(held_by(&ask(house.usher.https(), &request)), host, "{identity}");
        // What names nobody who is known goes to the array; a header from elsewhere names nobody.
        let other = ask(house.usher.https(), get("/elsewhere/", "Host2: x\r\n"));
        if !identity.contains("\"host\"") {
            assert!(held_by(&other).starts_with('m'), "{identity}: {other:?}");
        }
    }
}

#[test]
fn a_virtual_host_names_a_tenant() {
    let identity = from("from = \"host\"\nhost = \"{tenant}.mail.test\"");
    let certificate = Certificate::for_names(&["mail.test", "*.mail.test"]);
    let mut setup = Setup::new();
    setup.certificate = certificate;
    let house = house_of(setup, &identity, "");
    for (host, held) in [("acme.mail.test", "w1.test"), ("BOLT.mail.test", "w2.test")] {
        let mut client = Client::plain(house.usher.https());
        client.try_start_tls(usher_tests::client::config(), &host.to_lowercase()).unwrap();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(held_by(&client.http_answer()), held);
    }
}

#[test]
fn a_header_that_names_somebody_counts_from_its_senders_alone() {
    let identity = from("from = \"header\"\nname = \"X-User\"\nsenders = [\"192.0.2.0/24\"]");
    let house = house(&identity, "");
    for name in ["X-User", "X_User", "x_uSer"] {
        let answer = ask(house.usher.https(), get("/", &format!("{name}: ben\r\n")));
        assert!(held_by(&answer).starts_with('m'));
        let seen = answer.json()["headers"].to_string().to_lowercase();
        assert!(!seen.contains("x-user") && !seen.contains("x_user"), "{seen}");
    }
}

#[test]
fn a_form_binds_by_a_cookie_that_follows_the_user() {
    let identities =
        from("from = \"form\"\npath = \"/login\"\nfield = \"username\"") + &from("from = \"basic\"");
    let house = house(&identities, "");
    let https = house.usher.https();
    let post = |form: &str, more: &str| {
        let length = form.len();
        format!(
            "POST /login HTTP/1.1\r\nHost: mail.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n{more}\r\n{form}"
        )
    };
    // The form itself names nobody.
    assert!(ask(https, get("/login", "")).text().contains("<title>m"));
    let answer = ask(https, post("a=b&username=anna%40example.com&password=secret", ""));
    assert_eq!(answer.status, 303, "{answer:?}");
    assert!(answer.text().contains("w0.test saw a=b&username=anna%40example.com&password=secret"));
    let cookies: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(cookies.len(), 2, "the application's and usher's: {cookies:?}");
    let (_, cookie) = cookies.iter().find(|(_, value)| value.starts_with("__Host-usher-user=")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("Secure") && cookie.contains("SameSite=Lax"));
    assert!(!cookie.contains("anna") && !cookie.contains("w0.test"));
    let pair = cookie.split(';').next().unwrap();
    let with = |more: &str| get("/inbox", &format!("Cookie: app=1; {pair}; b=2\r\n{more}"));
    let answer = ask(https, with(""));
    assert_eq!(held_by(&answer), "w0.test");
    assert_eq!(answer.json()["headers"]["cookie"][0], "app=1; b=2", "usher's own goes to nobody");
    // An explicit identity goes before it.
    assert_eq!(held_by(&ask(https, with(&basic("ben")))), "w1.test");
    // It names the key, not the host.
    assert!(house.usher.user(&["set", "anna@example.com", "w2.test"]).status.success());
    assert_eq!(held_by(&ask(https, with(""))), "w2.test");
    // One that was tampered with names nobody.
    let forged = pair.replacen("usher-user=", "usher-user=A", 1);
    assert!(held_by(&ask(https, get("/inbox", &format!("Cookie: {forged}\r\n")))).starts_with('m'));
    // A login that fails binds nobody, and neither does one of somebody unknown, whom the array refuses.
    let refused = ask(https, post("username=anna%40example.com&password=wrong", ""));
    assert_eq!((refused.status, refused.header("set-cookie")), (401, None));
    let unknown = ask(https, post("username=nobody&password=wrong", ""));
    assert_eq!((unknown.status, unknown.header("set-cookie")), (401, None));
    assert!(unknown.text().contains("m0.test saw") || unknown.text().contains("m1.test saw"));
    // JSON as well; a body that is too long for a login is passed on as it is.
    let json = "{\"username\":\"ben@example.com\",\"password\":\"secret\"}";
    let request = post(json, "").replace("application/x-www-form-urlencoded", "application/json");
    assert!(ask(https, request).text().contains("w1.test saw {"));
    let long = format!("password=secret&pad={}&username=anna", "x".repeat(100_000));
    assert!(ask(https, post(&long, "")).text().contains(" saw password=secret&pad=xx"));
}

#[test]
fn several_forms_are_read_at_one_place() {
    let form = |field: &str| from(&format!("from = \"form\"\npath = \"/login\"\nfield = \"{field}\""));
    let house = house(&(form("account") + &form("username")), "");
    let answer = ask(house.usher.https(), login("username=anna&password=secret"));
    assert!(answer.text().contains("w0.test saw username=anna&password=secret"), "{}", answer.text());
}

#[test]
fn an_array_keeps_clients_by_a_cookie() {
    let house = house("", "affinity = \"cookie\"\nbalance = \"round-robin\"");
    let https = house.usher.https();
    let first = ask(https, get("/", ""));
    let member = held_by(&first).to_owned();
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-usher-member=") && !cookie.contains(&member));
    for _ in 0..6 {
        let answer = ask(https, get("/", &format!("Cookie: {cookie}\r\n")));
        assert_eq!((held_by(&answer), answer.header("set-cookie")), (member.as_str(), None));
    }
    let spread: std::collections::BTreeSet<_> =
        (0..6).map(|_| held_by(&ask(https, get("/", ""))).to_owned()).collect();
    assert_eq!(spread.len(), 2);
    // A member that is taken out hands its clients on, and they stay there.
    house.usher.did(&["drain", &member, "--why", "x"]);
    let moved = ask(https, get("/", &format!("Cookie: {cookie}\r\n")));
    assert_ne!(held_by(&moved), member);
    assert!(moved.header("set-cookie").is_some());
}

#[test]
fn an_array_keeps_clients_by_their_address() {
    let house = house("", "affinity = \"address\"\nbalance = \"round-robin\"");
    let first = held_by(&ask(house.usher.https(), get("/", ""))).to_owned();
    for _ in 0..6 {
        let answer = ask(house.usher.https(), get("/", ""));
        assert_eq!((held_by(&answer), answer.header("set-cookie")), (first.as_str(), None));
    }
    house.usher.did(&["stop", &first, "--why", "x"]);
    assert_ne!(held_by(&ask(house.usher.https(), get("/", ""))), first);
}

#[test]
fn requests_without_a_name_and_without_an_array_are_told_to_name_somebody() {
    let setup = Setup::new().https("").section("[https]\n");
    let usher = setup.start();
    let answer = ask(usher.https(), get("/", "Accept: text/html\r\n"));
    assert_eq!((answer.status, answer.header("content-type")), (401, Some("text/html; charset=utf-8")));
    let answer = ask(usher.https(), get("/", "Accept: application/json\r\n"));
    assert_eq!(answer.json()["status"], 401);
}

#[test]
fn what_could_be_read_as_two_names_is_refused() {
    let identities = from("from = \"query\"\ntemplate = \"?User={user}\"")
        + &from("from = \"header\"\nname = \"X-User\"\nsenders = [\"127.0.0.0/8\"]")
        + &from("from = \"form\"\npath = \"/login\"\nfield = \"user\"")
        + &from("from = \"basic\"");
    let house = house(&identities, "");
    let form = "user=anna&user=ben&password=secret";
    for request in [
        get("/?User=anna&User=ben", ""),
        get("/", "X-User: anna\r\nX-User: ben\r\n"),
        get("/", &(basic("anna") + &basic("ben"))),
        login(form),
    ] {
        assert_eq!(ask(house.usher.https(), &request).status, 400, "{request}");
    }
    assert!(house.hosts.iter().all(|host| host.asked().is_empty()));
    assert_eq!(held_by(&ask(house.usher.https(), get("/?User=anna&User=anna", ""))), "w0.test");
}

/// A form that is posted.
fn login(form: &str) -> String {
    format!(
        "POST /login HTTP/1.1\r\nHost: mail.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

#[test]
fn a_name_that_nobody_knows_leaves_it_to_the_next() {
    let identities = from("from = \"basic\"") + &from("from = \"path\"\ntemplate = \"/{tenant}/\"");
    let house = house(&identities, "");
    assert_eq!(held_by(&ask(house.usher.https(), get("/acme/", &basic("bob")))), "w1.test");
    assert_eq!(held_by(&ask(house.usher.https(), get("/acme/", &basic("anna")))), "w0.test", "in order");
    assert_eq!(ask(house.usher.https(), get("/nobody/", &basic("bob"))).status, 401);
}

#[test]
fn a_cookie_is_made_anew_before_it_ends() {
    let form = from("from = \"form\"\npath = \"/login\"\nfield = \"username\"");
    let house = house(&format!("cookie_age = \"4s\"\n{form}"), "");
    let https = house.usher.https();
    let pair = |answer: &Answer| {
        let cookie = answer.headers.iter().find(|(_, value)| value.starts_with("__Host-usher-user="));
        cookie.map(|(_, value)| value.split(';').next().unwrap().to_owned())
    };
    let first = pair(&ask(https, login("username=anna&password=secret"))).unwrap();
    let with = |cookie: &str| ask(https, get("/", &format!("Cookie: {cookie}\r\n")));
    assert_eq!(pair(&with(&first)), None, "it is young");
    let until = std::time::Instant::now() + usher_tests::usher::DEADLINE;
    let second = loop {
        let answer = with(&first);
        assert_eq!(held_by(&answer), "w0.test");
        if let Some(second) = pair(&answer) {
            break second;
        }
        assert!(std::time::Instant::now() < until);
    };
    assert_ne!(first, second);
    assert_eq!(held_by(&with(&second)), "w0.test");
    // The first ends.
    while held_by(&with(&first)) == "w0.test" {
        assert!(std::time::Instant::now() < until);
    }
}

#[test]
fn a_stop_lets_streams_finish_and_says_goaway() {
    let setup = Setup::new().server("drain_deadline = \"20s\"").https("");
    let address = setup.at(8440);
    let web = Web::start("w.test", address, None);
    let setup = setup.web_host("w.test", address, "tls = \"none\"", "");
    let mut usher = setup.users(&[("anna@example.com", "w.test")]).start();
    let mut client = frames::connect(usher.https());
    let auth = basic("anna");
    let auth = auth.trim_end().split_once(": ").unwrap().1;
    let block = frames::get_block("/slow/1000", &[("authorization", auth)]);
    client.send(frames::frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, 1, &block));
    while web.asked().is_empty() {
        std::thread::yield_now();
    }
    usher.signal(rustix::process::Signal::TERM);
    let mut seen = Vec::new();
    loop {
        let frame = client.frame();
        seen.push(frame.kind);
        if frame.kind == frames::DATA && frame.flags & frames::END_STREAM != 0 {
            break;
        }
    }
    assert!(seen.contains(&frames::GOAWAY) && seen.contains(&frames::HEADERS), "{seen:?}");
    drop(client);
    assert!(usher.wait().success());
}

#[test]
fn a_response_is_whole_though_usher_stops() {
    let setup = Setup::new().server("drain_deadline = \"20s\"").https("");
    let address = setup.at(8440);
    let _web = Web::start("w.test", address, None);
    let setup = setup.web_host("w.test", address, "tls = \"none\"", "");
    let mut usher = setup.users(&[("anna@example.com", "w.test")]).start();
    let mut client = connect(usher.https());
    client.send(get("/download/30000000", &basic("anna")));
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 1);
    usher.signal(rustix::process::Signal::TERM);
    let answer = client.http_answer();
    assert_eq!((answer.status, answer.body.len()), (200, 30_000_000));
    assert!(answer.body.iter().enumerate().all(|(at, octet)| *octet == usher_tests::web::octet(at as u64)));
    drop(client);
    assert!(usher.wait().success());
}

#[test]
fn a_client_certificate_names_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let made = usher_tests::certificate::for_client("carla@example.com");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &made.ca_pem).unwrap();
    let identities = format!("client_ca = {ca:?}\n{}", from("from = \"client-certificate\""));
    let house = house(&identities, "");
    let mut client = Client::plain(house.usher.https());
    client.start_tls(made.config());
    client.send(get("/", ""));
    assert_eq!(held_by(&client.http_answer()), "w2.test");
    // Without one, nobody is named; one of another maker is refused.
    assert!(held_by(&ask(house.usher.https(), get("/", ""))).starts_with('m'));
    let other = usher_tests::certificate::for_client("carla@example.com");
    let mut client = Client::plain(house.usher.https());
    let refused = client.try_start_tls(other.config(), "mail.test").is_err() || {
        client.try_send(get("/", "").as_bytes()).is_err() || client.rest().1.is_err()
    };
    assert!(refused);
}

#[test]
fn plain_http_is_sent_to_https() {
    let setup = Setup::new();
    let from = setup.at(1080);
    let usher = setup.https(&format!("redirect_from = \"{from}\"")).start();
    let plain = |request: &str| {
        let mut client = Client::plain(from);
        client.send(request);
        client.http_answer()
    };
    let answer = plain("GET /a?b=c HTTP/1.1\r\nHost: mail.test:1080\r\n\r\n");
    assert_eq!((answer.status, answer.header("location")), (301, Some("https://mail.test:1443/a?b=c")));
    let post = "POST /a HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(plain(post).status, 308, "the method stays");
    assert_eq!(plain("GET / HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(plain("GET / HTTP/1.1\nHost: x\n\n").status, 400);
    drop(usher);
}

#[test]
fn load_balancers_see_usher_stop() {
    let setup = Setup::new().server("drain_deadline = \"20s\"").https("");
    let address = setup.at(8440);
    let web = Web::start("w.test", address, None);
    let setup = setup.web_host("w.test", address, "tls = \"none\"", "");
    let usher = setup.users(&[("anna@example.com", "w.test")]).start();
    assert_eq!(ask(usher.https(), get("/healthcheck.htm", "")).status, 200);
    let mut busy = connect(usher.https());
    busy.send(get("/slow/1500", &basic("anna")));
    let mut idle = connect(usher.https());
    idle.send(get("/healthcheck.htm", ""));
    assert_eq!(idle.http_answer().status, 200);
    while web.asked().is_empty() {
        std::thread::yield_now();
    }
    usher.signal(rustix::process::Signal::TERM);
    // A request under way comes to its end, and its connection to its own; an idle one is closed.
    assert_eq!(idle.rest().0, "");
    let answer = busy.http_answer();
    assert_eq!((held_by(&answer), answer.closes()), ("w.test", true));
}

#[test]
fn usher_alone_sets_its_cookies() {
    // 107
    let house = house(&from("from = \"basic\""), "affinity = \"cookie\"");
    let own = "__Host-usher-user=forged; Path=/; Secure|a=1|__host-USHER-member=x; Path=/| =__Host-usher-user=y|b=__Host-usher-user";
    let fields = format!("{}X-Set-Cookie: {own}\r\n", basic("anna"));
    let cookies = |answer: &Answer| -> Vec<String> {
        let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        set.map(|(_, value)| value.clone()).collect()
    };
    let answer = ask(house.usher.https(), get("/", &fields));
    assert_eq!(cookies(&answer), ["a=1", "b=__Host-usher-user"]);
    // What usher itself says goes beside it.
    let answer = ask(house.usher.https(), get("/", &format!("X-Set-Cookie: {own}\r\n")));
    let set = cookies(&answer);
    assert_eq!(
        (set.len(), &set[..2]),
        (3, &["a=1".to_owned(), "b=__Host-usher-user".to_owned()][..]),
        "{set:?}"
    );
    assert!(set[2].starts_with("__Host-usher-member=") && !set[2].contains("=x;"), "{set:?}");
    // And what a client sends under such a name is no backend's to read.
    let seen = ask(
        house.usher.https(),
        get("/", &format!("{}Cookie: __host-usher-user=a; c=2; =__Host-usher-member=b\r\n", basic("anna"))),
    );
    assert_eq!(seen.json()["headers"]["cookie"][0], "c=2");
}

#[test]
fn interim_responses_and_switches_set_none_of_ushers_cookies() {
    // 107: whichever response it is
    let setup = Setup::new();
    let address = setup.at(8450);
    let _backend = Scripted::start(address, |mut conn| {
        let mut switches = false;
        while let Some(line) = conn.line().filter(|line| !line.is_empty()) {
            switches |= line.eq_ignore_ascii_case("upgrade: websocket");
        }
        let cookies = "Set-Cookie: __Host-usher-user=x\r\nSet-Cookie: a=1\r\n";
        if switches {
            conn.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{cookies}\r\n"
            ));
        } else {
            conn.send(format!("HTTP/1.1 103 Early Hints\r\n{cookies}\r\n"));
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{cookies}\r\n"));
        }
        conn.rest();
    });
    let usher = setup
        .https("")
        .section(&format!(
            "[https]\narray = \"a\"\n[[array]]\nname = \"a\"\nhealth = {{ http = {{ probe = \"none\" }} }}\n\
             members = [{{ name = \"m.test\", http = {{ address = \"{address}\", tls = \"none\" }} }}]"
        ))
        .start();
    let set = |answer: &Answer| {
        let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        cookies.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let mut client = connect(usher.https());
    client.send(get("/", ""));
    let hints = client.one_answer(false);
    assert_eq!((hints.status, set(&hints)), (103, vec!["a=1".to_owned()]));
    assert_eq!(set(&client.one_answer(false)), ["a=1"]);
    let mut client = connect(usher.https());
    client.send(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    let switched = client.http_answer();
    assert_eq!((switched.status, set(&switched)), (101, vec!["a=1".to_owned()]));
}

#[test]
fn a_form_of_another_site_binds_nobody() {
    // 108
    let house = house(&from("from = \"form\"\npath = \"/login\"\nfield = \"username\""), "");
    let post = |more: &str| {
        let form = "username=anna&password=secret";
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: mail.test:1443\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n{more}\r\n{form}",
            form.len()
        );
        let answer = ask(house.usher.https(), request);
        assert_eq!(answer.status, 303, "it goes to its host all the same: {more}");
        answer.headers.iter().any(|(_, value)| value.starts_with("__Host-usher-user="))
    };
    let own = "Origin: https://mail.test:1443\r\n";
    for more in [
        "",
        own,
        "Origin: https://MAIL.test:1443\r\nSec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: none\r\n",
    ] {
        assert!(post(more), "{more:?}");
    }
    for more in [
        "Origin: https://evil.test\r\n",
        "Origin: https://mail.test\r\n",
        "Origin: http://mail.test:1443\r\n",
        "Origin: https://mail.test:1443.evil.test\r\n",
        "Origin: null\r\n",
        "Origin:\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        &format!("{own}Sec-Fetch-Site: cross-site\r\n"),
        &format!("{own}Origin: https://evil.test\r\n"),
    ] {
        assert!(!post(more), "{more:?}");
    }
}

#[test]
fn what_names_somebody_twice_is_refused() {
    // 109
    let identities = from("from = \"form\"\npath = \"/login\"\nfield = \"username\"")
        + &from("from = \"bearer\"\nclaim = \"sub\"")
        + &from("from = \"query\"\ntemplate = \"?User={user}\"");
    let house = house(&identities, "");
    let https = house.usher.https();
    let post = |kind: &str, form: &str| {
        let head = format!("POST /login HTTP/1.1\r\nHost: mail.test\r\nContent-Type: {kind}\r\n");
        ask(https, format!("{head}Content-Length: {}\r\n\r\n{form}", form.len())).status
    };
    for form in [
        r#"{"username":"anna","username":"ben"}"#,
        r#"{"username":"anna","x":1,"user\u006eame":"ben"}"#,
        r#"{"username":"anna","UserName":"ben"}"#,
        r#"{"username":"anna","password":"a","password":"b"}"#,
    ] {
        assert_eq!(post("application/json; charset=utf-8", form), 400, "{form}");
    }
    for form in ["username=anna&username=ben", "username=anna&UserName=ben", "username=anna&user%6eame=ben"] {
        assert_eq!(post("application/x-www-form-urlencoded", form), 400, "{form}");
    }
    let bearer = |claims: &str| {
        use base64::Engine;
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
        ask(https, get("/", &format!("Authorization: Bearer x.{claims}.y\r\n")))
    };
    assert_eq!(held_by(&bearer(r#"{"sub":"anna@example.com"}"#)), "w0.test");
    for claims in
        [r#"{"sub":"anna@example.com","sub":"ben@example.com"}"#, r#"{"sub":"anna@example.com","a":1,"a":2}"#]
    {
        assert_eq!(bearer(claims).status, 400, "{claims}");
    }
    assert_eq!(ask(https, get("/?User=anna&user=ben", "")).status, 400);
    assert!(house.hosts.iter().all(|host| !host.asked().iter().any(|asked| asked.contains("/login"))));
}
