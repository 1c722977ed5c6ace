//! The SCPI reference's worked messages, run through parser, tree, checks and status with a small command table.

use outpost::scpi::grammar::units;
use outpost::scpi::tree::PathState;
use outpost::scpi::{
    Args, Command, Error, Kind, NumericRange, Param, Range, Reply, Status, Tree, Unit,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Handler {
    Clear,
    Identity,
    SetEse,
    Ese,
    SetSre,
    Sre,
    Stb,
    Esr,
    Version,
    NextError,
    ErrorCount,
    Exposure,
}

const MASK: Range = Range::Plain(0.0, 255.0);

const fn row(header: &'static str, params: &'static [Param], handler: Handler) -> Command<Handler> {
    Command {
        header,
        params,
        instrument: "system",
        help: "",
        handler,
    }
}

const ENABLE: &[Param] = &[Param::new(
    "mask",
    Kind::Integer {
        range: MASK,
        unit: None,
    },
)];

const TABLE: &[Command<Handler>] = &[
    row("*CLS", &[], Handler::Clear),
    row("*IDN?", &[], Handler::Identity),
    row("*ESE", ENABLE, Handler::SetEse),
    row("*ESE?", &[], Handler::Ese),
    row("*SRE", ENABLE, Handler::SetSre),
    row("*SRE?", &[], Handler::Sre),
    row("*STB?", &[], Handler::Stb),
    row("*ESR?", &[], Handler::Esr),
    row("SYSTem:VERSion?", &[], Handler::Version),
    row("SYSTem:ERRor[:NEXT]?", &[], Handler::NextError),
    row("SYSTem:ERRor:COUNt?", &[], Handler::ErrorCount),
    row(
        "CAMera:CONFigure:SS",
        &[Param::new(
            "exposure",
            Kind::Integer {
                range: Range::Live,
                unit: Some(Unit::MICROSECOND),
            },
        )],
        Handler::Exposure,
    ),
];

fn live(_: &Command<Handler>, _: usize) -> NumericRange {
    NumericRange {
        min: 0.0,
        max: 250_000.0,
        default: 10_000.0,
    }
}

/// A connection as a server would hold it.
struct Session {
    tree: Tree<Handler>,
    status: Status,
    reply: Reply,
    exposure_us: i64,
}

impl Session {
    fn new() -> Self {
        let mut status = Status::new();
        status.clear();
        Self {
            tree: Tree::new(&[TABLE]),
            status,
            reply: Reply::new(),
            exposure_us: 0,
        }
    }

    fn run(&mut self, message: &[u8]) -> String {
        let mut path = PathState::default();
        for unit in units(message) {
            let outcome = unit.and_then(|unit| self.tree.resolve(&mut path, &unit, &live));
            self.reply.begin_unit();
            match outcome {
                Ok((found, args)) => self.handle(found.command.handler, &args),
                Err(error) => self.status.error(error),
            }
        }
        self.reply.end_message(b"\n");
        let text = String::from_utf8(self.reply.bytes().to_vec()).unwrap();
        self.reply.clear();
        text
    }

    fn handle(&mut self, handler: Handler, args: &Args<'_>) {
        let (status, reply) = (&mut self.status, &mut self.reply);
        match handler {
            Handler::Clear => status.clear(),
            Handler::Identity => _ = reply.word("maker,model,0,0"),
            Handler::SetEse => status.ese = args.integer(0) as u8,
            Handler::Ese => _ = reply.integer(status.ese),
            Handler::SetSre => status.set_sre(args.integer(0) as u8),
            Handler::Sre => _ = reply.integer(status.sre()),
            Handler::Stb => _ = reply.integer(status.stb(reply.answered())),
            Handler::Esr => _ = reply.integer(status.take_esr()),
            Handler::Version => _ = reply.word("1999.0"),
            Handler::NextError => _ = reply.error(&status.errors.pop()),
            Handler::ErrorCount => _ = reply.integer(status.errors.len() as u64),
            Handler::Exposure => self.exposure_us = args.integer(0),
        }
    }
}

/// Message, response, error numbers in the queue afterwards.
const VECTORS: &[(&str, &str, &[i16])] = &[
    ("*ESE 31.6;*ESE?", "32\n", &[]),
    ("*ESE 8;*ESE 256;*ESE?", "8\n", &[-222]),
    ("*SRE 255;*SRE?", "191\n", &[]),
    ("SYST:VERS?;*ESE?;ERR?", "1999.0;0;0,\"No error\"\n", &[]),
    ("SYST:VERS?;SYST:ERR?", "1999.0\n", &[-113]),
    (":*ESE?", "", &[-102]),
    ("*ESE #13abc", "", &[-168]),
    ("*ESE \"1\"", "", &[-158]),
    ("*ESE 1V", "", &[-138]),
    ("*IDN? 12", "", &[-108]),
    ("*FOO;*ESE?", "0\n", &[-113]),
    ("*ESE 32;*SRE 32;*FOO;*STB?", "100\n", &[-113]),
    ("SYST:ERR:COUN?", "0\n", &[]),
    // Sections 2 to 4.
    ("*ESE 1 2", "", &[-103]),
    ("*ESE ?", "", &[-102]),
    ("*ESE", "", &[-109]),
    ("*ESE 1,2", "", &[-108]),
    ("*ESE 3.2E1;*ESE?", "32\n", &[]),
    ("*ESE 0.3E+2;*ESE?", "30\n", &[]),
    ("*ESE 3.2 e +1 ;*ESE?", "32\n", &[]),
    (
        "*ESE #H20;*ESE?;*ESE #q40;*ESE?;*ESE #B100000;*ESE?",
        "32;32;32\n",
        &[],
    ),
    ("*ESE ABC", "", &[-104]),
    ("*ESE 1E99999", "", &[-123]),
    ("*ESE (1)", "", &[-178]),
    ("*ESE #0abc", "", &[-161]),
    ("*ESE \"1", "", &[-151]),
    ("*ESE 1\u{1}", "", &[-101]),
    ("SYST::ERR?", "", &[-102]),
    ("*", "", &[-102]),
    ("SYSTE:ERR?", "", &[-113]),
    ("SYS:ERR?", "", &[-113]),
    ("SYST1:ERR?", "", &[-113]),
    ("syst:err?", "0,\"No error\"\n", &[]),
    ("SYSTEM:ERROR:NEXT?;COUN?", "0,\"No error\";0\n", &[]),
    ("SYST:VERS?;:SYST:VERS?", "1999.0;1999.0\n", &[]),
    ("*RST?;*IDN", "", &[-113, -113]),
    ("SYST:ERR", "", &[-113]),
    ("ABCDEFGHIJKLM?", "", &[-112]),
    ("*ESE\"1\"", "", &[-111]),
    (";;*ESE?; ;*ESE?;", "0;0\n", &[]),
    (" \t*ESE?\r", "0\n", &[]),
];

#[test]
fn the_reference_vectors_answer_byte_for_byte() {
    for (message, response, errors) in VECTORS {
        let mut session = Session::new();
        assert_eq!(session.run(message.as_bytes()), *response, "{message}");
        let queue: Vec<i16> = std::iter::from_fn(|| {
            let number = session.status.errors.pop().number();
            (number != 0).then_some(number)
        })
        .collect();
        assert_eq!(queue, *errors, "{message}");
    }
}

#[test]
fn the_queue_names_header_and_range() {
    let mut session = Session::new();
    session.run(b"*ESE 256;FOO:BAR?");
    assert_eq!(
        session.run(b"SYST:ERR?"),
        "-222,\"Data out of range;*ESE 0..255\"\n"
    );
    assert_eq!(
        session.run(b"SYST:ERR?"),
        "-113,\"Undefined header;FOO:BAR?\"\n"
    );
    session.run(b"CAM:CONF:SS 1S");
    assert_eq!(
        session.run(b"SYST:ERR?"),
        "-222,\"Data out of range;CAM:CONF:SS 0..250000\"\n"
    );
}

#[test]
fn one_exposure_has_many_spellings() {
    let spellings = [
        "10000", "10000US", "10MS", "10 ms", "0.01S", "1E4", "#H2710", "DEF", "DEFAULT",
    ];
    for spelling in spellings {
        let mut session = Session::new();
        assert_eq!(
            session.run(format!("CAM:CONF:SS {spelling}").as_bytes()),
            ""
        );
        assert_eq!(session.exposure_us, 10_000, "{spelling}");
    }
    let mut session = Session::new();
    session.run(b"CAM:CONF:SS MAX");
    assert_eq!(session.exposure_us, 250_000);
    for (bad, number) in [("1V", -131), ("1ABCDEFGHIJKLM", -134), ("DEFA", -104)] {
        session.run(format!("CAM:CONF:SS {bad}").as_bytes());
        assert_eq!(session.status.errors.pop().number(), number, "{bad}");
        assert_eq!(session.exposure_us, 250_000);
    }
}

#[test]
fn an_unknown_header_leaves_the_path_where_it_was() {
    let mut session = Session::new();
    assert_eq!(session.run(b"SYST:VERS?;FOO?;VERS?"), "1999.0;1999.0\n");
    // A rejected parameter does not: the header was found.
    assert_eq!(session.run(b"SYST:VERS? 1;VERS?"), "1999.0\n");
}

#[test]
fn errors_set_their_event_bits_when_queued() {
    let mut session = Session::new();
    session.run(b"*FOO;*ESE 256");
    assert_eq!(session.run(b"*ESR?;*ESR?"), "48;0\n");
    assert_eq!(session.status.errors.pop(), Error::new(-113).with("*FOO"));
}
