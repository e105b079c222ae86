//! `source` of `[directory]`, and the section of each source.

use super::access::{access, keep_secret};
use super::ldap;
use crate::check::Faults;
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{Http, HttpStyle, Postgres, Redis, RedisDeployment, Source, SourceCache};
use std::time::Duration;

/// The sources that there are.
const KINDS: [&str; 5] = ["embedded", "postgres", "ldap", "redis", "http"];

/// The sources in the order in which they are asked.
pub(super) fn check(section: &mut Section<'_>, faults: &mut Faults) -> Vec<Source> {
    let listed = listed(section, faults);
    let mut read = vec![Source::Embedded];
    let tables: [(&'static str, &str, Reader); 4] = [
        ("postgres", "{ url = \"postgres://usher@db1.example.com/usher\" }", postgres),
        ("ldap", ldap::EXAMPLE, |section, faults| ldap::check(section, faults).map(Source::Ldap)),
        ("redis", "{ url = \"redis://cache.example.com\" }", redis),
        ("http", "{ url = \"https://lookup.example.com/{user}\" }", http),
    ];
    for (kind, example, reader) in tables {
        let is_listed = listed.iter().any(|listed| listed == kind);
        let table = match is_listed {
            true => section.required_table(kind, example, faults),
            false => section.table(kind, example, faults),
        };
        let Some(table) = table else { continue };
        if !is_listed {
            let what = format!("`{kind}` is not asked: `source` does not name it");
            let instead = format!("write `source = [\"{kind}\", \"embedded\"]`, or remove this section");
            // A reader that only wants to know what may be written has no place for it.
            if !table.span.is_empty() {
                faults.push(Fault::new(table.span.clone(), what, instead));
            }
        }
        read.extend(reader(table, faults));
    }
    let in_order = listed.iter().filter_map(|listed| read.iter().find(|source| source.name() == listed));
    in_order.cloned().collect()
}

type Reader = fn(Section<'_>, &mut Faults) -> Option<Source>;

fn listed(section: &mut Section<'_>, faults: &mut Faults) -> Vec<String> {
    let written = if section.is_list("source") {
        section.list("source", faults).into_iter().filter_map(|item| item.text(faults)).collect()
    } else {
        section.optional::<String>("source", faults).into_iter().collect::<Vec<_>>()
    };
    let mut listed: Vec<String> = Vec::new();
    for source in written {
        if !KINDS.contains(&source.value.as_str()) {
            let what = format!("there is no source \"{}\"", source.value.escape_debug());
            faults.push(source.fault(what, format!("write one of \"{}\"", KINDS.join("\", \""))));
        } else if listed.contains(&source.value) {
            let what = format!("\"{}\" is listed twice", source.value);
            faults.push(source.fault(what, "remove one of the two"));
        } else {
            listed.push(source.value);
        }
    }
    if listed.is_empty() {
        listed.push("embedded".to_owned());
    }
    listed
}

/// `cache`.
pub(super) fn cache(section: &mut Section<'_>, faults: &mut Faults) -> Option<SourceCache> {
    let example = "{ positive = \"1m\", negative = \"5s\", entries = 100000, stale = \"7d\" }";
    let mut table = section.table("cache", example, faults)?;
    let usual = SourceCache::default();
    let mut time = |key, usual| {
        let time: Option<Located<Duration>> = table.optional(key, faults);
        time.map_or(usual, |time| time.value)
    };
    let (positive, negative) = (time("positive", usual.positive), time("negative", usual.negative));
    let stale = time("stale", usual.stale);
    let entries: Option<Located<u32>> = table.optional("entries", faults);
    table.finish(faults);
    Some(SourceCache { positive, negative, stale, entries: entries.map_or(usual.entries, |most| most.value) })
}

fn postgres(mut section: Section<'_>, faults: &mut Faults) -> Option<Source> {
    let example = "\"postgres://usher@db1.example.com,db2.example.com/usher\"";
    let access = access(&mut section, "password_file", &["postgres://", "postgresql://"], example, faults);
    let query: Option<Located<String>> = section.optional("query", faults);
    if let Some(query) = query.as_ref().filter(|query| !query.value.contains("$1")) {
        let instead = "write one such as `\"SELECT host FROM users WHERE address = $1\"`";
        faults.push(query.fault("the query does not ask about anybody: `$1` stands for the user", instead));
    }
    let notify: Option<Located<String>> = section.optional("notify", faults);
    section.finish(faults);
    let text = |written: Option<Located<String>>| written.map(|text| text.value);
    Some(Source::Postgres(Postgres { access: access?, query: text(query), notify: text(notify) }))
}

fn redis(mut section: Section<'_>, faults: &mut Faults) -> Option<Source> {
    let access = access(
        &mut section,
        "password_file",
        &["redis://", "rediss://"],
        "\"redis://cache.example.com\"",
        faults,
    );
    let key: Option<Located<String>> = section.optional("key", faults);
    if let Some(key) = key.as_ref().filter(|key| !key.value.contains("{user}")) {
        faults.push(key.fault("the key is the same for everybody", "write one such as \"usher:{user}\""));
    }
    let is_hash = section.word("value", &[("host", false), ("hash", true)], faults);
    let sentinel: Option<Located<String>> = section.optional("sentinel", faults);
    let cluster: Option<Located<bool>> = section.optional("cluster", faults);
    let is_cluster = cluster.as_ref().is_some_and(|cluster| cluster.value);
    if let (Some(cluster), Some(_), true) = (&cluster, &sentinel, is_cluster) {
        faults.push(cluster.fault("sentinels are not for clusters", "remove `sentinel` or `cluster`"));
    }
    let has_secret = access.as_ref().is_some_and(|access| access.password_file.is_some());
    keep_secret(&mut section, access.as_ref(), has_secret, "redis://", "\"rediss://…\"", faults);
    section.finish(faults);
    let deployment = match sentinel {
        Some(master) => RedisDeployment::Sentinel(master.value),
        None if is_cluster => RedisDeployment::Cluster,
        None => RedisDeployment::Single,
    };
    Some(Source::Redis(Redis {
        access: access?,
        deployment,
        key: key.map_or_else(|| "usher:{user}".to_owned(), |key| key.value),
        is_hash: is_hash.unwrap_or(false),
    }))
}

fn http(mut section: Section<'_>, faults: &mut Faults) -> Option<Source> {
    let access = access(
        &mut section,
        "secret_file",
        &["http://", "https://"],
        "\"https://lookup.example.com/{user}\"",
        faults,
    );
    let is_auth_http = section.word("style", &[("json", false), ("auth_http", true)], faults);
    let send_password: Option<Located<bool>> = section.optional("send_password", faults);
    let secret_header: Option<Located<String>> = section.optional("secret_header", faults);
    let style = match is_auth_http {
        Some(true) => HttpStyle::AuthHttp { send_password: send_password.is_some_and(|sends| sends.value) },
        _ => {
            if let Some(sends) = send_password.filter(|sends| sends.value) {
                let what = "a look-up in JSON has no place for a password";
                faults.push(sends.fault(what, "remove it, or write `style = \"auth_http\"`"));
            }
            HttpStyle::Json
        }
    };
    let has_secret = access.as_ref().is_some_and(|access| access.password_file.is_some());
    if let Some(header) = &secret_header {
        let is_name = !header.value.is_empty()
            && header.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_name {
            faults.push(header.fault("not the name of a header", "write one such as \"X-Auth-Key\""));
        } else if !has_secret {
            let what = "there is nothing to write into this header";
            faults.push(header.fault(what, "add `secret_file = \"/etc/usher/lookup.secret\"`"));
        }
    } else if has_secret {
        let what = "nothing says how the secret is shown";
        let instead = "add `secret_header = \"X-Auth-Key\"`";
        faults.push(Fault::new(section.span.clone(), what, instead));
    }
    if let Some(access) = access.as_ref().filter(|_| style == HttpStyle::Json) {
        let says_whom = |url: &String| url.contains("{user}");
        if !access.urls.iter().all(says_whom) {
            let what = "the address does not say who is meant";
            let instead = "write one such as `url = \"https://lookup.example.com/{user}\"`";
            faults.push(Fault::new(access.at.0.clone(), what, instead));
        }
    }
    let shows = has_secret || style == HttpStyle::AuthHttp { send_password: true };
    keep_secret(&mut section, access.as_ref(), shows, "http://", "\"https://…\"", faults);
    section.finish(faults);
    let secret_header = secret_header.map(|header| header.value);
    Some(Source::Http(Http { access: access?, style, secret_header }))
}
