//! Serial adapters on USB, by their vendor and product ids.

use std::fs;
use std::path::{Path, PathBuf};

/// A serial adapter that is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// Its device file, such as `/dev/ttyUSB0`.
    pub device: PathBuf,
    /// Its name below `/dev/serial/by-id`, which stays the same in any socket; `None` without udev.
    pub by_id: Option<PathBuf>,
    /// USB vendor and product id.
    pub id: (u16, u16),
    /// Its serial number, if it has one.
    pub serial_number: Option<String>,
}

impl Adapter {
    /// The best name to open it by.
    pub fn path(&self) -> &Path {
        self.by_id.as_deref().unwrap_or(&self.device)
    }
}

/// The serial adapters on USB, by device file. Nothing is opened. Where there is no sysfs there are none.
pub fn adapters() -> Vec<Adapter> {
    adapters_below(Path::new("/sys"), Path::new("/dev"))
}

/// The adapters of other folders than `/sys` and `/dev`.
pub fn adapters_below(sys: &Path, dev: &Path) -> Vec<Adapter> {
    let by_id = links(&dev.join("serial/by-id"));
    let entries = fs::read_dir(sys.join("class/tty")).into_iter().flatten();
    let mut adapters: Vec<Adapter> = entries
        .flatten()
        .filter_map(|entry| {
            let (id, serial_number) = identity(&entry.path().join("device"))?;
            let device = dev.join(entry.file_name());
            let stable = by_id
                .iter()
                .find(|(_, target)| target.file_name() == Some(entry.file_name().as_os_str()));
            Some(Adapter {
                by_id: stable.map(|(link, _)| link.clone()),
                device,
                id,
                serial_number,
            })
        })
        .collect();
    adapters.sort_by(|one, other| one.device.cmp(&other.device));
    adapters
}

/// Symbolic links of a folder with what they point to.
fn links(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), fs::read_link(entry.path()).ok()?)))
        .collect()
}

/// Ids and serial number of the USB device that a tty's device belongs to: one of the folders above it has them.
fn identity(device: &Path) -> Option<((u16, u16), Option<String>)> {
    let device = fs::canonicalize(device).ok()?;
    let usb = device
        .ancestors()
        .take(6)
        .find(|folder| folder.join("idVendor").exists())?;
    let text = |name: &str| {
        let text = fs::read_to_string(usb.join(name)).ok()?;
        Some(text.trim().to_owned())
    };
    let id = |name: &str| u16::from_str_radix(&text(name)?, 16).ok();
    Some(((id("idVendor")?, id("idProduct")?), text("serial")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn adapters_are_found_by_their_ids() {
        let root = tempfile::tempdir().unwrap();
        let (sys, dev) = (root.path().join("sys"), root.path().join("dev"));
        let usb = sys.join("devices/usb1/1-1");
        let tty = usb.join("1-1:1.0/ttyUSB0");
        fs::create_dir_all(&tty).unwrap();
        fs::create_dir_all(sys.join("class/tty/ttyS0")).unwrap();
        fs::create_dir_all(sys.join("class/tty/ttyUSB0")).unwrap();
        fs::create_dir_all(dev.join("serial/by-id")).unwrap();
        for (name, text) in [
            ("idVendor", "0403\n"),
            ("idProduct", "6001\n"),
            ("serial", "DB98\n"),
        ] {
            fs::write(usb.join(name), text).unwrap();
        }
        symlink(&tty, sys.join("class/tty/ttyUSB0/device")).unwrap();
        let link = dev.join("serial/by-id/usb-BitScope_Micro_DB98-if00-port0");
        symlink("../../ttyUSB0", &link).unwrap();
        assert_eq!(
            adapters_below(&sys, &dev),
            [Adapter {
                device: dev.join("ttyUSB0"),
                by_id: Some(link),
                id: (0x0403, 0x6001),
                serial_number: Some("DB98".into()),
            }]
        );
        assert_eq!(adapters_below(Path::new("/nowhere"), &dev), []);
    }
}
