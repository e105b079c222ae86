//! Directories in LDAP as Zimbra and Active Directory fill them, and such as nobody should.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::thread;
use std::time::{Duration, Instant};
use usher_tests::deadline::DEADLINE;
use usher_tests::store::{FORGETFUL, Kind, Site};

/// As Zimbra writes its accounts, and Active Directory its users, whose server Exchange names without a domain.
const ACCOUNTS: [(&str, &str); 2] = [
    (
        "zimbra",
        "dn: uid=anna,{base}
objectClass: zimbraAccount
cn: anna
sn: anna
uid: anna
zimbraMailDeliveryAddress: Anna@example.com
zimbraMailAlias: postmaster@example.com
zimbraId: a4f8b1d0-0a3c-4d0b-9c43-0f7b6b6f4a01
zimbraMailHost: two.test
",
    ),
    (
        "active-directory",
        "dn: cn=Anna,{base}
objectClass: user
cn: Anna
sn: Anna
userPrincipalName: anna@example.com
proxyAddresses: SMTP:Anna.Example@example.com
proxyAddresses: smtp:postmaster@example.com
msExchHomeServerName: /o=Example/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Configuration/cn=Servers/cn=TWO
",
    ),
];

#[test]
fn zimbra_and_active_directory_are_asked_as_they_are() {
    for (preset, entry) in ACCOUNTS {
        let named = format!("preset = \"{preset}\"");
        let change = |section: String| section.replace("preset = \"mailhost\"", &named);
        let site = Site::with(Kind::Ldap, FORGETFUL, "", change);
        site.store.ldif(entry);
        for user in ["anna@example.com", "postmaster@example.com"] {
            site.let_in(user);
            site.moves_home(user, 1);
        }
        let said = site.tries("nobody@example.com", "secret");
        assert!(said.starts_with("a NO [AUTHENTICATIONFAILED]"), "{said}");
    }
}

#[test]
fn an_entry_of_ldap_that_is_not_alone_is_a_fault() {
    let site = Site::filled(Kind::Ldap);
    site.store.put("anna@example.com", "two.test");
    let until = Instant::now() + DEADLINE;
    while !site.tries("anna@example.com", "secret").starts_with("a NO [UNAVAILABLE]") {
        assert!(Instant::now() < until, "two entries are a fault, and never a guess");
        thread::sleep(Duration::from_millis(20));
    }
    site.usher.wait_for_log("anna@example.com has more than one entry");
    site.at_home("berta@example.com", 1);
}
