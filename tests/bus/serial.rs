//! Both openers against pseudo-terminals, from the first byte to the unplugging.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use futures_lite::future::{self, block_on};
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use outpost::base::error::Kind;
use outpost::bus::pty::{Pty, PtyError};
use outpost::bus::serial::{self, AsyncSerial, NativeSerial, SerialError};
use rustix::thread::CapabilitySet;

use crate::{pattern, text};

/// Far longer than anything here takes: a test that meets it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn native(path: &Path) -> NativeSerial {
    serial::open_native(path, 9600, PATIENCE).unwrap()
}

async fn opened(path: &Path) -> AsyncSerial {
    serial::open_async(path, 230_400).await.unwrap()
}

/// Every value, so that echo, translation of line ends or signals would show.
fn every_byte() -> Vec<u8> {
    (0..=255).collect()
}

async fn echo(device: &mut Pty, length: usize) {
    let mut bytes = vec![0; length];
    device.read_exact(&mut bytes).await.unwrap();
    device.write_all(&bytes).await.unwrap();
}

#[test]
fn the_asynchronous_port_carries_every_byte_value() {
    block_on(async {
        let mut device = Pty::open(None).unwrap();
        let mut port = opened(device.path()).await;
        let sent = every_byte();
        let mut answer = vec![0; sent.len()];
        future::zip(echo(&mut device, sent.len()), async {
            port.write_all(&sent).await.unwrap();
            port.flush().await.unwrap();
            port.read_exact(&mut answer).await.unwrap();
        })
        .await;
        assert_eq!(answer, sent);
    });
}

#[test]
fn the_asynchronous_port_works_from_a_local_executor_without_tokio() {
    let worker = thread::spawn(|| {
        let executor = smol::LocalExecutor::new();
        block_on(executor.run(async {
            let mut device = Pty::open(None).unwrap();
            let path = device.path().to_owned();
            let driver = executor.spawn(async move {
                let mut port = opened(&path).await;
                port.write_all(b"ping\n").await.unwrap();
                let mut answer = [0; 5];
                port.read_exact(&mut answer).await.unwrap();
                answer
            });
            echo(&mut device, 5).await;
            driver.await
        }))
    });
    assert_eq!(&worker.join().unwrap(), b"ping\n");
}

#[test]
fn the_blocking_port_carries_every_byte_value() {
    let mut device = Pty::open(None).unwrap();
    let mut port = native(device.path());
    let sent = every_byte();
    let driver = thread::spawn({
        let sent = sent.clone();
        move || {
            port.write_all(&sent).unwrap();
            port.flush().unwrap();
            let mut answer = vec![0; sent.len()];
            port.read_exact(&mut answer).unwrap();
            answer
        }
    });
    block_on(echo(&mut device, sent.len()));
    assert_eq!(driver.join().unwrap(), sent);
}

#[test]
fn any_speed_is_accepted_on_a_pseudo_terminal() {
    block_on(async {
        let device = Pty::open(None).unwrap();
        for baud in [50, 9600, 12_345, 230_400, 4_000_000, 12_000_000] {
            drop(serial::open_async(device.path(), baud).await.unwrap());
            drop(serial::open_native(device.path(), baud, PATIENCE).unwrap());
        }
    });
}

#[test]
fn a_silent_device_times_out_and_is_not_taken_for_an_unplugged_one() {
    let mut device = Pty::open(None).unwrap();
    let mut port = serial::open_native(device.path(), 9600, Duration::from_millis(5)).unwrap();
    let error = port.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        format!("{} is silent", device.path().display())
    );

    port.set_timeout(PATIENCE).unwrap();
    block_on(device.write_all(b"late")).unwrap();
    let mut late = [0; 4];
    port.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"late");
}

#[test]
fn writing_to_a_device_that_reads_nothing_times_out() {
    let device = Pty::open(None).unwrap();
    let mut port = serial::open_native(device.path(), 9600, Duration::from_millis(5)).unwrap();
    let error = port.write_all(&pattern(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    block_on(async {
        let device = Pty::open(None).unwrap();
        let path = device.path();
        let refused = format!(
            "serial port {0} is in use by another program: `fuser {0}` tells which one, end it",
            path.display()
        );

        let first = opened(path).await;
        let error = serial::open_async(path, 9600).await.unwrap_err();
        assert!(matches!(error, SerialError::Busy { .. }), "{error:?}");
        assert_eq!((text(&error), error.kind()), (refused.clone(), Kind::Busy));
        let error = serial::open_native(path, 9600, PATIENCE).unwrap_err();
        assert_eq!(text(&error), refused);
        drop(first);

        let second = native(path);
        assert_eq!(
            text(&serial::open_async(path, 9600).await.unwrap_err()),
            refused
        );
        drop(second);
        drop(opened(path).await);
    });
}

/// Runs `body` without the right to open ports that are another's, which root has.
fn unprivileged(body: impl FnOnce() + Send + 'static) {
    let worker = thread::spawn(|| {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::SYS_ADMIN);
        rustix::thread::set_capabilities(None, sets).unwrap();
        body();
    });
    worker.join().unwrap();
}

#[test]
fn a_program_that_ignores_file_locks_is_kept_out_as_well() {
    unprivileged(|| {
        let device = Pty::open(None).unwrap();
        for _ in 0..2 {
            let port = native(device.path());
            let error = fs::File::open(device.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            drop(port);
            let port = block_on(opened(device.path()));
            let error = fs::File::open(device.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            drop(port);
        }
        fs::File::open(device.path()).unwrap();
    });
}

#[test]
fn a_driver_that_was_killed_does_not_lock_its_successor_out() {
    unprivileged(|| {
        let mut device = Pty::open(None).unwrap();
        let mut killed = fs::File::options()
            .read(true)
            .write(true)
            .open(device.path())
            .unwrap();
        rustix::termios::ioctl_tiocexcl(&killed).unwrap();
        killed.write_all(b"?").unwrap();
        drop(killed);
        let error = serial::open_native(device.path(), 9600, PATIENCE).unwrap_err();
        assert!(matches!(error, SerialError::Busy { .. }), "{error:?}");

        block_on(device.read_exact(&mut [0])).unwrap();
        drop(native(device.path()));
    });
}

#[test]
fn draining_throws_away_all_that_came_before() {
    block_on(async {
        let mut device = Pty::open(None).unwrap();
        // More than the line discipline's 4096 bytes: the rest waits in the kernel's queue before it.
        let stale = pattern(8 * 1024);
        let mut fresh = [0; 5];

        device.write_all(&stale).await.unwrap();
        let mut port = opened(device.path()).await;
        port.drain().unwrap();
        device.write_all(b"fresh").await.unwrap();
        port.read_exact(&mut fresh).await.unwrap();
        assert_eq!(&fresh, b"fresh");
        drop(port);

        device.write_all(&stale).await.unwrap();
        let mut port = native(device.path());
        port.drain().unwrap();
        device.write_all(b"clean").await.unwrap();
        port.read_exact(&mut fresh).unwrap();
        assert_eq!(&fresh, b"clean");
    });
}

#[test]
fn unplugging_disconnects_the_driver_and_the_link_brings_it_back() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("opc");
        let device = Pty::open(Some(&link)).unwrap();
        assert_eq!(device.port(), link);
        let mut port = opened(&link).await;

        let mut buffer = [0; 8];
        let (read, ()) = future::zip(port.read(&mut buffer), async {
            // The read is pending by now: zip polls in order.
            device.unplug();
        })
        .await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        assert_eq!(
            error.to_string(),
            format!("{} is unplugged", link.display())
        );
        for result in [
            port.read(&mut buffer).await.map(drop),
            port.write(b"x").await.map(drop),
            port.drain(),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::NotConnected);
        }
        assert!(fs::symlink_metadata(&link).is_err(), "the link is gone too");
        drop(port);
        let error = serial::open_async(&link, 9600).await.unwrap_err();
        assert!(matches!(error, SerialError::Missing { .. }), "{error:?}");

        let mut device = Pty::open(Some(&link)).unwrap();
        let mut port = opened(&link).await;
        future::zip(echo(&mut device, 1), async {
            port.write_all(b"!").await.unwrap();
            port.read_exact(&mut buffer[..1]).await.unwrap();
        })
        .await;
        assert_eq!(buffer[0], b'!');
    });
}

#[test]
fn unplugging_ends_a_blocked_read() {
    let device = Pty::open(None).unwrap();
    let mut port = native(device.path());
    let (tell, told) = std::sync::mpsc::channel();
    let driver = thread::spawn(move || {
        tell.send(()).unwrap();
        let read = port.read(&mut [0; 8]).unwrap_err();
        let write = port.write(b"x").unwrap_err();
        let drained = port.drain().unwrap_err();
        [read, write, drained].map(|error| error.kind())
    });
    told.recv().unwrap();
    device.unplug();
    assert_eq!(driver.join().unwrap(), [ErrorKind::NotConnected; 3]);
}

#[test]
fn a_stale_link_is_replaced_and_a_stranger_stays() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("tty");
    symlink("/dev/pts/of-a-killed-process", &link).unwrap();
    let device = Pty::open(Some(&link)).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), device.path());

    let newer = Pty::open(Some(&link)).unwrap();
    drop(device);
    assert_eq!(
        fs::read_link(&link).unwrap(),
        newer.path(),
        "the newer device keeps its name"
    );
    drop(newer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::write(&link, "mine").unwrap();
    let error = Pty::open(Some(&link)).unwrap_err();
    assert!(matches!(&error, PtyError::Occupied(path) if *path == link));
    assert_eq!(fs::read_to_string(&link).unwrap(), "mine");

    let nowhere = folder.path().join("missing/tty");
    let error = Pty::open(Some(&nowhere)).unwrap_err();
    assert!(matches!(error, PtyError::Link { .. }), "{error:?}");
}

#[test]
fn what_is_sent_while_no_driver_listens_waits_for_it() {
    block_on(async {
        let mut device = Pty::open(None).unwrap();
        drop(opened(device.path()).await);
        device.write_all(b"early").await.unwrap();
        let mut port = opened(device.path()).await;
        let mut early = [0; 5];
        port.read_exact(&mut early).await.unwrap();
        assert_eq!(&early, b"early");
    });
}

/// Sends all of `bytes` and receives as many, both at the same time.
async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = futures_lite::io::split(stream);
    let mut received = vec![0; bytes.len()];
    future::zip(async { writer.write_all(bytes).await.unwrap() }, async {
        reader.read_exact(&mut received).await.unwrap()
    })
    .await;
    received
}

#[test]
fn a_megabyte_each_way_at_once_arrives_whole() {
    block_on(async {
        let down = pattern(1 << 20);
        let up: Vec<u8> = down.iter().rev().map(|byte| !byte).collect();
        let mut device = Pty::open(None).unwrap();
        let mut port = opened(device.path()).await;
        let (at_device, at_port) =
            future::zip(exchange(&mut device, &up), exchange(&mut port, &down)).await;
        assert!(at_device == down);
        assert!(at_port == up);
    });
}

#[test]
fn a_megabyte_each_way_through_the_blocking_port_arrives_whole() {
    let down = pattern(1 << 20);
    let mut device = Pty::open(None).unwrap();
    let mut port = native(device.path());
    let driver = thread::spawn({
        let down = down.clone();
        move || {
            port.write_all(&down).unwrap();
            let mut answer = vec![0; down.len()];
            port.read_exact(&mut answer).unwrap();
            answer
        }
    });
    block_on(echo(&mut device, down.len()));
    assert!(driver.join().unwrap() == down);
}

#[test]
fn a_port_that_cannot_be_opened_tells_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("ttyACM0");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cases = [
        (
            &missing,
            Kind::Absent,
            format!(
                "serial port {} does not exist: plug the device in, or correct the path",
                missing.display()
            ),
        ),
        (
            &file,
            Kind::Absent,
            format!("{} is not a serial port", file.display()),
        ),
        (
            &PathBuf::from("/dev/null"),
            Kind::Absent,
            "/dev/null is not a serial port".to_owned(),
        ),
    ];
    for (path, kind, message) in cases {
        let error = serial::open_native(path, 9600, PATIENCE).unwrap_err();
        assert_eq!((error.kind(), text(&error)), (kind, message.clone()));
        let error = block_on(serial::open_async(path, 9600)).unwrap_err();
        assert_eq!((error.kind(), text(&error)), (kind, message));
    }
    let refused = SerialError::Permission {
        path: "/dev/ttyAMA0".into(),
    };
    assert_eq!(
        refused.to_string(),
        "no permission to open serial port /dev/ttyAMA0: add the user to the group dialout"
    );
}
