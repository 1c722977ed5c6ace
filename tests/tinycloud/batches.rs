//! What is in a batch: the older tool's own batch, done right.

use std::fs;
use std::io::Read;

use outpost::store::batch::BatchState;
use outpost::store::readings::{ClockState, Flags, LEGACY_COLUMNS, Reading};

use crate::server::KEY;
use crate::support::{Station, start};

const VECTORS: &str = "tests/data/tinycloud";
const REFERENCE: &str = "2026-11-20_07:30_1";

fn member(zip: &std::path::Path, index: usize) -> (String, String, zip::CompressionMethod) {
    let mut archive = zip::ZipArchive::new(fs::File::open(zip).unwrap()).unwrap();
    let mut member = archive.by_index(index).unwrap();
    let mut text = String::new();
    member.read_to_string(&mut text).unwrap();
    let name = member.name().unwrap().into_owned();
    (name, text, member.compression())
}

fn legacy() -> Station {
    Station::with_database(|folder| {
        fs::copy(
            format!("{VECTORS}/legacy-readings.db"),
            folder.join("readings.db"),
        )
        .unwrap();
        rusqlite::Connection::open(folder.join("readings.db"))
            .unwrap()
            // As before the old tool made its batch, so that ours gets the same number.
            .execute_batch("DROP TABLE Batches")
            .unwrap();
    })
}

#[test]
fn the_older_tools_batch_is_reproduced_without_its_faults() {
    let station = legacy();
    let batches = station
        .uploader()
        .make_batches(&station.clock_state())
        .unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].source_ref, REFERENCE);
    let zip = station
        .folder
        .path()
        .join(format!("pending/{REFERENCE}.zip"));

    let old = fs::read_to_string(format!("{VECTORS}/batch/{REFERENCE}.csv")).unwrap();
    let (name, csv, method) = member(&zip, 0);
    assert_eq!(name, format!("{REFERENCE}.csv"));
    assert_eq!(method, zip::CompressionMethod::Stored);
    let (heading, rows) = csv.split_once("\r\n").unwrap();
    assert_eq!(heading, LEGACY_COLUMNS.map(|(name, _)| name).join(","));
    assert_eq!(rows, old.strip_prefix("\r\n").unwrap());

    let (name, metadata, _) = member(&zip, 1);
    assert_eq!(name, format!("{REFERENCE}.yaml"));
    let old_zip = format!("{VECTORS}/batch/{REFERENCE}.zip");
    let (_, old, _) = member(old_zip.as_ref(), 1);
    assert_eq!(
        metadata,
        old.replace("/home/pi/batonopc/batches2upload/", "")
    );

    let old = fs::read_to_string(format!("{VECTORS}/batch/{REFERENCE}.yaml")).unwrap();
    let form = fs::read_to_string(zip.with_extension("yaml")).unwrap();
    let bytes = fs::read(&zip).unwrap();
    use md5::Digest;
    let md5: String = md5::Md5::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let fixed = old
        .replace("d41d8cd98f00b204e9800998ecf8427e", &md5)
        .replace("1230", &bytes.len().to_string());
    assert_eq!(form, fixed);
    assert!(form.contains(KEY));
    use std::os::unix::fs::PermissionsExt;
    for file in [zip.clone(), zip.with_extension("yaml")] {
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn a_batch_made_again_has_the_same_bytes() {
    let mut station = Station::new();
    station.log("TST_001", 20);
    let mut uploader = station
        .uploader()
        .with_stop(|arrow| arrow == outpost::store::upload::Arrow::Built);
    uploader.make_batches(&station.clock_state()).unwrap_err();
    let zip = station
        .folder
        .path()
        .join(format!("pending/{REFERENCE}.zip"));
    let first = fs::read(&zip).unwrap();
    fs::write(&zip, b"half").unwrap();
    station.hand.advance(std::time::Duration::from_secs(999));
    let batches = station
        .uploader()
        .make_batches(&station.clock_state())
        .unwrap();
    assert_eq!(batches[0].source_ref, REFERENCE);
    assert_eq!(fs::read(&zip).unwrap(), first);
}

#[test]
fn every_row_is_in_one_batch_gadget_by_gadget() {
    let mut station = Station::new();
    station.settings.batch.max_rows = 7;
    station.log("B", 10);
    station.log("O'Brien", 3);
    station.log("B", 5);
    let mut uploader = station.uploader();
    let ranges: Vec<_> = uploader
        .make_batches(&station.clock_state())
        .unwrap()
        .into_iter()
        .map(|b| (b.gadget_id.unwrap(), b.first_rdg, b.last_rdg, b.n_rows))
        .collect();
    let wanted = [
        ("B", 1, 7, 7),
        ("B", 8, 17, 7),
        ("B", 18, 18, 1),
        ("O'Brien", 11, 13, 3),
    ];
    assert_eq!(ranges, wanted.map(|(g, a, b, n)| (g.to_owned(), a, b, n)));
    assert!(
        uploader
            .make_batches(&station.clock_state())
            .unwrap()
            .is_empty()
    );
    station.log("B", 1);
    let next = uploader.make_batches(&station.clock_state()).unwrap();
    assert_eq!((next[0].first_rdg, next[0].n_rows), (19, 1));
    let yaml = fs::read_to_string(
        station
            .folder
            .path()
            .join("pending")
            .join(next[0].yaml_name()),
    );
    assert!(yaml.unwrap().contains("source_ref: 2026-11-20_07:30_5\n"));
}

#[test]
fn waiting_batches_are_bounded_and_rows_are_not_lost() {
    let mut station = Station::new();
    station.settings.batch.max_rows = 2;
    station.settings.batch.max_waiting = 3;
    station.log("A", 20);
    let mut uploader = station.uploader();
    assert_eq!(
        uploader.make_batches(&station.clock_state()).unwrap().len(),
        3
    );
    assert!(
        uploader
            .make_batches(&station.clock_state())
            .unwrap()
            .is_empty()
    );
    station.settle(&mut uploader);
    for _ in 0..4 {
        uploader.make_batches(&station.clock_state()).unwrap();
        station.settle(&mut uploader);
    }
    assert_eq!(station.server.counts(), (20, 0));
}

#[test]
fn rows_wait_for_the_clock_for_a_day() {
    let station = Station::new();
    let reading = |monotonic_ms, flags| Reading {
        gadget_id: "A".into(),
        utc: start(),
        monotonic_ms,
        flags,
        ..Reading::default()
    };
    station
        .handle
        .append(reading(1000, Flags::default()))
        .unwrap()
        .wait()
        .unwrap();
    station
        .handle
        .append(reading(2000, Flags::CLOCK_UNSET))
        .unwrap()
        .wait()
        .unwrap();
    let mut uploader = station.uploader();
    let mut clock = ClockState {
        is_set: false,
        utc: start(),
        monotonic_ms: 60_000,
    };
    assert_eq!(uploader.make_batches(&clock).unwrap()[0].n_rows, 1);
    assert!(uploader.make_batches(&clock).unwrap().is_empty());
    clock.monotonic_ms = 2000 + 24 * 3600 * 1000;
    let late = uploader.make_batches(&clock).unwrap();
    assert_eq!((late[0].first_rdg, late[0].state), (2, BatchState::Ready));
    station
        .handle
        .append(reading(3000, Flags::CLOCK_UNSET))
        .unwrap()
        .wait()
        .unwrap();
    clock.is_set = true;
    uploader.make_batches(&clock).unwrap();
    let newest = station
        .handle
        .call_blocking(|database| database.recent(1))
        .unwrap();
    assert_eq!(newest[0].flags, Flags::default());
}

#[test]
fn what_the_older_uploader_sent_counts_as_sent() {
    for (uploaded, left) in [(true, 0), (false, 3)] {
        let station = Station::with_database(|folder| {
            fs::copy(
                format!("{VECTORS}/legacy-readings.db"),
                folder.join("readings.db"),
            )
            .unwrap();
            fs::create_dir(folder.join("uploaded")).unwrap();
            if uploaded {
                let to = folder.join("uploaded/45de83af6eec51dd215e9c6ad94453d0.yaml");
                fs::copy(format!("{VECTORS}/batch/{REFERENCE}.yaml"), to).unwrap();
            }
        });
        let batches = station
            .uploader()
            .make_batches(&station.clock_state())
            .unwrap();
        assert_eq!(batches.iter().map(|b| b.n_rows).sum::<i64>(), left);
        // The old number 1 is not used again.
        assert!(batches.iter().all(|batch| batch.source_id > 1));
    }
}

#[test]
fn what_was_sent_by_other_means_can_be_marked_so() {
    let mut station = Station::new();
    station.settings.delete_readings = false;
    station.log("A", 3);
    let mut uploader = station.uploader();
    uploader.make_batches(&station.clock_state()).unwrap();
    station.log("A", 2);
    station.log("B", 4);
    assert_eq!(uploader.mark_sent().unwrap(), 6);
    assert_eq!(uploader.mark_sent().unwrap(), 0);
    station.log("A", 1);
    uploader.make_batches(&station.clock_state()).unwrap();
    station.settle(&mut uploader);
    let arrived: Vec<_> = station.server.state().rows.keys().cloned().collect();
    let wanted = [1, 2, 3, 10].map(|number| ("A".to_owned(), number));
    assert_eq!(arrived, wanted);
    // Their files never were, and are looked for nowhere.
    assert_eq!(station.files("uploaded").len(), 4);
}

/// The older uploader's session as a server saw it, apart from what it did wrong.
#[test]
fn the_older_uploaders_session_is_reproduced() {
    let text = fs::read_to_string(format!("{VECTORS}/legacy-upload.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let asked: Vec<&serde_json::Value> = events
        .iter()
        .filter(|event| event["event"] == "http")
        .collect();
    let exec = events.iter().find(|event| event["event"] == "exec");
    let command = exec.unwrap()["command"].as_str().unwrap().to_owned();
    let login = events.iter().find(|event| event["event"] == "login");
    let login = login.unwrap().clone();

    let station = legacy();
    let server = station.server.clone();
    let mut uploader = station.uploader().with_sender(move |delivery| {
        assert_eq!(command, format!("scp -t {}", delivery.folder));
        assert_eq!(login["user"], delivery.user);
        server.take_file(delivery)
    });
    uploader.make_batches(&station.clock_state()).unwrap();
    let pass = uploader.pass(outpost::store::upload::Scope::Due).unwrap();
    assert!(!pass.has_failures());

    let state = station.server.state();
    let lines: Vec<String> = asked
        .iter()
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            format!("{} {} HTTP/1.1", text("method"), text("path"))
        })
        .collect();
    // The server gives each batch an id of its own.
    let id = state.tickets.keys().next().unwrap();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace("45de83af6eec51dd215e9c6ad94453d0", id))
        .collect();
    assert_eq!(state.requests, lines);
    let old = asked[0]["form"].as_object().unwrap();
    let new = &state.forms[0];
    assert_eq!(new.len(), old.len());
    for (name, value) in old {
        let old = match value {
            serde_json::Value::String(text) => text.clone(),
            number => number.to_string(),
        };
        match name.as_str() {
            // Of nothing there, and of a file without headings.
            "zip_md5" => assert_ne!(new[name], old),
            "zip_size" => assert!(new[name].parse::<u64>().unwrap() > old.parse().unwrap()),
            _ => assert_eq!(new[name], old, "{name}"),
        }
    }
    assert_eq!(state.problems, [""; 0]);
}
