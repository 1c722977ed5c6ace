//! The network settings: `get_wifi`, `set_wifi`. Both restart a camera in hardware mode, which never gets them.

use std::fmt;
use std::str::FromStr;

use super::json::Fields;

/// A dotted address. The camera takes any digits between the dots, so it is kept as four octets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ipv4(pub [u8; 4]);

/// A text that is no dotted address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is four numbers with dots between them")]
pub struct Ipv4Error;

impl fmt::Display for Ipv4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

impl FromStr for Ipv4 {
    type Err = Ipv4Error;

    /// No range check, as in the camera: an octet is taken modulo 256.
    fn from_str(text: &str) -> Result<Self, Ipv4Error> {
        let mut octets = [0; 4];
        let mut parts = text.split('.');
        for octet in &mut octets {
            let part = parts.next().ok_or(Ipv4Error)?;
            if part.is_empty() || part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Ipv4Error);
            }
            *octet = part.parse::<u32>().map_err(|_| Ipv4Error)? as u8;
        }
        match parts.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(Ipv4Error),
        }
    }
}

/// The flags of the network settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WifiFlags(pub u8);

impl WifiFlags {
    /// Bit 0: switched on.
    pub const ENABLED: u8 = 1;
    /// Bit 1: set up. Read only, like the next two.
    pub const INITIALIZED: u8 = 1 << 1;
    /// Bit 2: running.
    pub const RUNNING: u8 = 1 << 2;
    /// Bit 3: a station is connected.
    pub const CONNECTED: u8 = 1 << 3;
    /// Bit 4: the address is fixed.
    pub const STATIC_IP: u8 = 1 << 4;
    /// Bit 7: joins a network instead of offering one.
    pub const CLIENT: u8 = 1 << 7;

    /// As an access point.
    pub const ACCESS_POINT: Self = Self(Self::ENABLED);
    /// As a client with an address by DHCP.
    pub const STATION: Self = Self(Self::CLIENT | Self::ENABLED);
    /// As a client with a fixed address.
    pub const STATION_STATIC: Self = Self(Self::CLIENT | Self::STATIC_IP | Self::ENABLED);

    /// Whether all of `bits` are set.
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
}

/// The answer to `get_wifi`. Passwords are never told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Name of the camera and of the network it offers.
    pub ap_ssid: String,
    /// Network it joins.
    pub sta_ssid: String,
    /// Mode and state.
    pub flags: WifiFlags,
    /// Its address as an access point.
    pub ap_ip_addr: Ipv4,
    /// Its fixed address as a client.
    pub sta_ip_addr: Ipv4,
    /// Its net mask as a client.
    pub sta_netmask: Ipv4,
    /// The address in use.
    pub cur_ip_addr: Ipv4,
}

impl Wifi {
    /// As a camera leaves the factory, with a client connected: flags 15.
    pub fn factory(camera: &str) -> Self {
        let access_point = Ipv4([192, 168, 4, 1]);
        Self {
            ap_ssid: camera.into(),
            sta_ssid: String::new(),
            flags: WifiFlags(15),
            ap_ip_addr: access_point,
            sta_ip_addr: Ipv4([192, 168, 4, 2]),
            sta_netmask: Ipv4([255, 255, 255, 0]),
            cur_ip_addr: access_point,
        }
    }
}

/// The arguments of `set_wifi`: any subset, not none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetWifi {
    /// 1 to 32 bytes. Renames the camera.
    pub ap_ssid: Option<String>,
    /// 8 to 63 bytes.
    pub ap_pw: Option<String>,
    /// Its address as an access point.
    pub ap_ip_addr: Option<Ipv4>,
    /// Bits 7, 4 and 0 are used.
    pub flags: Option<WifiFlags>,
    /// 1 to 32 bytes.
    pub sta_ssid: Option<String>,
    /// 8 to 63 bytes.
    pub sta_pw: Option<String>,
    /// Its fixed address as a client.
    pub sta_ip_addr: Option<Ipv4>,
    /// Its net mask as a client.
    pub sta_netmask: Option<Ipv4>,
}

/// Why the camera would refuse a `set_wifi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WifiError {
    /// A name of the wrong length.
    #[error("a network name has 1 to 32 bytes, not {0}")]
    Ssid(usize),
    /// A password of the wrong length.
    #[error("a password has 8 to 63 bytes, not {0}")]
    Password(usize),
    /// No argument at all.
    #[error("set_wifi needs at least one argument")]
    Empty,
}

impl SetWifi {
    /// What the camera checks.
    ///
    /// # Errors
    /// [`WifiError`]: the camera would answer `set_wifi failed` and change nothing.
    pub fn check(&self) -> Result<(), WifiError> {
        if *self == Self::default() {
            return Err(WifiError::Empty);
        }
        for ssid in [&self.ap_ssid, &self.sta_ssid].into_iter().flatten() {
            if !(1..=32).contains(&ssid.len()) {
                return Err(WifiError::Ssid(ssid.len()));
            }
        }
        for password in [&self.ap_pw, &self.sta_pw].into_iter().flatten() {
            if !(8..=63).contains(&password.len()) {
                return Err(WifiError::Password(password.len()));
            }
        }
        Ok(())
    }

    /// Reads the arguments; `None` where the camera answers `set_wifi failed`, or crashes (a number for a string).
    pub(super) fn parse(args: &Fields) -> Option<Self> {
        let text = |key| match args.get(key) {
            None => Some(None),
            Some(value) => Some(Some(value.text()?.to_string())),
        };
        let address = |key| match text(key)? {
            None => Some(None),
            Some(text) => Some(Some(text.parse().ok()?)),
        };
        let settings = Self {
            ap_ssid: text("ap_ssid")?,
            ap_pw: text("ap_pw")?,
            ap_ip_addr: address("ap_ip_addr")?,
            flags: args.int("flags").map(|flags| WifiFlags(flags as u8)),
            sta_ssid: text("sta_ssid")?,
            sta_pw: text("sta_pw")?,
            sta_ip_addr: address("sta_ip_addr")?,
            sta_netmask: address("sta_netmask")?,
        };
        settings.check().is_ok().then_some(settings)
    }

    /// What `get_wifi` tells after these settings are taken.
    pub fn apply(&self, wifi: &mut Wifi) {
        fn set<T: Clone>(value: &mut T, new: &Option<T>) {
            if let Some(new) = new {
                value.clone_from(new);
            }
        }
        set(&mut wifi.ap_ssid, &self.ap_ssid);
        set(&mut wifi.sta_ssid, &self.sta_ssid);
        set(&mut wifi.ap_ip_addr, &self.ap_ip_addr);
        set(&mut wifi.sta_ip_addr, &self.sta_ip_addr);
        set(&mut wifi.sta_netmask, &self.sta_netmask);
        if let Some(flags) = self.flags {
            let settable = WifiFlags::STATION_STATIC.0;
            wifi.flags = WifiFlags(wifi.flags.0 & !settable | flags.0 & settable);
        }
    }
}
