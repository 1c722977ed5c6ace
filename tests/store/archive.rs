//! Archives: what is in them, where they may go, and what happens when something goes wrong half-way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use outpost::store::{
    ArchiveOptions, ArchiveSummary, NewFile, Progress, RamDisk, StoreError, create_archive,
};

use crate::{Fixture, mode, names};

const PLAIN: ArchiveOptions = ArchiveOptions {
    compress: false,
    multicore: false,
    suppress_parents: true,
};
const GZIP: ArchiveOptions = ArchiveOptions {
    compress: true,
    ..PLAIN
};
const GZIP_MULTICORE: ArchiveOptions = ArchiveOptions {
    multicore: true,
    ..GZIP
};
const WITH_PARENTS: ArchiveOptions = ArchiveOptions {
    suppress_parents: false,
    ..PLAIN
};

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Bytes that do not compress to nothing and differ by seed.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Archives the image folder.
fn archive(
    fixture: &Fixture,
    file: &str,
    options: ArchiveOptions,
) -> Result<ArchiveSummary, StoreError> {
    let dir = fixture.disk.images().to_str().unwrap();
    create_archive(&fixture.disk, dir, file, options, &mut go_on)
}

/// Name -> content of every member; a folder's content is empty.
fn read_tar(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

/// Runs a program of the system, or says that there is none.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{program}: {error}"),
    };
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    assert!(
        output.stderr.is_empty(),
        "{program} {arguments:?}: {output:?}"
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn members_are_named_relative_to_the_folder_with_owner_mode_and_time() {
    let fixture = Fixture::new(0);
    fixture.put("b.raw", b"bb");
    fixture.put("a.raw", &noise(700, 1));
    fs::set_permissions(fixture.image("a.raw"), fs::Permissions::from_mode(0o640)).unwrap();
    let summary = archive(&fixture, "x.tar", PLAIN).unwrap();
    assert_eq!((summary.members, summary.content_bytes), (3, 702));
    assert_eq!(mode(&summary.path), 0o664);
    let bytes = fs::read(&summary.path).unwrap();
    assert_eq!(bytes.len() % 512, 0);
    assert!(bytes.ends_with(&[0; 1024]));

    let mut archive = tar::Archive::new(bytes.as_slice());
    let headers: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().header().clone())
        .collect();
    let raw_names: Vec<_> = headers
        .iter()
        .map(|header| header.path_bytes().into_owned())
        .collect();
    assert_eq!(raw_names, [&b"./"[..], b"./a.raw", b"./b.raw"]);
    let metadata = fs::metadata(fixture.image("a.raw")).unwrap();
    let header = &headers[1];
    assert!(header.as_gnu().is_some());
    assert_eq!(header.mode().unwrap(), 0o640);
    assert_eq!(header.uid().unwrap(), u64::from(metadata.uid()));
    assert_eq!(header.gid().unwrap(), u64::from(metadata.gid()));
    assert_eq!(header.mtime().unwrap(), metadata.mtime() as u64);
    assert!(fixture.image("a.raw").exists(), "the source stays");
}

#[test]
fn parents_are_the_whole_path_without_its_slash() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", b"a");
    let summary = archive(&fixture, "x.tar", WITH_PARENTS).unwrap();
    let dir = fixture.disk.images().to_str().unwrap().to_owned();
    let dir = dir.trim_start_matches('/');
    let names: Vec<_> = read_tar(&fs::read(summary.path).unwrap())
        .into_keys()
        .collect();
    assert_eq!(names, [format!("{dir}/"), format!("{dir}/a.raw")]);
}

#[test]
fn names_around_the_header_limit_come_back_whole() {
    let fixture = Fixture::new(0);
    for (seed, len) in [97, 98, 99, 100, 101, 254, 255].into_iter().enumerate() {
        fixture.put(&"n".repeat(len), &noise(600 + len, seed as u32));
    }
    for options in [PLAIN, WITH_PARENTS] {
        let summary = archive(&fixture, "x.tar", options).unwrap();
        let members = read_tar(&fs::read(&summary.path).unwrap());
        assert_eq!(members.len(), 8);
        for (name, content) in members.iter().filter(|(name, _)| !name.ends_with('/')) {
            let plain = name.rsplit('/').next().unwrap();
            assert_eq!(*content, fs::read(fixture.image(plain)).unwrap(), "{name}");
        }
    }
    // 100 bytes stand in the header, 101 need a record of their own.
    archive(&fixture, "x.tar", PLAIN).unwrap();
    let bytes = fs::read(fixture.root().join("x.tar")).unwrap();
    let records = bytes
        .chunks(512)
        .filter(|b| b.starts_with(b"././@LongLink"));
    assert_eq!(records.count(), 5);
}

#[test]
fn system_programs_read_the_archives() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", &noise(3 << 20, 1));
    fixture.put(&"n".repeat(255), b"long");
    fixture.put("empty", b"");
    for (file, options) in [
        ("x.tar", PLAIN),
        ("x.tar.gz", GZIP),
        ("y.tar.gz", GZIP_MULTICORE),
    ] {
        let path = archive(&fixture, file, options).unwrap().path;
        let path = path.to_str().unwrap();
        if options.compress {
            run("gzip", &["-t", path]);
        }
        let Some(listed) = run("tar", &["-tf", path]) else {
            continue;
        };
        let long = format!("./{}", "n".repeat(255));
        let expected = ["./", "./a.raw", "./empty", &long];
        assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
        let out = tempfile::tempdir().unwrap();
        run("tar", &["-xf", path, "-C", out.path().to_str().unwrap()]);
        for name in names(out.path()) {
            let unpacked = fs::read(out.path().join(&name)).unwrap();
            assert_eq!(unpacked, fs::read(fixture.image(&name)).unwrap(), "{name}");
        }
        assert_eq!(names(out.path()).len(), 3);
    }
}

#[test]
fn compression_on_one_or_many_cores_holds_the_plain_tar() {
    let fixture = Fixture::new(0);
    for (seed, len) in [0, 1, 511, 512, 513, (1 << 20) + 7].into_iter().enumerate() {
        fixture.put(&format!("f{len}"), &noise(len, seed as u32));
    }
    fixture.put("flat", &vec![7; 3 << 20]);
    let read = |options| fs::read(archive(&fixture, "x", options).unwrap().path).unwrap();
    let plain = read(PLAIN);
    assert_eq!(plain, read(PLAIN), "the same folder gives the same archive");
    for options in [GZIP, GZIP_MULTICORE] {
        let packed = read(options);
        assert!(packed.len() < plain.len() / 2);
        assert_eq!(packed[..4], [0x1f, 0x8b, 8, 0], "no name in the header");
        assert_eq!(packed[4..8], [0; 4], "no time in the header");
        assert_eq!(gunzip(&packed), plain);
        assert_eq!(packed, read(options));
    }
}

#[test]
fn the_archive_itself_and_what_is_no_picture_stay_out() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", b"a");
    fixture.put(".keep", b"");
    fs::create_dir(fixture.image("sub")).unwrap();
    fs::write(fixture.image("sub/b.raw"), b"b").unwrap();
    symlink(fixture.dir.path().join("private"), fixture.image("link")).unwrap();
    symlink("a.raw", fixture.image("file-link")).unwrap();
    let _unfinished = NewFile::create(&fixture.image("c.raw")).unwrap();
    let expected = ["./", "./.keep", "./a.raw", "./sub/", "./sub/b.raw"];
    for _again in 0..2 {
        let path = archive(&fixture, "Captures/sub/own.tar", PLAIN)
            .unwrap()
            .path;
        let members: Vec<_> = read_tar(&fs::read(path).unwrap()).into_keys().collect();
        assert_eq!(members, expected);
    }
}

#[test]
fn archives_stay_below_the_ram_disk() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", b"a");
    let private = fixture.dir.path().join("private");
    symlink(&private, fixture.root().join("out")).unwrap();
    let refuse = |dir: &str, file: &str| {
        create_archive(&fixture.disk, dir, file, PLAIN, &mut go_on).unwrap_err()
    };
    for dir in [
        private.to_str().unwrap(),
        "..",
        "out",
        "Captures/../..",
        "/",
    ] {
        let error = refuse(dir, "x.tar");
        assert!(
            matches!(error, StoreError::Outside { .. }),
            "{dir}: {error}"
        );
    }
    let beside = private.join("x.tar");
    for file in [beside.to_str().unwrap(), "../x.tar", "out/x.tar", "/x.tar"] {
        let error = refuse("Captures", file);
        assert!(
            matches!(error, StoreError::Outside { .. }),
            "{file}: {error}"
        );
    }
    let missing = refuse("none", "x.tar");
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    let missing = refuse("Captures", "none/x.tar");
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    let file = refuse("Captures/a.raw", "x.tar");
    assert!(matches!(file, StoreError::NotAFolder { .. }), "{file}");
    for file in ["Captures", "Captures/", "."] {
        let error = refuse("Captures", file);
        assert!(
            matches!(error, StoreError::NotAFile { .. }),
            "{file}: {error}"
        );
    }
    assert_eq!(names(&private), ["secret"]);
    assert_eq!(fixture.names(), ["Captures", "out"]);
}

#[test]
fn an_archive_never_goes_through_a_link() {
    let fixture = Fixture::new(0);
    let secret = fixture.dir.path().join("private/secret");
    symlink(&secret, fixture.root().join("x.tar")).unwrap();
    let error = archive(&fixture, "x.tar", PLAIN).unwrap_err();
    assert!(matches!(error, StoreError::NotAFile { .. }), "{error}");
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

#[test]
fn an_archive_that_cannot_fit_leaves_nothing() {
    let fixture = Fixture::new(1);
    fixture.put("a.raw", &noise(600 << 10, 1));
    for options in [PLAIN, GZIP, GZIP_MULTICORE] {
        let error = archive(&fixture, "x.tar", options).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_eq!(fixture.names(), ["Captures"]);
        assert_eq!(fixture.disk.reserved(), 0);
    }
    // Compressible content fits compressed though not plain.
    fixture.put("a.raw", &vec![0; 600 << 10]);
    archive(&fixture, "x.tar", PLAIN).unwrap_err();
    archive(&fixture, "x.tar.gz", GZIP).unwrap();
    assert_eq!(fixture.disk.reserved(), 0);
}

#[test]
fn progress_reaches_the_total_and_may_abort() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", &noise(1 << 20, 1));
    fixture.put("b.raw", &noise(1000, 2));
    let dir = fixture.disk.images().to_str().unwrap();
    for options in [PLAIN, GZIP, GZIP_MULTICORE] {
        let mut seen = Vec::new();
        let mut watch = |progress: Progress| {
            assert_eq!(progress.bytes_total, (1 << 20) + 1000);
            seen.push(progress.bytes_done);
            ControlFlow::Continue(())
        };
        create_archive(&fixture.disk, dir, "x.tar", options, &mut watch).unwrap();
        assert!(seen.is_sorted());
        assert!(seen.len() > 4);
        assert_eq!(seen.last(), Some(&((1 << 20) + 1000)));

        let mut stop = |progress: Progress| match progress.bytes_done > 500_000 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let before = fs::read(fixture.root().join("x.tar")).unwrap();
        let aborted = create_archive(&fixture.disk, dir, "x.tar", options, &mut stop);
        assert!(matches!(aborted, Err(StoreError::Aborted)));
        assert_eq!(fixture.names(), ["Captures", "x.tar"]);
        assert!(before == fs::read(fixture.root().join("x.tar")).unwrap());
    }
}

#[test]
fn a_file_that_changes_meanwhile_never_damages_the_archive() {
    let original = noise(1 << 20, 1);
    let during = |change: &dyn Fn(&Fixture)| {
        let fixture = Fixture::new(0);
        fixture.put("a.raw", &original);
        fixture.put("b.raw", b"bb");
        let dir = fixture.disk.images().to_str().unwrap();
        let mut first = true;
        let mut once = |_| {
            if std::mem::take(&mut first) {
                change(&fixture);
            }
            ControlFlow::Continue(())
        };
        let result = create_archive(&fixture.disk, dir, "x.tar", PLAIN, &mut once);
        let left = fs::read(fixture.root().join("x.tar")).ok();
        assert!(
            names(fixture.root())
                .iter()
                .all(|name| !name.starts_with('.'))
        );
        (result, left)
    };
    let reopen = |fixture: &Fixture| {
        let mut options = fs::OpenOptions::new();
        options.append(true).open(fixture.image("a.raw")).unwrap()
    };

    let (shrunk, left) = during(&|f| reopen(f).set_len(300_000).unwrap());
    assert!(
        matches!(shrunk, Err(StoreError::Changed { .. })),
        "{shrunk:?}"
    );
    assert_eq!(left, None);

    let (vanished, left) = during(&|f| fs::remove_file(f.image("b.raw")).unwrap());
    assert!(
        matches!(vanished, Err(StoreError::Changed { .. })),
        "{vanished:?}"
    );
    assert_eq!(left, None);

    let (swapped, left) = during(&|f| {
        fs::remove_file(f.image("b.raw")).unwrap();
        symlink(f.dir.path().join("private/secret"), f.image("b.raw")).unwrap();
    });
    assert!(
        matches!(swapped, Err(StoreError::Changed { .. })),
        "{swapped:?}"
    );
    assert_eq!(left, None);

    let (grown, left) = during(&|f| reopen(f).write_all(&noise(5000, 9)).unwrap());
    grown.unwrap();
    let members = read_tar(&left.unwrap());
    assert!(members["./a.raw"] == original);
    assert_eq!(members["./b.raw"], b"bb");

    // A file that is being read stays readable after its name is gone.
    let (unlinked, left) = during(&|f| fs::remove_file(f.image("a.raw")).unwrap());
    unlinked.unwrap();
    assert!(read_tar(&left.unwrap())["./a.raw"] == original);
}

#[test]
fn parents_are_named_as_the_client_knows_them_when_the_ram_disk_is_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("ramdisk")).unwrap();
    let root = dir.path().join("ramdisk");
    let disk = RamDisk::open(&root, &root.join("Captures"), 0).unwrap();
    fs::write(root.join("Captures/a"), b"a").unwrap();
    create_archive(&disk, "Captures", "x.tar", WITH_PARENTS, &mut go_on).unwrap();
    let shown = root.join("Captures/a");
    let archived = read_tar(&fs::read(root.join("x.tar")).unwrap());
    assert!(archived.contains_key(shown.to_str().unwrap().trim_start_matches('/')));
}

#[test]
fn an_archive_needs_a_name_a_file_can_have() {
    let fixture = Fixture::new(0);
    for name in ["", "a\nb", &"n".repeat(256)] {
        let error = archive(&fixture, name, PLAIN).unwrap_err();
        assert!(matches!(error, StoreError::BadName { .. }), "{error}");
    }
}
