//! What is said and done about each fault.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use outpost::store::batch::BatchState;
use outpost::store::upload::{
    Api, ApiError, ApiSettings, GatewayKey, KeyError, Scope, SendError, UploadError, device_id,
    register,
};

use crate::server::{Fault, KEY, PIN};
use crate::support::Station;

fn one_batch() -> Station {
    let mut station = Station::new();
    station.log("A", 3);
    station
        .uploader()
        .make_batches(&station.clock_state())
        .unwrap();
    station
}

fn error_of(fault: Fault) -> UploadError {
    let station = one_batch();
    station.server.fail_next(fault);
    let mut pass = station.uploader().pass(Scope::Due).unwrap();
    assert!(pass.has_failures());
    pass.outcomes.remove(0).error.unwrap()
}

#[test]
fn each_fault_has_its_own_message() {
    let texts: Vec<String> = [
        Fault::Request500,
        Fault::RequestClosed,
        Fault::RequestHtml,
        Fault::RequestBadTicket,
        Fault::Redirect,
        Fault::PasswordRefused,
        Fault::NoSpace,
        Fault::HostKeyChanged,
    ]
    .map(|fault| error_of(fault).to_string())
    .into();
    assert_eq!(
        texts,
        [
            "the server answered 500 Internal Server Error",
            "the server cannot be reached",
            "the server's answer makes no sense: not JSON: <html>sign in</html>",
            "the server's answer makes no sense: unusable batchid",
            "the server answered 302 Found",
            "the SSH server refused the password",
            "scp failed: No space left on device",
            "the SSH host key of 127.0.0.1 has changed; if that is meant, remove it from known_hosts",
        ]
    );
}

#[test]
fn failures_wait_longer_each_time() {
    let station = one_batch();
    let mut uploader = station.uploader();
    for step in [10.0, 20.0, 40.0, 80.0] {
        station.server.fail_next(Fault::Request500);
        let pass = uploader.pass(Scope::Due).unwrap();
        let wait = pass
            .next
            .unwrap()
            .duration_since(station.clock.utc())
            .as_secs_f64();
        assert!(wait <= step && wait >= 0.74 * step, "{wait} for {step}");
        assert!(uploader.pass(Scope::Due).unwrap().outcomes.is_empty());
        station.hand.advance(Duration::from_secs_f64(wait + 0.001));
    }
    let requests = station.server.state().requests.len();
    assert_eq!(requests, 4);
    assert!(!uploader.pass(Scope::All).unwrap().has_failures());
}

#[test]
fn a_rejected_batch_is_put_aside_and_does_not_hinder_others() {
    let mut station = one_batch();
    station.server.fail_next(Fault::StatusRejected);
    let mut uploader = station.uploader();
    let pass = uploader.pass(Scope::Due).unwrap();
    assert!(pass.has_failures() && pass.next.is_none());
    assert_eq!(pass.outcomes[0].batch.state, BatchState::Rejected);
    assert_eq!(station.files("rejected").len(), 2);
    station.log("A", 2);
    uploader.make_batches(&station.clock_state()).unwrap();
    station.settle(&mut uploader);
    assert_eq!(station.server.state().requests.len(), 4);
    let reference = pass.outcomes[0].batch.source_ref.clone();
    assert!(uploader.requeue("2026-11-20_07:30_2").is_err());
    uploader.requeue(&reference).unwrap();
    station.settle(&mut uploader);
    let again = station
        .handle
        .call_blocking(move |database| outpost::store::batch::find(database, &reference))
        .unwrap();
    assert_eq!(again.unwrap().state, BatchState::Uploaded);
}

#[test]
fn a_lost_acknowledgement_is_asked_for_and_not_sent_again() {
    let station = one_batch();
    station.server.fail_next(Fault::AckLost);
    let mut uploader = station.uploader();
    assert!(uploader.pass(Scope::Due).unwrap().has_failures());
    station.settle(&mut uploader);
    let state = station.server.state();
    assert_eq!(
        state
            .tickets
            .values()
            .map(|t| t.uploads)
            .collect::<Vec<_>>(),
        [1]
    );
    let lines: Vec<&str> = state.requests.iter().map(|line| &line[..18]).collect();
    assert_eq!(lines, ["POST /api/v1/quara", "GET /api/v1/upload"]);
}

#[test]
fn before_a_new_ticket_the_old_one_is_asked_for_again() {
    let station = one_batch();
    station.server.fail_next(Fault::AckLost);
    let mut uploader = station.uploader();
    uploader.pass(Scope::Due).unwrap();
    station.hand.advance(Duration::from_secs(700));
    station.server.fail_next(Fault::Status404);
    let pass = uploader.pass(Scope::Due).unwrap();
    assert_eq!(pass.outcomes[0].batch.state, BatchState::Uploaded);
    assert_eq!(station.server.state().tickets.len(), 1);
}

/// The server's answer takes as long as the ticket lasts: what was used must not be forgotten unasked.
#[test]
fn a_ticket_that_ends_while_the_server_is_asked_is_asked_for_again() {
    let station = one_batch();
    station.server.fail_next(Fault::AckLost);
    let mut uploader = station.uploader();
    uploader.pass(Scope::Due).unwrap();
    station.hand.advance(Duration::from_secs(560));
    station.server.fail_next(Fault::Status404);
    let hand = station.hand.clone();
    station.server.state().meanwhile =
        Some(Box::new(move || hand.advance(Duration::from_secs(25))));
    let pass = uploader.pass(Scope::Due).unwrap();
    assert_eq!(pass.outcomes[0].batch.state, BatchState::Uploaded);
    assert_eq!(station.server.state().tickets.len(), 1);
    assert_eq!(station.server.counts(), (3, 0));
}

/// A run that is killed while it sends leaves the file's second name behind, whose space would never be free again.
#[test]
fn the_second_name_of_a_file_goes_with_its_batch() {
    for (fault, pause) in [
        (Fault::AckLost, 60),
        (Fault::CutAfterHalf, 60),
        // With another ticket.
        (Fault::CutAfterHalf, 700),
    ] {
        let station = one_batch();
        station.server.fail_next(fault);
        let mut uploader = station.uploader();
        uploader.pass(Scope::Due).unwrap();
        let id = station
            .server
            .state()
            .tickets
            .keys()
            .next()
            .unwrap()
            .clone();
        let left = station.settings.batch.pending_dir.join(format!("{id}.zip"));
        assert!(!left.exists());
        std::fs::write(&left, "left behind").unwrap();
        station.hand.advance(Duration::from_secs(pause));
        station.settle(&mut uploader);
        assert_eq!(station.server.counts(), (3, 0));
        assert_eq!(station.files("pending"), [""; 0], "{fault:?}, {pause} s");
    }
}

#[test]
fn a_file_that_is_never_confirmed_is_reported_after_a_day_and_not_sent_again() {
    let station = one_batch();
    let mut uploader = station.uploader();
    let mut passes = 0;
    let error = loop {
        station.server.clear_faults();
        station.server.fail_next(Fault::StatusUploading);
        let mut pass = uploader.pass(Scope::Due).unwrap();
        passes += 1;
        if let Some(error) = pass.outcomes.pop().and_then(|outcome| outcome.error) {
            break error;
        }
        let wait = pass.next.unwrap().duration_since(station.clock.utc());
        station.hand.advance(wait.unsigned_abs());
    };
    let text = "sent 24 hours ago, but the server says only \"Uploading\"";
    assert_eq!(error.to_string(), text);
    // At once, after 5, 10 and 30 s, then every 5 min.
    assert_eq!(passes, 4 + 288);
    assert_eq!(station.server.state().tickets.len(), 1);
    station.settle(&mut uploader);
    assert_eq!(station.server.counts(), (3, 0));
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_the_uploads() {
    let station = one_batch();
    station
        .handle
        .call_blocking(|database| {
            let mut batch =
                outpost::store::batch::in_state(database, &[BatchState::Ready])?.remove(0);
            batch.next_try_ms = crate::support::start().as_millisecond() + 365 * 24 * 3_600_000;
            outpost::store::batch::save(database, &batch)
        })
        .unwrap();
    station.uploader().pass(Scope::Due).unwrap();
    assert_eq!(station.server.counts(), (3, 0));
}

#[test]
fn two_programs_do_not_upload_at_once() {
    let station = one_batch();
    let lock = std::fs::File::open(station.settings.ssh_dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut uploader = station.uploader();
    assert!(matches!(uploader.pass(Scope::All), Err(UploadError::Busy)));
    let made = uploader.make_batches(&station.clock_state());
    assert!(matches!(made, Err(UploadError::Busy)));
    let queued = uploader.requeue("2026-11-20_07:30_1");
    assert!(matches!(queued, Err(UploadError::Busy)));
    assert!(matches!(uploader.mark_sent(), Err(UploadError::Busy)));
    lock.unlock().unwrap();
    assert!(!uploader.pass(Scope::All).unwrap().has_failures());
}

#[test]
fn without_an_answer_nothing_is_sent_again() {
    let station = one_batch();
    station.server.fail_next(Fault::CutAfterHalf);
    let mut uploader = station.uploader();
    uploader.pass(Scope::Due).unwrap();
    for _ in 0..5 {
        station.server.fail_next(Fault::Status500);
        station.hand.advance(Duration::from_secs(3600));
        assert!(uploader.pass(Scope::Due).unwrap().has_failures());
    }
    let tickets = station.server.state().tickets.len();
    assert_eq!(tickets, 1);
    station.settle(&mut uploader);
    assert_eq!(station.server.counts(), (3, 0));
}

#[test]
fn uploaded_files_and_readings_go_when_their_time_is_over() {
    let mut station = one_batch();
    station.settings.retention_days = 2;
    station.settings.delete_readings = true;
    let mut uploader = station.uploader();
    uploader.pass(Scope::Due).unwrap();
    assert_eq!(station.files("uploaded").len(), 2);
    station.log("A", 1);
    station.hand.advance(Duration::from_secs(47 * 3600));
    uploader.pass(Scope::Due).unwrap();
    assert_eq!(station.files("uploaded").len(), 2);
    station.hand.advance(Duration::from_secs(2 * 3600));
    uploader.pass(Scope::Due).unwrap();
    assert_eq!(station.files("uploaded"), [""; 0]);
    let left = station
        .handle
        .call_blocking(|database| database.recent(9))
        .unwrap();
    assert_eq!(left.iter().map(|row| row.rdg_no).collect::<Vec<_>>(), [4]);
    station.settings.delete_batch_on_upload = true;
    let mut uploader = station.uploader();
    uploader.make_batches(&station.clock_state()).unwrap();
    station.settle(&mut uploader);
    assert_eq!(station.files("uploaded"), [""; 0]);
    assert_eq!(station.files("pending"), [""; 0]);
    assert_eq!(station.server.counts(), (4, 0));
}

#[test]
fn registering_keeps_the_key_to_its_owner() {
    let station = Station::new();
    let path = station.folder.path().join("new_key.txt");
    let api = Api::new(&ApiSettings {
        api: station.server.api(),
        ..ApiSettings::default()
    })
    .unwrap();
    let id = device_id("Hardware : BCM2835\nSerial\t\t: 10000000abcdef01\n");
    assert_eq!(id, "10000000abcdef01");
    assert_eq!(device_id("nothing"), "0000000000000000");
    let refused = register(&api, &id, "0000", &path);
    assert!(matches!(
        refused,
        Err(UploadError::Api(ApiError::Refused { code: 400, .. }))
    ));
    assert!(matches!(GatewayKey::load(&path), Err(KeyError::Missing(_))));
    let key = register(&api, &id, PIN, &path).unwrap();
    assert_eq!(format!("{key} {key:?}"), "0123... 0123...");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), KEY);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::write(&path, format!(" {KEY}\n")).unwrap();
    assert_eq!(GatewayKey::load(&path).unwrap(), key);
    std::fs::write(&path, "0123456789abcdef012\n").unwrap();
    assert!(matches!(
        GatewayKey::load(&path),
        Err(KeyError::Malformed(19))
    ));
}

#[test]
fn what_concerns_every_batch_is_tried_once() {
    let mut station = one_batch();
    station.log("B", 3);
    let mut uploader = station.uploader();
    uploader.make_batches(&station.clock_state()).unwrap();
    station.server.fail_next(Fault::HostKeyChanged);
    let pass = uploader.pass(Scope::Due).unwrap();
    assert_eq!(pass.outcomes.len(), 1);
    let error = pass.outcomes[0].error.as_ref().unwrap();
    assert!(matches!(
        error,
        UploadError::Send(SendError::HostKeyChanged { .. })
    ));
    assert!(uploader.pass(Scope::Due).unwrap().outcomes.is_empty());
}

#[test]
fn uploaded_files_make_room_oldest_first_and_batches_wait_when_that_is_not_enough() {
    let mut station = one_batch();
    station.settings.reserve_bytes = 1000;
    let pending = station.settings.batch.pending_dir.clone();
    let uploaded = station.settings.uploaded_dir.clone();
    // Each file there takes 100 bytes of 1500.
    let free = move |_: &std::path::Path| {
        let count = |folder: &std::path::Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
        Ok(1500 - 100 * (count(&pending) + count(&uploaded)) as u64)
    };
    let mut uploader = station.uploader().with_free_bytes(free.clone());
    uploader.pass(Scope::Due).unwrap();
    for _ in 0..2 {
        station.log("A", 1);
        uploader.make_batches(&station.clock_state()).unwrap();
        uploader.pass(Scope::Due).unwrap();
    }
    // The third made room by the files of the first.
    assert_eq!(
        station.files("uploaded"),
        ["2", "3"]
            .map(|n| [
                format!("2026-11-20_07:30_{n}.yaml"),
                format!("2026-11-20_07:30_{n}.zip")
            ])
            .concat()
    );
    assert_eq!(station.server.counts(), (5, 0));

    // What waits is never touched: rows wait in the database then.
    let mut tight = station.uploader().with_free_bytes(|_| Ok(999));
    station.log("A", 1);
    let refused = tight.make_batches(&station.clock_state()).unwrap_err();
    assert!(
        matches!(
            refused,
            UploadError::NoRoom {
                free: 999,
                reserve: 1000,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(station.files("uploaded"), [""; 0]);
    assert_eq!(station.files("pending"), [""; 0]);
    let mut uploader = station.uploader();
    uploader.make_batches(&station.clock_state()).unwrap();
    station.settle(&mut uploader);
    assert_eq!(station.server.counts(), (6, 0));
}

#[test]
fn without_a_key_batches_are_made_and_made_again_with_it() {
    let mut station = Station::new();
    let key = std::fs::read(&station.settings.key_file).unwrap();
    std::fs::remove_file(&station.settings.key_file).unwrap();
    station.log("A", 3);
    let mut uploader = station.uploader();
    let made = uploader.make_batches(&station.clock_state()).unwrap();
    assert_eq!((made.len(), made[0].state), (1, BatchState::Building));
    assert_eq!(station.files("pending").len(), 2);
    assert!(
        uploader
            .make_batches(&station.clock_state())
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        uploader.pass(Scope::All),
        Err(UploadError::Key(KeyError::Missing(_)))
    ));
    std::fs::write(&station.settings.key_file, key).unwrap();
    assert!(!uploader.pass(Scope::All).unwrap().has_failures());
    assert_eq!(station.server.state().problems, [""; 0]);
    assert_eq!(station.server.counts(), (3, 0));
}

#[test]
fn readings_go_with_the_confirmation_and_not_before() {
    let mut station = one_batch();
    station.settings.delete_readings = true;
    let count = |station: &Station| {
        station
            .handle
            .call_blocking(|database| database.count())
            .unwrap()
    };
    let mut uploader = station.uploader();
    station.server.fail_next(Fault::StatusUploading);
    uploader.pass(Scope::Due).unwrap();
    // Sent, and not confirmed.
    assert_eq!(count(&station), 3);
    station.hand.advance(Duration::from_secs(5));
    uploader.pass(Scope::Due).unwrap();
    assert_eq!(count(&station), 0);
    station.log("A", 1);
    uploader.make_batches(&station.clock_state()).unwrap();
    station.settle(&mut uploader);
    assert_eq!(station.server.counts(), (4, 0));
}

#[test]
fn a_run_that_is_told_to_end_does_so_and_nothing_counts_as_failed() {
    let station = one_batch();
    let watch = outpost::store::upload::Watch::default();
    watch.progress.abort();
    let mut uploader = station.uploader();
    uploader.watch(watch);
    assert!(matches!(
        uploader.pass(Scope::All),
        Err(UploadError::Aborted)
    ));
    assert_eq!(station.server.state().requests.len(), 0);
    let open = uploader.open_batches().unwrap();
    assert_eq!((open[0].attempts, open[0].next_try_ms), (0, 0));
    uploader.watch(outpost::store::upload::Watch::default());
    assert!(!uploader.pass(Scope::All).unwrap().has_failures());
}
