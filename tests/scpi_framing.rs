//! Framing of both text ports: tables of input and frames, every split of the input, hostile input.

use outpost::scpi::dual::DualFramer;
use outpost::scpi::framing::{Frame, LineFramer, MAX_MESSAGE};
use proptest::prelude::*;

/// A frame that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    /// Ended by LF.
    Line(Vec<u8>),
    /// Ended by a pause or the end.
    Pause(Vec<u8>),
    Overrun {
        terminated: bool,
        legacy: bool,
    },
    Unfinished(Vec<u8>),
}

impl From<Frame<'_>> for Owned {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Message {
                bytes,
                terminated: true,
            } => Self::Line(bytes.to_vec()),
            Frame::Message { bytes, .. } => Self::Pause(bytes.to_vec()),
            Frame::Overrun { terminated, legacy } => Self::Overrun { terminated, legacy },
            Frame::Unfinished { bytes } => Self::Unfinished(bytes.to_vec()),
        }
    }
}

fn line(text: &str) -> Owned {
    Owned::Line(text.into())
}

fn pause(text: &str) -> Owned {
    Owned::Pause(text.into())
}

/// The frames of 5025 for input that arrives in `chunks` and then ends.
fn lines<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
    let mut framer = LineFramer::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        while let Some(frame) = framer.next() {
            frames.push(frame.into());
        }
    }
    framer.end();
    while let Some(frame) = framer.next() {
        frames.push(frame.into());
    }
    assert!(framer.next().is_none());
    frames
}

/// The frames of 5060 for `bursts` with a pause after each, each arriving in pieces of `piece` bytes.
fn bursts(bursts: &[&[u8]], piece: usize) -> Vec<Owned> {
    let mut framer = DualFramer::new();
    let mut frames = Vec::new();
    let mut take = |framer: &mut DualFramer| {
        while let Some(frame) = framer.next() {
            frames.push(Owned::from(frame));
        }
    };
    for burst in bursts {
        for chunk in burst.chunks(piece) {
            framer.push(chunk);
            take(&mut framer);
        }
        if framer.waiting_to_settle() {
            framer.settle();
            take(&mut framer);
        }
        assert!(!framer.waiting_to_settle());
    }
    frames
}

const LINE_CASES: &[(&[u8], &[&str])] = &[
    (b"*IDN?\n", &["*IDN?"]),
    (b"*IDN?\r\n", &["*IDN?\r"]),
    (b"*CLS\n*IDN?\n", &["*CLS", "*IDN?"]),
    (b"\n\r\n \t \n*CLS\n", &["*CLS"]),
    // LF in a block is data.
    (b"A #15a\nb\nc\nB\n", &["A #15a\nb\nc", "B"]),
    (b"A 1,#15a\nb\nc;B\n", &["A 1,#15a\nb\nc;B"]),
    (
        b"A;B\t #211a\"\n;'\n\n\n\n\n\n,#12\n\n\n",
        &["A;B\t #211a\"\n;'\n\n\n\n\n\n,#12\n\n"],
    ),
    (b"A #10\nB\n", &["A #10", "B"]),
    // LF in a string ends the message, and strings hide blocks.
    (b"A \"x\nB\n", &["A \"x", "B"]),
    (b"A \"#15\nB\n", &["A \"#15", "B"]),
    (b"A '#15\nB\n", &["A '#15", "B"]),
    (b"A \"\"\"#19\nB\n", &["A \"\"\"#19", "B"]),
    (b"A \"x\",#13\n\n\n\nB\n", &["A \"x\",#13\n\n\n", "B"]),
    // Not at the start of a parameter, or not a block.
    (b"A#15\nB\n", &["A#15", "B"]),
    (b"A x#15\nB\n", &["A x#15", "B"]),
    (b"A (1,#15\nB\n", &["A (1,#15", "B"]),
    (
        b"A #H12\n#0\nA #3ab\nA #31\nB\n",
        &["A #H12", "#0", "A #3ab", "A #31", "B"],
    ),
    // A second string after a blank is misplaced, but a string all the same.
    (b"A 1 \"#15\nB\n", &["A 1 \"#15", "B"]),
];

#[test]
fn messages_end_at_line_feeds_that_are_not_data() {
    for (input, messages) in LINE_CASES {
        let expected: Vec<Owned> = messages.iter().map(|text| line(text)).collect();
        assert_eq!(lines([*input]), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn every_split_gives_the_same_messages() {
    for (input, messages) in LINE_CASES {
        let expected: Vec<Owned> = messages.iter().map(|text| line(text)).collect();
        assert_eq!(lines(input.chunks(1)), expected, "{}", input.escape_ascii());
        for at in 0..=input.len() {
            let (first, second) = input.split_at(at);
            assert_eq!(
                lines([first, second]),
                expected,
                "{} at {at}",
                input.escape_ascii()
            );
        }
    }
}

#[test]
fn at_the_end_only_queries_run() {
    let cases = [
        ("*IDN?", pause("*IDN?")),
        ("*IDN?;:SYST:ERR? ;", pause("*IDN?;:SYST:ERR? ;")),
        (
            "CAM:CONF:SS 1000",
            Owned::Unfinished("CAM:CONF:SS 1000".into()),
        ),
        ("*IDN?;*CLS", Owned::Unfinished("*IDN?;*CLS".into())),
        ("*IDN?;??", Owned::Unfinished("*IDN?;??".into())),
        (";", Owned::Unfinished(";".into())),
    ];
    for (input, frame) in cases {
        assert_eq!(lines([input.as_bytes()]), [frame], "{input}");
    }
    assert_eq!(lines([&b"*CLS\n \r"[..]]), [line("*CLS")]);
}

#[test]
fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
    let overrun = Owned::Overrun {
        terminated: true,
        legacy: false,
    };
    for (length, passes) in [
        (MAX_MESSAGE, true),
        (MAX_MESSAGE + 1, false),
        (1 << 20, false),
    ] {
        let mut input = vec![b'A'; length];
        input.extend(b"\n*IDN?\n");
        let first = match passes {
            true => Owned::Line(vec![b'A'; length]),
            false => overrun.clone(),
        };
        let expected = [first, line("*IDN?")];
        assert_eq!(lines([input.as_slice()]), expected);
        assert_eq!(lines(input.chunks(1000)), expected);
        assert_eq!(lines(input.chunks(1)), expected);
    }
}

#[test]
fn an_over_long_message_is_dropped_with_its_block() {
    let overrun = Owned::Overrun {
        terminated: true,
        legacy: false,
    };
    // The block holds what would be commands.
    let data = "*CLS\n".repeat(4000);
    let input = format!("A #520000{data}\n*IDN?\n");
    let expected = [overrun.clone(), line("*IDN?")];
    assert_eq!(lines([input.as_bytes()]), expected);
    assert_eq!(lines(input.as_bytes().chunks(1)), expected);
    // A length that nobody means is not waited for.
    let input = "A #9999999999 and no data\n*IDN?\n";
    assert_eq!(lines([input.as_bytes()]), expected);
    // The end of the input ends it too.
    let open = Owned::Overrun {
        terminated: false,
        legacy: false,
    };
    assert_eq!(lines([&[b'A'; 20_000][..]]), [open]);
}

/// Section 11.5 and the rules before it, `|` for a pause.
#[test]
fn port_5060_ends_messages_at_line_feed_or_pause() {
    let cases: &[(&[&str], &[Owned])] = &[
        (&["IDN?"], &[pause("IDN?")]),
        (&["IDN?\n"], &[line("IDN?")]),
        (&["*IDN?\n"], &[line("*IDN?")]),
        (&["SRV:ECHO a  b"], &[pause("SRV:ECHO a  b")]),
        (&["SRV:ECHO a;b\n"], &[line("SRV:ECHO a;b")]),
        (&["CAM:CONF:SS 10000"], &[pause("CAM:CONF:SS 10000")]),
        (
            &["CAM:CONF:SS 1000", "0"],
            &[pause("CAM:CONF:SS 1000"), pause("0")],
        ),
        (&["*ESE 32;*ESE?\n"], &[line("*ESE 32;*ESE?")]),
        (
            &["SRV:PATH:RDDIR?\n*OPC?\n"],
            &[line("SRV:PATH:RDDIR?"), line("*OPC?")],
        ),
        // One reply for a query whose LF comes late; a CR is dropped, blanks are nothing.
        (&["IDN?", "\n"], &[pause("IDN?")]),
        (&["IDN?", "\r\n"], &[pause("IDN?")]),
        (&["IDN?\r\n"], &[line("IDN?")]),
        (&["NOSUCH\r"], &[pause("NOSUCH")]),
        (&[" ", "\r", "\n", " \t\r\n"], &[]),
        (&["IDN? "], &[pause("IDN? ")]),
        // Messages of the dialect hold no blocks, other messages do.
        (
            &["CAP:SEQFET #15 1\nIDN?\n"],
            &[line("CAP:SEQFET #15 1"), line("IDN?")],
        ),
        (
            &["SRV:ECHO #15\nIDN?\n"],
            &[line("SRV:ECHO #15"), line("IDN?")],
        ),
        (
            &["SYST:ECHO? #15a\nb\nc\n"],
            &[line("SYST:ECHO? #15a\nb\nc")],
        ),
        // A CR at the end of a block is data.
        (&["X #13a\n\r\n"], &[line("X #13a\n\r")]),
        (&["X #13a\n\r\r\n"], &[line("X #13a\n\r")]),
        // The pause ends a message even within a block.
        (&["X #15a\n", "IDN?\n"], &[pause("X #15a\n"), line("IDN?")]),
    ];
    for (input, frames) in cases {
        let input: Vec<&[u8]> = input.iter().map(|burst| burst.as_bytes()).collect();
        assert_eq!(bursts(&input, usize::MAX), *frames, "{input:?}");
    }
}

#[test]
fn two_queries_in_one_burst_are_one_message() {
    assert_eq!(bursts(&[b"IDN?IDN?"], usize::MAX), [pause("IDN?IDN?")]);
    // In two segments the first is answered at once.
    assert_eq!(bursts(&[b"IDN?IDN?"], 4), [pause("IDN?"), pause("IDN?")]);
    for header in [
        "SRV:CLOSE",
        "SRV:PATH:IMDIR?",
        "SRV:PATH:RDDIR?",
        "SRV:PATH:SDDIR?",
    ] {
        let mut framer = DualFramer::new();
        framer.push(header.as_bytes());
        assert_eq!(framer.next().map(Owned::from), Some(pause(header)));
        assert!(!framer.waiting_to_settle());
    }
}

#[test]
fn the_settle_time_starts_again_with_every_segment() {
    let mut framer = DualFramer::new();
    framer.push(b"CAM:CONF:SS 1000");
    assert!(framer.next().is_none() && framer.waiting_to_settle());
    framer.settle();
    framer.push(b"0");
    assert!(framer.next().is_none() && framer.waiting_to_settle());
    framer.settle();
    assert_eq!(
        framer.next().map(Owned::from),
        Some(pause("CAM:CONF:SS 10000"))
    );
    assert!(framer.next().is_none() && !framer.waiting_to_settle());
}

#[test]
fn over_long_messages_of_5060_end_at_line_feed_or_pause() {
    let long = "x".repeat(20_000);
    let echo = format!("SRV:ECHO {long}");
    let overrun = |terminated, legacy| Owned::Overrun { terminated, legacy };
    for piece in [usize::MAX, 1, 1448] {
        assert_eq!(
            bursts(&[long.as_bytes(), b"IDN?"], piece),
            [overrun(false, false), pause("IDN?")]
        );
        assert_eq!(bursts(&[echo.as_bytes()], piece), [overrun(false, true)]);
        let both = format!("{echo}\n{long}\n*IDN?\n");
        assert_eq!(
            bursts(&[both.as_bytes()], piece),
            [overrun(true, true), overrun(true, false), line("*IDN?")]
        );
    }
    let echo = format!("SRV:ECHO {}", "x".repeat(5000));
    assert_eq!(bursts(&[echo.as_bytes()], usize::MAX), [pause(&echo)]);
}

/// Input that is likely to hit every state of the scanner.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::sample::select(&b"\n\r\t ;,:#?*\"'()0123459aE.-"[..]).prop_map(|b| vec![b]),
        1 => any::<u8>().prop_map(|b| vec![b]),
        1 => proptest::sample::select(vec![" #15", " #3012", ",#216", "SRV:ECHO ", "*ESE ", " #9999999999"])
            .prop_map(|s| s.as_bytes().to_vec()),
        1 => (0usize..9000).prop_map(|n| vec![b'x'; n]),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_of_any_input_gives_the_same_messages(
        input in hostile(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let whole = lines([input.as_slice()]);
        prop_assert_eq!(&lines(input.chunks(1)), &whole);
        let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(input.len());
        let mut start = 0;
        let chunks = cuts.iter().map(|&end| &input[std::mem::replace(&mut start, end)..end]);
        prop_assert_eq!(&lines(chunks), &whole);
    }

    #[test]
    fn any_split_of_a_burst_gives_the_same_messages(input in hostile(), piece in 1usize..50) {
        // Headers that are answered at once depend on the segments by design.
        prop_assume!(!input.windows(4).any(|w| w == b"IDN?"));
        let whole = bursts(&[&input], usize::MAX);
        prop_assert_eq!(&bursts(&[&input], piece), &whole);
        prop_assert_eq!(&bursts(&[&input], 1), &whole);
    }

    #[test]
    fn memory_stays_bounded(input in hostile(), piece in 1usize..4096) {
        let (mut line, mut dual) = (LineFramer::new(), DualFramer::new());
        for _ in 0..8 {
            for chunk in input.chunks(piece) {
                line.push(chunk);
                while line.next().is_some() {}
                dual.push(chunk);
                while dual.next().is_some() {}
                // A vector at most doubles when it grows.
                let most = 2 * (MAX_MESSAGE + 4096);
                prop_assert!(line.capacity() <= most && dual.capacity() <= most);
            }
        }
    }
}
