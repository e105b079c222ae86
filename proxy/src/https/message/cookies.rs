//! usher's own cookies: sealed, so that nobody else can read or create them, under keys that rotate and are kept in the
//! state directory.
//!
//! A user's cookie names the key of an archive rather than a host, so that it still works after the user has been
//! moved. An array's cookie names a member.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use usher_backends::roster::now;
use zeroize::Zeroizing;

/// The cookie that names whose archive is used.
pub(crate) const USER: &str = "__Host-usher-user";
/// The cookie that names the member of an array.
pub(crate) const MEMBER: &str = "__Host-usher-member";

/// Age in seconds at which a key is replaced by a new one for sealing.
const ROTATE: i64 = 12 * 60 * 60;
/// Seconds by which the clocks of two servers may differ.
const SLACK: i64 = 300;
const NONCE: usize = 12;

/// The keys, the newest first.
pub(crate) struct Cookies {
    file: PathBuf,
    keys: RwLock<Vec<Key>>,
}

struct Key {
    made: i64,
    octets: Zeroizing<Vec<u8>>,
    sealing: RandomizedNonceKey,
}

impl Key {
    fn new(made: i64, octets: Vec<u8>) -> Option<Self> {
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &octets).ok()?;
        Some(Self { made, octets: Zeroizing::new(octets), sealing })
    }

    fn fresh() -> Option<Self> {
        let mut octets = vec![0; AES_256_GCM.key_len()];
        aws_lc_rs::rand::fill(&mut octets).ok()?;
        Self::new(now(), octets)
    }

    /// Its line in the file.
    fn line(&self) -> Zeroizing<String> {
        let octets = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*self.octets));
        Zeroizing::new(format!("{} {}\n", self.made, *octets))
    }

    fn read(line: &str) -> Option<Self> {
        let (made, octets) = line.split_once(' ')?;
        Self::new(made.parse().ok()?, URL_SAFE_NO_PAD.decode(octets).ok()?)
    }
}

impl Cookies {
    /// Reads the keys in `state_dir`; makes one where there is none.
    pub(crate) fn open(state_dir: &Path) -> Self {
        let file = state_dir.join("cookie.keys");
        let text = Zeroizing::new(fs::read_to_string(&file).unwrap_or_default());
        let keys: Vec<Key> = text.lines().filter_map(Key::read).collect();
        let cookies = Self { file, keys: RwLock::new(keys) };
        cookies.rotate(Duration::MAX);
        cookies
    }

    /// Makes a new key if the newest is old, and forgets those whose cookies have all expired, given a lifetime of
    /// `age`.
    pub(crate) fn rotate(&self, age: Duration) {
        let due = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.first().is_none_or(|newest| now().abs_diff(newest.made) > ROTATE.unsigned_abs())
        };
        let Some(fresh) = due.then(Key::fresh).flatten() else { return };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let kept = age.as_secs().saturating_add(2 * ROTATE.unsigned_abs());
        keys.retain(|key| now().abs_diff(key.made) <= kept);
        keys.insert(0, fresh);
        if let Err(error) = self.write(&keys) {
            // They can seal all the same; after a restart users have to log in again.
            tracing::error!(file = %self.file.display(), %error, "the cookie keys cannot be saved");
        }
    }

    fn write(&self, keys: &[Key]) -> std::io::Result<()> {
        let next = self.file.with_extension("keys.next");
        let _ = fs::remove_file(&next);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        for key in keys {
            file.write_all(key.line().as_bytes())?;
        }
        file.sync_all()?;
        fs::rename(next, &self.file)
    }

    /// Seals `what` for `purpose`; the result is good for no other purpose.
    pub(crate) fn seal(&self, purpose: &str, what: &str) -> Option<String> {
        let mut text = now().to_be_bytes().to_vec();
        text.extend_from_slice(what.as_bytes());
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let nonce = keys.first()?.sealing.seal_in_place_append_tag(Aad::from(purpose), &mut text).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &text].concat()))
    }

    /// What was sealed for `purpose` at most `age` ago, and how long ago that was.
    pub(crate) fn open_sealed(
        &self,
        purpose: &str,
        sealed: &str,
        age: Duration,
    ) -> Option<(String, Duration)> {
        let octets = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = octets.split_at_checked(NONCE)?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let opened = keys.iter().find_map(|key| {
            let mut text = text.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let length = key.sealing.open_in_place(nonce, Aad::from(purpose), &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        })?;
        let (made, what) = opened.split_at_checked(8)?;
        let made = i64::from_be_bytes(made.try_into().ok()?);
        let passed = now() - made;
        if passed < -SLACK {
            return None;
        }
        let passed = Duration::from_secs(u64::try_from(passed).unwrap_or(0));
        let what = String::from_utf8(what.to_vec()).ok()?;
        (passed <= age).then_some((what, passed))
    }
}

/// A `Set-Cookie` value for this host only, over TLS only, and inaccessible to scripts.
pub(crate) fn set(name: &str, value: &str, age: Duration) -> String {
    format!("{name}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax", age.as_secs())
}

/// Whether a cookie is named like one of usher's own, in any spelling. The prefix is case-insensitive, and a cookie
/// without a name is sent back as if its value were its name (RFC 6265bis section 5.7).
pub(crate) fn is_own(pair: &[u8]) -> bool {
    let own = b"__host-usher-";
    let pair = pair.trim_ascii();
    let pair = pair.strip_prefix(b"=").unwrap_or(pair).trim_ascii();
    pair.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own))
}

/// Takes usher's own out of a `Cookie` field: the user's and the member's, and what is left for the backend.
pub(crate) fn split(field: &[u8]) -> (Option<String>, Option<String>, Vec<u8>) {
    let (mut user, mut member, mut rest) = (None, None, Vec::new());
    for pair in field.split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
        let value = |name: &str| {
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        match (value(USER), value(MEMBER)) {
            (Some(value), _) => user = Some(value),
            (None, Some(value)) => member = Some(value),
            // Somebody else's, under a name that resembles one of usher's.
            (None, None) if is_own(pair) => {}
            (None, None) => rest.push(pair),
        }
    }
    (user, member, rest.join(&b"; "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(60);

    #[test]
    fn sealed_for_one_purpose_by_keys_that_last() {
        let dir = tempfile::tempdir().unwrap();
        let cookies = Cookies::open(dir.path());
        let sealed = cookies.seal("user", "anna@example.com").unwrap();
        assert!(!sealed.contains("anna"));
        let open = |cookies: &Cookies, purpose, sealed: &str| {
            cookies.open_sealed(purpose, sealed, AGE).map(|(what, _)| what)
        };
        assert_eq!(open(&cookies, "user", &sealed).as_deref(), Some("anna@example.com"));
        assert_eq!(open(&cookies, "member:cas", &sealed), None);
        for bad in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &sealed[1..], "ä"] {
            assert_eq!(open(&cookies, "user", bad), None, "{bad}");
        }
        assert!(cookies.open_sealed("user", &sealed, AGE).is_some_and(|(_, passed)| passed < AGE));
        // After a restart, and after a new key.
        let again = Cookies::open(dir.path());
        assert_eq!(open(&again, "user", &sealed).as_deref(), Some("anna@example.com"));
        again.keys.write().unwrap()[0].made -= ROTATE + 1;
        again.rotate(AGE);
        assert_eq!(again.keys.read().unwrap().len(), 2);
        assert_eq!(open(&again, "user", &sealed).as_deref(), Some("anna@example.com"));
        // A key that is too old for anything that is still good goes.
        for key in again.keys.write().unwrap().iter_mut() {
            key.made -= 3 * ROTATE + 120;
        }
        again.rotate(AGE);
        assert_eq!(again.keys.read().unwrap().len(), 1);
        assert_eq!(open(&again, "user", &sealed), None);
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(dir.path().join("cookie.keys")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn backends_get_none_of_them() {
        let (user, member, rest) = split(b"a=b; __Host-usher-user=x; c\xff; __Host-usher-member=y;d=e");
        assert_eq!((user.as_deref(), member.as_deref()), (Some("x"), Some("y")));
        assert_eq!(rest, b"a=b; c\xff; d=e");
    }
}
