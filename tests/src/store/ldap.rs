//! OpenLDAP.

use super::{SECRET, Store, run};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::process::Command;

/// What is asked for of the schemas of Zimbra and of Active Directory, where Exchange has extended it.
const SCHEMA: &str = "attributetype ( 1.1.2.1.1 NAME 'zimbraMailHost' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.2 NAME 'zimbraMailDeliveryAddress' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.3 NAME 'zimbraMailAlias' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.4 NAME 'zimbraId' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.5 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.6 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.7 NAME 'msExchHomeServerName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.1.2.2.1 NAME 'zimbraAccount' SUP inetOrgPerson STRUCTURAL
 MAY ( zimbraMailHost $ zimbraMailDeliveryAddress $ zimbraMailAlias $ zimbraId ) )
objectclass ( 1.1.2.2.2 NAME 'user' SUP inetOrgPerson STRUCTURAL
 MAY ( userPrincipalName $ proxyAddresses $ msExchHomeServerName ) )
";

pub(super) const BASE: &str = "dc=example,dc=com";
pub(super) const ROOT: &str = "cn=admin,dc=example,dc=com";

pub(super) fn prepare(store: &Store) {
    let dir = store.dir.path();
    let (chain, key) = (dir.join("server.pem"), dir.join("server.key"));
    std::fs::create_dir(dir.join("data")).unwrap();
    let shown = dir.display();
    let conf = format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\ninclude /etc/ldap/schema/misc.schema\n{SCHEMA}\
         pidfile {shown}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
         TLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
         database mdb\nmaxsize 104857600\nsuffix \"{BASE}\"\nrootdn \"{ROOT}\"\nrootpw {SECRET}\ndirectory {shown}/data\n\
         index mailLocalAddress eq\naccess to * by dn.base=\"{ROOT}\" write by anonymous auth\n",
        chain.display(),
        key.display()
    );
    std::fs::write(dir.join("slapd.conf"), conf).unwrap();
}

pub(super) fn command(store: &Store) -> Command {
    let mut command = Command::new("/usr/sbin/slapd");
    // Without a debug level it would leave this process group.
    let at = format!("ldap://{} ldaps://{}", store.address, store.secure_address());
    command.args(["-d", "0", "-h", &at, "-f"]);
    command.arg(store.dir.path().join("slapd.conf"));
    command
}

pub(super) fn make(store: &Store) {
    add(
        store,
        &format!("dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n"),
    );
}

pub(super) fn put(store: &Store, user: &str, host: &str) {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let uid = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let encoded = STANDARD.encode(user);
    add(
        store,
        &format!(
            "dn: uid=u{uid},{BASE}\nobjectClass: inetOrgPerson\nobjectClass: inetLocalMailRecipient\ncn: u{uid}\nsn: u{uid}\n\
             mailLocalAddress:: {encoded}\nmailHost: {host}\ndepartmentNumber: sales\n"
        ),
    );
}

pub(super) fn add(store: &Store, ldif: &str) {
    let at = format!("ldap://{}", store.address);
    run(Command::new("ldapadd").args(["-x", "-H", &at, "-D", ROOT, "-w", SECRET]), ldif);
}
