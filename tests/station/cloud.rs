//! Batches and uploads by command, in the station and from the command line, against a Tinycloud of our own.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use outpost::base::clock::Clock;
use outpost::store::readings::{DatabaseSettings, Reading, ReadingStore};
use outpost::store::upload::GatewayKey;
use serde_json::Value;
use tempfile::TempDir;

use super::harness::{Client, Setup, Station, eventually, short_folder};
use super::server::{Fault, KEY, PIN, Tinycloud};
use super::sshd;

/// What the station's end may take, whatever the cloud does.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A station that uploads to `server`; its counter is off, so that the readings are known.
fn setup(server: &Tinycloud) -> Setup {
    Setup::small()
        .opc("enabled = false")
        .tinycloud("enabled = true\nbatch_interval_s = 86400\nupload_interval_s = 86400")
        .tinycloud(&format!("api = \"{}\"", server.api()))
}

/// A folder with a gateway key.
fn registered() -> TempDir {
    let folder = short_folder();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let key = GatewayKey::parse(KEY).unwrap();
    key.store(&folder.path().join("data/gateway_key.txt"))
        .unwrap();
    folder
}

/// Starts it, and waits until its schedule has had its first turn, which comes at once.
fn start(setup: Setup, folder: TempDir) -> (Station, Client) {
    let station = setup.start_in(folder);
    let mut client = station.client();
    eventually("the first turn", || {
        let seen = report(&mut client);
        let had = |what: &str| !seen[what].is_null();
        had("last_batch") && had("last_pass") && seen["activity"] == "idle"
    });
    (station, client)
}

/// Readings beside the station.
fn log(folder: &Path, n: usize) {
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let database = DatabaseSettings::new(folder.join("data/readings.db"));
    let store = ReadingStore::start(database, 100, Clock::real()).unwrap();
    for _ in 0..n {
        let reading = Reading {
            gadget_id: "OPC_1".into(),
            utc: Clock::real().utc(),
            ..Reading::default()
        };
        store.handle().append(reading).unwrap().wait().unwrap();
    }
    store.close();
}

fn report(client: &mut Client) -> Value {
    client.json("PART:UPL:STAT?")
}

/// Runs an operation to its end; its errors.
fn operate(client: &mut Client, command: &str) -> String {
    assert_eq!(client.query(&format!("{command};*OPC?")), "1", "{command}");
    client.errors().join(" ")
}

/// Uploads until nothing is open.
fn settle(client: &mut Client) {
    eventually("the uploads", || {
        operate(client, "PART:UPL");
        report(client)["open"].as_array().unwrap().is_empty()
    });
}

/// The command line: exit code, standard output and error.
fn outpost(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_outpost"))
        .arg("cloud")
        .args(words)
        .arg("--state-dir")
        .arg(folder)
        .arg("--config")
        .arg(folder.join("c.toml"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn readings_are_batched_and_uploaded_by_command() {
    let server = Tinycloud::start(&Clock::real());
    let (station, mut client) = start(setup(&server), short_folder());
    assert_eq!(report(&mut client)["registered"], false);
    let errors = operate(&mut client, "PART:UPL:REG \"0000\"");
    assert!(errors.contains("400"), "{errors}");
    assert_eq!(operate(&mut client, &format!("PART:UPL:REG \"{PIN}\"")), "");
    let key = station.folder().join("data/gateway_key.txt");
    assert_eq!(std::fs::read_to_string(key).unwrap().trim(), KEY);
    assert_eq!(report(&mut client)["registered"], true);

    assert_eq!(operate(&mut client, "PART:BATC"), "");
    assert_eq!(
        report(&mut client)["commanded_batch"]["made"],
        serde_json::json!([])
    );
    log(station.folder(), 5);
    assert_eq!(operate(&mut client, "PART:BATC"), "");
    let seen = report(&mut client);
    assert_eq!(seen["commanded_batch"]["made"][0]["rows"], 5, "{seen}");
    assert_eq!(seen["open"][0]["state"], "ready");
    let job: u64 = client.query("SYST:JOB:LAST?").parse().unwrap();
    assert_eq!(seen["commanded_batch"]["job"], job);

    server.fail_next(Fault::Request500);
    let errors = operate(&mut client, "PART:UPL");
    assert!(errors.contains("-240,"), "{errors}");
    assert_eq!(station.counter("tinycloud", "failures"), 1);
    if sshd::is_possible() {
        sshd::serve(&server, station.folder().to_owned(), None);
        settle(&mut client);
        assert_eq!(server.counts(), (5, 0));
        rejected_batches_wait_for_the_operator(&server, station.folder(), &mut client);
    }
    station.stop();
}

fn rejected_batches_wait_for_the_operator(server: &Tinycloud, folder: &Path, client: &mut Client) {
    log(folder, 3);
    server.fail_next(Fault::StatusRejected);
    assert_eq!(operate(client, "PART:BATC"), "");
    settle(client);
    let seen = report(client);
    assert_eq!(seen["rejected"], 1, "{seen}");
    let health = client.json("SYST:HEAL? tinycloud");
    assert_eq!(health["state"], "degraded", "{health}");
    let name = seen["rejected_batches"][0].as_str().unwrap();
    let errors = operate(client, "PART:UPL:REQ \"no such batch\"");
    assert!(errors.contains("no such batch"), "{errors}");
    assert_eq!(operate(client, &format!("PART:UPL:REQ \"{name}\"")), "");
    settle(client);
    let seen = report(client);
    assert_eq!(
        (&seen["rejected"], &seen["uploaded"]),
        (&0.into(), &2.into())
    );
    assert_eq!(client.json("SYST:HEAL? tinycloud")["state"], "ready");
}

#[test]
fn what_is_switched_off_is_refused() {
    let station = Setup::small().start();
    let mut client = station.client();
    for command in ["PART:UPL", "PART:UPL:REQ \"x\"", "PART:UPL:REG \"x\""] {
        assert_eq!(client.refused(command), -241, "{command}");
    }
    assert_eq!(operate(&mut client, "PART:BATC"), "");
    assert_eq!(report(&mut client)["enabled"], false);
    assert_eq!(client.json("SYST:HEAL? tinycloud")["state"], "disabled");
    station.stop();

    let station = Setup::small().opc("enabled = false").start();
    let mut client = station.client();
    for command in ["PART:BATC", "PART:UPL", "PART:UPL:STAT?"] {
        assert_eq!(client.refused(command), -241, "{command}");
    }
    station.stop();
}

#[test]
fn a_server_that_hangs_does_not_keep_the_station() {
    let server = Tinycloud::start(&Clock::real());
    let (station, mut client) = start(setup(&server), registered());
    log(station.folder(), 2);
    server.fail_next(Fault::RequestSlow);
    server.hold();
    assert_eq!(operate(&mut client, "PART:BATC"), "");
    client.command("PART:UPL");
    server.wait_for_stall_after(0);
    // It is not the station that hangs.
    assert_eq!(report(&mut client)["activity"], "uploading");
    let began = Instant::now();
    station.stop();
    assert!(began.elapsed() < END_LIMIT, "{:?}", began.elapsed());
    server.release();
}

#[test]
fn an_upload_can_be_ended_and_taken_up_again() {
    if !sshd::is_possible() {
        return;
    }
    let server = Tinycloud::start(&Clock::real());
    let (station, mut client) = start(setup(&server), registered());
    log(station.folder(), 2);
    sshd::serve(&server, station.folder().to_owned(), None);
    server.fail_next(Fault::SlowTransfer);
    server.hold();
    assert_eq!(operate(&mut client, "PART:BATC"), "");
    client.command("PART:UPL");
    let job = client.query("SYST:JOB:LAST?");
    server.wait_for_stall_after(0);
    client.send(format!("SYST:JOB:ABOR {job}\n"));
    eventually("its end", || {
        client
            .query(&format!("SYST:JOB:STAT? {job}"))
            .contains(",ABOR,")
    });
    server.release();
    client.errors();
    settle(&mut client);
    assert_eq!(server.counts(), (2, 0));
    station.stop();
}

#[test]
fn the_command_line_uploads_with_and_without_a_station() {
    let server = Tinycloud::start(&Clock::real());
    let files = sshd::is_possible();
    for runs in [true, false] {
        let folder = short_folder();
        let path = folder.path().to_owned();
        let path = path.as_path();
        setup(&server).write(path);
        if files {
            sshd::serve(&server, path.to_owned(), None);
        }
        let mut left = Some(folder);
        let station = match runs {
            true => left.take().map(|folder| start(setup(&server), folder)),
            false => None,
        };
        log(path, 4);
        let (code, _, error) = outpost(path, &["register", "0000"]);
        assert!(code == Some(1) && error.contains("400"), "{error}");
        let (code, out, _) = outpost(path, &["register", PIN]);
        assert!(code == Some(0) && out.contains("gateway_key.txt"), "{out}");
        let (code, out, _) = outpost(path, &["batch"]);
        assert!(
            code == Some(0) && out.contains(".zip  4 readings of OPC_1"),
            "{out}"
        );
        let (code, out, _) = outpost(path, &["batch"]);
        assert_eq!((code, out.as_str()), (Some(0), "nothing to do\n"));
        let (_, out, _) = outpost(path, &["status"]);
        assert!(out.contains("waiting    1 batches"), "{out}");
        if files {
            let (code, out, error) = outpost(path, &["upload"]);
            assert_eq!(code, Some(0), "{out}{error}");
            assert!(out.contains("  4 readings  uploaded\n"), "{out}");
            let (code, out, _) = outpost(path, &["upload"]);
            assert_eq!((code, out.as_str()), (Some(0), "nothing to do\n"));
        }
        if let Some((station, _)) = station {
            station.stop();
        }
    }
}

#[test]
fn the_schedule_does_not_replace_what_a_command_gave() {
    let server = Tinycloud::start(&Clock::real());
    let (station, mut client) = start(setup(&server), registered());
    log(station.folder(), 2);
    assert_eq!(operate(&mut client, "PART:BATC"), "");
    for _ in 0..20 {
        server.fail_next(Fault::Request500);
    }
    operate(&mut client, "PART:UPL");
    let job: u64 = client.query("SYST:JOB:LAST?").parse().unwrap();
    let given = report(&mut client)["commanded_pass"].clone();
    assert_eq!(given["job"], job);
    assert!(given["batches"][0]["error"].is_string(), "{given}");
    // A key in the place of another calls for a pass at once.
    assert_eq!(operate(&mut client, &format!("PART:UPL:REG \"{PIN}\"")), "");
    eventually("a pass on schedule", || {
        report(&mut client)["last_pass"]["job"].is_null()
    });
    assert_eq!(report(&mut client)["commanded_pass"], given);
    station.stop();
}

/// Nobody commands anything.
#[test]
fn the_schedule_batches_and_uploads_by_itself() {
    let server = Tinycloud::start(&Clock::real());
    let folder = registered();
    let files = sshd::is_possible();
    if files {
        sshd::serve(&server, folder.path().to_owned(), None);
    }
    let station = Setup::small()
        .opc("enabled = false")
        .tinycloud("enabled = true\nbatch_interval_s = 1\nupload_interval_s = 1")
        .tinycloud(&format!("api = \"{}\"", server.api()))
        .start_in(folder);
    for logged in [3, 5] {
        let before = server.state().forms.len();
        log(station.folder(), 3 - before.min(1));
        eventually("the upload", || match files {
            true => server.counts().0 == logged,
            false => server.state().forms.len() > before,
        });
    }
    assert_eq!(server.counts().1, 0);
    station.stop();
}

#[test]
fn batches_are_due_an_interval_after_the_newest_also_of_an_earlier_run() {
    let server = Tinycloud::start(&Clock::real());
    let folder = registered();
    setup(&server).write(folder.path());
    log(folder.path(), 1);
    let (code, _, error) = outpost(folder.path(), &["batch"]);
    assert_eq!(code, Some(0), "{error}");
    let station = setup(&server).start_in(folder);
    let mut client = station.client();
    eventually("the first pass", || {
        !report(&mut client)["last_pass"].is_null()
    });
    let seen = report(&mut client);
    assert!(seen["last_batch"].is_null(), "{seen}");
    let next: jiff::Timestamp = seen["next_batch"].as_str().unwrap().parse().unwrap();
    let wait = next.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    station.stop();
}

#[test]
fn settings_of_the_older_program_are_taken_over() {
    let folder = short_folder();
    let old = folder.path().join("settings.yaml");
    std::fs::copy("tests/data/tinycloud/legacy-settings.yaml", &old).unwrap();
    std::fs::write(folder.path().join("gateway_key.txt"), KEY).unwrap();
    std::fs::copy(
        "tests/data/tinycloud/legacy-readings.db",
        folder.path().join("readings.db"),
    )
    .unwrap();
    let (code, text, remarks) = outpost(folder.path(), &["import", old.to_str().unwrap()]);
    assert_eq!((code, remarks.as_str()), (Some(0), ""));
    let here = folder.path().display();
    assert_eq!(
        text,
        format!(
            "[opc]\ndatabase = \"{here}/readings.db\"\ntable = \"Readings\"\ngadget_id = \"TST_001\"\n\
             interval_s = 10\n[tinycloud]\nenabled = true\n\
             gateway_key_file = \"{here}/gateway_key.txt\"\napi = \"http://127.0.0.1:8081/api/v1\"\n\
             batch_interval_s = 3600\nupload_interval_s = 3600\nbatch_mode = \"PASS\"\nbatch_type = \"OPC\"\n\
             pending_dir = \"{here}/batches2upload\"\nuploaded_dir = \"{here}/batchesuploaded\"\n\
             delete_batch_on_upload = false\ndelete_reading_on_zip = false\n"
        )
    );
    // They are settings of ours as they stand, and the database goes on.
    std::fs::write(folder.path().join("c.toml"), &text).unwrap();
    let (code, text, _) = outpost(folder.path(), &["status"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("http://127.0.0.1:8081/api/v1") && text.contains("key        there"));
    let (code, text, _) = outpost(folder.path(), &["mark-sent"]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "3 readings count as sent\n")
    );
    let (_, text, _) = outpost(folder.path(), &["batch"]);
    assert_eq!(text, "nothing to do\n");

    let (code, _, error) = outpost(folder.path(), &["import", "/dev/null"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("no settings of batonopc"), "{error}");
}

#[test]
fn readings_are_not_marked_while_a_station_has_them() {
    let server = Tinycloud::start(&Clock::real());
    let (station, _client) = start(setup(&server), registered());
    let folder = station.folder().to_owned();
    let (code, _, error) = outpost(&folder, &["mark-sent"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("the station is running"), "{error}");
    station.stop();
}
