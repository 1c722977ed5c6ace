//! However the input is split, both decoders hand out the same; what is decoded is written and read back the same.
//!
//! The first byte of the input is the length of the pieces, the rest is what comes over the wire. `~` stands for the
//! bytes of a whole frame, so that the fuzzer gets beyond one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::msp1000::proto::frame::FRAME_BYTES;
use outpost::msp1000::proto::{
    Announcement, Calibration, Command, CommandDecoder, CommandError, OffsetRange, PeakFinder,
    Reply, ReplyDecoder, ReplyError, command, reply,
};

fn replies(wire: &[u8], step: usize) -> Vec<Result<Reply, ReplyError>> {
    let mut decoder = ReplyDecoder::new();
    let mut replies = Vec::new();
    for piece in wire.chunks(step) {
        decoder.push(piece);
        replies.extend(std::iter::from_fn(|| decoder.next()));
        assert!(decoder.pending() <= reply::MAX_REPLY);
    }
    replies
}

fn commands(wire: &[u8], step: usize) -> Vec<Result<Command, CommandError>> {
    let mut decoder = CommandDecoder::new();
    let mut commands = Vec::new();
    for piece in wire.chunks(step) {
        decoder.push(piece);
        commands.extend(std::iter::from_fn(|| decoder.next()));
        assert!(decoder.pending() <= command::MAX_LINE + 1);
    }
    commands
}

fuzz_target!(|data: &[u8]| {
    let Some((&seed, text)) = data.split_first() else {
        return;
    };
    let step = usize::from(seed) * 7 + 1;
    let mut wire = Vec::new();
    for byte in text {
        match byte {
            b'~' => wire.resize(wire.len() + FRAME_BYTES, seed),
            byte => wire.push(*byte),
        }
    }
    let whole = replies(&wire, wire.len().max(1));
    assert_eq!(whole, replies(&wire, step));
    for reply in whole.into_iter().flatten() {
        let mut again = Vec::new();
        reply.encode(&mut again);
        if let Reply::Spectrum(frame) = &reply {
            let spectrum = frame.remove_bias(&OffsetRange::default());
            let _ = PeakFinder::default().find(spectrum.values(), &Calibration::EXAMPLE);
        }
        assert_eq!(replies(&again, step), [Ok(reply)]);
    }
    let whole = commands(&wire, wire.len().max(1));
    assert_eq!(whole, commands(&wire, step));
    for command in whole.into_iter().flatten() {
        let mut again = Vec::new();
        command.encode(&mut again);
        assert_eq!(commands(&again, step), [Ok(command)]);
    }
    for datagram in [text, &[&b"msp1000"[..], text].concat()] {
        if let Ok(read) = Announcement::parse(datagram) {
            assert_eq!(Announcement::parse(&read.encode()), Ok(read));
        }
    }
});
