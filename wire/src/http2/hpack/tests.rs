use super::*;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Option<Vec<(String, String)>> {
    let fields = decoder.decode(block, 4096, 100).ok()?;
    let text = |part: &[u8]| String::from_utf8(part.to_vec()).unwrap();
    Some(fields.iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn fields(lines: &str) -> Vec<(String, String)> {
    let pair =
        |line: &str| line.trim().split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    lines.split('|').filter_map(pair).collect()
}

/// The examples of RFC 7541 appendix C: three requests each on one connection, in clear text and in Huffman's code.
#[test]
fn the_examples_of_the_standard_are_read() {
    let first = ":method: GET|:scheme: http|:path: /|:authority: www.example.com";
    let second = ":method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache";
    let third =
        ":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value";
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = Decoder::default();
        for (block, expected) in blocks.into_iter().zip([first, second, third]) {
            assert_eq!(decode(&mut decoder, &hex(block)), Some(fields(expected)), "{block}");
        }
    }
}

/// RFC 7541 appendix C.6: responses, whose fields leave a table of 256 bytes again.
#[test]
fn what_is_evicted_is_forgotten() {
    let mut decoder = Decoder::default();
    let first = "3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff\
                 6e91 9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3";
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT|location: https://www.example.com";
    let expected = fields(&format!(":status: 302|cache-control: private|{date}"));
    assert_eq!(decode(&mut decoder, &hex(first)), Some(expected));
    let expected = fields(&format!(":status: 307|cache-control: private|{date}"));
    assert_eq!(decode(&mut decoder, &hex("4883 640e ff c1 c0 bf")), Some(expected));
    // That took the place of the first status.
    assert_eq!(decode(&mut decoder, &[0xc2]), None);
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (block, why) in [
        ("80", "index 0"),
        ("c6", "an index that stands for nothing"),
        ("ff ff ff ff ff 0f", "a number without end"),
        ("82 3f e1 01", "a table size behind a field"),
        ("3f e2 1f", "a table larger than was allowed"),
        ("00 03 61", "a string that ends early"),
        ("00 82 1f ff 00", "a whole byte of padding"),
        ("00 81 ff 00", "nothing but padding, and too much"),
        ("00 84 ff ff ff ff 00", "the end of the string within it"),
        ("00 81 18 00", "padding that is not all ones"),
    ] {
        assert_eq!(decode(&mut Decoder::default(), &hex(block)), None, "{why}");
    }
    // A table of no size, twice said, is none of them.
    assert_eq!(decode(&mut Decoder::default(), &hex("20 3f e1 1f 82")), Some(fields(":method: GET")));
}

/// `text` in Huffman's code.
fn coded(text: &[u8]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for byte in text {
        let (code, length) = huffman::code_of(*byte);
        bits.extend((0..length).rev().map(|at| code >> at & 1 == 1));
    }
    bits.chunks(8)
        .map(|bits| (0..8).fold(0, |byte, at| byte << 1 | u8::from(*bits.get(at).unwrap_or(&true))))
        .collect()
}

#[test]
fn every_byte_has_a_code() {
    // Some of appendix B, by their lengths.
    for (byte, code, length) in [
        (b'0', 0, 5),
        (b'A', 0x21, 6),
        (b'z', 0x7b, 7),
        (b'&', 0xf8, 8),
        (b'\\', 0x7fff0, 19),
        (0xff, 0x3ff_ffee, 26),
        (22, 0x3fff_fffe, 30),
    ] {
        assert_eq!(huffman::code_of(byte), (code, length), "{byte}");
    }
    for byte in 0..=255 {
        let mut out = Vec::new();
        huffman::decode(&coded(&[byte, b'a', byte]), &mut out).unwrap();
        assert_eq!(out, [byte, b'a', byte]);
    }
}

proptest::proptest! {
    #[test]
    fn what_is_written_is_read(
        status in 100_u16..1000,
        fields in proptest::collection::vec(("[a-z-]{1,20}", "[ -~]{0,300}"), 0..8),
    ) {
        let mut block = Vec::new();
        encode_status(status, &mut block);
        for (name, value) in &fields {
            encode_field(name, value.as_bytes(), &mut block);
        }
        let mut expected = vec![(":status".to_owned(), status.to_string())];
        expected.extend(fields);
        proptest::prop_assert_eq!(decode(&mut Decoder::default(), &block), Some(expected));
    }

    #[test]
    fn every_text_is_read_from_its_code(text in proptest::collection::vec(0_u8.., 0..80)) {
        let mut out = Vec::new();
        proptest::prop_assert!(huffman::decode(&coded(&text), &mut out).is_some());
        proptest::prop_assert_eq!(out, text);
    }

    #[test]
    fn anything_is_read_or_refused_within_bounds(block in proptest::collection::vec(0_u8.., 0..400)) {
        let mut decoder = Decoder::default();
        if let Ok(fields) = decoder.decode(&block, 200, 100) {
            proptest::prop_assert!(fields.places().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() <= 200);
        }
    }
}

#[test]
fn names_that_everybody_knows_have_their_index() {
    for (at, (name, _)) in table::STATIC.iter().enumerate().skip(14) {
        let mut block = Vec::new();
        encode_field(name, b"v", &mut block);
        let index = Decoder::default().decode(&block, 4096, 100).unwrap();
        assert_eq!(index.iter().next(), Some((name.as_bytes(), &b"v"[..])), "{at}");
        assert!(block.len() <= 4, "{name}");
    }
}

#[test]
fn a_few_bytes_that_stand_for_many_are_not_read_for_ever() {
    let long = "n".repeat(4000);
    let mut block = vec![0x40];
    // A name of 4000 bytes, and then the same name again and again.
    block.extend([0x7f, 0xa1, 0x1e]);
    block.extend(long.bytes());
    block.push(0);
    let few = [&block[..], &[0x7e, 0].repeat(2)].concat();
    assert!(Decoder::default().decode(&few, 8000, 100).unwrap().is_beyond());
    let many = [&block[..], &[0x7e, 0].repeat(1000)].concat();
    assert_eq!(
        Decoder::default().decode(&many, 8000, 100).err(),
        Some(super::super::ErrorCode::ENHANCE_YOUR_CALM)
    );
    // Many fields are too many, however short.
    assert!(Decoder::default().decode(&[0x90; 101], 8000, 100).unwrap().is_beyond());
    assert!(!Decoder::default().decode(&[0x90; 100], 8000, 100).unwrap().is_beyond());
}
