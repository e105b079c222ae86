use super::*;

fn header(kind: u8, flags: u8, length: usize) -> Header {
    Header { kind, flags, length, stream: 1 }
}

/// How many of `most` repetitions of these frames are let through.
fn let_through(most: usize, frames: &[Header]) -> usize {
    let mut meter = Meter::default();
    (0..most).take_while(|_| frames.iter().all(|frame| meter.came(frame).is_ok())).count()
}

#[test]
fn floods_end_and_work_does_not() {
    for (kind, length) in [(frame::PING, 8), (frame::SETTINGS, 0), (frame::PRIORITY, 5), (0, 0), (0xbe, 3)] {
        assert_eq!(let_through(5000, &[header(kind, 0, length)]), BUDGET as usize, "{kind}");
    }
    // Requests that are reset at once are a flood as well, though each earns something, whoever resets them.
    let mut meter = Meter::default();
    let request = |meter: &mut Meter| meter.came(&header(frame::HEADERS, 5, 40)).map(|()| meter.request());
    let reset = header(frame::RST_STREAM, 0, 4);
    let pairs =
        (0..2000).take_while(|_| request(&mut meter).and_then(|()| meter.came(&reset)).is_ok()).count();
    assert!((900..1100).contains(&pairs), "{pairs}");
    let mut meter = Meter::default();
    let pairs = (0..2000).take_while(|_| request(&mut meter).and_then(|()| meter.fault()).is_ok()).count();
    assert!((900..1100).contains(&pairs), "{pairs}");
    let mut meter = Meter::default();
    for _ in 0..10_000 {
        request(&mut meter).unwrap();
        meter.came(&header(frame::DATA, 0, 100)).unwrap();
        meter.sent(4096);
        meter.came(&header(frame::WINDOW_UPDATE, 0, 4)).unwrap();
    }
}

#[test]
fn small_messages_earn_what_they_need() {
    // gRPC: a message of a few bytes each way, with windows for both and a sign of life
    let mut meter = Meter::default();
    for _ in 0..10_000 {
        meter.came(&header(frame::DATA, 0, 12)).unwrap();
        meter.message();
        for (kind, length) in [(frame::WINDOW_UPDATE, 4), (frame::WINDOW_UPDATE, 4), (frame::PING, 8)] {
            meter.came(&header(kind, 0, length)).unwrap();
        }
    }
    // One way only, whichever.
    let mut meter = Meter::default();
    for _ in 0..10_000 {
        meter.message();
        meter.came(&header(frame::WINDOW_UPDATE, 0, 4)).unwrap();
        meter.came(&header(frame::WINDOW_UPDATE, 0, 4)).unwrap();
    }
    // Messages pay for nothing else, and what is only padding is none.
    for flood in [&[header(0, 0, 1), header(frame::SETTINGS, 0, 0)][..], &[header(0, frame::PADDED, 1)]] {
        assert!(let_through(5000, flood) < 1200);
    }
}

#[test]
fn time_refills() {
    let mut meter = Meter::default();
    let ping = header(frame::PING, 0, 8);
    for _ in 0..BUDGET {
        meter.came(&ping).unwrap();
    }
    meter.pass(Duration::from_secs(1));
    for _ in 0..REFILL {
        meter.came(&ping).unwrap();
    }
    assert_eq!(meter.came(&ping), Err(Flooded));
}
