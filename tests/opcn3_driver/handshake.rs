//! Polls, pauses, rounds and echoes (opc-n3.md 3).

use std::time::Duration;

use outpost::opcn3::driver::Progress;
use outpost::opcn3::proto::handshake::{BOOT_TIME, SILENCE};
use outpost::opcn3::proto::{Command, Handshake, HandshakeError, Power, Reply, Step};
use outpost::opcn3::sim::SimConfig;
use proptest::prelude::*;

use crate::{Exchange, Failed, Station};

const MS: Duration = Duration::from_millis(1);

/// Gaps between polls of one command and before the first byte of the next one.
fn check_pauses(log: &[Exchange], first: u8) {
    let mut before: Option<&Exchange> = None;
    let mut polling = true;
    for exchange in log {
        if let Some(before) = before {
            let gap = exchange.at - before.at;
            if polling {
                assert!(
                    gap > 10 * MS && gap < 100 * MS || gap > 2000 * MS,
                    "{gap:?}"
                );
                assert_eq!(exchange.sent, first);
            } else {
                assert!(gap > Duration::from_micros(10) && gap < 10 * MS, "{gap:?}");
            }
        }
        polling &= exchange.answer != 0xf3;
        before = Some(exchange);
    }
}

#[test]
fn polls_are_12_ms_apart_and_data_follow_at_once() {
    for busy_polls in [0, 1, 5, 18] {
        let mut station = Station::new(SimConfig {
            busy_polls,
            ..SimConfig::default()
        });
        station.histogram();
        let log = station.log();
        assert_eq!(log.len(), busy_polls as usize + 2 + 86);
        assert!(
            log[0].at > 2000 * MS,
            "silence first: nobody knows what was sent before"
        );
        check_pauses(&log, 0x30);
        let end = log.last().unwrap().at;
        station.status();
        let log = station.log();
        assert!(log[0].at - end > 10 * MS && log[0].at - end < 100 * MS);
        assert_eq!(log.len(), busy_polls as usize + 2 + 6);
    }
}

#[test]
fn a_counter_that_needs_time_is_given_it() {
    let mut station = Station::new(SimConfig {
        preparation: 200 * MS,
        ..SimConfig::default()
    });
    station.status();
    let polls = station.log().len() - 6;
    assert!((15..20).contains(&polls), "{polls}");
}

#[test]
fn twenty_busy_answers_cost_a_silence_and_sixty_the_command() {
    let mut station = Station::new(SimConfig::default());
    station.status();
    station.log();
    // One poll of each round is busy anyway.
    station.set("stay-busy", 19);
    assert!(station.run(Command::Version).is_ok());
    let log = station.log();
    assert_eq!(log.len(), 20 + 2 + 2);
    let silence = log[20].at - log[19].at;
    assert!(silence > 2000 * MS && silence < 10_000 * MS, "{silence:?}");
    check_pauses(&log, 0x12);

    station.faults.set("stay-busy", None).unwrap();
    let failed = station.run(Command::Version).unwrap_err();
    assert!(matches!(
        failed,
        Failed::Handshake(HandshakeError::Busy { command: 0x12 })
    ));
    assert_eq!(
        failed.to_string(),
        "the particle counter stays busy with command 0x12: reset it, or switch its power off and on"
    );
    let log = station.log();
    assert_eq!(log.len(), 60);
    check_pauses(&log, 0x12);
    station.faults.clear();
    let end = log.last().unwrap().at;
    station.status();
    assert!(station.log()[0].at - end > 2000 * MS);
}

#[test]
fn a_wrong_answer_to_a_poll_is_followed_by_silence() {
    let mut station = Station::new(SimConfig::default());
    station.set("bad-poll", 1);
    station.status();
    let log = station.log();
    assert_eq!(log[0].answer, 0xe6);
    assert!(log[1].at - log[0].at > 2000 * MS);
    station.set("bad-poll", 3);
    let failed = station.run(Command::Status).unwrap_err();
    assert!(matches!(
        failed,
        Failed::Handshake(HandshakeError::Unexpected {
            command: 0x13,
            byte: 0xe6
        })
    ));
    assert!(failed.to_string().contains("SS wire"));
}

#[test]
fn a_command_given_up_half_way_is_forgotten_in_silence() {
    let mut station = Station::new(SimConfig::default());
    station.switch_on();
    station.wait(10);
    station.log();
    station.opc.start(&Command::Histogram);
    assert!(matches!(station.opc.advance(), Ok(Progress::Wait(_))));
    let _one_poll = station.opc.advance();
    assert_eq!(station.log().len(), 1);
    let histogram = station.histogram();
    let log = station.log();
    assert!(log[0].at > Duration::from_secs(2) && log.len() == 88);
    // Counting went on: a poll that ends in silence does not disarm it.
    assert!(histogram.total_count() > 0);
}

#[test]
fn a_reset_takes_four_seconds_more() {
    let mut station = Station::new(SimConfig::default());
    let before = station.bench.borrow().now;
    assert_eq!(station.run(Command::Reset).unwrap(), Reply::Done);
    let took = station.bench.borrow().now - before;
    assert!(took > SILENCE + BOOT_TIME && took < SILENCE + BOOT_TIME + 100 * MS);
}

#[test]
fn a_wrong_echo_fails_the_command() {
    let mut station = Station::new(SimConfig::default());
    station.set("wrong-echo", 1);
    let failed = station.run(Command::Power(Power::Fan(true))).unwrap_err();
    assert!(matches!(
        failed,
        Failed::Handshake(HandshakeError::Echo {
            command: 0x03,
            expected: 0x03,
            got: 0xfc
        })
    ));
    // It may have been done all the same.
    assert!(station.status().fan_on);
}

#[test]
fn ready_at_the_first_poll_is_not_believed() {
    let mut handshake = Handshake::new(&Command::Version);
    assert_eq!(handshake.step(), Step::Wait(12 * MS));
    assert_eq!(handshake.step(), Step::Send(0x12));
    handshake.received(0xf3);
    assert_eq!(handshake.step(), Step::Wait(SILENCE));
}

proptest! {
    #[test]
    fn any_answers_end_in_bounded_time(answers in prop::collection::vec(any::<u8>(), 300), index in 0..6usize) {
        let commands = [
            Command::Histogram,
            Command::ReadConfiguration,
            Command::SaveConfiguration,
            Command::Power(Power::Laser(true)),
            Command::Reset,
            Command::Pm,
        ];
        let mut handshake = Handshake::new(&commands[index]);
        let mut answers = answers.into_iter().map(|byte| match byte % 4 {
            0 => 0x31,
            1 => 0xf3,
            _ => byte,
        });
        let mut waited = Duration::ZERO;
        for step in 0.. {
            prop_assert!(step < 500);
            match handshake.step() {
                Step::Wait(time) => waited += time,
                Step::Send(_) => handshake.received(answers.next().unwrap_or(0x31)),
                Step::Done | Step::Failed(_) => break,
            }
        }
        prop_assert!(waited < Duration::from_secs(12));
    }
}
