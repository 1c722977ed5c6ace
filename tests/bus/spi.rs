//! Transactions in memory, and what the user is told about real devices.

use std::fs;
use std::io;
use std::path::Path;

use embedded_hal::spi::{Operation, SpiDevice};
use outpost::base::error::Kind;
use outpost::bus::spi::{self, MemorySpi, SpiError, SpiLink};

use crate::{pattern, text};

#[test]
fn an_image_is_read_whole_in_one_transaction() {
    let image = pattern(51_988);
    let armed = image.clone();
    let mut calls = 0;
    let mut link = SpiLink::Memory(MemorySpi::new(move |clocked| {
        calls += 1;
        assert_eq!(calls, 1, "chip-select fell twice");
        assert!(clocked.iter().all(|&byte| byte == 0));
        clocked.copy_from_slice(&armed);
        Ok(())
    }));
    let mut read = vec![0xAA; image.len()];
    link.read(&mut read).unwrap();
    assert!(read == image);
}

#[test]
fn operations_of_a_transaction_are_one_stretch_of_clocks() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut link = SpiLink::Memory(MemorySpi::new({
        let seen = seen.clone();
        move |clocked| {
            seen.lock().unwrap().push(clocked.to_vec());
            for (position, byte) in clocked.iter_mut().enumerate() {
                *byte = 100 + position as u8;
            }
            Ok(())
        }
    }));
    let (mut read, mut long, mut short, mut in_place) = ([0; 2], [0; 3], [0; 1], [7, 8]);
    link.transaction(&mut [
        Operation::Write(&[1, 2]),
        Operation::DelayNs(1_000),
        Operation::Read(&mut read),
        Operation::Transfer(&mut long, &[3]),
        Operation::Transfer(&mut short, &[4, 5, 6]),
        Operation::TransferInPlace(&mut in_place),
    ])
    .unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [vec![1, 2, 0, 0, 3, 0, 0, 4, 5, 6, 7, 8]]
    );
    assert_eq!(read, [102, 103]);
    assert_eq!(long, [104, 105, 106]);
    assert_eq!(short, [107]);
    assert_eq!(in_place, [110, 111]);

    link.transfer_in_place(&mut in_place).unwrap();
    assert_eq!(in_place, [100, 101]);
    assert_eq!(seen.lock().unwrap()[1], [110, 111]);
}

#[test]
fn a_simulated_device_can_fail() {
    let mut link = SpiLink::Memory(MemorySpi::new(|_| Err(io::Error::other("MISO is stuck"))));
    let error = link.read(&mut [0; 4]).unwrap_err();
    assert_eq!(
        text(&error),
        "the simulated SPI device failed in a transaction of 4 bytes: MISO is stuck"
    );
    assert_eq!(error.failure_kind(), Kind::Hardware);
}

#[test]
fn too_small_a_buffer_is_told_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let parameter = folder.path().join("bufsiz");
    let check = |content: &str, needed| {
        fs::write(&parameter, content).unwrap();
        spi::check_bufsiz(&parameter, needed)
    };
    check("65536\n", 54_272).unwrap();
    check("54272\n", 54_272).unwrap();

    let error = check("4096\n", 54_272).unwrap_err();
    assert_eq!(
        error.to_string(),
        "spidev's buffer holds 4096 bytes, 54272 are needed: put spidev.bufsiz=65536 in cmdline.txt, \
         or `options spidev bufsiz=65536` in /etc/modprobe.d/spidev.conf, and restart"
    );
    let error = check("54271\n", 54_272).unwrap_err();
    assert!(matches!(
        error,
        SpiError::Bufsiz {
            bufsiz: 54_271,
            needed: 54_272
        }
    ));
    let error = check("65536\n", 65_537).unwrap_err();
    assert!(
        error.to_string().contains("spidev.bufsiz=131072 "),
        "{error}"
    );

    let error = check("plenty\n", 1).unwrap_err();
    assert!(
        text(&error).ends_with("invalid digit found in string"),
        "{error:?}"
    );
    fs::remove_file(&parameter).unwrap();
    let error = spi::check_bufsiz(&parameter, 1).unwrap_err();
    assert_eq!(error.failure_kind(), Kind::Absent);
    assert_eq!(
        text(&error),
        format!(
            "the size of spidev's buffer cannot be read from {}: put dtparam=spi=on in config.txt \
             and restart: No such file or directory (os error 2)",
            parameter.display()
        )
    );
}

#[test]
fn an_spi_device_that_cannot_be_used_tells_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("spidev0.0");
    let error = SpiLink::open(&missing, 3, 7_000_000).unwrap_err();
    assert_eq!(error.failure_kind(), Kind::Absent);
    assert_eq!(
        text(&error),
        format!(
            "SPI device {} does not exist: put dtparam=spi=on in config.txt and restart, or correct the path",
            missing.display()
        )
    );
    let error = SpiLink::open(Path::new("/dev/null"), 3, 7_000_000).unwrap_err();
    assert_eq!(
        text(&error),
        "/dev/null cannot be set to SPI mode 3 at 7000000 Hz: Inappropriate ioctl for device (os error 25)"
    );
    let error = SpiLink::open(&missing, 4, 7_000_000).unwrap_err();
    assert_eq!(
        text(&error),
        "SPI mode 4 does not exist: choose 0, 1, 2 or 3"
    );
    let too_long = SpiError::TooLong {
        path: "/dev/spidev0.0".into(),
        mode: 3,
        hz: 7_000_000,
        bytes: 51_988,
    };
    assert_eq!(
        too_long.to_string(),
        "/dev/spidev0.0 (mode 3, 7000000 Hz) refused a transaction of 51988 bytes as longer than spidev's \
         buffer: put spidev.bufsiz=65536 in cmdline.txt, or `options spidev bufsiz=65536` in \
         /etc/modprobe.d/spidev.conf, and restart"
    );
}
