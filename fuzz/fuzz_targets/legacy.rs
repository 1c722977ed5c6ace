//! Any message of port 5060 has a grammar; arguments are the message without its header, and numbers print back.
//!
//! The first byte of the input tells whether the message is terminated.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::scpi::legacy::{Grammar, HEADERS, classify, parse_float, parse_int};

fuzz_target!(|data: &[u8]| {
    let Some((&end, message)) = data.split_first() else {
        return;
    };
    if let Grammar::Legacy { header, arguments } = classify(message, end & 1 == 1) {
        let joined = arguments.iter().collect::<Vec<_>>().join(&b' ');
        assert_eq!(joined, arguments.raw());
        let name = message.split(|&b| b == b' ').next().unwrap_or_default();
        assert!(HEADERS.contains(&(std::str::from_utf8(name).expect("a header"), header)));
        for i in 0..6 {
            let _ = (
                arguments.integers(i),
                arguments.reals(i),
                arguments.boolean(i),
            );
        }
    }
    if let Ok(text) = std::str::from_utf8(message) {
        if let Ok(value) = parse_int(text) {
            assert_eq!(parse_int(&value.to_string()), Ok(value));
        }
        if let Ok(value) = parse_float(text) {
            assert_eq!(parse_float(&value.to_string()), Ok(value));
        }
    }
});
