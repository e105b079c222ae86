//! `[login]`: how names are written that are more than a name.

use super::Faults;
use crate::raw::{Located, Section};
use usher_policy::identity::{Domains, LoginForms, TenantTemplate};

pub(super) fn check(file: &mut Section<'_>, domains: &mut Domains, faults: &mut Faults) {
    let Some(mut section) = file.single("login", faults) else { return };
    let mut forms = LoginForms::default();
    if let Some(written) = section.optional("master_separator", faults) {
        forms.master = master(&written, domains, faults);
    }
    for item in section.list("tenants", faults) {
        let Some(written) = item.text(faults) else { continue };
        match TenantTemplate::parse(&written.value) {
            None => faults.push(written.fault(
                "not a name with a tenant in it",
                "write `{tenant}` and `{user}` with something between them, such as \"{tenant}/{user}\"",
            )),
            Some(template)
                if domains.separators().iter().any(|known| template.between().contains(*known)) =>
            {
                faults.push(written.fault(
                    "what separates tenant and user here separates users and domains as well",
                    "write another template, or remove the character from `separators` of [[domain]]",
                ));
            }
            Some(template) => forms.tenants.push(template),
        }
    }
    section.finish(faults);
    domains.set_forms(forms);
}

fn master(written: &Located<String>, domains: &Domains, faults: &mut Faults) -> Option<char> {
    let mut chars = written.value.chars();
    let (first, second) = (chars.next(), chars.next());
    let one = first?;
    let is_taken = matches!(one, '@' | '.' | '-' | '_' | '\\') || domains.separators().contains(&one);
    if second.is_some() || !one.is_ascii_punctuation() || is_taken {
        faults.push(written.fault(
            "not a separator of master users",
            "write one character that nothing else uses, such as \"*\", or \"\" for none",
        ));
    }
    Some(one)
}
