use super::super::login_name::TenantTemplate;
use super::*;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

fn domains() -> Domains {
    let mut domains = Domains::default();
    assert!(domains.add("example.com", "example.com", &['@', '#', '%']));
    assert!(domains.add("example.org", "example.com", &['@']));
    assert!(domains.add_default(DefaultFor::Any, "example.com"));
    assert!(domains.add_default(DefaultFor::ServerName("imap.other.net".into()), "other.net"));
    assert!(domains.add_default(DefaultFor::Local([192, 0, 2, 1].into()), "local.net"));
    domains
}

#[test]
fn users() {
    for (typed, expected) in [
        ("anna@example.com", Some("anna@example.com")),
        ("Anna@EXAMPLE.com", Some("anna@example.com")),
        ("anna@example.org", Some("anna@example.com")),
        ("anna#example.com", Some("anna@example.com")),
        ("anna%example.com", Some("anna@example.com")),
        ("anna#example.org", Some("anna#example.org@example.com")),
        ("anna@elsewhere.net", Some("anna@elsewhere.net")),
        ("a@b@example.com", Some("a@b@example.com")),
        ("anna", Some("anna@example.com")),
        ("ANNA\u{308}", Some("annä@example.com")),
        ("\u{430}nna@example.com", Some("\u{430}nna@example.com")),
        ("%{x}\"@example.com", Some("%{x}\"@example.com")),
        ("anna\r\nx", None),
        ("anna\0", None),
        ("", None),
        ("@example.com", None),
        ("anna@", None),
        (" anna", Some("anna@example.com")),
        ("anna@example.com ", Some("anna@example.com")),
        ("\u{a0}anna@example.com\u{3000} ", Some("anna@example.com")),
        ("anna@example.com\t", None),
        ("  ", None),
        (" @example.com", None),
    ] {
        let key = domains().user(typed.as_bytes(), Arrival::default());
        assert_eq!(key.as_ref().map(ArchiveKey::name), expected, "{typed:?}");
    }
    assert_eq!(domains().user(&[b'a'; KEY_CAP + 1], Arrival::default()), None);
    assert_eq!(domains().user(b"\xff\xfe", Arrival::default()), None);
}

#[test]
fn names_that_are_more_than_a_name() {
    let mut domains = domains();
    domains.add("CONTOSO", "example.com", &[]);
    domains.add("two.example", "two.example", &[]);
    domains.add("two.test", "two.test", &[]);
    let tenants = ["{tenant}/{user}", "{user}!{tenant}"];
    let tenants = tenants.into_iter().filter_map(TenantTemplate::parse).collect();
    domains.set_forms(LoginForms { master: Some('*'), tenants });
    for (typed, expected, is_own) in [
        // Dovecot's master users
        ("anna*admin", Some("anna@example.com"), false),
        ("Anna@example.org*admin@example.com", Some("anna@example.com"), false),
        ("anna#example.com*admin", Some("anna@example.com"), false),
        ("anna@elsewhere.net*a*b", Some("anna@elsewhere.net"), false),
        ("*admin", None, true),
        ("anna*", None, true),
        // Windows
        ("CONTOSO\\anna", Some("anna@example.com"), true),
        ("Example\\anna", Some("anna@example.com"), true),
        ("example.org\\anna", Some("anna@example.com"), true),
        ("elsewhere.net\\anna", Some("anna@elsewhere.net"), true),
        ("two\\anna", None, true),
        ("nobody\\anna", None, true),
        ("CONTOSO\\anna@elsewhere.net", Some("anna@elsewhere.net"), true),
        // Exchange's shared mailboxes
        ("anna@example.com\\sales", Some("sales@example.com"), false),
        ("anna@elsewhere.net\\sales", Some("sales@elsewhere.net"), false),
        ("anna@example.com\\sales@elsewhere.net", Some("sales@elsewhere.net"), false),
        ("CONTOSO\\anna\\sales", Some("sales@example.com"), false),
        ("CONTOSO\\anna*admin", Some("anna@example.com"), false),
        ("a\\b\\c\\d", None, false),
        ("\\anna", None, false),
        ("anna@example.com\\", None, false),
        // tenants
        ("acme/anna", Some("tenant:acme"), false),
        ("ACME/anna@example.com", Some("tenant:acme"), false),
        ("anna!acme", Some("tenant:acme"), false),
        ("acme/anna*admin", Some("tenant:acme"), false),
    ] {
        let named = domains.named(typed.as_bytes(), Arrival::default());
        assert_eq!(named.as_ref().map(|named| named.key.to_string()).as_deref(), expected, "{typed}");
        assert!(named.is_none_or(|named| (named.says == Says::Own) == is_own), "{typed}");
    }
    // Without a separator for master users, a star is a star.
    domains.set_forms(LoginForms { master: None, tenants: Vec::new() });
    let starred = domains.named(b"anna*admin", Arrival::default()).unwrap();
    assert_eq!((starred.key.name(), starred.says), ("anna*admin@example.com", Says::Own));
}

#[test]
fn everybody_whom_a_name_shows() {
    let mut domains = domains();
    domains.add("CONTOSO", "example.com", &[]);
    let tenants = TenantTemplate::parse("{tenant}/{user}").into_iter().collect();
    domains.set_forms(LoginForms { master: Some('*'), tenants });
    for (typed, shown) in [
        ("Anna", "anna@example.com"),
        ("anna*admin", "anna@example.com admin@example.com"),
        ("anna@example.org*admin@elsewhere.net", "anna@example.com admin@elsewhere.net"),
        ("CONTOSO\\anna", "anna@example.com"),
        ("anna@example.com\\sales", "sales@example.com anna@example.com"),
        ("CONTOSO\\anna\\sales", "sales@example.com anna@example.com"),
        ("CONTOSO\\anna\\sales*admin", "sales@example.com anna@example.com admin@example.com"),
        ("Acme/Anna", "anna of acme"),
        ("acme/anna*admin", "anna of acme admin@example.com"),
        ("acme/anna@example.org", "anna@example.com of acme"),
        ("acme/anna*evil/boss", "anna of acme boss of evil"),
        ("tenant:x@example.com", ""),
        ("anna\0", ""),
    ] {
        let names = domains.shown(typed.as_bytes(), Arrival::default());
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), shown, "{typed}");
    }
}

#[test]
fn patterns_mean_the_domain_that_they_name() {
    let mut domains = domains();
    domains.add("CONTOSO", "example.com", &[]);
    for (written, pattern) in [
        ("*@example.org", "*@example.com"),
        ("CONTOSO\\*", "*@example.com"),
        ("Example\\An*", "an*@example.com"),
        ("*\\anna", "anna@*"),
        ("*@*.net", "*@*.net"),
        ("anna*", "anna*"),
    ] {
        assert_eq!(domains.pattern(written).as_str(), pattern, "{written}");
    }
    assert_eq!(domains.domain_pattern("Example.ORG").as_str(), "example.com");
    assert_eq!(domains.domain_pattern("*.org").as_str(), "*.org");
}

#[test]
fn bare_names() {
    let by = |arrival| domains().user(b"anna", arrival).unwrap().name().to_owned();
    let local = Some("::ffff:192.0.2.1".parse().unwrap());
    assert_eq!(by(Arrival { local, server_name: None }), "anna@local.net");
    assert_eq!(by(Arrival { local, server_name: Some("IMAP.other.net") }), "anna@other.net");
    assert_eq!(by(Arrival { local: None, server_name: Some("x") }), "anna@example.com");
    assert_eq!(Domains::default().user(b"anna", Arrival::default()).unwrap().name(), "anna");
}

#[test]
fn what_operators_write() {
    assert_eq!(domains().written("@Example.ORG"), Some(ArchiveKey::Domain("example.com".into())));
    assert_eq!(domains().written("@"), None);
    assert_eq!(domains().written("tenant:ACME"), Some(ArchiveKey::Tenant("acme".into())));
    assert_eq!(domains().written("tenant:"), None);
    assert_eq!(domains().written("anna*admin"), None, "nobody could reach it");
    assert_eq!(domains().written("example\\anna"), Some(ArchiveKey::User("anna@example.com".into())));
    assert_eq!(domains().written("Anna"), Some(ArchiveKey::User("anna@example.com".into())));
}

proptest! {
    /// Normalising twice changes nothing; otherwise moves would miss their user.
    #[test]
    fn normalised_once_is_for_good(typed in "\\PC{0,40}(@|#)?(example\\.(com|org)|[a-zA-ZÀ-ž.]{0,10})") {
        if let Some(key) = domains().user(typed.as_bytes(), Arrival::default()) {
            prop_assert_eq!(domains().user(key.name().as_bytes(), Arrival::default()), Some(key));
        }
    }

    /// The same of names with the characters that mean something in them.
    #[test]
    fn every_form_is_normalised_for_good(typed in "[a*@#%\\\\]{0,12}(@|#|\\\\)?(example\\.(com|org)|example)?") {
        if let Some(key) = domains().user(typed.as_bytes(), Arrival::default()) {
            prop_assert_eq!(domains().user(key.name().as_bytes(), Arrival::default()), Some(key));
        }
    }

    /// The fast path for ASCII gives the same result as the general one.
    #[test]
    fn ascii_is_folded_as_everything_is(typed in "[ -~]{0,40}") {
        let folded: String = typed.nfc().flat_map(char::to_lowercase).nfc().collect();
        prop_assert_eq!(fold(&typed), folded);
    }

    #[test]
    fn any_octets_are_judged(typed in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Some(key) = domains().user(&typed, Arrival::default()) {
            prop_assert!(!key.name().chars().any(char::is_control));
        }
    }
}
