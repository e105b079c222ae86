//! Rules for logins whose names are known only as digests.

use super::conditions::Conditions;
use super::facts::Name;
use super::pattern::Pattern;
use super::rule::Rule;
use super::rules::Rules;

impl Name {
    /// The name with digests instead of text: one of the user as a whole, one of the domain, one of the tenant.
    pub fn digested(&self, digest: &dyn Fn(&str) -> String) -> Self {
        let tenant = self.tenant.as_ref().map(|tenant| digest(tenant).into());
        Self { user: self.user.as_ref().map(|user| digested_user(user, digest).into()), tenant }
    }
}

impl Rules {
    /// The same rules for digested names, and for each rule whether a digest is too little to tell whether it matches:
    /// then it matches whatever it could.
    pub fn digested(&self, digest: &dyn Fn(&str) -> String) -> (Self, Vec<bool>) {
        let digested = self.as_slice().iter().map(|rule| digested_rule(rule, digest));
        let (rules, unsure) = digested.unzip();
        (Self::new(rules), unsure)
    }
}

fn digested_rule(rule: &Rule, digest: &dyn Fn(&str) -> String) -> (Rule, bool) {
    let known = |those: &Conditions, instead: Option<&str>| {
        let mut unsure = those.look_at_entry();
        let mut translated = |patterns: &[Pattern], one: &dyn Fn(&str) -> Option<String>| -> Vec<Pattern> {
            let translated = patterns.iter().filter_map(|pattern| {
                let found = one(pattern.as_str());
                unsure |= found.is_none();
                found.or_else(|| instead.map(str::to_owned)).map(|text| Pattern::new(&text))
            });
            translated.collect()
        };
        let conditions = Conditions {
            users: translated(&those.users, &|text| user_pattern(text, digest)),
            domains: translated(&those.domains, &|text| whole(text, digest)),
            ..those.without_entry()
        };
        (conditions, unsure)
    };
    // As a condition, what cannot be told holds; as an exception, it does not.
    let (conditions, wanted) = known(&rule.conditions, Some("*"));
    let (exceptions, excepted) = known(&rule.exceptions, None);
    (Rule { conditions, exceptions, ..rule.clone() }, wanted || excepted)
}

fn digested_user(user: &str, digest: &dyn Fn(&str) -> String) -> String {
    match user.rsplit_once('@') {
        Some((_, domain)) => format!("{}@{}", digest(user), digest(domain)),
        None => digest(user),
    }
}

/// The pattern for digested users that matches the same; `None`: there is none.
fn user_pattern(pattern: &str, digest: &dyn Fn(&str) -> String) -> Option<String> {
    match pattern.strip_prefix("*@") {
        _ if pattern == "*" => Some(pattern.to_owned()),
        Some(domain) => Some(format!("*@{}", whole(domain, digest)?)),
        None if pattern.contains('*') => None,
        None => Some(digested_user(pattern, digest)),
    }
}

/// The digest of a text that has no `*` in it, or `*` itself.
fn whole(pattern: &str, digest: &dyn Fn(&str) -> String) -> Option<String> {
    match pattern {
        "*" => Some(pattern.to_owned()),
        _ => (!pattern.contains('*')).then(|| digest(pattern)),
    }
}
