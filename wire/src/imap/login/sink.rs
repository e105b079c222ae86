//! The arguments of LOGIN, quoted or as literals.

use super::Fault;
use crate::imap::id;
use crate::secret::SecretBuf;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// Writes the arguments of LOGIN: everything up to the first literal now, the rest at continuations.
pub(super) struct Sink<'a> {
    pub(super) now: &'a mut SecretBuf,
    pub(super) later: &'a mut VecDeque<Zeroizing<Vec<u8>>>,
}

impl Sink<'_> {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        match self.later.back_mut() {
            Some(last) => {
                let mut longer = Zeroizing::new(Vec::with_capacity(last.len() + bytes.len()));
                longer.extend_from_slice(last);
                longer.extend_from_slice(bytes);
                *last = longer;
            }
            None => self.now.extend(bytes),
        }
    }

    pub(super) fn string(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.contains(&0) {
            return Err(Fault::NoMechanism);
        }
        if bytes.iter().all(|b| matches!(b, 0x20..=0x7e)) {
            let mut quoted = Zeroizing::new(Vec::with_capacity(bytes.len() * 2 + 3));
            quoted.push(b' ');
            id::write_quoted(bytes, &mut quoted);
            self.bytes(&quoted);
        } else {
            self.bytes(format!(" {{{}}}\r\n", bytes.len()).as_bytes());
            self.later.push_back(Zeroizing::new(bytes.to_vec()));
        }
        Ok(())
    }
}
