//! A client of SCRAM-SHA-256 (RFC 7677) that shows every message.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::num::NonZeroU32;

/// What the server has said first, and what the client says to it.
pub struct Proof {
    /// The server's part of the nonce.
    pub nonce: String,
    pub salt: Vec<u8>,
    pub iterations: u32,
    /// The client's last message, in base64.
    pub message: String,
    /// What the server is to say last.
    pub signature: String,
}

/// The client's first message for `user`, in base64.
pub fn first(user: &str) -> String {
    STANDARD.encode(format!("n,,{}", bare(user)))
}

fn bare(user: &str) -> String {
    format!("n={user},r=rOprNGfwEbeRWgbNEkqO")
}

/// Answers a challenge, as it stands on the line.
pub fn prove(user: &str, password: &str, line: &str) -> Proof {
    let encoded = line.strip_prefix("+ ").unwrap_or_else(|| panic!("no challenge: {line}"));
    let said = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    let mut parts = said.splitn(3, ',');
    let mut part = |name: &str| parts.next().unwrap().strip_prefix(name).unwrap().to_owned();
    let (nonce, salt, iterations) = (part("r="), STANDARD.decode(part("s=")).unwrap(), part("i="));
    let iterations: u32 = iterations.parse().unwrap();
    let mut salted = [0; 32];
    derive(PBKDF2_HMAC_SHA256, NonZeroU32::new(iterations).unwrap(), &salt, password.as_bytes(), &mut salted);
    let hmac = |key: &[u8], text: &[u8]| sign(&Key::new(HMAC_SHA256, key), text).as_ref().to_vec();
    let client_key = hmac(&salted, b"Client Key");
    let stored = digest(&SHA256, &client_key);
    let without_proof = format!("c=biws,r={nonce}");
    let all = format!("{},{said},{without_proof}", bare(user));
    let signature = hmac(stored.as_ref(), all.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
    let server_key = hmac(&salted, b"Server Key");
    Proof {
        nonce: nonce.strip_prefix("rOprNGfwEbeRWgbNEkqO").expect("the client's nonce comes first").to_owned(),
        salt,
        iterations,
        message: STANDARD.encode(format!("{without_proof},p={}", STANDARD.encode(proof))),
        signature: format!("v={}", STANDARD.encode(hmac(&server_key, all.as_bytes()))),
    }
}
