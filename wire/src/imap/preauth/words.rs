//! Words that reveal what kind of server a client takes this one for.

/// IMAP commands that make sense only after login: sent by a client out of step, not one that talks nonsense.
pub(super) const NEEDS_LOGIN: [&[u8]; 32] = [
    b"APPEND",
    b"CHECK",
    b"CLOSE",
    b"COMPRESS",
    b"COPY",
    b"CREATE",
    b"DELETE",
    b"EXAMINE",
    b"EXPUNGE",
    b"FETCH",
    b"GETACL",
    b"GETMETADATA",
    b"GETQUOTA",
    b"GETQUOTAROOT",
    b"IDLE",
    b"LIST",
    b"LSUB",
    b"MOVE",
    b"NAMESPACE",
    b"NOTIFY",
    b"RENAME",
    b"SEARCH",
    b"SELECT",
    b"SORT",
    b"STATUS",
    b"STORE",
    b"SUBSCRIBE",
    b"THREAD",
    b"UID",
    b"UNAUTHENTICATE",
    b"UNSELECT",
    b"UNSUBSCRIBE",
];

/// Whether a line begins an HTTP request: a cross-protocol attack (ALPACA), or a scanner.
pub(super) fn is_http(line: &[u8]) -> bool {
    let methods = [
        &b"GET "[..],
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"PATCH ",
        b"OPTIONS ",
        b"CONNECT ",
        b"TRACE ",
        b"PRI ",
    ];
    let Some(target) = methods.iter().find_map(|method| line.strip_prefix(*method)) else { return false };
    target.starts_with(b"/") || memchr::memmem::find(target, b" HTTP/").is_some()
}
