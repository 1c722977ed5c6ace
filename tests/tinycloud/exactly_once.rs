//! Each reading arrives once, wherever a run ends and whatever the server does.

use std::time::Duration;

use outpost::store::batch::BatchState;
use outpost::store::upload::{Arrow, Scope, UploadError, Uploader};

use crate::server::{Fault, Repeated};
use crate::support::Station;

/// Not among them: a rejection, which ends a batch, and has a test of its own.
fn faults() -> impl Iterator<Item = Fault> {
    Fault::ALL
        .into_iter()
        .filter(|&fault| fault != Fault::StatusRejected)
}

fn stopping_at(station: &Station, arrow: Arrow) -> Uploader {
    let mut stopped = false;
    station
        .uploader()
        .with_stop(move |at| at == arrow && !std::mem::replace(&mut stopped, true))
}

/// Batches and uploads until nothing waits, as often as the run is ended on the way.
fn finish(station: &Station, mut uploader: Uploader) {
    for _ in 0..1000 {
        let made = uploader.make_batches(&station.clock_state());
        let pass = made.and_then(|_| uploader.pass(Scope::Due));
        match pass {
            Ok(pass) => match pass.next {
                None => return,
                Some(_) => station.hand.advance(Duration::from_secs(11)),
            },
            Err(UploadError::Stopped(_)) => uploader = station.uploader(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("batches wait for ever");
}

fn check(station: &Station, rows: usize, what: &str) {
    let problems = station.server.state().problems.clone();
    assert!(problems.is_empty(), "{what}: {problems:?}");
    assert_eq!(station.server.counts(), (rows, 0), "{what}");
    assert!(
        station.uploader().open_batches().unwrap().is_empty(),
        "{what}"
    );
}

#[test]
fn a_run_that_ends_at_any_arrow_is_taken_up_there() {
    let mut station = Station::new();
    let mut logged = 0;
    for arrow in Arrow::ALL {
        station.log("A", 3);
        logged += 3;
        let mut uploader = stopping_at(&station, arrow);
        let made = uploader.make_batches(&station.clock_state());
        let passed = made.and_then(|_| uploader.pass(Scope::Due));
        assert!(
            matches!(passed, Err(UploadError::Stopped(at)) if at == arrow),
            "{arrow:?}"
        );
        finish(&station, station.uploader());
        check(&station, logged, &format!("{arrow:?}"));
    }
    assert_eq!(station.files("pending"), [""; 0]);
    assert_eq!(station.files("uploaded").len(), 2 * Arrow::ALL.len());
}

#[test]
fn any_fault_together_with_any_arrow() {
    let mut station = Station::new();
    let mut logged = 0;
    for fault in faults() {
        for arrow in Arrow::ALL {
            station.server.clear_faults();
            station.log("A", 2);
            logged += 2;
            station.server.fail_next(fault);
            finish(&station, stopping_at(&station, arrow));
            check(&station, logged, &format!("{fault:?} at {arrow:?}"));
        }
    }
}

#[test]
fn five_hundred_readings_under_a_seeded_plan() {
    for (seed, repeated) in [
        (1, Repeated::NewId),
        (2, Repeated::SameId),
        (3, Repeated::Conflict),
        (4, Repeated::NewId),
    ] {
        let mut station = Station::new();
        station.settings.batch.max_rows = 40;
        station.server.state().repeated = repeated;
        let mut noise = 0x9e37_79b9_u64 * seed + 1;
        let mut random = move |below: u64| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            (noise >> 20) % below
        };
        let mut logged = 0;
        while logged < 500 {
            let n = (random(9) as usize).min(500 - logged);
            station.log(if random(4) == 0 { "B" } else { "A" }, n);
            logged += n;
            station.server.clear_faults();
            if random(2) == 0 {
                let all: Vec<Fault> = faults().collect();
                station
                    .server
                    .fail_next(all[random(all.len() as u64) as usize]);
            }
            let arrow = Arrow::ALL[random(Arrow::ALL.len() as u64) as usize];
            let mut uploader = match random(2) {
                0 => stopping_at(&station, arrow),
                _ => station.uploader(),
            };
            let made = uploader.make_batches(&station.clock_state());
            let _ = made.and_then(|_| uploader.pass(Scope::Due));
            station.hand.advance(Duration::from_secs(random(700)));
        }
        station.server.clear_faults();
        finish(&station, station.uploader());
        check(&station, 500, &format!("seed {seed}"));
    }
}

#[test]
fn two_weeks_offline_then_everything_in_order() {
    let mut station = Station::new();
    station.settings.batch.max_waiting = 10;
    let api = std::mem::replace(
        &mut station.settings.api.api,
        "http://127.0.0.1:1/api".into(),
    );
    let mut uploader = station.uploader();
    for _ in 0..14 * 24 {
        station.log("A", 4);
        station.hand.advance(Duration::from_secs(3600));
        uploader.make_batches(&station.clock_state()).unwrap();
        let pass = uploader.pass(Scope::Due).unwrap();
        // The first failure speaks for all.
        assert!(pass.outcomes.len() <= 1);
    }
    assert_eq!(station.files("pending").len(), 20);
    // Of the disk the waiting files take what their rows take, and what is beyond the limit is in the database alone.
    let bytes = |name: &String| {
        let path = station.folder.path().join("pending").join(name);
        std::fs::metadata(path).unwrap().len()
    };
    let taken: u64 = station.files("pending").iter().map(bytes).sum();
    assert!(taken < 10 * (4 * 600 + 4096), "{taken} bytes");
    drop(uploader);
    station.settings.api.api = api;
    let mut uploader = station.uploader();
    let mut sent: Vec<i64> = Vec::new();
    loop {
        let made = uploader.make_batches(&station.clock_state()).unwrap();
        let pass = uploader.pass(Scope::Due).unwrap();
        let gone = pass
            .outcomes
            .iter()
            .filter(|outcome| outcome.error.is_none());
        for first in gone.map(|outcome| outcome.batch.first_rdg) {
            if !sent.contains(&first) {
                sent.push(first);
            }
        }
        if made.is_empty() && pass.outcomes.is_empty() && pass.next.is_none() {
            break;
        }
        station.hand.advance(Duration::from_secs(11));
    }
    assert!(sent.is_sorted(), "{sent:?}");
    assert_eq!(sent.len(), 11);
    check(&station, 14 * 24 * 4, "offline");
    let references: Vec<i64> = station
        .handle
        .call_blocking(|database| {
            outpost::store::batch::in_state(database, &[BatchState::Uploaded])
        })
        .unwrap()
        .windows(2)
        .map(|pair| pair[1].first_rdg - pair[0].last_rdg)
        .collect();
    assert!(references.iter().all(|&step| step == 1));
    assert_eq!(references.len(), 10);
}

/// What is in the database at each arrow: the state is stored before what follows it is done, the end after it.
#[test]
fn each_state_is_stored_before_what_follows_it() {
    for (arrow, state, has_ticket) in [
        (Arrow::Chosen, BatchState::Building, false),
        (Arrow::Built, BatchState::Building, false),
        (Arrow::Ready, BatchState::Ready, false),
        (Arrow::Ticket, BatchState::Ready, false),
        (Arrow::Requested, BatchState::Requested, true),
        (Arrow::Sending, BatchState::Sending, true),
        (Arrow::Delivered, BatchState::Sending, true),
        (Arrow::Sent, BatchState::Sent, true),
        (Arrow::Told, BatchState::Sent, true),
        (Arrow::Ended, BatchState::Uploaded, true),
        (Arrow::Moved, BatchState::Uploaded, true),
    ] {
        let mut station = Station::new();
        station.log("A", 3);
        let mut uploader = stopping_at(&station, arrow);
        let made = uploader.make_batches(&station.clock_state());
        let ended = made.and_then(|_| uploader.pass(Scope::Due));
        assert!(matches!(ended, Err(UploadError::Stopped(_))), "{arrow:?}");
        let stored = station
            .handle
            .call_blocking(|database| outpost::store::batch::in_state(database, &BatchState::ALL));
        let stored = stored.unwrap().remove(0);
        assert_eq!(
            (stored.state, stored.ticket.is_some()),
            (state, has_ticket),
            "{arrow:?}"
        );
        assert_eq!(stored.sent_ms.is_some(), state >= BatchState::Sent);
        assert!(!stored.filed, "{arrow:?}");
    }
}
