//! Pictures, logs and archives on the RAM disk, and `MMEMory` (hq-camera.md 4, 5, 11, 12).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::harness::{Client, Replay, Setup, Station, names_in, unpickle};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/hq-camera")
        .join(name)
}

/// The values of a version 1.0 `.npy` file.
fn npy_values(file: &[u8]) -> Vec<u16> {
    let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let values = file[10 + header..].chunks_exact(2);
    values.map(|b| u16::from_le_bytes([b[0], b[1]])).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_recorded_cases_come_out_of_the_whole_station_byte_for_byte() {
    let index: Value = serde_json::from_slice(&fs::read(data("cases.json")).unwrap()).unwrap();
    let cases = index["cases"].as_array().unwrap();
    let mut tried = 0;
    for (name, frame) in index["frames"].as_object().unwrap() {
        let station = Setup::replay(Replay {
            width: number(&frame["width"]),
            height: number(&frame["height"]),
            stride: number(&frame["stride"]),
            frames: vec![fs::read(data(text(&frame["file"]))).unwrap()],
            more: "paced = false\n".into(),
        })
        .start();
        let mut client = station.legacy_client();
        for case in cases.iter().filter(|case| text(&case["frame"]) == name) {
            assert_case(&station, &mut client, case);
            tried += 1;
        }
        station.stop();
    }
    assert_eq!(tried, 28);
}

fn assert_case(station: &Station, client: &mut Client, case: &Value) {
    let name = text(&case["name"]);
    let window = client.ask(&format!("SRV:IMG:BCLP {}", text(&case["bclp"])));
    assert_eq!(
        client.ask(&format!("SRV:IMG:DBAY {}", case["dbay"])),
        "ack",
        "{name}"
    );
    assert_eq!(
        client.ask(&format!("SRV:IMG:SRNK {}", case["srnk"])),
        "ack",
        "{name}"
    );
    if text(&case["correct_result"]) == "nak" {
        // An impossible window is refused by BCLP, an unsuitable one by the capture.
        if window == "ack" {
            assert_eq!(
                client.ask(&format!("CAP:SEQFET {name} 1000 1 0.2 1")),
                "nak",
                "{name}"
            );
        } else {
            assert_eq!(window, "nak", "{name}");
        }
        assert!(
            station.files().iter().all(|file| !file.starts_with(name)),
            "{name}"
        );
        return;
    }
    assert_eq!(window, "ack", "{name}");
    assert_eq!(
        client.ask(&format!("CAP:SEQFET {name} 1000 1 0.2 1")),
        "ack",
        "{name}"
    );
    let file = station.image(&format!("{name}_ss=1000_0000.raw"));
    let (rows, columns, values) = unpickle(&file);
    let shape = &case["correct_shape"];
    assert_eq!(
        (rows, columns),
        (number(&shape[0]), number(&shape[1])),
        "{name}"
    );
    let expected = fs::read(data(text(&case["correct_expected"]))).unwrap();
    assert!(values == npy_values(&expected), "{name}");
    let portable = data(&format!("{name}.portable.raw"));
    if portable.exists() {
        assert!(file == fs::read(portable).unwrap(), "{name}");
    }
}

#[test]
fn names_count_from_0000_for_each_exposure() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    assert_eq!(
        client.ask("CAP:SEQFET Dev101_rPiHQCam2-0007 1000:3150:10000 3 0.2 0"),
        "ack"
    );
    let mut expected = Vec::new();
    for us in ["1000", "3150", "10000"] {
        for index in 0..3 {
            expected.push(format!("Dev101_rPiHQCam2-0007_ss={us}_000{index}.raw"));
        }
    }
    expected.sort();
    assert_eq!(station.files(), expected);
    // What is taken again is overwritten.
    assert_eq!(
        client.ask("CAP:SEQFET Dev101_rPiHQCam2-0007 1000 1 0.2 0"),
        "ack"
    );
    assert_eq!(station.files(), expected);
    assert_eq!(client.ask("CAP:SEQFET many 1000 12 0.2 0"), "ack");
    assert!(station.files().contains(&"many_ss=1000_0011.raw".into()));
    station.stop();
}

/// Whether `text` is digits, a point and three digits.
fn is_seconds(text: &str) -> bool {
    text.split_once('.').is_some_and(|(whole, thousandths)| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits(whole) && digits(thousandths) && thousandths.len() == 3
    })
}

#[test]
fn the_log_has_a_line_a_picture_in_the_old_shape() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    assert_eq!(client.ask("CAP:SEQFET P 1000:-1:2000 2 0,2 yes"), "ack");
    let log = String::from_utf8(station.image("P_SSCapture.log")).unwrap();
    assert!(log.ends_with('\n') && !log.contains('\r'));
    let folder = station.images().display().to_string();
    let pictures = [
        ("1000", "1000"),
        ("1000", "1000"),
        ("-1", "10000"),
        ("-1", "10000"),
        ("2000", "2000"),
        ("2000", "2000"),
    ];
    assert_eq!(log.lines().count(), pictures.len());
    for (n, (line, (asked, seen))) in log.lines().zip(pictures).enumerate() {
        let fields: Vec<&str> = line.split(';').collect();
        let [name, capture, save, asked_field, seen_field, duration] = fields[..] else {
            panic!("{line}");
        };
        // Automatic exposure is named after what the frame was taken with.
        let named = if asked == "-1" { seen } else { asked };
        assert_eq!(
            name,
            format!("fName:{folder}/P_ss={named}_000{}.raw", n % 2)
        );
        assert!(Path::new(&name["fName:".len()..]).exists());
        assert!(is_seconds(capture.strip_prefix("tCap:").unwrap()), "{line}");
        assert!(is_seconds(save.strip_prefix("tSav").unwrap()), "{line}");
        assert_eq!(asked_field, format!("sSS:{asked}"));
        assert_eq!(seen_field, format!("iSS:{seen}"));
        assert_eq!(duration, "FD:100000");
    }
    station.stop();
}

#[test]
fn exposures_are_taken_in_the_order_of_the_list() {
    // A first exposure that comes again at the end tells the drift in between, so it must not be taken early.
    let station = Setup::simulated().start();
    let mut client = station.legacy_client();
    for message in [
        "SRV:IMG:BCLP 32:32",
        "CAM:CONF:SS 1000",
        "CAP:SEQFET A 1000:2000:1000:3000 2 0.2 1",
    ] {
        assert_eq!(client.ask(message), "ack", "{message}");
    }
    let log = String::from_utf8(station.image("A_SSCapture.log")).unwrap();
    let order = log
        .lines()
        .map(|line| line.split(';').nth(3).unwrap().trim_start_matches("sSS:"));
    let expected = [
        "1000", "1000", "2000", "2000", "1000", "1000", "3000", "3000",
    ];
    assert_eq!(order.collect::<Vec<_>>(), expected);
    station.stop();
}

#[test]
fn no_pictures_make_an_empty_log() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    for (prefix, pictures) in [("zero", 0), ("minus", -3)] {
        assert_eq!(
            client.ask(&format!("CAP:SEQFET {prefix} 1000:2000 {pictures} 0.2 1")),
            "ack"
        );
        assert_eq!(station.image(&format!("{prefix}_SSCapture.log")), b"");
    }
    assert_eq!(client.ask("CAP:SEQFET none 1000 0 0.2 0"), "ack");
    assert_eq!(
        station.files(),
        ["minus_SSCapture.log", "zero_SSCapture.log"]
    );
    station.stop();
}

#[test]
fn pictures_appear_whole_and_readable_by_the_group() {
    use std::os::unix::fs::PermissionsExt;
    let station = Setup::small().start();
    assert_eq!(
        station.legacy_client().ask("CAP:SEQFET P 1000 1 0.2 1"),
        "ack"
    );
    for name in station.files() {
        assert!(!name.starts_with('.'), "{name}");
        let mode = fs::metadata(station.images().join(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o664, "{name}");
    }
    let mode = fs::metadata(station.images()).unwrap().permissions().mode();
    assert_eq!(mode & 0o1777, 0o775);
    station.stop();
}

#[test]
fn files_can_be_listed_fetched_and_deleted() {
    let station = Setup::small().start();
    let mut client = station.client();
    fs::write(station.images().join("note.txt"), "hello").unwrap();
    client.command("CAP:SEQFET 'P',(1000),1,0,1;*WAI");
    let raw = station.image("P_ss=1000_0000.raw");
    let catalog = client.query("MMEM:CAT?");
    let fields: Vec<&str> = catalog.splitn(3, ',').collect();
    let (used, free): (u64, u64) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
    assert!(used >= raw.len() as u64 && free > 0, "{catalog}");
    let mut entries: Vec<&str> = fields[2].trim_matches('"').split("\",\"").collect();
    entries.sort();
    assert_eq!(entries.len(), 3, "{catalog}");
    assert!(entries[0].starts_with("P_SSCapture.log,"), "{catalog}");
    assert!(
        entries[1].starts_with("P_ss=1000_0000.raw,")
            && entries[1].ends_with(&format!(",{}", raw.len())),
        "{catalog}"
    );
    assert!(
        entries[2].starts_with("note.txt,") && entries[2].ends_with(",5"),
        "{catalog}"
    );
    assert!(client.block("MMEM:DATA? 'P_ss=1000_0000.raw'") == raw);
    assert_eq!(client.block("MMEM:DATA? 'note.txt'"), b"hello");
    let (free, used) = client
        .query("MMEM:FREE?")
        .split_once(',')
        .map(|(f, u)| (f.parse::<u64>().unwrap(), u.parse::<u64>().unwrap()))
        .unwrap();
    assert!(free > used && used >= raw.len() as u64);
    client.command("MMEM:DEL 'note.txt'");
    assert_eq!(client.refused("MMEM:DATA? 'note.txt'"), -256);
    assert_eq!(client.refused("MMEM:DEL 'note.txt'"), -256);
    station.stop();
}

#[test]
fn nothing_outside_the_ram_disk_can_be_reached() {
    let station = Setup::small().start();
    let mut client = station.client();
    let secret = station.folder().join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, station.images().join("link")).unwrap();
    symlink(station.folder(), station.images().join("way")).unwrap();
    let absolute = secret.display().to_string();
    for name in [
        "../../secret",
        "link",
        "way/secret",
        &absolute,
        "/etc/hostname",
        "",
        ".",
        "..",
        "a\u{0}b",
    ] {
        for command in ["MMEM:DATA?", "MMEM:DEL"] {
            client.send(format!("{command} '{name}'\n"));
            let errors = client.errors();
            assert_eq!(errors.len(), 1, "{command} {name:?}");
        }
    }
    for (dir, file) in [
        ("/etc", "x.tar"),
        ("way", "x.tar"),
        (".", "../../x.tar"),
        (".", "/tmp/x.tar"),
        (".", "way/x.tar"),
    ] {
        client.send(format!("SRV:ARCHV '{dir}','{file}',0,0,1;*WAI\n"));
        assert_eq!(client.errors().len(), 1, "{dir} {file}");
        let ramdisk = station.ramdisk().display().to_string();
        let dir = if dir == "." { ramdisk } else { dir.into() };
        assert_eq!(
            station
                .legacy_client()
                .ask(&format!("SRV:ARCHV {dir} {file} 0 0 1")),
            "nak",
            "{dir} {file}"
        );
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert!(!station.folder().join("x.tar").exists());
    station.stop();
}

/// Names in an archive as tar lists them, sorted.
fn members(archive: &Path) -> Vec<String> {
    let listing = Command::new("tar")
        .arg("-tf")
        .arg(archive)
        .output()
        .unwrap();
    assert!(listing.status.success(), "{listing:?}");
    let mut names: Vec<String> = String::from_utf8(listing.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

#[test]
fn archives_hold_the_pictures_with_or_without_their_folder() {
    let station = Setup::small().start();
    let mut client = station.legacy_client();
    assert_eq!(client.ask("CAP:SEQFET A 1000 2 0.2 1"), "ack");
    let (images, ramdisk) = (
        station.images().display().to_string(),
        station.ramdisk().display().to_string(),
    );
    let names = [
        "A_SSCapture.log",
        "A_ss=1000_0000.raw",
        "A_ss=1000_0001.raw",
    ];
    for (file, flags) in [
        ("a.tar", "0 0 1"),
        ("a.tar.gz", "1 0 1"),
        ("b.tar.gz", "1 1 1"),
        ("c.odd", "0 1 1"),
    ] {
        assert_eq!(
            client.ask(&format!("SRV:ARCHV {images} {ramdisk}/{file} {flags}")),
            "ack"
        );
        let mut expected = vec!["./".to_owned()];
        expected.extend(names.map(|name| format!("./{name}")));
        assert_eq!(members(&station.ramdisk().join(file)), expected, "{file}");
        let head = fs::read(station.ramdisk().join(file)).unwrap();
        assert_eq!(
            head.starts_with(b"\x1f\x8b"),
            flags.starts_with('1'),
            "{file}"
        );
    }
    assert_eq!(
        client.ask(&format!("SRV:ARCHV {images} {ramdisk}/p.tar 0 0 0")),
        "ack"
    );
    for (member, name) in members(&station.ramdisk().join("p.tar"))
        .iter()
        .filter(|m| !m.ends_with('/'))
        .zip(names)
    {
        assert_eq!(
            *member,
            format!("{}/{name}", images.trim_start_matches('/'))
        );
    }
    // An archive within the folder leaves itself out; the pictures stay.
    assert_eq!(
        client.ask(&format!("SRV:ARCHV {images} {images}/in.tar 0 0 1")),
        "ack"
    );
    assert_eq!(members(&station.images().join("in.tar")).len(), 4);
    assert_eq!(station.files().len(), 4);
    for message in [
        format!("SRV:ARCHV {ramdisk}/none {ramdisk}/n.tar 0 0 1"),
        format!("SRV:ARCHV {images}"),
        "SRV:ARCHV".into(),
    ] {
        assert_eq!(client.ask(&message), "nak", "{message}");
    }
    assert_eq!(
        names_in(&station.ramdisk()),
        [
            "Captures", "a.tar", "a.tar.gz", "b.tar.gz", "c.odd", "p.tar"
        ]
    );
    station.stop();
}

#[test]
fn a_file_beyond_a_blocks_length_is_refused_before_its_header() {
    let station = Setup::small().start();
    let mut client = station.client();
    // Nine digits of length are all that a definite-length block has. The file is sparse.
    let file = std::fs::File::create(station.images().join("big.bin")).unwrap();
    file.set_len(1_000_000_000).unwrap();
    assert_eq!(client.refused("MMEM:DATA? 'big.bin'"), -223);
    assert_eq!(client.query("SYST:VERS?"), "1999.0");
    station.stop();
}
