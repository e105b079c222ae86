//! The conversation before login: reads, answers, enforces the deadlines, and takes each claim to its host.

use super::joined::Joined;
use super::offer::offer;
use crate::accepted::lingering_close;
use crate::boxed::boxed;
use crate::login::{Handover, PreLogin, Refusal, complete, hand_over};
use crate::session::{By, Cause, Ended, Stage};
use crate::tls::ClientStream;
use crate::unread::Unread;
use std::sync::atomic::Ordering;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};
use usher_backends::connect::read_once;
use usher_config::snapshot::{ImapListener, OutageReply};
use usher_wire::imap::capability::Privacy;
use usher_wire::imap::preauth::{Claim, CloseCause, Preauth, Step, greet};
use usher_wire::imap::reply::{self, Code};

/// Bytes of answers that are collected before they are sent.
const GATHER: usize = 8 * 1024;

/// Bytes that a greeting seldom has more of.
const GREETING: usize = 256;

/// What the conversation led to.
pub(crate) enum Next {
    /// The client wants TLS.
    StartTls(Unread),
    /// Its host accepted the login.
    Joined(Box<Joined>),
}

/// Talks to a client until it is joined with its host or wants TLS. `until` is when it must have logged in, extended by
/// the time that a login waits for its host.
pub(crate) async fn converse(
    prelogin: &PreLogin,
    listener: &ImapListener,
    mut stream: ClientStream,
    privacy: Privacy,
    until: &mut Instant,
) -> Result<Next, Ended> {
    let offer = offer(prelogin, listener, privacy, stream.client_certificate().is_some());
    let mut out = Vec::with_capacity(GREETING);
    // After STARTTLS there is no second greeting (RFC 9051 section 6.2.1).
    if matches!(stream, ClientStream::Plain(_)) || listener.plaintext_from.is_none() {
        greet(privacy, &offer, &prelogin.snapshot().server.name, &mut out);
    }
    let mut preauth = Preauth::new(privacy, offer);
    loop {
        let step = preauth.step(&mut out);
        if !matches!(step, Step::Answered) || out.len() >= GATHER {
            send(prelogin, &mut stream, &mut out, *until).await?;
        }
        match step {
            Step::Answered => {}
            Step::Need => {
                if let Err(ended) = listen(prelogin, &mut stream, &mut preauth, *until).await {
                    return Err(end(prelogin, stream, ended).await);
                }
            }
            Step::StartTls(proof) => {
                return match stream {
                    ClientStream::Plain(tcp) => Ok(Next::StartTls(Unread::drained(tcp, proof))),
                    // It is not offered under TLS.
                    _ => Err(Ended::new(By::Usher, Stage::Tls, Cause::Handshake)),
                };
            }
            Step::Close(why) => {
                // Say nothing that a client of another protocol could take for an answer.
                lingering_close(stream, b"", prelogin.snapshot().limits.farewell).await;
                return Err(closed(why));
            }
            Step::Claim(mut claim) => {
                complete(&mut claim.credential, prelogin.snapshot(), stream.client_certificate());
                prelogin.attempts.fetch_add(1, Ordering::Relaxed);
                let begun = Instant::now();
                let handed = boxed(|| hand_over(prelogin, &claim, &mut preauth, &mut stream)).await?;
                *until += begun.elapsed().saturating_sub(prelogin.take_waited());
                let ended = match handed {
                    Handover::LoggedIn(logged_in) => {
                        let limits = &prelogin.snapshot().limits;
                        let silence = (limits.tcp_keepalive, limits.tcp_unreachable);
                        return Ok(Next::Joined(Joined::new(&claim, preauth, stream, logged_in, silence)));
                    }
                    Handover::Refused(refusal) => {
                        refuse(&mut preauth, &claim, refusal, &mut out);
                        continue;
                    }
                    Handover::Cancelled => {
                        let Step::Close(why) = preauth.cancel(&claim, &mut out) else { continue };
                        send(prelogin, &mut stream, &mut out, *until).await?;
                        lingering_close(stream, b"", prelogin.snapshot().limits.farewell).await;
                        return Err(closed(why));
                    }
                    Handover::Outage => {
                        let reply = prelogin.snapshot().server.outage_reply;
                        if reply != OutageReply::Bye {
                            preauth.refuse(&claim, Code::Unavailable, None, &mut out);
                        }
                        if reply == OutageReply::No {
                            continue;
                        }
                        send(prelogin, &mut stream, &mut out, *until).await?;
                        Ended::new(By::Usher, Stage::Login, Cause::Unavailable)
                    }
                    Handover::Ended(by, cause) => Ended::new(by, Stage::Login, cause),
                };
                return Err(end(prelogin, stream, ended).await);
            }
        }
    }
}

/// Says no.
fn refuse(preauth: &mut Preauth, claim: &Claim, refusal: Refusal, out: &mut Vec<u8>) {
    let Refusal { code, alert, why } = refusal;
    match why {
        Some(why) => preauth.refuse_token(claim, code, alert, &why, out),
        None => preauth.refuse(claim, code, alert.as_deref(), out),
    }
}

/// Waits for the client's next input.
async fn listen(
    prelogin: &PreLogin,
    stream: &mut ClientStream,
    preauth: &mut Preauth,
    until: Instant,
) -> Result<(), Ended> {
    let silent = Instant::now() + prelogin.snapshot().limits.silence_before_login;
    let most = preauth.room();
    let reading = read_once(stream, most, |bytes| preauth.feed(bytes));
    let read = tokio::select! {
        read = timeout_at(silent.min(until), reading) => read,
        () = prelogin.server.shutdown.stopped() => {
            return Err(Ended::new(By::Operator, Stage::Preauth, Cause::Stopping));
        }
    };
    match read {
        Ok(Ok(0)) => Err(Ended::new(By::Client, Stage::Preauth, Cause::Closed)),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Ended::broken(Stage::Preauth, &error)),
        Err(_) => {
            let cause = if silent < until { Cause::Idle } else { Cause::TooLong };
            Err(Ended::new(By::Usher, Stage::Preauth, cause))
        }
    }
}

async fn send(
    prelogin: &PreLogin,
    stream: &mut ClientStream,
    out: &mut Vec<u8>,
    until: Instant,
) -> Result<(), Ended> {
    if out.is_empty() {
        return Ok(());
    }
    let until = until.max(Instant::now() + prelogin.snapshot().limits.farewell);
    let sending = async {
        stream.write_all(out).await?;
        stream.flush().await
    };
    match timeout_at(until, sending).await {
        Ok(Ok(())) => {
            out.clear();
            Ok(())
        }
        Ok(Err(error)) => Err(Ended::broken(Stage::Preauth, &error)),
        Err(_) => Err(Ended::new(By::Usher, Stage::Preauth, Cause::Stalled)),
    }
}

/// Says goodbye in words that fit the cause, if the client is still there.
async fn end(prelogin: &PreLogin, stream: ClientStream, ended: Ended) -> Ended {
    let mut bye = Vec::new();
    match ended.cause {
        _ if ended.by == By::Client => return ended,
        Cause::Idle | Cause::TooLong => bye.extend_from_slice(b"* BYE Waited too long for a login.\r\n"),
        _ => reply::bye(Code::Unavailable, &mut bye),
    }
    lingering_close(stream, &bye, prelogin.snapshot().limits.farewell).await;
    ended
}

fn closed(why: CloseCause) -> Ended {
    let cause = match why {
        CloseCause::Logout => Cause::Logout,
        CloseCause::TooManyInvalid => Cause::Protocol("too-many-invalid"),
        CloseCause::LineTooLong => Cause::Protocol("line-too-long"),
        CloseCause::LiteralTooLarge => Cause::Protocol("literal-too-large"),
        CloseCause::ControlOctet => Cause::Protocol("control-octet"),
        CloseCause::Http => Cause::Protocol("http"),
        CloseCause::BytesBehindStartTls => Cause::Protocol("bytes-behind-starttls"),
    };
    Ended::new(By::Client, Stage::Preauth, cause)
}
