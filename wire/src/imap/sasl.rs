//! SASL (RFC 4422) as far as usher speaks it: PLAIN (RFC 4616), LOGIN, tokens by OAUTHBEARER and XOAUTH2, EXTERNAL by a
//! certificate, and SCRAM, whose conversation is the host's.

use super::{oauth, scram};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// How a client gave its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The IMAP command `LOGIN`.
    Login,
    /// `AUTHENTICATE PLAIN`.
    SaslPlain,
    /// `AUTHENTICATE LOGIN`.
    SaslLogin,
    /// `AUTHENTICATE XOAUTH2`.
    XOAuth2,
    /// `AUTHENTICATE OAUTHBEARER`.
    OAuthBearer,
    /// `AUTHENTICATE EXTERNAL`.
    External,
    /// `AUTHENTICATE SCRAM-SHA-1`.
    ScramSha1,
    /// `AUTHENTICATE SCRAM-SHA-256`.
    ScramSha256,
}

impl Mechanism {
    /// The name for logs: a word of a closed set.
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login-command",
            Self::SaslPlain => "PLAIN",
            Self::SaslLogin => "LOGIN",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::External => "EXTERNAL",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// The name for access rules: the command `LOGIN` and the mechanism are one there.
    pub fn rule_name(self) -> &'static str {
        match self {
            Self::Login | Self::SaslLogin => "login",
            Self::SaslPlain => "plain",
            Self::XOAuth2 => "xoauth2",
            Self::OAuthBearer => "oauthbearer",
            Self::External => "external",
            Self::ScramSha1 => "scram-sha-1",
            Self::ScramSha256 => "scram-sha-256",
        }
    }

    /// Whether the client is told why a token is refused, and answers, before the refusal itself.
    pub fn tells_why(self) -> bool {
        matches!(self, Self::XOAuth2 | Self::OAuthBearer)
    }

    /// Whether the host answers the client's first message before the client proves anything.
    pub fn is_conversation(self) -> bool {
        matches!(self, Self::ScramSha1 | Self::ScramSha256)
    }

    /// The mechanism of `AUTHENTICATE` that has this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::OFFERED.into_iter().find(|known| name.eq_ignore_ascii_case(known.name().as_bytes()))
    }

    /// Those of `AUTHENTICATE`, in the order in which they are offered.
    pub const OFFERED: [Self; 7] = [
        Self::SaslPlain,
        Self::SaslLogin,
        Self::XOAuth2,
        Self::OAuthBearer,
        Self::External,
        Self::ScramSha1,
        Self::ScramSha256,
    ];
}

/// What proves who a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A password.
    Password,
    /// A token, by XOAUTH2.
    XOAuth2,
    /// A token, by OAUTHBEARER.
    OAuthBearer,
    /// The client's certificate, which usher has verified.
    Certificate,
    /// A conversation with the host, by SCRAM-SHA-1.
    ScramSha1,
    /// The same by SCRAM-SHA-256.
    ScramSha256,
}

/// Who a client claims to be, unverified. User names are raw bytes that nothing has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whom to act as (`authzid`); empty when it is the one who logs in.
    pub authorize_as: Vec<u8>,
    /// Who logs in (`authcid`).
    pub user: Vec<u8>,
    /// The password, the token, or the client's first message of a conversation.
    pub password: Secret,
    /// Which of them it is, and how it came.
    pub proof: Proof,
}

impl Credential {
    /// A name and a password.
    pub fn with_password(user: Vec<u8>, password: Secret) -> Self {
        Self { authorize_as: Vec::new(), user, password, proof: Proof::Password }
    }

    /// The first message of a mechanism that is not for passwords; `None` for a password, and for a name that cannot be in
    /// one.
    pub(crate) fn first_message(&self) -> Option<(Mechanism, Zeroizing<Vec<u8>>)> {
        let copy = |octets: &[u8]| Zeroizing::new(octets.to_vec());
        let (mechanism, message) = match self.proof {
            Proof::Password => return None,
            Proof::XOAuth2 => (Mechanism::XOAuth2, oauth::xoauth2(&self.user, &self.password)?),
            Proof::OAuthBearer => (Mechanism::OAuthBearer, oauth::oauthbearer(&self.user, &self.password)?),
            // Named in any case: a host that takes the certificate for somebody else's refuses it.
            Proof::Certificate => (Mechanism::External, copy(self.acting_user())),
            Proof::ScramSha1 => (Mechanism::ScramSha1, copy(self.password.reveal())),
            Proof::ScramSha256 => (Mechanism::ScramSha256, copy(self.password.reveal())),
        };
        Some((mechanism, message))
    }

    /// The name that decides the route: `authzid` where there is one.
    pub fn acting_user(&self) -> &[u8] {
        if self.authorize_as.is_empty() { &self.user } else { &self.authorize_as }
    }

    /// Whether it asks to act as somebody other than the user who logs in.
    pub fn acts_for_another(&self) -> bool {
        !self.authorize_as.is_empty() && self.authorize_as != self.user
    }

    /// The message of SASL PLAIN, or nothing where a NUL in it would change its meaning.
    pub fn plain_message(&self) -> Option<Zeroizing<Vec<u8>>> {
        let parts = [self.authorize_as.as_slice(), &self.user, self.password.reveal()];
        if parts.iter().any(|part| part.contains(&0)) {
            return None;
        }
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 2;
        let mut message = Zeroizing::new(Vec::with_capacity(length));
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                message.push(0);
            }
            message.extend_from_slice(part);
        }
        Some(message)
    }
}

/// Parses a PLAIN message: exactly two NULs, and a user and a password that are not empty.
pub fn parse_plain(message: &[u8]) -> Option<Credential> {
    let mut parts = message.split(|b| *b == 0);
    let (authorize_as, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || user.is_empty() {
        return None;
    }
    Some(Credential {
        authorize_as: authorize_as.to_vec(),
        user: user.to_vec(),
        password: Secret::copy_of(password),
        proof: Proof::Password,
    })
}

/// Parses the message of a token's mechanism.
pub(crate) fn parse_token(mechanism: Mechanism, message: &[u8]) -> Option<Credential> {
    let (bearer, proof) = match mechanism {
        Mechanism::XOAuth2 => (oauth::parse_xoauth2(message)?, Proof::XOAuth2),
        Mechanism::OAuthBearer => (oauth::parse_oauthbearer(message)?, Proof::OAuthBearer),
        _ => return None,
    };
    Some(Credential { authorize_as: Vec::new(), user: bearer.user, password: bearer.token, proof })
}

/// Parses the message of EXTERNAL (RFC 4422 appendix A): whom to act as, or nothing. Who it is says the certificate.
pub(crate) fn parse_external(message: &[u8]) -> Credential {
    let (authorize_as, user) = (message.to_vec(), Vec::new());
    Credential { authorize_as, user, password: Secret::copy_of(b""), proof: Proof::Certificate }
}

/// Parses a client's first message of SCRAM.
pub(crate) fn parse_scram(mechanism: Mechanism, message: &[u8]) -> Option<Credential> {
    let proof = match mechanism {
        Mechanism::ScramSha1 => Proof::ScramSha1,
        Mechanism::ScramSha256 => Proof::ScramSha256,
        _ => return None,
    };
    let scram::ClientFirst { authorize_as, user, message } = scram::parse_client_first(message)?;
    Some(Credential { authorize_as, user, password: message, proof })
}

/// Decodes one base64 line of an exchange; `None` when it is not canonical base64 (RFC 4648 section 4).
pub fn decode(line: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(vec![0; line.len() / 4 * 3 + 3]);
    let length = STANDARD.decode_slice(line, &mut decoded).ok()?;
    decoded.truncate(length);
    Some(decoded)
}

/// Encodes a message as one base64 line, without a line end.
pub fn encode(message: &[u8]) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(message.len().div_ceil(3) * 4));
    STANDARD.encode_string(message, &mut encoded);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_wants_exactly_two_nuls() {
        for (message, good) in [
            (&b"\0anna\0secret"[..], true),
            (b"boss\0anna\0secret", true),
            (b"anna\0secret", false),
            (b"\0anna\0sec\0ret", false),
            (b"\0\0secret", false),
            (b"", false),
        ] {
            assert_eq!(parse_plain(message).is_some(), good, "{message:?}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let credential = parse_plain(b"\0anna\0hunter2").unwrap();
        assert!(!format!("{credential:?}").contains("hunter2"));
        assert!(!format!("{credential:?}").contains("104, 117"));
    }

    proptest! {
        #[test]
        fn plain_round_trip(a in "[^\0]{0,20}", u in "[^\0]{1,20}", p in "[^\0]{0,20}") {
            let message = format!("{a}\0{u}\0{p}");
            let credential = parse_plain(message.as_bytes()).unwrap();
            let sent = credential.plain_message().unwrap();
            prop_assert_eq!(sent.as_slice(), message.as_bytes());
            let encoded = encode(&sent);
            let decoded = decode(encoded.as_bytes()).unwrap();
            prop_assert_eq!(decoded.as_slice(), message.as_bytes());
        }
    }
}
