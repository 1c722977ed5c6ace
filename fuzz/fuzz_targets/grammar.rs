//! Any message parses without a panic; a header prints back to what reads the same; checks never panic.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use outpost::scpi::grammar::{Header, units};
use outpost::scpi::token::Token;
use outpost::scpi::tree::PathState;
use outpost::scpi::{Command, Kind, Need, NumericRange, Param, Range, Tree, Unit, check};

const RANGE: Range = Range::Fixed {
    min: -10.0,
    max: 1e6,
    default: 1.0,
};

const fn row(header: &'static str, params: &'static [Param]) -> Command<()> {
    Command {
        header,
        params,
        instrument: "system",
        help: "",
        handler: (),
    }
}

const TABLE: &[Command<()>] = &[
    row(
        "*A",
        &[Param::new(
            "a",
            Kind::Integer {
                range: RANGE,
                unit: Some(Unit::MICROSECOND),
            },
        )],
    ),
    row(
        "B[:C]?",
        &[Param::list(
            "b",
            Kind::Real {
                range: Range::Live,
                unit: Some(Unit::HERTZ),
            },
            Need::OneOf(&[2, 4]),
        )],
    ),
    row(
        "B:D",
        &[
            Param::new("d", Kind::Text { max: 20 }),
            Param::optional("e", Kind::Bool),
        ],
    ),
    row(
        "E<1..4>",
        &[
            Param::new("e", Kind::Choice(&["MINimum", "raw"])),
            Param::new("f", Kind::Block { max: 9 }),
        ],
    ),
    row(
        "F",
        &[Param::list(
            "f",
            Kind::NumberList {
                range: RANGE,
                unit: None,
                max: 4,
                integer: true,
            },
            Need::Between(1, 3),
        )],
    ),
    row("F?", &[Param::optional("f", Kind::MinMaxDef)]),
];

static TREE: LazyLock<Tree<()>> = LazyLock::new(|| Tree::new(&[TABLE]));

fn live(_: &Command<()>, _: usize) -> NumericRange {
    NumericRange {
        min: 0.0,
        max: 5.0,
        default: 2.0,
    }
}

fuzz_target!(|message: &[u8]| {
    let mut path = PathState::default();
    for unit in units(message).flatten() {
        let printed = unit.header.to_string();
        let (again, rest) = Header::parse(printed.as_bytes()).expect("a printed header");
        assert_eq!(again, unit.header);
        assert!(rest.is_empty());
        for token in unit.params().flatten() {
            if let Token::Number(number) = token {
                let (value, integer) = (number.value(0), number.integer(0));
                if let Some(integer) = integer {
                    assert!((value - integer as f64).abs() <= 0.5 + value.abs() * 1e-15);
                }
            }
        }
        for command in TABLE {
            if let Err(error) = check(command, unit.params(), &live) {
                assert!(error.to_string().len() < 270);
            }
        }
        let _ = TREE.resolve(&mut path, &unit, &live);
    }
});
