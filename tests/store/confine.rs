//! What clients may name: paths inside, paths that lead out, and names no file can have.

use std::fs;
use std::os::unix::fs::symlink;

use outpost::store::{NameFault, RamDisk, StoreError};

use crate::Fixture;

#[test]
fn paths_inside_resolve_however_they_are_written() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", b"a");
    let real = fixture.root().canonicalize().unwrap();
    symlink("Captures", fixture.root().join("link")).unwrap();
    let absolute = fixture.image("a.raw");
    for path in [
        absolute.to_str().unwrap(),
        "Captures/a.raw",
        "./Captures/../Captures/a.raw",
        "link/a.raw",
        "../ramdisk/Captures/a.raw",
    ] {
        let resolved = fixture.disk.resolve(path).unwrap();
        assert_eq!(resolved, real.join("Captures/a.raw"), "{path}");
    }
    assert_eq!(fixture.disk.resolve(".").unwrap(), real);
}

#[test]
fn a_ram_disk_behind_a_link_is_named_by_either_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("ramdisk")).unwrap();
    let root = dir.path().join("ramdisk");
    let disk = RamDisk::open(&root, &root.join("Captures"), 0).unwrap();
    let expected = dir.path().canonicalize().unwrap().join("real/Captures");
    for name in ["ramdisk/Captures", "real/Captures"] {
        let path = dir.path().join(name);
        assert_eq!(disk.resolve(path.to_str().unwrap()).unwrap(), expected);
    }
}

#[test]
fn paths_that_lead_out_are_refused_whether_or_not_they_exist() {
    let fixture = Fixture::new(0);
    let private = fixture.dir.path().join("private");
    symlink(&private, fixture.image("folder")).unwrap();
    symlink(private.join("secret"), fixture.image("file")).unwrap();
    symlink("../../private/secret", fixture.image("relative")).unwrap();
    fs::create_dir(fixture.dir.path().join("ramdisk2")).unwrap();
    let beside = fixture.dir.path().join("ramdisk2");
    let absolute = private.join("secret");
    for path in [
        "/etc/passwd",
        "/etc/no-such-file",
        "/",
        "..",
        "../private/secret",
        "../no-such",
        "Captures/../../private/secret",
        "Captures/folder/secret",
        "Captures/folder/no-such",
        "Captures/file",
        "Captures/relative",
        absolute.to_str().unwrap(),
        beside.to_str().unwrap(),
    ] {
        let resolved = fixture.disk.resolve(path);
        assert!(
            matches!(resolved, Err(StoreError::Outside { .. })),
            "{path}: {resolved:?}"
        );
        let opened = fixture.disk.open_file(path);
        assert!(opened.is_err(), "{path}");
        assert!(fixture.disk.delete(path).is_err(), "{path}");
    }
    for plain in ["file", "relative"] {
        let opened = fixture.disk.open_file(plain);
        assert!(
            matches!(opened, Err(StoreError::Outside { .. })),
            "{plain}: {opened:?}"
        );
    }
    assert_eq!(fs::read(absolute).unwrap(), b"secret");
}

#[test]
fn what_is_missing_inside_is_not_found() {
    let fixture = Fixture::new(0);
    for path in ["Captures/none", "none/none", "none/../../private/secret"] {
        let resolved = fixture.disk.resolve(path);
        assert!(
            matches!(resolved, Err(StoreError::NotFound { .. })),
            "{path}: {resolved:?}"
        );
    }
    let opened = fixture.disk.open_file("none.raw");
    assert!(matches!(opened, Err(StoreError::NotFound { .. })));
    let deleted = fixture.disk.delete("none.raw");
    assert!(matches!(deleted, Err(StoreError::NotFound { .. })));
}

#[test]
fn names_no_file_can_have_are_refused() {
    let fixture = Fixture::new(0);
    let long = "n".repeat(256);
    let longer = format!("Captures/{}", "p/".repeat(2048));
    for (name, expected) in [
        ("", NameFault::Empty),
        ("a\nb", NameFault::Control),
        ("a\0b", NameFault::Control),
        ("a\u{7f}", NameFault::Control),
        ("a\u{9b}", NameFault::Control),
        (".", NameFault::NotPlain),
        ("..", NameFault::NotPlain),
        (long.as_str(), NameFault::TooLong),
        (longer.as_str(), NameFault::TooLong),
    ] {
        for error in [
            fixture.disk.open_file(name).err().unwrap(),
            fixture.disk.delete(name).err().unwrap(),
        ] {
            match error {
                StoreError::BadName { fault, .. } => assert_eq!(fault, expected, "{name:?}"),
                other => panic!("{name:?}: {other}"),
            }
        }
    }
}
