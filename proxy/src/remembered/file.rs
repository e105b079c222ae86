//! Remembered logins on disk: a line of JSON each.

use super::login::Login;
use super::{Last, Logins};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use usher_config::snapshot::Protocol;
use usher_policy::access::{MECHANISMS, Name};

#[derive(Serialize, Deserialize)]
struct Line {
    names: Vec<Name>,
    is_digested: bool,
    address: IpAddr,
    port: u16,
    protocol: String,
    mechanism: String,
    has_certificate: bool,
    at: i64,
    count: u64,
    #[serde(default)]
    denied: bool,
}

/// What `file` has, as far as it can be read.
pub(super) fn read(file: &Path) -> Logins {
    let Ok(opened) = std::fs::File::open(file) else { return Logins::default() };
    let lines = BufReader::new(opened).lines().map_while(Result::ok);
    lines.filter_map(|line| login(serde_json::from_str(&line).ok()?)).collect()
}

/// Writes `logins` to `file`, as a whole or not at all.
pub(super) fn write(file: &Path, logins: &[(Login, Last)]) -> std::io::Result<()> {
    let next = file.with_extension("next");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = BufWriter::new(options.open(&next)?);
    for (login, last) in logins {
        serde_json::to_writer(&mut out, &line(login, last))?;
        out.write_all(b"\n")?;
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(next, file)
}

fn line(login: &Login, last: &Last) -> Line {
    Line {
        names: login.names.clone(),
        is_digested: login.is_digested,
        address: login.address,
        port: last.port,
        protocol: login.protocol.to_owned(),
        mechanism: login.mechanism.to_owned(),
        has_certificate: login.has_certificate,
        at: last.at,
        count: last.count,
        denied: last.denied,
    }
}

fn login(line: Line) -> Option<(Login, Last)> {
    let protocols = [Protocol::Imap, Protocol::Imaps, Protocol::Https, Protocol::Tcp].map(Protocol::name);
    let login = Login {
        names: line.names,
        is_digested: line.is_digested,
        address: line.address,
        protocol: protocols.into_iter().find(|known| *known == line.protocol)?,
        mechanism: MECHANISMS.into_iter().find(|known| *known == line.mechanism)?,
        has_certificate: line.has_certificate,
    };
    Some((login, Last { at: line.at, port: line.port, count: line.count, denied: line.denied }))
}
