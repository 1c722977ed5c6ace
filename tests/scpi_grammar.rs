//! Units, headers and parameters: tables of bytes and meaning, and text that prints back to itself.

use outpost::scpi::error::Error;
use outpost::scpi::grammar::{Header, only_queries, units};
use outpost::scpi::token::Token;
use proptest::prelude::*;

/// The parameters of `text`, or the number of the first error.
fn params(text: &[u8]) -> Result<Vec<Token<'_>>, i16> {
    outpost::scpi::token::Params::new(text)
        .collect::<Result<_, Error>>()
        .map_err(|e| e.number())
}

fn text_of(token: &Token<'_>) -> String {
    match token {
        Token::Number(n) => format!(
            "{}{}",
            n.value(0),
            n.suffix.map_or(String::new(), |s| format!(" {s}"))
        ),
        Token::NonDecimal(n) => format!("#{n}"),
        Token::Name(name) => format!("name {name}"),
        Token::Word(w) => (*w).to_owned(),
        Token::Str(s) => format!("{:?}", String::from_utf8_lossy(s)),
        Token::Block(b) => format!("<{}>", b.escape_ascii()),
        Token::Expression(e) => format!("({e})"),
    }
}

#[test]
fn parameters_have_their_types() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &[]),
        (b" \t\r", &[]),
        (b"12", &["12"]),
        (b" +12 , -1.5\t,.5,5.", &["12", "-1.5", "0.5", "5"]),
        (b"1.5E3,1.5 e -3,1e+2", &["1500", "0.0015", "100"]),
        (
            b"10 MS,10us,1E3HZ,1 EX",
            &["10 MS", "10 us", "1000 HZ", "1 EX"],
        ),
        (b"2EV,2 E,1 e", &["2 EV", "2 E", "1 e"]),
        (b"#H20,#q40,#b100000,#HfF", &["#32", "#32", "#32", "#255"]),
        (b"#HFFFFFFFFFFFFFFFF", &["#18446744073709551615"]),
        (b"MIN,raw,L0,a_b", &["MIN", "raw", "L0", "a_b"]),
        (
            b"\"a\"\"b\",'it''s',\"it's\",''",
            &["\"a\\\"b\"", "\"it's\"", "\"it's\"", "\"\""],
        ),
        (
            b"#15hello , #13,;\n,#10,1",
            &["<hello>", "<,;\\n>", "<>", "1"],
        ),
        (b"(1,2),(a(b)c),()", &["(1,2)", "(a(b)c)", "()"]),
        (b"0000000000000000000000000001", &["1"]),
        (b"18446744073709551616", &["18446744073709552000"]),
        (b"1E400,-1E400,1E-400", &["inf", "-inf", "0"]),
    ];
    for (text, expected) in cases {
        let found = params(text).map(|list| list.iter().map(text_of).collect::<Vec<_>>());
        let expected: Vec<String> = expected.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(found, Ok(expected), "{}", text.escape_ascii());
    }
}

#[test]
fn malformed_parameters_have_their_numbers() {
    let long_mantissa = [b"1".repeat(256), b"0".repeat(300)].map(|d| d.to_vec());
    assert_eq!(params(&long_mantissa[0]), Err(-124));
    assert_eq!(params(&b"1".repeat(255)).map(|p| p.len()), Ok(1));
    assert_eq!(
        params(&long_mantissa[1]).map(|p| text_of(&p[0])),
        Ok("0".into())
    );
    let cases: &[(&[u8], i16)] = &[
        (b"1 2", -103),
        (b"2E V", -103),
        (b"MIN MAX", -103),
        (b"\"a\" \"b\"", -103),
        (b"\"a\"x", -103),
        (b"#13abcd", -103),
        (b"?", -102),
        (b"1,?", -102),
        (b"=", -102),
        (b"1,,2", -109),
        (b"1,", -109),
        (b",1", -109),
        (b"1\x01", -101),
        (b"\x80", -101),
        (b"1\x0b", -101),
        (b"MIN\xff", -101),
        (b"(\x01)", -101),
        (b"1.2.3", -121),
        (b"--1", -121),
        (b"+", -121),
        (b".", -121),
        (b"1%", -121),
        (b"#HG", -121),
        (b"#B102", -121),
        (b"#Q8", -121),
        (b"#H", -121),
        (b"#H1-", -121),
        (b"#H10000000000000000", -222),
        (b"1E32001", -123),
        (b"1E-99999999999", -123),
        (b"1 ABCDEFGHIJKLM", -134),
        (b"ABCDEFGHIJKLM", -144),
        (b"ON!", -141),
        (b"\"abc", -151),
        (b"'abc\"", -151),
        (b"\"a\nb\"", -151),
        (b"#", -161),
        (b"#x", -161),
        (b"#0abc", -161),
        (b"#15hell", -161),
        (b"#2a5hello", -161),
        (b"#9", -161),
        (b"(1,2", -171),
        (b"((1)", -171),
        (b")", -102),
    ];
    for (text, number) in cases {
        assert_eq!(params(text), Err(*number), "{}", text.escape_ascii());
    }
}

fn number(text: &str) -> outpost::scpi::token::Number<'_> {
    match params(text.as_bytes()).as_deref() {
        Ok([Token::Number(number)]) => *number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn integers_round_halves_away_from_zero() {
    let cases = [
        ("31.6", 0, Some(32)),
        ("0.5", 0, Some(1)),
        ("-0.5", 0, Some(-1)),
        ("2.5", 0, Some(3)),
        ("-2.5", 0, Some(-3)),
        ("0.49999999999999999999", 0, Some(0)),
        ("9223372036854775807", 0, Some(i64::MAX)),
        ("-9223372036854775808", 0, Some(i64::MIN)),
        ("9223372036854775808", 0, None),
        ("1E30", 0, None),
        ("0E32000", 0, Some(0)),
        ("1E-32000", 0, Some(0)),
        ("0.01", 6, Some(10_000)),
        ("10", 3, Some(10_000)),
        ("12345678901234567890.5", -10, Some(1_234_567_890)),
        ("1.15", 2, Some(115)),
    ];
    for (text, scale, value) in cases {
        assert_eq!(number(text).integer(scale), value, "{text}");
    }
}

#[test]
fn units_are_cut_at_semicolons_that_are_not_data() {
    let headers = |message: &[u8]| -> Vec<Result<String, i16>> {
        units(message)
            .map(|unit| unit.map(|u| u.header.to_string()).map_err(|e| e.number()))
            .collect()
    };
    let ok = |names: &[&str]| -> Vec<Result<String, i16>> {
        names.iter().map(|name| Ok((*name).to_owned())).collect()
    };
    assert_eq!(headers(b" ; ;\t;"), []);
    assert_eq!(headers(b"A;:B:C?;*D"), ok(&["A", ":B:C?", "*D"]));
    assert_eq!(
        headers(b"A \";\";B ';';C #13;;;;D (;)"),
        ok(&["A", "B", "C", "D"])
    );
    assert_eq!(headers(b"A \"x;B"), ok(&["A"]));
    // An open parenthesis does not swallow what follows.
    assert_eq!(headers(b"A (1;B;C (2"), ok(&["A", "B", "C"]));
    assert_eq!(headers(b"A don't;B"), ok(&["A", "B"]));
    for (bad, number) in [
        ("SYST::ERR?", -102),
        ("SYST:", -102),
        (":*IDN?", -102),
        ("*", -102),
        (":", -102),
        ("?", -102),
        ("1A", -102),
        ("A??", -111),
        ("A?:B", -111),
        ("*A:B", -111),
        ("A,1", -111),
        ("A\"x\"", -111),
        ("A\u{1}", -101),
        ("\u{e9}", -101),
    ] {
        let message = format!("{bad};B");
        assert_eq!(
            headers(message.as_bytes()),
            [Err(number), Ok("B".into())],
            "{bad}"
        );
    }
}

#[test]
fn headers_have_nodes_with_suffixes() {
    let (header, rest) = Header::parse(b":OUTP12:ABCDEFGHIJKL99999999999? 1").unwrap();
    assert_eq!(rest, b" 1");
    assert!(header.is_query() && header.is_absolute() && !header.is_common());
    let nodes: Vec<_> = header.nodes().map(|n| (n.name, n.suffix)).collect();
    assert_eq!(
        nodes,
        [("OUTP", Some(12)), ("ABCDEFGHIJKL", Some(u32::MAX))]
    );
}

#[test]
fn half_a_command_is_no_query() {
    assert!(only_queries(b"*IDN?;SYST:ERR? ;"));
    for message in ["", ";", "*CLS", "*IDN?;*CLS", "CAM:CONF:SS 10", "A??"] {
        assert!(!only_queries(message.as_bytes()), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_the_parser_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
        for unit in units(&message).flatten() {
            for token in unit.params() {
                if let Ok(Token::Number(number)) = token {
                    let _ = (number.value(-18), number.value(18), number.integer(-18), number.integer(18));
                }
            }
        }
    }

    #[test]
    fn text_of_the_grammar_never_panics(
        message in "[ \t;:,?*#A-Fa-f0-9.+\"'()-]{0,80}"
    ) {
        for unit in units(message.as_bytes()).flatten() {
            // A header prints back to what reads the same.
            let printed = unit.header.to_string();
            let (again, rest) = Header::parse(printed.as_bytes()).unwrap();
            prop_assert_eq!(again, unit.header);
            prop_assert!(rest.is_empty());
            unit.params().for_each(drop);
        }
    }

    #[test]
    fn numbers_read_as_the_standard_library_reads_them(value in any::<f64>()) {
        prop_assume!(value.is_finite());
        for text in [format!("{value}"), format!("{value:e}"), format!("{value:E}")] {
            // Fixed notation of extreme values has more digits than a mantissa may have.
            if let Ok(list) = params(text.as_bytes()) {
                let [Token::Number(number)] = list[..] else { panic!("{list:?}") };
                prop_assert_eq!(number.value(0).to_bits(), value.to_bits());
            }
        }
    }

    #[test]
    fn an_integer_is_the_nearest_to_its_number(value in -1e15f64..1e15) {
        let text = format!("{value}");
        let integer = number(&text).integer(0).unwrap();
        prop_assert_eq!(integer as f64, value.round());
    }

    #[test]
    fn units_scale_in_decimal(mantissa in 0u64..1_000_000_000, scale in -18i32..18) {
        let text = format!("{mantissa}");
        let expected: f64 = format!("{mantissa}e{scale}").parse().unwrap();
        prop_assert_eq!(number(&text).value(scale), expected);
    }

    #[test]
    fn strings_and_blocks_carry_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut text = format!("#3{:03}", data.len()).into_bytes();
        text.extend(&data);
        text.extend(b" ,1");
        let list = params(&text).unwrap();
        prop_assert_eq!(&list[0], &Token::Block(&data));
        prop_assert_eq!(list.len(), 2);

        let data: Vec<u8> = data.into_iter().filter(|&b| b != b'\n').collect();
        for quote in *b"\"'" {
            let mut text = vec![quote];
            for &byte in &data {
                text.push(byte);
                if byte == quote {
                    text.push(byte);
                }
            }
            text.push(quote);
            let list = params(&text).unwrap();
            prop_assert_eq!(&list[0], &Token::Str(data.as_slice().into()));
        }
    }
}
