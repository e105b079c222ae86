//! Where the frames of WebSocket end (RFC 6455 section 5.2), and a goodbye between two of them.

/// The frame that says goodbye: Close, without a mask, with status 1001, "going away" (section 7.4.1).
pub const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Follows the frames that a server sends.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    /// What has come of a frame's header.
    header: Vec<u8>,
    /// What is left of its payload.
    left: u64,
}

impl Frames {
    /// Whether no frame is under way.
    pub fn at_boundary(&self) -> bool {
        self.header.is_empty() && self.left == 0
    }

    /// Takes what the server has sent.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = rest.get(self.feed_frame(rest)..).unwrap_or_default();
        }
    }

    /// Takes what the server has sent up to the end of a frame, at most. Returns how much that is.
    pub fn feed_frame(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        if self.left == 0 {
            for octet in bytes {
                self.header.push(*octet);
                taken += 1;
                if let Some(payload) = payload(&self.header) {
                    self.header.clear();
                    self.left = payload;
                    break;
                }
            }
        }
        if self.header.is_empty() {
            let here = self.left.min((bytes.len() - taken) as u64);
            self.left -= here;
            taken += here as usize;
        }
        taken
    }
}

/// The length of the payload behind a header; `None`: there is more of the header to come.
fn payload(header: &[u8]) -> Option<u64> {
    let (length, is_masked) = (header.get(1)? & 0x7f, header.get(1)? & 0x80 != 0);
    let extended = match length {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let whole = 2 + extended + if is_masked { 4 } else { 0 };
    if header.len() < whole {
        return None;
    }
    let written = header.get(2..2 + extended)?;
    let number = written.iter().fold(0, |number: u64, octet| number << 8 | u64::from(*octet));
    Some(if extended == 0 { u64::from(length) } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame with a payload of this length.
    fn frame(length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..65_536 => {
                frame.push(mask | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(7, length + if is_masked { 4 } else { 0 }));
        frame
    }

    proptest! {
        #[test]
        fn boundaries_are_between_frames(
            frames in prop::collection::vec((prop_oneof![0usize..130, 65_530usize..65_540], any::<bool>()), 1..5),
            pieces in prop::collection::vec(1usize..5000, 1..40),
        ) {
            let frames: Vec<_> = frames.into_iter().map(|(length, is_masked)| frame(length, is_masked)).collect();
            let mut ends: Vec<usize> = Vec::new();
            for frame in &frames {
                ends.push(ends.last().copied().unwrap_or(0) + frame.len());
            }
            let all = frames.concat();
            let (mut follower, mut at) = (Frames::default(), 0);
            for piece in pieces.into_iter().cycle() {
                let end = (at + piece).min(all.len());
                follower.feed(&all[at..end]);
                at = end;
                prop_assert_eq!(follower.at_boundary(), ends.contains(&at));
                if at == all.len() {
                    break;
                }
            }
            let (mut follower, mut at) = (Frames::default(), 0);
            for end in ends {
                at += follower.feed_frame(&all[at..]);
                prop_assert_eq!((at, follower.at_boundary()), (end, true));
            }
        }
    }

    #[test]
    fn a_mask_is_part_of_the_header() {
        let mut follower = Frames::default();
        follower.feed(&frame(3, true));
        assert!(follower.at_boundary());
    }
}
