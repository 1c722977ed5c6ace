//! The command table: look-up, argument checks and the texts made of it.

use outpost::scpi::args::Value;
use outpost::scpi::grammar::units;
use outpost::scpi::tree::PathState;
use outpost::scpi::{
    Command, Error, Kind, Limit, Need, NumericRange, Param, Range, Tree, Unit, help,
};
use proptest::prelude::*;

type Row = Command<u32>;

const fn row(header: &'static str, params: &'static [Param], handler: u32) -> Row {
    Command {
        header,
        params,
        instrument: "camera",
        help: "Does it.",
        handler,
    }
}

const FORMATS: &[&str] = &["raw", "npy", "CELSius", "L0"];
const GAIN: Range = Range::Fixed {
    min: 1.0,
    max: 22.5,
    default: 1.0,
};
const ANY: Range = Range::Plain(-99.0, 99.0);
const INTEGER: Kind = Kind::Integer {
    range: ANY,
    unit: None,
};

const TABLE: &[Row] = &[
    row("*RST", &[], 0),
    row(
        "CAMera:CONFigure:AG",
        &[Param::new(
            "gain",
            Kind::Real {
                range: GAIN,
                unit: None,
            },
        )],
        1,
    ),
    row(
        "CAMera:CONFigure:AG?",
        &[Param::optional("limit", Kind::MinMaxDef)],
        2,
    ),
    row(
        "CAMera:FORMat",
        &[Param::list(
            "format",
            Kind::Choice(FORMATS),
            Need::Between(1, 3),
        )],
        3,
    ),
    row(
        "SRV:IMG:BCLP",
        &[Param::list("window", INTEGER, Need::OneOf(&[2, 4]))],
        4,
    ),
    row(
        "CAP:SEQFET",
        &[
            Param::new("prefix", Kind::Text { max: 10 }),
            Param::new(
                "exposures",
                Kind::NumberList {
                    range: Range::Plain(0.0, 250_000.0),
                    unit: Some(Unit::MICROSECOND),
                    max: 3,
                    integer: true,
                },
            ),
            Param::new("count", INTEGER),
            Param::optional("log", Kind::Bool),
        ],
        5,
    ),
    row(
        "THERmal:CCI:WRITe",
        &[
            Param::new("command", INTEGER),
            Param::new("data", Kind::Block { max: 4 }),
        ],
        6,
    ),
    row(
        "OUTPut<1..4>[:CHANnel<2..3>]:STATe",
        &[Param::new("on", Kind::Bool)],
        7,
    ),
    row("STATus:OPERation[:EVENt]?", &[], 8),
    row("STATus:OPERation:CONDition?", &[], 9),
    row(
        "[SOURce:]VOLTage",
        &[Param::new(
            "voltage",
            Kind::Real {
                range: Range::Live,
                unit: Some(Unit::VOLT),
            },
        )],
        10,
    ),
];

fn live(command: &Row, index: usize) -> NumericRange {
    assert_eq!((command.handler, index), (10, 0));
    NumericRange {
        min: 0.0,
        max: 12.0,
        default: 5.0,
    }
}

/// The outcome of each unit: row and values, or an error.
fn run(message: &str) -> Vec<Result<(u32, Vec<Value<'static>>), i16>> {
    let tree = Tree::new(&[TABLE]);
    let mut path = PathState::default();
    units(message.as_bytes())
        .map(|unit| {
            let unit = unit.map_err(|e| e.number())?;
            let (found, args) = tree
                .resolve(&mut path, &unit, &live)
                .map_err(|e| e.number())?;
            let owned = args.values().iter().map(|value| match value {
                Value::Integer(v) => Value::Integer(*v),
                Value::Real(v) => Value::Real(*v),
                Value::Bool(v) => Value::Bool(*v),
                Value::Choice(v) => Value::Choice(*v),
                Value::Text(text) => Value::Text(text.to_string().into()),
                Value::Block(data) => Value::Block(data.to_vec().leak()),
                Value::List(list) => Value::List(list.clone()),
                Value::Limit(limit) => Value::Limit(*limit),
            });
            Ok((found.command.handler, owned.collect()))
        })
        .collect()
}

#[test]
fn parameters_become_typed_values() {
    use Value::*;
    let cases: &[(&str, u32, &[Value])] = &[
        ("*rst", 0, &[]),
        ("CAM:CONF:AG 2.5", 1, &[Real(2.5)]),
        ("CAM:CONF:AG max", 1, &[Real(22.5)]),
        ("CAM:CONF:AG #B10", 1, &[Real(2.0)]),
        ("CAMERA:CONFIGURE:AG?", 2, &[]),
        (
            "cam:conf:ag? DEFault",
            2,
            &[Value::Limit(self::Limit::Default)],
        ),
        ("CAM:FORM raw", 3, &[Choice(0)]),
        (
            "CAM:FORM NPY,cels,CELSIUS",
            3,
            &[Choice(1), Choice(2), Choice(2)],
        ),
        ("CAM:FORM l0", 3, &[Choice(3)]),
        ("SRV:IMG:BCLP 1,2", 4, &[Integer(1), Integer(2)]),
        (
            "SRV:IMG:BCLP 1,2,3,-4",
            4,
            &[Integer(1), Integer(2), Integer(3), Integer(-4)],
        ),
        (
            "CAP:SEQFET 'a''b',(1000, 10MS,0.4),3,ON",
            5,
            &[
                Text("a'b".into()),
                List(vec![1000.0, 10_000.0, 0.0]),
                Integer(3),
                Bool(true),
            ],
        ),
        (
            "CAP:SEQFET \"p\",5,3",
            5,
            &[Text("p".into()), List(vec![5.0]), Integer(3)],
        ),
        (
            "CAP:SEQFET \"p\",5,3,0.4",
            5,
            &[Text("p".into()), List(vec![5.0]), Integer(3), Bool(false)],
        ),
        (
            "CAP:SEQFET \"p\",5,3,-0.5",
            5,
            &[Text("p".into()), List(vec![5.0]), Integer(3), Bool(true)],
        ),
        ("THER:CCI:WRIT 1,#14a;,b", 6, &[Integer(1), Block(b"a;,b")]),
        ("VOLT 500mV", 10, &[Real(0.5)]),
        ("SOUR:VOLT DEF", 10, &[Real(5.0)]),
    ];
    for (message, handler, values) in cases {
        assert_eq!(run(message), [Ok((*handler, values.to_vec()))], "{message}");
    }
}

#[test]
fn wrong_parameters_have_their_numbers_and_no_effect() {
    let cases = [
        ("*RST 1", -108),
        ("CAM:CONF:AG", -109),
        ("CAM:CONF:AG 1,2", -108),
        ("CAM:CONF:AG 0.99", -222),
        ("CAM:CONF:AG 22.6", -222),
        ("CAM:CONF:AG 1E400", -222),
        ("CAM:CONF:AG 1S", -138),
        ("CAM:CONF:AG HIGH", -104),
        ("CAM:CONF:AG \"1\"", -158),
        ("CAM:CONF:AG #11a", -168),
        ("CAM:CONF:AG (1)", -178),
        ("CAM:CONF:AG? 1", -128),
        ("CAM:CONF:AG? HIGH", -224),
        ("CAM:CONF:AG? MIN,MAX", -108),
        ("CAM:FORM", -109),
        ("CAM:FORM raw,raw,raw,raw", -108),
        ("CAM:FORM jpeg", -224),
        ("CAM:FORM CELSI", -224),
        ("CAM:FORM 1", -128),
        ("CAM:FORM \"raw\"", -158),
        ("CAM:FORM raw,", -109),
        ("SRV:IMG:BCLP 1", -109),
        ("SRV:IMG:BCLP 1,2,3", -115),
        ("SRV:IMG:BCLP 1,2,3,4,5", -108),
        ("SRV:IMG:BCLP 1,1E30", -222),
        ("SRV:IMG:BCLP MIN,1", -104),
        ("CAP:SEQFET p,5,3", -148),
        ("CAP:SEQFET 1,5,3", -128),
        ("CAP:SEQFET \"12345678901\",5,3", -223),
        ("CAP:SEQFET \"p\"", -109),
        ("CAP:SEQFET \"p\",(),3", -171),
        ("CAP:SEQFET \"p\",(1,2,3,4),3", -223),
        ("CAP:SEQFET \"p\",(1,250001),3", -222),
        ("CAP:SEQFET \"p\",(1,2V),3", -131),
        ("CAP:SEQFET \"p\",(1 2),3", -171),
        ("CAP:SEQFET \"p\",(1,?),3", -171),
        ("CAP:SEQFET \"p\",(1,2,3", -171),
        ("CAP:SEQFET \"p\",5,3,yes", -224),
        ("CAP:SEQFET \"p\",5,3,1S", -138),
        ("THER:CCI:WRIT 1,#15abcde", -223),
        ("THER:CCI:WRIT 1,#0abc", -161),
        ("THER:CCI:WRIT 1,\"abc\"", -158),
        ("VOLT 13", -222),
        ("VOLT 1A", -131),
    ];
    for (message, number) in cases {
        assert_eq!(run(message), [Err(number)], "{message}");
    }
}

#[test]
fn headers_are_found_by_path_form_and_suffix() {
    let found = |message: &str| -> Vec<Result<u32, i16>> {
        let outcomes = run(message).into_iter();
        outcomes
            .map(|outcome| outcome.map(|(handler, _)| handler))
            .collect()
    };
    assert_eq!(found("STAT:OPER?;COND?"), [Ok(8), Err(-113)]);
    assert_eq!(
        found("STAT:OPER:EVEN?;COND?;:STAT:OPER?"),
        [Ok(8), Ok(9), Ok(8)]
    );
    assert_eq!(found("STAT:OPER:EVEN?;*RST;COND?"), [Ok(8), Ok(0), Ok(9)]);
    assert_eq!(found("*RST?"), [Err(-113)]);
    assert_eq!(found("STAT:OPER"), [Err(-113)]);
    assert_eq!(found("STAT"), [Err(-113)]);
    assert_eq!(found("OPER?"), [Err(-113)]);
    assert_eq!(found("OUTP:STAT 1;STAT 0"), [Ok(7), Ok(7)]);
    assert_eq!(found("OUTPUT4:CHAN3:STATE 1"), [Ok(7)]);
    for bad in [
        "OUTP5:STAT 1",
        "OUTP0:STAT 1",
        "OUTP1:CHAN1:STAT 1",
        "OUTP99999999999:STAT 1",
    ] {
        assert_eq!(found(bad), [Err(-114)], "{bad}");
    }
    for bad in [
        "STAT1:OPER?",
        "OUTP:STAT1 1",
        "SEQFET 1",
        "CAP:SEQF \"a\",1,1",
        "*RST1",
    ] {
        assert_eq!(found(bad), [Err(-113)], "{bad}");
    }
}

#[test]
fn suffixes_reach_the_handler_and_belong_to_the_path() {
    let tree = Tree::new(&[TABLE]);
    let mut path = PathState::default();
    let seen: Vec<_> = units(b"OUTP3:CHAN2:STAT 1;STAT 0;:OUTP:STAT 0")
        .map(|unit| {
            let found = tree.find(&mut path, &unit.unwrap().header).unwrap();
            (found.suffixes.get(0), found.suffixes.get(1))
        })
        .collect();
    assert_eq!(seen, [(3, 2), (3, 2), (1, 1)]);
}

#[test]
fn errors_name_the_place() {
    let tree = Tree::new(&[TABLE]);
    let error = |message: &str| -> String {
        let unit = units(message.as_bytes()).next().unwrap().unwrap();
        let outcome = tree.resolve(&mut PathState::default(), &unit, &live);
        outcome.unwrap_err().to_string()
    };
    for (message, printed) in [
        (
            "CAM:CONF:AG 0.5",
            "-222,\"Data out of range;CAM:CONF:AG 1..22.5\"",
        ),
        (
            "CAM:FORM jpeg",
            "-224,\"Illegal parameter value;CAM:FORM raw|npy|CELSius|L0\"",
        ),
        (
            "CAP:SEQFET \"p\"",
            "-109,\"Missing parameter;CAP:SEQFET exposures\"",
        ),
        (
            "CAP:SEQFET \"p\",(1),x",
            "-104,\"Data type error;CAP:SEQFET count x\"",
        ),
        ("NO:SUCH? 1", "-113,\"Undefined header;NO:SUCH?\""),
    ] {
        assert_eq!(error(message), printed);
    }
}

#[test]
fn the_table_explains_itself() {
    let tree = Tree::new(&[TABLE]);
    let list = help::headers(tree.commands());
    for entry in [
        "*RST/nquery/\n",
        ":CAMera:CONFigure:AG\n",
        ":STATus:OPERation[:EVENt]?/qonly/\n",
        "[SOURce:]VOLTage/nquery/\n",
        ":OUTPut<1..4>[:CHANnel<2..3>]:STATe/nquery/\n",
    ] {
        assert!(list.contains(entry), "{entry} in {list}");
    }
    assert_eq!(list.lines().count(), TABLE.len() - 1);
    let syntax = |header: &str| {
        let (command, query) = tree.forms(header);
        [command, query].map(|form| form.map(help::syntax))
    };
    assert_eq!(
        syntax("CAM:CONF:AG"),
        [
            Some("CAMera:CONFigure:AG <gain 1..22.5>|MIN|MAX|DEF".into()),
            Some("CAMera:CONFigure:AG? [MIN|MAX|DEF]".into()),
        ]
    );
    let cases = [
        ("*RST", "*RST"),
        ("CAM:FORM", "CAMera:FORMat raw|npy|CELSius|L0,..."),
        (
            "SRV:IMG:BCLP",
            "SRV:IMG:BCLP <window -99..99>,<window -99..99> | <window -99..99>,<window -99..99>,<window -99..99>,<window -99..99>",
        ),
        (
            "CAP:SEQFET",
            "CAP:SEQFET \"prefix\",(<exposures 0..250000 US>,...),<count -99..99>[,ON|OFF]",
        ),
        ("VOLT", "[SOURce:]VOLTage <voltage V>|MIN|MAX|DEF"),
        (
            "THER:CCI:WRIT",
            "THERmal:CCI:WRITe <command -99..99>,<data block>",
        ),
    ];
    for (header, expected) in cases {
        assert_eq!(syntax(header)[0].as_deref(), Some(expected));
    }
    assert_eq!(syntax("NO:SUCH"), [None, None]);
    assert_eq!(
        syntax(":STAT:OPER?")[1].as_deref(),
        Some("STATus:OPERation[:EVENt]?")
    );
    assert_eq!(
        help::table_row(&TABLE[1]),
        "| `CAMera:CONFigure:AG` | `<gain 1..22.5>\\|MIN\\|MAX\\|DEF` | camera | Does it. |"
    );
}

#[test]
fn mistakes_in_a_table_are_found_at_start() {
    const TWICE: &[Row] = &[row("A:B[:C]", &[], 0), row("A:B", &[], 1)];
    const SHARED: &[Row] = &[row("CALibrate", &[], 0), row("CALculate?", &[], 1)];
    const SHORT: &[Row] = &[row("CALibrate", &[], 0), row("CAL?", &[], 1)];
    const SUFFIXES: &[Row] = &[row("A<1..2>:B", &[], 0), row("A:C", &[], 1)];
    const RANGE: &[Row] = &[row("A<1-2>", &[], 0)];
    const LONG: &[Row] = &[row("ABCDEFGHIJKLMNOPQ", &[], 0)];
    const EMPTY: &[Row] = &[row("[:A]", &[], 0)];
    const ORDER: &[Row] = &[row(
        "A",
        &[Param::optional("a", INTEGER), Param::new("b", INTEGER)],
        0,
    )];
    const LIST: &[Row] = &[row(
        "A",
        &[
            Param::list("a", INTEGER, Need::Between(1, 2)),
            Param::new("b", INTEGER),
        ],
        0,
    )];
    for table in [
        TWICE, SHARED, SHORT, SUFFIXES, RANGE, LONG, EMPTY, ORDER, LIST,
    ] {
        let built = std::panic::catch_unwind(|| Tree::new(&[table]));
        assert!(built.is_err(), "{}", table[0].header);
    }
}

proptest! {
    #[test]
    fn checks_never_panic(
        row in 0..TABLE.len(),
        params in "[ ,#A-Ba-b0-9.+\"'()-]{0,40}|[A-Z0-9,.() ]{0,20}",
    ) {
        let message = format!("{} {params}", TABLE[row].short_header() + if TABLE[row].is_query() { "?" } else { "" });
        run(&message);
    }

    #[test]
    fn every_number_is_in_range_or_refused(value in -1e6f64..1e6) {
        let expected: Result<_, i16> = match (1.0..=22.5).contains(&value) {
            true => Ok((1, vec![Value::Real(value)])),
            false => Err(Error::new(-222).number()),
        };
        prop_assert_eq!(run(&format!("CAM:CONF:AG {value}")), [expected]);
    }
}
