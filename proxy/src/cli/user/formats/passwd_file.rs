//! Dovecot's passwd-file: `user:password:uid:gid:gecos:home:shell:extra fields`.

use super::{Left, Reader, push, skip};

/// Fields before those that are extra.
const FIELDS: usize = 8;
/// What a proxied login needs besides its host, which usher has at the host and not at the user.
const AT_THE_HOST: [&str; 9] =
    ["destuser", "port", "ssl", "starttls", "master", "pass", "hostip", "source_ip", "proxy_mech"];

/// Each line is a user.
pub(super) struct PasswdFile;

impl Reader for PasswdFile {
    fn take(&mut self, line: Option<&str>, out: &mut Vec<u8>, left: &mut Left) {
        let Some(line) = line else { return };
        if line.trim().is_empty() || line.starts_with('#') {
            return skip(out);
        }
        let mut fields = line.splitn(FIELDS, ':');
        let user = fields.next().unwrap_or_default();
        let extra = fields.nth(FIELDS - 2).unwrap_or_default();
        let mut host = "";
        for field in extra.split_whitespace() {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            if name == "host" {
                host = value;
            } else if AT_THE_HOST.contains(&name) {
                left.note(name);
            }
        }
        push(out, user, host);
    }
}
