use super::*;

fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
    let size = (length as u32).to_be_bytes();
    let mut frame = vec![size[1], size[2], size[3], kind, flags, 0, 0, 0, 0];
    frame.resize(HEADER + length, 0);
    frame
}

fn started() -> FrameMeter {
    let mut meter = FrameMeter::default();
    meter.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Duration::ZERO).unwrap();
    meter
}

#[test]
fn streams_that_the_codec_resets_by_itself_are_counted() {
    let mut meter = started();
    let begins = |stream: u8| [&[0, 0, 1, 0x1, 0x5, 0, 0, 0, stream][..], &[0x82]].concat();
    let resets = |stream: u8| [0, 0, 4, 0x3, 0, 0, 0, 0, stream, 0, 0, 0, 1];
    meter.read(&[begins(1), begins(3), begins(5)].concat(), Duration::ZERO).unwrap();
    meter.accepted(1);
    meter.accepted(5);
    assert_eq!(meter.sent(&[resets(1), resets(3), resets(5)].concat()), 1);
    assert_eq!(meter.sent(&resets(3)), 0, "once");
    // Trailers begin no stream.
    meter.read(&begins(5), Duration::ZERO).unwrap();
    assert_eq!(meter.sent(&resets(5)), 0);
}

#[test]
fn floods_end_and_work_does_not() {
    for (kind, flags, length) in [(0x6, 0, 8), (0x4, 0, 0), (0x2, 0, 5), (0x0, 0, 0), (0xbe, 0, 3)] {
        let mut meter = started();
        let flood = frame(kind, flags, length).repeat(BUDGET as usize);
        assert_eq!(meter.read(&flood, Duration::ZERO), Ok(()), "{kind}");
        assert_eq!(meter.read(&frame(kind, flags, length), Duration::ZERO), Err(Flooded), "{kind}");
    }
    // Requests that are reset at once are a flood as well, though each earns something.
    let mut meter = started();
    let pair = [frame(0x1, 0x5, 40), frame(0x3, 0, 4)].concat();
    let pairs = (0..2000).take_while(|_| meter.read(&pair, Duration::ZERO).is_ok()).count();
    assert!((900..1100).contains(&pairs), "{pairs}");
    let mut meter = started();
    for _ in 0..10_000 {
        meter.read(&frame(0x1, 0x5, 40), Duration::ZERO).unwrap();
        meter.read(&frame(0x0, 0, 100), Duration::ZERO).unwrap();
        meter.sent(&frame(0x0, 0, 4087));
        meter.read(&frame(0x8, 0, 4), Duration::ZERO).unwrap();
    }
    assert!(!meter.is_in_field_block());
    meter.read(&frame(0x1, 0, 40), Duration::ZERO).unwrap();
    assert!(meter.is_in_field_block());
}

#[test]
fn small_messages_earn_what_they_need() {
    // gRPC: a message of a few bytes each way, with windows for both and a sign of life
    let mut meter = started();
    meter.read(&frame(0x1, 0x4, 40), Duration::ZERO).unwrap();
    for _ in 0..10_000 {
        meter.read(&frame(0x0, 0, 12), Duration::ZERO).unwrap();
        meter.sent(&frame(0x0, 0, 12));
        for (kind, length) in [(0x8, 4), (0x8, 4), (0x6, 8)] {
            meter.read(&frame(kind, 0, length), Duration::ZERO).unwrap();
        }
    }
    // One way only, whichever.
    let mut meter = started();
    for _ in 0..10_000 {
        meter.sent(&frame(0x0, 0, 5));
        meter.read(&frame(0x8, 0, 4).repeat(2), Duration::ZERO).unwrap();
    }
    // Messages pay for nothing else, and what is only padding is none.
    for flood in [[frame(0x0, 0, 1), frame(0x4, 0, 0)].concat(), frame(0x0, 0x8, 1)] {
        let mut meter = started();
        let floods = (0..5000).take_while(|_| meter.read(&flood, Duration::ZERO).is_ok());
        assert!(floods.count() < 1200);
    }
    // What usher has to say by itself earns nothing.
    let mut meter = started();
    let flood = (0..5000).take_while(|_| {
        meter.sent(&frame(0x6, 1, 8));
        meter.read(&frame(0x6, 0, 8), Duration::ZERO).is_ok()
    });
    assert!(flood.count() < 1200);
    assert_eq!(meter.goaway().unwrap()[16], 0xb);
    meter.sent(&frame(0x0, 0, 5)[..11]);
    assert_eq!(meter.goaway(), None, "not within a frame");
}

#[test]
fn time_refills() {
    let mut meter = started();
    meter.read(&frame(0x6, 0, 8).repeat(BUDGET as usize), Duration::ZERO).unwrap();
    let ping = frame(0x6, 0, 8);
    meter.read(&ping.repeat(REFILL as usize), Duration::from_secs(1)).unwrap();
    assert_eq!(meter.read(&ping, Duration::from_secs(1)), Err(Flooded));
}

#[test]
fn pieces_are_as_good_as_the_whole() {
    let mut meter = started();
    let all = [frame(0x1, 0x4, 300), frame(0x0, 1, 70_000), frame(0x6, 0, 8)].concat();
    for octet in &all {
        meter.read(std::slice::from_ref(octet), Duration::ZERO).unwrap();
    }
    assert!(meter.read.is_between());
}
