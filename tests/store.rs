//! The RAM disk: what clients may name, files that appear whole, reservations, the catalog and archives.

#[path = "store/archive.rs"]
mod archive;
#[path = "store/confine.rs"]
mod confine;

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use outpost::store::catalog::natural_order;
use outpost::store::{FileKind, NewFile, RamDisk, StoreError, disk_size};

const MEGABYTE: u64 = 1 << 20;

/// A RAM disk in a temporary folder, with a secret beside it that no client may reach.
struct Fixture {
    dir: tempfile::TempDir,
    disk: RamDisk,
}

impl Fixture {
    fn new(limit_mb: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ramdisk");
        let disk = RamDisk::open(&root, &root.join("Captures"), limit_mb).unwrap();
        fs::create_dir(dir.path().join("private")).unwrap();
        fs::write(dir.path().join("private/secret"), b"secret").unwrap();
        Fixture { dir, disk }
    }

    fn root(&self) -> &Path {
        self.disk.root()
    }

    fn image(&self, name: &str) -> PathBuf {
        self.disk.images().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.image(name), content).unwrap();
    }

    /// Every name below the RAM disk's own folder, hidden ones included.
    fn names(&self) -> Vec<String> {
        names(self.root())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn missing_folders_are_created_deletable_by_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b/ramdisk");
    let disk = RamDisk::open(&root, &root.join("Captures"), 0).unwrap();
    for folder in [&dir.path().join("a"), &root, &root.join("Captures")] {
        assert_eq!(mode(folder), 0o775, "{}", folder.display());
    }
    NewFile::create(&disk.images().join("x.raw"))
        .unwrap()
        .commit()
        .unwrap();
    assert_eq!(mode(&disk.images().join("x.raw")), 0o664);
}

#[test]
fn existing_folders_keep_their_mode_and_content() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("ramdisk");
    fs::create_dir_all(root.join("Captures")).unwrap();
    fs::write(root.join("Captures/old.raw"), b"old").unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o2770)).unwrap();
    RamDisk::open(&root, &root.join("Captures"), 0).unwrap();
    assert_eq!(mode(&root), 0o2770);
    assert_eq!(fs::read(root.join("Captures/old.raw")).unwrap(), b"old");
}

#[test]
fn a_file_in_place_of_a_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ramdisk"), b"").unwrap();
    for root in ["ramdisk", "ramdisk/below"] {
        let root = dir.path().join(root);
        let error = RamDisk::open(&root, &root.join("Captures"), 0).unwrap_err();
        assert!(matches!(error, StoreError::NotAFolder { .. }), "{error}");
    }
}

#[test]
fn used_counts_whole_blocks_of_what_lies_below_the_root_and_no_links() {
    let fixture = Fixture::new(10);
    assert_eq!(fixture.disk.usage().unwrap().used, 0);
    fixture.put("one", &[0; 1]);
    fixture.put("two", &[0; 4096]);
    fs::write(fixture.root().join("three"), [0; 4097]).unwrap();
    symlink(fixture.dir.path(), fixture.root().join("out")).unwrap();
    let usage = fixture.disk.usage().unwrap();
    assert_eq!(usage.used, 4 * 4096);
    assert_eq!(usage.free, 10 * MEGABYTE - 4 * 4096);
}

#[test]
fn without_a_limit_the_file_system_decides() {
    let fixture = Fixture::new(0);
    let stat = rustix::fs::statvfs(fixture.root()).unwrap();
    let free = fixture.disk.usage().unwrap().free;
    let slack = 256 * MEGABYTE; // others write to the same file system meanwhile
    assert!(free.abs_diff(stat.f_bavail * stat.f_frsize) < slack);
    let error = fixture.disk.reserve(u64::MAX / 2).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
}

#[test]
fn an_image_folder_elsewhere_counts_and_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let (root, images) = (dir.path().join("ramdisk"), dir.path().join("pictures"));
    let disk = RamDisk::open(&root, &images, 1).unwrap();
    fs::write(images.join("a.raw"), [0; 5000]).unwrap();
    fs::write(root.join("x.tar"), [0; 1]).unwrap();
    assert_eq!(disk.usage().unwrap().used, 3 * 4096);
    assert_eq!(disk.open_file("a.raw").unwrap().size, 5000);
    let absolute = images.join("a.raw");
    disk.delete(absolute.to_str().unwrap()).unwrap();
    let beside = dir.path().to_str().unwrap();
    assert!(matches!(
        disk.resolve(beside),
        Err(StoreError::Outside { .. })
    ));
}

#[test]
fn storage_is_low_under_a_tenth_or_64_megabytes() {
    let low = |used, free| {
        let usage = outpost::store::Usage { used, free };
        usage.is_low()
    };
    assert!(low(0, 63 * MEGABYTE));
    assert!(!low(0, 64 * MEGABYTE));
    assert!(low(1000 * MEGABYTE, 100 * MEGABYTE));
    assert!(!low(1000 * MEGABYTE, 112 * MEGABYTE));
}

#[test]
fn a_reservation_is_held_back_from_later_ones_and_given_back() {
    let fixture = Fixture::new(1);
    let first = fixture.disk.reserve(MEGABYTE - 4096 - 4095).unwrap();
    assert_eq!(first.remaining(), MEGABYTE - 4096, "rounded up to a block");
    match fixture.disk.reserve(4097).unwrap_err() {
        StoreError::Full { needed, free } => assert_eq!((needed, free), (8192, 4096)),
        other => panic!("{other}"),
    }
    let second = fixture.disk.reserve(4096).unwrap();
    drop(first);
    assert_eq!(fixture.disk.reserved(), 4096);
    drop(second);
    assert!(fixture.disk.reserve(MEGABYTE).is_ok());
}

#[test]
fn a_written_file_is_counted_once_when_its_reservation_is_consumed() {
    let fixture = Fixture::new(1);
    let half = MEGABYTE / 2;
    let mut reservation = fixture.disk.reserve(2 * disk_size(half / 2)).unwrap();
    fixture.put("first", &vec![0; (half / 2) as usize]);
    reservation.consume(disk_size(half / 2));
    assert_eq!(reservation.remaining(), half / 2);
    let other = fixture.disk.reserve(half).unwrap();
    assert!(fixture.disk.reserve(1).is_err());
    reservation.consume(u64::MAX);
    drop(reservation);
    assert_eq!(fixture.disk.reserved(), other.remaining());
}

#[test]
fn reservations_of_many_threads_never_exceed_what_is_free() {
    let fixture = Fixture::new(1);
    let piece = MEGABYTE / 8;
    let together = Barrier::new(16);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let (disk, together) = (fixture.disk.clone(), &together);
                scope.spawn(move || {
                    let reservation = disk.reserve(piece);
                    together.wait(); // all held at the same time
                    usize::from(reservation.is_ok())
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(granted, 8);
    assert_eq!(fixture.disk.reserved(), 0);
}

#[test]
fn a_new_file_appears_when_it_is_committed() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", b"old");
    let mut file = NewFile::create(&fixture.image("a.raw")).unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    file.write_all(b"xx").unwrap();
    assert_eq!(fs::read(fixture.image("a.raw")).unwrap(), b"old");
    assert_eq!(file.path(), fixture.image("a.raw"));
    file.commit().unwrap();
    assert_eq!(fs::read(fixture.image("a.raw")).unwrap(), b"01xx456789");
    assert_eq!(names(fixture.disk.images()), ["a.raw"]);
}

#[test]
fn a_dropped_file_leaves_nothing_and_a_killed_one_is_swept() {
    let fixture = Fixture::new(0);
    fixture.put("b.raw", b"kept");
    let mut dropped = NewFile::create(&fixture.image("a.raw")).unwrap();
    dropped.write_all(b"partial").unwrap();
    drop(dropped);
    assert_eq!(names(fixture.disk.images()), ["b.raw"]);

    // A killed process runs no destructor.
    for path in [fixture.image("a.raw"), fixture.root().join("a.tar")] {
        let mut killed = NewFile::create(&path).unwrap();
        killed.write_all(b"partial").unwrap();
        std::mem::forget(killed);
    }
    let own: Vec<_> = [".profile", ".tmp", ".a.tmp", ".a.1x.tmp", "a.1.tmp"].into();
    for name in &own {
        fixture.put(name, b"not ours");
    }
    assert_eq!(fixture.disk.catalog().unwrap().entries.len(), 2);
    assert_eq!(fixture.disk.sweep().unwrap(), 2);
    assert_eq!(fixture.disk.sweep().unwrap(), 0);
    for name in own {
        assert!(fixture.image(name).exists(), "{name}");
    }
    assert_eq!(fixture.names(), ["Captures"]);
}

#[test]
fn a_name_of_full_length_fits_with_its_temporary_name() {
    let fixture = Fixture::new(0);
    let name = "n".repeat(255);
    let file = NewFile::create(&fixture.image(&name)).unwrap();
    let twin = NewFile::create(&fixture.image(&name)).unwrap();
    let temporary = names(fixture.disk.images());
    assert_eq!(temporary.len(), 2);
    assert!(temporary.iter().all(|t| t.len() <= 255));
    file.commit().unwrap();
    twin.commit().unwrap();
    assert_eq!(names(fixture.disk.images()), [name.as_str()]);
    let error = NewFile::create(&fixture.image(&(name + "n")))
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::BadName { .. }), "{error}");
}

#[test]
fn a_new_file_never_follows_a_link() {
    let fixture = Fixture::new(0);
    let secret = fixture.dir.path().join("private/secret");
    symlink(&secret, fixture.image("a.raw")).unwrap();
    let mut file = NewFile::create(&fixture.image("a.raw")).unwrap();
    file.write_all(b"picture").unwrap();
    file.commit().unwrap();
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    assert_eq!(fs::read(fixture.image("a.raw")).unwrap(), b"picture");
}

#[test]
fn a_folder_that_cannot_be_written_says_so() {
    let fixture = Fixture::new(0);
    let no_folder = NewFile::create(&fixture.image("none/a.raw")).err().unwrap();
    assert!(matches!(no_folder, StoreError::NotFound { .. }));
    fixture.put("file", b"");
    let in_file = NewFile::create(&fixture.image("file/a.raw")).err().unwrap();
    assert!(
        matches!(in_file, StoreError::NotAFolder { .. }),
        "{in_file}"
    );
    fs::create_dir(fixture.image("folder")).unwrap();
    let over_folder = NewFile::create(&fixture.image("folder")).unwrap().commit();
    assert!(matches!(over_folder, Err(StoreError::NotAFile { .. })));
    assert_eq!(names(fixture.disk.images()), ["file", "folder"]);
    // Root may write anywhere but here.
    if Path::new("/sys/kernel").is_dir() {
        let error = NewFile::create(Path::new("/sys/kernel/a")).err().unwrap();
        assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    }
}

#[test]
fn a_full_file_system_is_told_from_other_failures() {
    let full = StoreError::from_io(Path::new("x"), io::ErrorKind::StorageFull.into());
    assert!(matches!(full, StoreError::NoSpace { .. }));
    if let Ok(mut device) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let error = device.write_all(b"x").unwrap_err();
        let error = StoreError::from_io(Path::new("x"), error);
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    }
}

#[test]
fn the_catalog_lists_complete_plain_files_in_natural_order() {
    let fixture = Fixture::new(0);
    for name in ["p_10.raw", "p_9.raw", "P_010.raw", "a.LOG", "p_9.fits"] {
        fixture.put(name, name.as_bytes());
    }
    fixture.put(".hidden", b"");
    fixture.put("new\nline", b"");
    fs::create_dir(fixture.image("folder")).unwrap();
    symlink("a.LOG", fixture.image("link")).unwrap();
    let _open = NewFile::create(&fixture.image("z.raw")).unwrap();
    let catalog = fixture.disk.catalog().unwrap();
    let listed: Vec<_> = catalog
        .entries
        .iter()
        .map(|e| (e.name.as_str(), e.kind.mnemonic(), e.size))
        .collect();
    assert_eq!(
        listed,
        [
            ("a.LOG", "ASC", 5),
            ("p_9.fits", "BIN", 8),
            ("p_9.raw", "BIN", 7),
            ("P_010.raw", "BIN", 9),
            ("p_10.raw", "BIN", 8),
        ]
    );
    assert_eq!(catalog.omitted, 0);
    assert_eq!(FileKind::of("x.json"), FileKind::Ascii);
}

#[test]
fn natural_order_is_total_and_compares_numbers_of_any_length() {
    let sorted = [
        "",
        "1",
        "01",
        "2",
        "10",
        "99999999999999999999999",
        "a",
        "A1",
        "a2",
        "b",
    ];
    for (i, a) in sorted.iter().enumerate() {
        for (j, b) in sorted.iter().enumerate() {
            let expected = match (*a, *b) {
                ("1", "01") => "1".cmp("01"),
                ("01", "1") => "01".cmp("1"),
                _ => i.cmp(&j),
            };
            assert_eq!(natural_order(a, b), expected, "{a:?} {b:?}");
        }
    }
}

#[test]
fn stored_files_are_read_and_deleted_by_name_or_path() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", b"content");
    fs::write(fixture.root().join("x.tar"), b"archive").unwrap();
    let absolute = fixture.image("a.raw");
    for name in ["a.raw", "Captures/a.raw", absolute.to_str().unwrap()] {
        let mut stored = fixture.disk.open_file(name).unwrap();
        let mut content = Vec::new();
        stored.file.read_to_end(&mut content).unwrap();
        assert_eq!((content.as_slice(), stored.size), (&b"content"[..], 7));
    }
    let root = fixture.root().to_str().unwrap().to_owned();
    assert_eq!(
        fixture
            .disk
            .open_file(&format!("{root}/x.tar"))
            .unwrap()
            .size,
        7
    );
    fixture.disk.delete(&format!("{root}/x.tar")).unwrap();
    fixture.disk.delete("a.raw").unwrap();
    assert_eq!(fixture.names(), ["Captures"]);
    assert!(names(fixture.disk.images()).is_empty());
}

#[test]
fn only_regular_visible_files_are_opened_or_deleted() {
    let fixture = Fixture::new(0);
    fixture.put("a.raw", b"a");
    fs::create_dir(fixture.image("folder")).unwrap();
    symlink("a.raw", fixture.image("inside")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fixture.image("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for name in [
        "folder",
        "pipe",
        "Captures/folder/",
        "Captures/.",
        "Captures/folder/..",
    ] {
        let opened = fixture.disk.open_file(name);
        assert!(
            matches!(opened, Err(StoreError::NotAFile { .. })),
            "{name}: {opened:?}"
        );
        assert!(fixture.disk.delete(name).is_err(), "{name}");
    }
    let unfinished = NewFile::create(&fixture.image("b.raw")).unwrap();
    let hidden = names(fixture.disk.images()).remove(0);
    assert!(hidden.starts_with('.'));
    assert!(matches!(
        fixture.disk.open_file(&hidden),
        Err(StoreError::NotFound { .. })
    ));
    assert!(matches!(
        fixture.disk.delete(&hidden),
        Err(StoreError::NotFound { .. })
    ));
    unfinished.commit().unwrap();
    // A link is read as its target; deleting through it could take a file the client never named.
    assert_eq!(fixture.disk.open_file("inside").unwrap().size, 1);
    assert!(matches!(
        fixture.disk.delete("inside"),
        Err(StoreError::NotAFile { .. })
    ));
    assert!(fixture.image("a.raw").exists());
}
