//! Commands: `{"cmd":"<name>"}` or `{"cmd":"<name>","args":{..}}`, host to camera.
//!
//! Written as the vendor's python driver writes them, spaces and key order included; read as firmware 3.2 reads
//! them: keys in any case, the name in its own, numbers cut to int, out of range clamped, unknown keys ignored.

use std::fmt;

use base64_simd::STANDARD;

use super::cci::{CciCommand, MAX_WORDS, words_from_base64, words_to_base64};
use super::gain::GainMode;
use super::json::{Fields, Json, write_ascii_string};
use super::name::Name;
use super::packet::{ETX, STX};
use super::spot::SpotArea;
use super::wifi::{SetWifi, WifiFlags};

/// The most bytes in a piece of firmware.
pub const MAX_FW_SEGMENT: usize = 8192;

/// A command, its arguments within range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Name, model, version and clock.
    GetStatus,
    /// One image. Not acknowledged; ends a running stream.
    GetImage,
    /// Sets the clock.
    SetTime(SetTime),
    /// The settings.
    GetConfig,
    /// Changes settings.
    SetConfig(SetConfig),
    /// Places the spot meter; the area is clamped.
    SetSpotmeter(SpotArea),
    /// Starts a stream, or replaces the parameters of a running one.
    StreamOn(StreamOn),
    /// Ends the stream. One more image usually follows.
    StreamOff,
    /// Flat-field correction: no image for about a second.
    RunFfc,
    /// Reads a register of the Lepton.
    GetLepCci(CciRead),
    /// Writes a register of the Lepton.
    SetLepCci(CciWrite),
    /// The network settings. Restarts a camera in hardware mode.
    GetWifi,
    /// Changes network settings. Restarts a camera in hardware mode.
    SetWifi(SetWifi),
    /// Offers new firmware.
    FwUpdateRequest(FwUpdateRequest),
    /// A piece of firmware.
    FwSegment(FwSegment),
}

/// The arguments of `set_time`; the camera checks no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetTime {
    /// 0 to 59.
    pub sec: u8,
    /// 0 to 59.
    pub min: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 1 to 7, Sunday first.
    pub dow: u8,
    /// 1 to 31.
    pub day: u8,
    /// 1 to 12.
    pub mon: u8,
    /// Years since 1970.
    pub year: u8,
}

/// The arguments of `set_config`: any subset, not none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetConfig {
    /// AGC on or off.
    pub agc_enabled: Option<bool>,
    /// Percent, clamped to 1 to 100.
    pub emissivity: Option<u8>,
    /// Gain mode. [`GainMode::Unknown`] only comes from a negative number, which no host should send.
    pub gain_mode: Option<GainMode>,
}

/// The arguments of `stream_on`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamOn {
    /// Between images, milliseconds; 0 for every frame. More than 250 otherwise, say the documents.
    pub delay_msec: u32,
    /// 0 for endless.
    pub num_frames: u32,
}

/// The arguments of `get_lep_cci`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CciRead {
    /// Register.
    pub command: CciCommand,
    /// Words: 0 for a command to run, else 1 to 512. The camera answers stale data above, nothing far above.
    pub length: u16,
}

/// The arguments of `set_lep_cci`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CciWrite {
    /// Register, its kind set.
    pub command: CciCommand,
    /// At most 512 words.
    pub words: Vec<u16>,
}

/// The arguments of `fw_update_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FwUpdateRequest {
    /// Bytes of firmware.
    pub length: u32,
    /// Its version.
    pub version: String,
}

/// The arguments of `fw_segment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FwSegment {
    /// Offset.
    pub start: u32,
    /// At most [`MAX_FW_SEGMENT`] bytes.
    pub data: Vec<u8>,
}

/// Commands of the bigger tCam, which a tCam-Mini knows by name and does not have.
const UNSUPPORTED: [&str; 8] = [
    "take_picture",
    "record_on",
    "record_off",
    "poweroff",
    "get_filesystem_list",
    "get_file",
    "delete_filesystem_obj",
    "dump_screen",
];

/// Why the camera does not run a command. [`super::CamInfo`] is made of it, with the firmware's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not JSON; an empty packet too.
    #[error("the packet is not JSON")]
    NotJson,
    /// JSON without a `cmd` that is a string.
    #[error("the packet holds no command")]
    NotCommand,
    /// No such command.
    #[error("the command is not known")]
    Unknown,
    /// A command of the bigger tCam.
    #[error("the command is not of this camera")]
    Unsupported,
    /// An argument is missing or cannot be used.
    #[error("{0} has a missing or unusable argument")]
    Failed(Name),
}

impl Command {
    /// Reads the text of a packet as firmware 3.2 does. What follows the object is ignored.
    ///
    /// # Errors
    /// [`Rejection`], to be answered with the [`super::CamInfo`] made of it.
    pub fn parse(text: &[u8]) -> Result<Self, Rejection> {
        let json = Json::leading(text).ok_or(Rejection::NotJson)?;
        let command = json.fields().ok_or(Rejection::NotCommand)?;
        let cmd = command.get("cmd").and_then(Json::text);
        let cmd = cmd.ok_or(Rejection::NotCommand)?;
        let name = Name::parse(cmd).ok_or_else(|| match UNSUPPORTED.contains(&cmd) {
            true => Rejection::Unsupported,
            false => Rejection::Unknown,
        })?;
        let none = Fields::default();
        let args = command.get("args").and_then(Json::fields).unwrap_or(&none);
        Self::with_args(name, args).ok_or(Rejection::Failed(name))
    }

    fn with_args(name: Name, args: &Fields) -> Option<Self> {
        Some(match name {
            Name::GetStatus => Self::GetStatus,
            Name::GetImage => Self::GetImage,
            Name::SetTime => Self::SetTime(SetTime::parse(args)?),
            Name::GetConfig => Self::GetConfig,
            Name::SetConfig => Self::SetConfig(SetConfig::parse(args)?),
            Name::SetSpotmeter => Self::SetSpotmeter(parse_spot(args)?),
            Name::StreamOn => Self::StreamOn(StreamOn::parse(args)),
            Name::StreamOff => Self::StreamOff,
            Name::RunFfc => Self::RunFfc,
            Name::GetLepCci => Self::GetLepCci(CciRead::parse(args)?),
            Name::SetLepCci => Self::SetLepCci(CciWrite::parse(args)?),
            Name::GetWifi => Self::GetWifi,
            Name::SetWifi => Self::SetWifi(SetWifi::parse(args)?),
            Name::FwUpdateRequest => Self::FwUpdateRequest(FwUpdateRequest::parse(args)?),
            Name::FwSegment => Self::FwSegment(FwSegment::parse(args)?),
        })
    }

    /// The name.
    pub fn name(&self) -> Name {
        match self {
            Self::GetStatus => Name::GetStatus,
            Self::GetImage => Name::GetImage,
            Self::SetTime(_) => Name::SetTime,
            Self::GetConfig => Name::GetConfig,
            Self::SetConfig(_) => Name::SetConfig,
            Self::SetSpotmeter(_) => Name::SetSpotmeter,
            Self::StreamOn(_) => Name::StreamOn,
            Self::StreamOff => Name::StreamOff,
            Self::RunFfc => Name::RunFfc,
            Self::GetLepCci(_) => Name::GetLepCci,
            Self::SetLepCci(_) => Name::SetLepCci,
            Self::GetWifi => Name::GetWifi,
            Self::SetWifi(_) => Name::SetWifi,
            Self::FwUpdateRequest(_) => Name::FwUpdateRequest,
            Self::FwSegment(_) => Name::FwSegment,
        }
    }

    /// Appends the text, as the vendor's python driver writes it.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"cmd\": ");
        write_ascii_string(self.name().as_str(), out);
        let mut args = Args { out, count: 0 };
        match self {
            Self::SetTime(time) => time.write(&mut args),
            Self::SetConfig(config) => config.write(&mut args),
            Self::SetSpotmeter(area) => write_spot(area, &mut args),
            Self::StreamOn(stream) => stream.write(&mut args),
            Self::GetLepCci(read) => read.write(&mut args),
            Self::SetLepCci(write) => write.write(&mut args),
            Self::SetWifi(wifi) => write_wifi(wifi, &mut args),
            Self::FwUpdateRequest(request) => request.write(&mut args),
            Self::FwSegment(segment) => segment.write(&mut args),
            Self::GetStatus
            | Self::GetImage
            | Self::GetConfig
            | Self::StreamOff
            | Self::RunFfc
            | Self::GetWifi => {}
        }
        args.end();
        out.push(b'}');
    }

    /// Appends the packet.
    pub fn write_packet(&self, out: &mut Vec<u8>) {
        out.push(STX);
        self.write_json(out);
        out.push(ETX);
    }
}

/// Writes `"args": {..}` once there is an argument.
struct Args<'o> {
    out: &'o mut Vec<u8>,
    count: usize,
}

impl Args<'_> {
    fn key(&mut self, key: &str) {
        let before: &[u8] = match self.count {
            0 => b", \"args\": {",
            _ => b", ",
        };
        self.count += 1;
        self.out.extend_from_slice(before);
        write_ascii_string(key, self.out);
        self.out.extend_from_slice(b": ");
    }

    fn number(&mut self, key: &str, value: impl Into<i64>) {
        self.key(key);
        self.out
            .extend_from_slice(value.into().to_string().as_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        write_ascii_string(value, self.out);
    }

    fn optional_text(&mut self, key: &str, value: &Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.text(key, &value.to_string());
        }
    }

    fn end(self) {
        if self.count > 0 {
            self.out.push(b'}');
        }
    }
}

impl SetTime {
    fn parse(args: &Fields) -> Option<Self> {
        let byte = |key| args.int(key).map(|value| value as u8);
        Some(Self {
            sec: byte("sec")?,
            min: byte("min")?,
            hour: byte("hour")?,
            dow: byte("dow")?,
            day: byte("day")?,
            mon: byte("mon")?,
            year: byte("year")?,
        })
    }

    fn write(&self, args: &mut Args<'_>) {
        args.number("sec", self.sec);
        args.number("min", self.min);
        args.number("hour", self.hour);
        args.number("dow", self.dow);
        args.number("day", self.day);
        args.number("mon", self.mon);
        args.number("year", self.year);
    }
}

impl SetConfig {
    fn parse(args: &Fields) -> Option<Self> {
        let config = Self {
            agc_enabled: args.int("agc_enabled").map(|value| value > 0),
            emissivity: args
                .int("emissivity")
                .map(|value| value.clamp(1, 100) as u8),
            gain_mode: args
                .int("gain_mode")
                .map(|value| GainMode::from_wire(value.min(2))),
        };
        (config != Self::default()).then_some(config)
    }

    fn write(&self, args: &mut Args<'_>) {
        if let Some(on) = self.agc_enabled {
            args.number("agc_enabled", on);
        }
        if let Some(percent) = self.emissivity {
            args.number("emissivity", percent);
        }
        if let Some(mode) = self.gain_mode {
            args.number("gain_mode", mode.to_wire());
        }
    }
}

fn parse_spot(args: &Fields) -> Option<SpotArea> {
    Some(SpotArea::clamped(
        args.int("r1")?,
        args.int("c1")?,
        args.int("r2")?,
        args.int("c2")?,
    ))
}

fn write_spot(area: &SpotArea, args: &mut Args<'_>) {
    args.number("c1", area.col1);
    args.number("c2", area.col2);
    args.number("r1", area.row1);
    args.number("r2", area.row2);
}

impl StreamOn {
    fn parse(args: &Fields) -> Self {
        let count = |key| args.int(key).unwrap_or(0).max(0) as u32;
        Self {
            delay_msec: count("delay_msec"),
            num_frames: count("num_frames"),
        }
    }

    fn write(&self, args: &mut Args<'_>) {
        args.number("delay_msec", self.delay_msec);
        args.number("num_frames", self.num_frames);
    }
}

impl CciRead {
    fn parse(args: &Fields) -> Option<Self> {
        Some(Self {
            command: CciCommand(args.int("command")? as u16),
            length: args.int("length")? as u16,
        })
    }

    fn write(&self, args: &mut Args<'_>) {
        args.number("command", self.command.0);
        args.number("length", self.length);
    }
}

impl CciWrite {
    /// Data beyond the length are ignored; data short of it fail.
    fn parse(args: &Fields) -> Option<Self> {
        let command = CciCommand(args.int("command")? as u16);
        let length = usize::try_from(args.int("length")?).ok()?;
        let mut words = words_from_base64(args.get("data")?.text()?).ok()?;
        let fits = length <= MAX_WORDS && words.len() >= length;
        words.truncate(length);
        fits.then_some(Self { command, words })
    }

    fn write(&self, args: &mut Args<'_>) {
        args.number("command", self.command.0);
        args.number("length", self.words.len() as i64);
        args.text("data", &words_to_base64(&self.words));
    }
}

impl FwUpdateRequest {
    fn parse(args: &Fields) -> Option<Self> {
        Some(Self {
            length: args.int("length")?.try_into().ok()?,
            version: args.get("version")?.text()?.into(),
        })
    }

    fn write(&self, args: &mut Args<'_>) {
        args.number("length", self.length);
        args.text("version", &self.version);
    }
}

impl FwSegment {
    fn parse(args: &Fields) -> Option<Self> {
        let length = usize::try_from(args.int("length")?).ok()?;
        let data = STANDARD
            .decode_to_vec(args.get("data")?.text()?.as_bytes())
            .ok()?;
        let fits = data.len() == length && length <= MAX_FW_SEGMENT;
        let start = args.int("start")?.try_into().ok()?;
        fits.then_some(Self { start, data })
    }

    fn write(&self, args: &mut Args<'_>) {
        args.number("start", self.start);
        args.number("length", self.data.len() as i64);
        args.text("data", &STANDARD.encode_to_string(&self.data));
    }
}

/// The python driver has two orders: flags follow what is said of the access point if anything is, else of the
/// network to join.
fn write_wifi(wifi: &SetWifi, args: &mut Args<'_>) {
    let flags = |args: &mut Args<'_>| {
        if let Some(WifiFlags(flags)) = wifi.flags {
            args.number("flags", flags);
        }
    };
    let access_point = wifi.ap_ssid.is_some() || wifi.ap_pw.is_some() || wifi.ap_ip_addr.is_some();
    if access_point {
        args.optional_text("ap_ssid", &wifi.ap_ssid);
        args.optional_text("ap_pw", &wifi.ap_pw);
        args.optional_text("ap_ip_addr", &wifi.ap_ip_addr);
        flags(args);
    }
    args.optional_text("sta_ssid", &wifi.sta_ssid);
    args.optional_text("sta_pw", &wifi.sta_pw);
    if !access_point {
        flags(args);
    }
    args.optional_text("sta_ip_addr", &wifi.sta_ip_addr);
    args.optional_text("sta_netmask", &wifi.sta_netmask);
}
