//! Any datagrams, in both directions: bounded, never a panic, and nothing is handed out that did not come in.
//!
//! The input is cut into datagrams: a byte for the length, then as many bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::bitscope::proto::datagram::{Assembler, decode_request, encode_request};
use outpost::bitscope::sim::{Config, Datagrams, Faults};

fuzz_target!(|data: &[u8]| {
    let mut server = Datagrams::new(Config::default(), Faults::none());
    let mut assembler = Assembler::default();
    let (mut rest, mut came, mut out) = (data, 0, Vec::new());
    for cmd_id in 0..64 {
        let Some((length, after)) = rest.split_first() else {
            break;
        };
        let (datagram, after) = after.split_at(usize::from(*length % 32).min(after.len()));
        rest = after;
        if let Ok((id, commands)) = decode_request(datagram) {
            let mut again = Vec::new();
            encode_request(id, commands, &mut again);
            assert_eq!(again, datagram);
        }
        if length & 0x80 != 0 {
            assembler.begin(cmd_id);
        }
        if length & 0x40 != 0 {
            assembler.keep();
        }
        came += datagram.len();
        let _ = assembler.receive(datagram, &mut out);
        for reply in server.answer(datagram) {
            assert!((5..=516).contains(&reply.len()));
        }
    }
    assert!(out.len() <= came);
});
