//! A SASL exchange (RFC 4422 section 3): takes the client's messages and returns the next challenge, until the client
//! has claimed an identity. Each message consumes the state that it arrives in.

use crate::imap::sasl::{self, Credential, Mechanism};
use crate::secret::Secret;

/// An exchange that waits for the client.
pub(super) enum Exchange {
    /// For the one message of PLAIN (RFC 4616).
    Plain,
    /// For the name, in LOGIN.
    LoginUser,
    /// For the one message of a token's mechanism.
    Token(Mechanism),
    /// For the one message of EXTERNAL.
    External,
    /// For the first message of a conversation with the host.
    Scram(Mechanism),
    /// For the password, in LOGIN.
    LoginPassword { user: Vec<u8> },
}

/// The result of a message from the client.
pub(super) enum Transition {
    /// There is more to be said.
    Goes(Exchange),
    /// The client has said who it is.
    Claimed(Credential),
    /// The message is malformed; this says why.
    Malformed(&'static str),
}

impl Exchange {
    /// Begins the exchange of `mechanism`; `None` if it is not a SASL mechanism.
    pub(super) fn begin(mechanism: Mechanism) -> Option<Self> {
        match mechanism {
            Mechanism::SaslPlain => Some(Self::Plain),
            Mechanism::SaslLogin => Some(Self::LoginUser),
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => Some(Self::Token(mechanism)),
            Mechanism::External => Some(Self::External),
            Mechanism::ScramSha1 | Mechanism::ScramSha256 => Some(Self::Scram(mechanism)),
            Mechanism::Login => None,
        }
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        match self {
            Self::Plain => Mechanism::SaslPlain,
            Self::Token(mechanism) | Self::Scram(mechanism) => *mechanism,
            Self::External => Mechanism::External,
            Self::LoginUser | Self::LoginPassword { .. } => Mechanism::SaslLogin,
        }
    }

    /// What the client is asked, in base64.
    pub(super) fn challenge(&self) -> &'static [u8] {
        match self {
            Self::Plain | Self::Token(_) | Self::External | Self::Scram(_) => b"",
            Self::LoginUser => b"VXNlcm5hbWU6",
            Self::LoginPassword { .. } => b"UGFzc3dvcmQ6",
        }
    }

    /// Takes what the client says, in base64.
    pub(super) fn tell(self, line: &[u8]) -> Transition {
        let Some(message) = sasl::decode(line) else { return Transition::Malformed("Invalid base64.") };
        // NUL has no place in a name or a password (RFC 4616 section 2), and could not be passed on.
        if !matches!(self, Self::Plain) && message.contains(&0) {
            return Transition::Malformed("NUL in a name or a password.");
        }
        match self {
            Self::Plain => match sasl::parse_plain(&message) {
                Some(credential) => Transition::Claimed(credential),
                None => Transition::Malformed("Malformed PLAIN message."),
            },
            Self::Token(mechanism) => match sasl::parse_token(mechanism, &message) {
                Some(credential) => Transition::Claimed(credential),
                None => Transition::Malformed("Malformed message with a token."),
            },
            Self::External => Transition::Claimed(sasl::parse_external(&message)),
            Self::Scram(mechanism) => match sasl::parse_scram(mechanism, &message) {
                Some(credential) => Transition::Claimed(credential),
                None => Transition::Malformed("Malformed first message of SCRAM."),
            },
            Self::LoginUser => Transition::Goes(Self::LoginPassword { user: message.to_vec() }),
            Self::LoginPassword { user } => {
                let password = Secret::copy_of(&message);
                Transition::Claimed(Credential::with_password(user, password))
            }
        }
    }
}
