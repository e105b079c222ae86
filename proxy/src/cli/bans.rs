//! `usher ban`, `usher unban` and `usher bans`.

use super::api::{ApiError, Reach, print_json, query};
use super::table::{Table, date};
use super::{Exit, print};
use crate::admin::model::{Ban, BanOrder, Bans, Unbanned};
use clap::Args;
use hyper::Method;
use std::fmt::Write;

#[derive(Args)]
pub(super) struct BanArguments {
    #[command(flatten)]
    reach: Reach,
    /// An address, a network or a user.
    whose: String,
    /// For how long, such as 30m, 12h or 7d; without it, until `usher unban`.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    lasts: Option<u32>,
    /// Why, for those who read the list.
    #[arg(long, default_value = "")]
    why: String,
}

#[derive(Args)]
pub(super) struct UnbanArguments {
    #[command(flatten)]
    reach: Reach,
    /// An address, a network or a user.
    whose: String,
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    reach: Reach,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn seconds(written: &str) -> Result<u32, String> {
    let time = usher_config::shown::duration::parse(written);
    let seconds = time.and_then(|time| u32::try_from(time.as_secs()).ok()).filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "write a duration such as 30m, 12h or 7d".to_owned())
}

pub(super) fn ban(arguments: &BanArguments) -> Exit {
    let BanArguments { whose, lasts, why, .. } = arguments;
    let order = BanOrder { whose: whose.clone(), seconds: *lasts, why: why.clone() };
    let asked = arguments.reach.api().and_then(|api| api.send(Method::POST, "/v1/bans", Some(&order)));
    match asked {
        Ok(ban) => print(&format!("{} is banned {}\n", Ban::clone(&ban).whose, lasting(&ban))),
        Err(error) => error.tell(),
    }
}

pub(super) fn unban(arguments: &UnbanArguments) -> Exit {
    let path = format!("/v1/bans{}", query(&[("whose", Some(&arguments.whose))]));
    let asked: Result<Unbanned, ApiError> =
        arguments.reach.api().and_then(|api| api.send(Method::DELETE, &path, None::<&()>));
    let done = match asked {
        Ok(done) => done,
        Err(error) => return error.tell(),
    };
    let mut text = String::new();
    for ban in &done.ended {
        let _ = writeln!(text, "{} is no longer banned", ban.whose);
    }
    if done.ended.is_empty() {
        let _ = writeln!(text, "{} was not banned; its failed logins are forgotten", arguments.whose);
    }
    for ban in &done.left {
        let _ = writeln!(text, "still banned with {}; end that with `usher unban {}`", ban.whose, ban.whose);
    }
    print(&text)
}

pub(super) fn list(arguments: &ListArguments) -> Exit {
    let shown = arguments.reach.api().and_then(|api| {
        if arguments.json {
            return print_json(&api, "/v1/bans");
        }
        let Bans { bans } = api.get("/v1/bans")?;
        if bans.is_empty() {
            return Ok(print("nobody is banned\n"));
        }
        let mut table = Table::new(&["whose", "since", "until", "by", "why"]);
        for ban in bans {
            let until = ban.until.map_or_else(|| "unbanned".to_owned(), date);
            let by = ban.by.unwrap_or_else(|| "usher".to_owned());
            table.row(vec![ban.whose, date(ban.since), until, by, ban.why]);
        }
        Ok(print(&table.to_string()))
    });
    shown.unwrap_or_else(|error| error.tell())
}

fn lasting(ban: &Ban) -> String {
    ban.until.map_or_else(|| "until it is unbanned".to_owned(), |until| format!("until {}", date(until)))
}
