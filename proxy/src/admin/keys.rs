//! What shows who somebody over TCP is, and what they may do: a token, or the word of a proxy that has asked them.

use super::State;
use super::caller::Caller;
use super::model::{Me, Role};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::http::{HeaderMap, HeaderName, header};
use axum::{Extension, Json};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use usher_config::snapshot::{self, TrustedProxy};

/// Shortest token in bytes.
const TOKEN_MIN: usize = 16;
/// What pages of other origins cannot send without being asked for it by a browser first, which gets no answer: where a
/// browser vouches for somebody by itself, as it does to a proxy that knows its cookie, changes need it.
const INTENT: HeaderName = HeaderName::from_static("x-usher-console");

/// By what a proxy shows that it is the one, where others share its address.
const SECRET: HeaderName = HeaderName::from_static("x-usher-proxy");

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The file cannot be read.
    #[error("{key} {path}: {source}")]
    Unreadable { key: &'static str, path: PathBuf, source: std::io::Error },
    /// It could be guessed.
    #[error(
        "{key} {path}: a token must have at least {TOKEN_MIN} characters; create one with: openssl rand -hex 32"
    )]
    Short { key: &'static str, path: PathBuf },
    /// Readers could change things, or operators could not.
    #[error("reader_token_file: it has the same token as token_file; create another one")]
    Same,
}

/// A digest of the token: comparing digests takes the same time wherever two tokens differ.
#[derive(Clone)]
struct Token(Digest);

impl Token {
    fn read(key: &'static str, path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable { key, path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let token = text.trim();
        if token.len() < TOKEN_MIN {
            return Err(TokenError::Short { key, path: path.to_owned() });
        }
        Ok(Self(digest(&SHA256, token.as_bytes())))
    }

    fn is(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(digest(&SHA256, given).as_ref(), self.0.as_ref()).is_ok()
    }
}

/// Somebody whose role is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visitor {
    /// Their name, where it is known.
    pub(super) name: Option<String>,
    /// What they may do.
    pub(super) role: Role,
}

/// Everything by which somebody over TCP can be known.
pub(crate) struct Keys {
    operator: Option<Token>,
    reader: Option<Token>,
    proxy: Option<(TrustedProxy, Option<Token>)>,
}

impl Keys {
    /// Reads the tokens from their files.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn read(config: &snapshot::Admin) -> Result<Self, TokenError> {
        let read =
            |key, path: &Option<PathBuf>| path.as_deref().map(|path| Token::read(key, path)).transpose();
        let operator = read("token_file", &config.token_file)?;
        let reader = read("reader_token_file", &config.reader_token_file)?;
        if let (Some(operator), Some(reader)) = (&operator, &reader)
            && operator.0.as_ref() == reader.0.as_ref()
        {
            return Err(TokenError::Same);
        }
        let proxy = config.trusted_proxy.clone().map(|proxy| {
            let secret = read("trusted_proxy: secret_file", &proxy.secret_file)?;
            Ok::<_, TokenError>((proxy, secret))
        });
        Ok(Self { operator, reader, proxy: proxy.transpose()? })
    }

    /// Whether `peer` is where a trusted proxy is.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxy.as_ref().is_some_and(|(proxy, _)| proxy.from.iter().any(|network| network.contains(&peer)))
    }

    /// Who asks from `peer`, as far as they show it.
    pub(super) fn visitor(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Visitor> {
        let known = |name: Option<String>, role| Some(Visitor { name, role });
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        if let Some(given) = given.and_then(|value| value.strip_prefix(b"Bearer ")).map(<[u8]>::trim_ascii) {
            return match () {
                () if self.operator.as_ref().is_some_and(|token| token.is(given)) => {
                    known(None, Role::Operator)
                }
                () if self.reader.as_ref().is_some_and(|token| token.is(given)) => known(None, Role::Reader),
                () => None,
            };
        }
        let (proxy, secret) = self.proxy.as_ref().filter(|_| self.is_proxy(peer))?;
        let shown = headers.get(SECRET).map(|value| value.as_bytes());
        if secret.as_ref().is_some_and(|secret| !shown.is_some_and(|shown| secret.is(shown.trim_ascii()))) {
            return None;
        }
        // Two of them: somebody has written one himself, and nobody knows which.
        let mut named = headers.get_all(proxy.user_header.as_str()).iter();
        let (Some(name), None) = (named.next(), named.next()) else { return None };
        let name = name.to_str().ok().map(str::trim).filter(|name| !name.is_empty())?;
        match proxy.operators.iter().any(|operator| operator == name) {
            true => known(Some(name.to_owned()), Role::Operator),
            false => known(Some(name.to_owned()), Role::Reader),
        }
    }
}

/// Whether a change that `visitor` asks for is meant.
pub(super) fn is_meant(visitor: &Visitor, headers: &HeaderMap) -> bool {
    visitor.name.is_none() || headers.contains_key(INTENT)
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/v1/me", operation_id = "getMe", responses((status = 200, description = "Done.", body = Me)))]
pub(super) async fn me(
    context: State,
    Extension(caller): Extension<Caller>,
    visitor: Option<Extension<Visitor>>,
) -> Json<Me> {
    let visitor = visitor.map(|Extension(visitor)| visitor);
    // Whoever has got this far over TCP without being known reads from this machine.
    let unknown = if matches!(caller, Caller::Tcp { .. }) { Role::Reader } else { Role::Operator };
    Json(Me {
        has_token: context.keys.operator.is_some() || context.keys.reader.is_some(),
        is_known: visitor.is_some(),
        role: visitor.as_ref().map_or(unknown, |visitor| visitor.role),
        name: visitor.and_then(|visitor| visitor.name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let token = |text: &str| Some(Token(digest(&SHA256, text.as_bytes())));
        let proxy = TrustedProxy {
            from: vec!["192.0.2.0/24".parse().unwrap()],
            user_header: "remote-user".to_owned(),
            operators: vec!["anna".to_owned()],
            secret_file: None,
        };
        Keys { operator: token("operator"), reader: token("reader"), proxy: Some((proxy, None)) }
    }

    #[test]
    fn whoever_shares_the_address_of_a_proxy_does_not_have_its_secret() {
        let mut keys = keys();
        keys.proxy.as_mut().unwrap().1 = Some(Token(digest(&SHA256, b"secret")));
        let role = |secret: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert("remote-user", "anna".parse().unwrap());
            if let Some(secret) = secret {
                headers.insert(SECRET, secret.parse().unwrap());
            }
            keys.visitor("192.0.2.1".parse().unwrap(), &headers).map(|visitor| visitor.role)
        };
        assert_eq!(
            [role(None), role(Some("other")), role(Some("secret"))],
            [None, None, Some(Role::Operator)]
        );
    }

    fn role(from: &str, headers: &[(&'static str, &'static str)]) -> Option<Role> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        keys().visitor(from.parse().unwrap(), &map).map(|visitor| visitor.role)
    }

    #[test]
    fn somebody_is_who_a_token_or_a_trusted_proxy_says() {
        let cases: [(&str, &[_], _); 10] = [
            ("203.0.113.1", &[("authorization", "Bearer operator")], Some(Role::Operator)),
            ("203.0.113.1", &[("authorization", "Bearer reader")], Some(Role::Reader)),
            ("203.0.113.1", &[("authorization", "Bearer nobody")], None),
            ("203.0.113.1", &[("remote-user", "anna")], None),
            ("192.0.2.1", &[("remote-user", "anna")], Some(Role::Operator)),
            ("::ffff:192.0.2.1", &[("remote-user", "anna")], Some(Role::Operator)),
            ("192.0.2.1", &[("remote-user", "bert")], Some(Role::Reader)),
            ("192.0.2.1", &[("remote-user", "")], None),
            ("192.0.2.1", &[("remote-user", "bert"), ("remote-user", "anna")], None),
            // A wrong token is not made good by a proxy.
            ("192.0.2.1", &[("remote-user", "anna"), ("authorization", "Bearer nobody")], None),
        ];
        for (from, headers, expected) in cases {
            assert_eq!(role(from, headers), expected, "{from} {headers:?}");
        }
    }
}
