//! What hosts send: the compatible server's side.

use outpost::msp1000::proto::command::MAX_LINE;
use outpost::msp1000::proto::discovery::DiscoveryError;
use outpost::msp1000::proto::{Announcement, Calibration, Command, CommandDecoder, CommandError};
use proptest::prelude::*;

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Command, CommandError>> {
    let mut decoder = CommandDecoder::new();
    let mut commands = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        commands.extend(std::iter::from_fn(|| decoder.next()));
    }
    commands
}

fn all() -> Vec<Command> {
    vec![
        Command::GetExposure,
        Command::SetExposure(20),
        Command::GetCalibration,
        Command::SetCalibration(Calibration::EXAMPLE),
        Command::TakeSpectrum,
        Command::GetSpectrum,
    ]
}

#[test]
fn commands_survive_the_wire_cut_at_every_byte() {
    let mut wire = Vec::new();
    all().iter().for_each(|command| command.encode(&mut wire));
    let expected: Vec<_> = all().into_iter().map(Ok).collect();
    for cut in 0..=wire.len() {
        let (head, tail) = wire.split_at(cut);
        assert_eq!(decode([head, tail]), expected, "cut at {cut}");
    }
    assert_eq!(decode(wire.chunks(1)), expected);
}

#[test]
fn lines_end_with_lf_whatever_comes_before() {
    let commands = decode([&b"\r\n\nget_exposure\nget_spectrum\r\n"[..]]);
    assert_eq!(
        commands,
        [Ok(Command::GetExposure), Ok(Command::GetSpectrum)]
    );
}

#[test]
fn what_is_no_command_is_told_and_decoding_goes_on() {
    for (line, text) in [
        ("hello", "no command \"hello\""),
        ("get_exposure ", "no command \"get_exposure \""),
        ("GET_EXPOSURE", "no command \"GET_EXPOSURE\""),
        (
            "set_exposure",
            "set_exposure takes whole milliseconds, not \"\"",
        ),
        ("set_exposure2.9", "not \"2.9\""),
        ("set_exposure-1", "not \"-1\""),
        ("set_exposure4294967296", "not \"4294967296\""),
        ("set_cal1,2,3", "set_cal takes four finite numbers"),
        ("set_cal1,2,3,4,5", "set_cal takes four finite numbers"),
        ("set_cal1,2,3,inf", "set_cal takes four finite numbers"),
        (
            "set_calibration1,2,3,4",
            "set_cal takes four finite numbers",
        ),
    ] {
        let wire = format!("{line}\r\ntake_spectrum\r\n");
        let commands = decode([wire.as_bytes()]);
        assert_eq!(commands.len(), 2, "{line}");
        let told = commands[0].as_ref().unwrap_err().to_string();
        assert!(told.contains(text), "{told}");
        assert_eq!(commands[1], Ok(Command::TakeSpectrum));
    }
}

#[test]
fn a_line_without_end_is_told_once_and_never_kept() {
    let mut decoder = CommandDecoder::new();
    let mut errors = 0;
    for _ in 0..1000 {
        decoder.push(&[b'x'; 1000]);
        while let Some(command) = decoder.next() {
            assert_eq!(command, Err(CommandError::TooLong));
            errors += 1;
        }
        assert!(decoder.pending() <= MAX_LINE + 1);
    }
    assert_eq!(errors, 1);
    decoder.push(b"\r\nget_exposure\n");
    assert_eq!(decoder.next(), Some(Ok(Command::GetExposure)));
}

#[test]
fn announcements_of_hostile_sizes_are_refused() {
    let long = [b"msp1000eth0,".to_vec(), vec![b'1'; 500]].concat();
    assert_eq!(
        Announcement::parse(&long),
        Err(DiscoveryError::TooLong(500))
    );
    let long = [b"msp1000".to_vec(), vec![b'e'; 100], b",1".to_vec()].concat();
    assert_eq!(
        Announcement::parse(&long),
        Err(DiscoveryError::TooLong(100))
    );
    for (datagram, error) in [
        (&b"msp1000eth0,"[..], DiscoveryError::NoSerial),
        (b"msp1000eth0, \r\n", DiscoveryError::NoSerial),
        (b"msp1000eth0,,1", DiscoveryError::NoSerial),
        (b"msp1000eth\x1b[2J,1", DiscoveryError::NotAscii),
        (b"msp1000eth0,1\n2", DiscoveryError::NotAscii),
        (b"MSP1000eth0,1", DiscoveryError::Foreign),
    ] {
        assert_eq!(Announcement::parse(datagram), Err(error));
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_the_same_however_they_are_cut(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                Just(b"get_exposure".to_vec()),
                Just(b"set_exposure20".to_vec()),
                Just(b"set_cal1,2,3,4".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(b"\n".to_vec()),
                Just(vec![b'a'; MAX_LINE]),
            ],
            0..20,
        ),
        step in 1_usize..1500,
    ) {
        let wire = pieces.concat();
        let whole = decode([&wire[..]]);
        prop_assert_eq!(&whole, &decode(wire.chunks(step)));
        prop_assert_eq!(&whole, &decode(pieces.iter().map(Vec::as_slice)));
    }

    #[test]
    fn datagrams_never_do_harm(datagram in prop::collection::vec(any::<u8>(), 0..64)) {
        let tagged = [b"msp1000".to_vec(), datagram].concat();
        if let Ok(read) = Announcement::parse(&tagged) {
            prop_assert_eq!(Announcement::parse(&read.encode()), Ok(read));
        }
    }
}
