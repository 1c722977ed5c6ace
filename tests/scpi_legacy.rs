//! The FE-PyCam2 dialect: which grammar a message has, and what its arguments mean.

use outpost::scpi::Error;
use outpost::scpi::dual::DualFramer;
use outpost::scpi::framing::Frame;
use outpost::scpi::legacy::{
    ACK, ArgumentError, Grammar, HEADERS, Header, MAX_REPLY, NAK, UNKNOWN, classify, is_bare_word,
    parse_bool, parse_float, parse_int, verdict,
};
use proptest::prelude::*;

#[derive(Debug, PartialEq)]
enum Read {
    Legacy(Header, Vec<String>),
    Unknown,
    Scpi,
}

fn read(message: &str, terminated: bool) -> Read {
    match classify(message.as_bytes(), terminated) {
        Grammar::Legacy { header, arguments } => {
            let list = arguments
                .iter()
                .map(|a| String::from_utf8(a.to_vec()).unwrap());
            Read::Legacy(header, list.collect())
        }
        Grammar::Unknown => Read::Unknown,
        Grammar::Scpi => Read::Scpi,
    }
}

fn legacy(header: Header, arguments: &[&str]) -> Read {
    Read::Legacy(header, arguments.iter().map(|s| (*s).to_owned()).collect())
}

#[test]
fn end_and_header_choose_the_grammar() {
    use Header::*;
    const PAUSE: bool = false;
    const LF: bool = true;
    let cases = [
        // The worked bytes of the reference.
        ("IDN?", PAUSE, legacy(Identity, &[])),
        ("IDN?", LF, legacy(Identity, &[])),
        ("*IDN?", LF, Read::Scpi),
        ("SRV:ECHO a  b", PAUSE, legacy(Echo, &["a", "", "b"])),
        ("SRV:ECHO a;b", LF, legacy(Echo, &["a;b"])),
        ("CAM:CONF:SS 10000", PAUSE, legacy(Exposure, &["10000"])),
        ("CAM:CONF:SS", PAUSE, legacy(Exposure, &[])),
        ("CAM:CONF:SS abc", PAUSE, legacy(Exposure, &["abc"])),
        ("cam:conf:ss 1000", PAUSE, Read::Unknown),
        ("cam:conf:ss 1000", LF, Read::Scpi),
        ("NOSUCH", PAUSE, Read::Unknown),
        ("NOSUCH", LF, Read::Scpi),
        ("NOSUCH:THING?", LF, Read::Scpi),
        ("*ESE 32;*ESE?", LF, Read::Scpi),
        ("SRV:PATH:RDDIR?", LF, legacy(RamDiskFolder, &[])),
        ("IDN?IDN?", PAUSE, Read::Unknown),
        // SCPI without a terminator.
        ("*IDN?", PAUSE, Read::Scpi),
        ("*CLS", PAUSE, Read::Scpi),
        ("SYST:ERR?", PAUSE, Read::Scpi),
        (":SYST:ERR? 1", PAUSE, Read::Scpi),
        ("NOSUCH?", PAUSE, Read::Scpi),
        ("SYST:ERR?;*CLS", PAUSE, Read::Scpi),
        ("CAM:CONF:SS?", PAUSE, Read::Scpi),
        ("STAT:PRES", PAUSE, Read::Unknown),
        ("SYST::ERR?", PAUSE, Read::Unknown),
        // A semicolon makes a terminated message SCPI, unless it is echoed.
        ("CAM:CONF:SS 1000;*OPC?", LF, Read::Scpi),
        (
            "CAM:CONF:SS 1000;*OPC?",
            PAUSE,
            legacy(Exposure, &["1000;*OPC?"]),
        ),
        ("IDN?;*OPC?", LF, Read::Scpi),
        ("IDN?;*OPC?", PAUSE, Read::Unknown),
        // Python's view: trailing blanks are empty arguments, a TAB is part of the header.
        ("IDN? ", PAUSE, legacy(Identity, &[""])),
        ("SRV:IMG:SHRNK 2", PAUSE, legacy(Shrink, &["2"])),
        ("SRV:IMG:SRNK 2", LF, legacy(Shrink, &["2"])),
        ("CAM:CONF:SS\t1000", PAUSE, Read::Unknown),
        (" IDN?", PAUSE, Read::Unknown),
        (
            "CAP:SEQFET a#12 1:2 3 0,2 1",
            PAUSE,
            legacy(CaptureSequence, &["a#12", "1:2", "3", "0,2", "1"]),
        ),
    ];
    for (message, terminated, expected) in cases {
        assert_eq!(
            read(message, terminated),
            expected,
            "{message:?} {terminated}"
        );
    }
    for (name, header) in HEADERS {
        assert_eq!(read(name, PAUSE), legacy(header, &[]));
        assert_eq!(read(name, LF), legacy(header, &[]));
    }
}

/// Section 11.5: framing and grammar together, `|` for a pause within the settle time's end.
#[test]
fn the_worked_bytes_of_the_reference_are_read_as_it_says() {
    use Header::*;
    let cases: &[(&str, &[(Read, bool)])] = &[
        ("IDN?|", &[(legacy(Identity, &[]), false)]),
        ("IDN?\n", &[(legacy(Identity, &[]), true)]),
        ("*IDN?\n", &[(Read::Scpi, true)]),
        ("SRV:ECHO a  b|", &[(legacy(Echo, &["a", "", "b"]), false)]),
        ("SRV:ECHO a;b\n", &[(legacy(Echo, &["a;b"]), true)]),
        ("CAM:CONF:SS |", &[(legacy(Exposure, &[""]), false)]),
        ("CAM:CONF:SS abc|", &[(legacy(Exposure, &["abc"]), false)]),
        ("cam:conf:ss 1000|", &[(Read::Unknown, false)]),
        ("cam:conf:ss 1000\n", &[(Read::Scpi, true)]),
        ("NOSUCH|", &[(Read::Unknown, false)]),
        ("NOSUCH\n", &[(Read::Scpi, true)]),
        ("NOSUCH:THING?\n", &[(Read::Scpi, true)]),
        ("*ESE 32;*ESE?\n", &[(Read::Scpi, true)]),
        (
            "SRV:PATH:RDDIR?\n*OPC?\n",
            &[(legacy(RamDiskFolder, &[]), true), (Read::Scpi, true)],
        ),
        ("IDN?IDN?|", &[(Read::Unknown, false)]),
    ];
    for (input, expected) in cases {
        let mut framer = DualFramer::new();
        let mut found = Vec::new();
        for burst in input.split('|') {
            framer.push(burst.as_bytes());
            for _ in 0..2 {
                while let Some(Frame::Message { bytes, terminated }) = framer.next() {
                    found.push((
                        read(std::str::from_utf8(bytes).unwrap(), terminated),
                        terminated,
                    ));
                }
                if framer.waiting_to_settle() {
                    framer.settle();
                }
            }
        }
        assert_eq!(found, *expected, "{input:?}");
    }
}

#[test]
fn replies_of_the_dialect_fit_the_client() {
    for reply in [ACK, NAK, UNKNOWN, "/home/pi/Pictures/Captures"] {
        assert!(reply.len() <= MAX_REPLY, "{reply}");
    }
}

#[test]
fn an_echo_is_what_follows_the_first_space() {
    for (message, echo) in [
        ("SRV:ECHO a  b ", "a  b "),
        ("SRV:ECHO", ""),
        ("SRV:ECHO ", ""),
        ("SRV:ECHO  ", " "),
    ] {
        let Grammar::Legacy { arguments, .. } = classify(message.as_bytes(), false) else {
            panic!("{message}");
        };
        assert_eq!(arguments.raw(), echo.as_bytes());
    }
}

#[test]
fn integers_read_as_python_reads_them() {
    for (text, value) in [
        ("100", 100),
        (" 100\t\r\n", 100),
        ("+7", 7),
        ("-7", -7),
        ("1_000", 1000),
        ("007", 7),
        ("99999999999999999999", i64::MAX),
        ("-99999999999999999999", i64::MIN),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(parse_int(text), Ok(value), "{text}");
    }
    for text in [
        "", " ", "100.5", "1e3", "_1", "1_", "1__0", "+", "- 1", "0x10", "1,0", "\u{ff11}",
    ] {
        assert_eq!(
            parse_int(text),
            Err(ArgumentError::Integer(text.into())),
            "{text}"
        );
    }
}

#[test]
fn numbers_read_as_python_reads_them_with_either_decimal_point() {
    for (text, value) in [
        ("0.2", 0.2),
        ("0,2", 0.2),
        ("1,5e2", 150.0),
        (" -1.5 ", -1.5),
        (".5", 0.5),
        (",5", 0.5),
        ("5.", 5.0),
        ("1_0.0_1", 10.01),
        ("1e-3", 0.001),
        ("1E+0_3", 1000.0),
        ("-1", -1.0),
        ("inf", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("1e999", f64::INFINITY),
    ] {
        assert_eq!(parse_float(text), Ok(value), "{text}");
    }
    for text in [
        "", ".", "abc", "1.0,5", "1,0,5", "1..5", "nan", "1e", "e5", "_1.0", "1._5", "1 0", "0x1p3",
    ] {
        assert!(parse_float(text).is_err(), "{text}");
    }
}

#[test]
fn everything_but_five_words_is_false() {
    for text in ["1", "true", "TRUE", "on", "Yes", "y"] {
        assert!(parse_bool(text), "{text}");
    }
    for text in ["0", "2", "", "1 ", "1\n", "wahr", "ja", "tru"] {
        assert!(!parse_bool(text), "{text:?}");
    }
}

#[test]
fn arguments_have_types_and_faults_have_scpi_numbers() {
    let Grammar::Legacy { arguments, .. } =
        classify(b"CAP:SEQFET ../x 1:2_0:x 2,5:1 on 4056:3040", false)
    else {
        panic!("a command of the dialect");
    };
    assert_eq!(arguments.reals(2), Ok(vec![2.5, 1.0]));
    assert_eq!(arguments.real_array::<2>(2), Ok([2.5, 1.0]));
    assert_eq!(arguments.integer_array::<2>(4), Ok([4056, 3040]));
    assert_eq!(arguments.boolean(3), Ok(true));
    let numbers = [
        (arguments.integers(1).map(drop), -104),
        (arguments.integer_array::<4>(4).map(drop), -115),
        (arguments.integer(3).map(drop), -104),
        (arguments.integer(5).map(drop), -109),
    ];
    for (result, number) in numbers {
        assert_eq!(Error::from(result.unwrap_err()).number(), number);
    }
}

#[test]
fn every_unterminated_message_gets_one_reply() {
    assert_eq!(verdict(None), "ack");
    assert_eq!(verdict(Some(&Error::new(-113))), "Unknown Command");
    assert_eq!(verdict(Some(&Error::new(-222))), "nak");
    assert!(is_bare_word(b"NOSUCH") && is_bare_word(b"no such thing"));
    assert!(!is_bare_word(b"*NOSUCH?") && !is_bare_word(b"NOSUCH:THING?") && !is_bare_word(b"A;B"));
}

proptest! {
    #[test]
    fn arguments_never_panic(message in proptest::collection::vec(any::<u8>(), 0..100), terminated: bool) {
        let mut with_header = b"CAP:SEQFET ".to_vec();
        with_header.extend(&message);
        for message in [&message, &with_header] {
            if let Grammar::Legacy { arguments, .. } = classify(message, terminated) {
                let joined = arguments.iter().collect::<Vec<_>>().join(&b' ');
                prop_assert_eq!(&joined, arguments.raw());
                for i in 0..6 {
                    let _ = (arguments.integers(i), arguments.reals(i), arguments.boolean(i));
                }
            }
        }
    }

    #[test]
    fn printed_numbers_read_back(int: i64, real in -1e300f64..1e300) {
        prop_assert_eq!(parse_int(&int.to_string()), Ok(int));
        prop_assert_eq!(parse_float(&real.to_string()), Ok(real));
        prop_assert_eq!(parse_float(&real.to_string().replace('.', ",")), Ok(real));
    }
}
