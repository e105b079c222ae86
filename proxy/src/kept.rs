//! What is kept for the next process, in files that it reads when it starts.

use crate::listen::Acceptor;

/// Saves what has been learnt of hosts.
pub(crate) fn keep_what_is_learnt(acceptor: &Acceptor) {
    let (imap, https) = (&acceptor.imap, &acceptor.https);
    let roster = https.fleet.roster();
    let is_known = |host: &str| roster.standings(host).next().is_some();
    let conversations = &imap.conversations;
    let of_imap = [&imap.refusals, &imap.token_refusals, &conversations.firsts, &conversations.finals];
    of_imap.into_iter().chain([&https.refusals]).for_each(|refusals| refusals.keep(is_known));
    conversations.shapes.keep(is_known);
    imap.whys.keep(is_known);
}

/// Saves who has logged in from where, and forgets bans that are over.
pub(crate) fn keep_who_has_come(acceptor: &Acceptor) {
    acceptor.imap.router.remembered.save();
    acceptor.imap.router.sources.keep();
    acceptor.imap.guessing.tidy_up();
}

/// Saves everything that the next process reads.
pub(crate) fn keep(acceptor: &Acceptor) {
    keep_what_is_learnt(acceptor);
    keep_who_has_come(acceptor);
}
