//! Postfix's tcp_table(5): a line for each question and answer.

use super::place::Told;
use super::{Service, line, send};
use percent_encoding::percent_decode;
use std::io;
use tokio::io::{AsyncBufRead, AsyncWrite};
use usher_config::snapshot::LookupProtocol;

impl Service {
    pub(super) async fn answer_tcp_table<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncBufRead + AsyncWrite + Unpin + Send,
    {
        while self.is_asked(stream).await?
            && let Some(question) = line(stream).await?
        {
            let answer = match question.strip_prefix(b"get ") {
                Some(key) => {
                    let key: Vec<u8> = percent_decode(key).collect();
                    match self.postfix(LookupProtocol::TcpTable, &key).await {
                        Told::On(place) => format!("200 {}\n", escaped(&self.transport(&place))),
                        Told::Nobody => "500 nobody has this name\n".to_owned(),
                        Told::Later => "400 where the user is cannot be said now\n".to_owned(),
                    }
                }
                None => "400 only \"get\" is understood\n".to_owned(),
            };
            send(stream, answer.as_bytes()).await?;
        }
        Ok(())
    }
}

/// What is not printed, and what separates, is written as `%` and two digits.
fn escaped(text: &str) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const OTHER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
    utf8_percent_encode(text, OTHER).to_string()
}
