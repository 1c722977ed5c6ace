//! What a camera sends: answers, announcements and messages nobody asked for, told apart by their top-level key.
//!
//! There is no request id. An answer belongs to the one outstanding command if its kind and its name fit
//! ([`Response::answers`]); everything else may come at any time. Written tight in the firmware's key order; read
//! in any order, unknown keys ignored.

use std::io::Write;

use serde_json::{Map, Value};

use super::cam_info::{CamInfo, InfoKind};
use super::cci::{CciCommand, CciError, CciStatus, words_from_base64, words_to_base64};
use super::command::Command;
use super::file::VideoInfo;
use super::gain::GainMode;
use super::json::write_string;
use super::metadata::{Metadata, Model};
use super::packet::{ETX, STX};
use super::wifi::{Wifi, WifiFlags};

/// Why a packet is not a response.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// Not JSON, or not an object.
    #[error("the camera's packet is not a JSON object")]
    NotJson(#[from] serde_json::Error),
    /// An object without members.
    #[error("the camera's packet is an empty object")]
    Empty,
    /// A member of the wrong type or out of range, or one that is not there.
    #[error("the camera's {object} has no usable {key}")]
    Field {
        /// The top-level key.
        object: &'static str,
        /// The member.
        key: &'static str,
    },
    /// Register data that is no use.
    #[error("the camera's cci_reg is no use")]
    Cci(#[from] CciError),
}

/// A packet of the camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Response<'a> {
    /// Answer to `get_status`.
    Status(Status),
    /// Answer to `get_config`.
    Config(Config),
    /// Answer to `get_wifi`.
    Wifi(Wifi),
    /// Answer to `get_lep_cci` and `set_lep_cci`.
    CciReg(CciReg),
    /// Success, failure, or a message.
    CamInfo(CamInfo),
    /// An image waits on SPI: its length, not checked yet (see [`super::Announcement::new`]).
    ImageReady(i64),
    /// The whole text of an image, not looked at (see [`super::ImageText::parse`]).
    Image(&'a [u8]),
    /// The camera wants a piece of firmware.
    GetFw(GetFw),
    /// The end of a recording, from the bigger tCam.
    VideoInfo(VideoInfo),
    /// A packet of another kind, by its first key.
    Other {
        /// The key.
        key: String,
    },
}

/// Name, model, version and clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// The five fields every camera has.
    pub metadata: Metadata<'static>,
    /// Further ones: the bigger tCam tells of its battery.
    pub extra: Map<String, Value>,
}

/// The settings that live in the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Pixels are brightnesses for display.
    pub agc_enabled: bool,
    /// Percent, 1 to 100.
    pub emissivity: u8,
    /// Gain mode.
    pub gain_mode: GainMode,
}

impl Default for Config {
    /// As a camera starts in hardware mode, which keeps nothing.
    fn default() -> Self {
        Self {
            agc_enabled: false,
            emissivity: 100,
            gain_mode: GainMode::High,
        }
    }
}

/// The Lepton's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CciReg {
    /// The command it answers.
    pub command: CciCommand,
    /// Words it says it has: 0 after a write, whatever was written.
    pub length: u16,
    /// How it went. An error of the Lepton is told here and not as a failure.
    pub status: CciStatus,
    /// The words; none after a write.
    pub words: Vec<u16>,
}

/// A request for firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetFw {
    /// Offset.
    pub start: u32,
    /// Bytes, at most 8192.
    pub length: u32,
}

/// What a response is to the outstanding command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is the answer, and a good one.
    Success,
    /// The command was refused: a [`CamInfo`] says why.
    Refused,
    /// It is about something else.
    Unrelated,
}

impl<'a> Response<'a> {
    /// Reads the text of a packet. The text of an image is handed back as it is.
    ///
    /// # Errors
    /// [`ResponseError`].
    pub fn decode(text: &'a [u8]) -> Result<Self, ResponseError> {
        if first_key(text).is_some_and(is_image_key) {
            return Ok(Self::Image(text));
        }
        let object: Map<String, Value> = serde_json::from_slice(text)?;
        for (key, value) in &object {
            if is_image_key(key.as_bytes()) {
                return Ok(Self::Image(text));
            }
            if let Some(response) = decode_member(key, value) {
                return response;
            }
        }
        let key = object
            .into_iter()
            .next()
            .map(|(key, _)| key.chars().take(64).collect());
        key.map(|key| Self::Other { key })
            .ok_or(ResponseError::Empty)
    }

    /// Whether this answers `command`, the only one outstanding.
    ///
    /// A `cam_info` 2 or 3 names no command and is taken as its refusal. Images answer nothing here: they follow
    /// `get_image` or come by themselves.
    pub fn answers(&self, command: &Command) -> Answer {
        let fits = match (self, command) {
            (Self::CamInfo(info), _) => return info.answers(command),
            (Self::Status(_), Command::GetStatus)
            | (Self::Config(_), Command::GetConfig)
            | (Self::Wifi(_), Command::GetWifi)
            | (Self::GetFw(_), Command::FwSegment(_)) => true,
            (Self::CciReg(reg), Command::GetLepCci(read)) => reg.command == read.command,
            (Self::CciReg(reg), Command::SetLepCci(write)) => reg.command == write.command,
            _ => false,
        };
        match fits {
            true => Answer::Success,
            false => Answer::Unrelated,
        }
    }

    /// Appends the text, tight. [`Response::Image`] is copied; [`Response::Other`] becomes an empty object under its
    /// key.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Status(status) => status.write_json(out),
            Self::Config(config) => write(
                out,
                format_args!(
                    "{{\"config\":{{\"agc_enabled\":{},\"emissivity\":{},\"gain_mode\":{}}}}}",
                    u8::from(config.agc_enabled),
                    config.emissivity,
                    config.gain_mode.to_wire(),
                ),
            ),
            Self::Wifi(wifi) => wifi.write_json(out),
            Self::CciReg(reg) => reg.write_json(out),
            Self::CamInfo(info) => info.write_json(out),
            // The only one with spaces.
            Self::ImageReady(length) => {
                write(out, format_args!("{{\"image_ready\" : {length}}}"));
            }
            Self::Image(text) => out.extend_from_slice(text),
            Self::GetFw(GetFw { start, length }) => write(
                out,
                format_args!("{{\"get_fw\":{{\"start\":{start},\"length\":{length}}}}}"),
            ),
            Self::VideoInfo(info) => info.write_json(out),
            Self::Other { key } => {
                out.push(b'{');
                write_string(key, out);
                out.extend_from_slice(b":{}}");
            }
        }
    }

    /// Appends the packet.
    pub fn write_packet(&self, out: &mut Vec<u8>) {
        out.push(STX);
        self.write_json(out);
        out.push(ETX);
    }
}

impl Status {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"status\":");
        self.metadata.write_json(out);
        out.pop();
        for (key, value) in &self.extra {
            out.push(b',');
            write_string(key, out);
            write(out, format_args!(":{value}"));
        }
        out.extend_from_slice(b"}}");
    }
}

impl Wifi {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"wifi\":{\"ap_ssid\":");
        write_string(&self.ap_ssid, out);
        out.extend_from_slice(b",\"sta_ssid\":");
        write_string(&self.sta_ssid, out);
        write(
            out,
            format_args!(
                ",\"flags\":{},\"ap_ip_addr\":\"{}\",\"sta_ip_addr\":\"{}\",\"sta_netmask\":\"{}\",\
                 \"cur_ip_addr\":\"{}\"}}}}",
                self.flags.0, self.ap_ip_addr, self.sta_ip_addr, self.sta_netmask, self.cur_ip_addr,
            ),
        );
    }
}

impl CciReg {
    fn write_json(&self, out: &mut Vec<u8>) {
        let (command, length, status) = (self.command.0, self.length, self.status.0);
        write(
            out,
            format_args!(
                "{{\"cci_reg\":{{\"command\":{command},\"length\":{length},\"status\":{status}"
            ),
        );
        if length > 0 {
            let data = words_to_base64(&self.words);
            write(out, format_args!(",\"data\":\"{data}\""));
        }
        out.extend_from_slice(b"}}");
    }
}

pub(super) fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("memory because a Vec never refuses");
}

fn is_image_key(key: &[u8]) -> bool {
    matches!(key, b"metadata" | b"radiometric" | b"telemetry")
}

/// The first key of an object, so that an image is known without reading it.
fn first_key(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start().strip_prefix(b"{")?;
    let text = text.trim_ascii_start().strip_prefix(b"\"")?;
    let end = text.iter().take(32).position(|&byte| byte == b'"')?;
    Some(&text[..end])
}

fn decode_member(key: &str, value: &Value) -> Option<Result<Response<'static>, ResponseError>> {
    let members = |object| Members { object, value };
    Some(match key {
        "status" => members("status").status().map(Response::Status),
        "config" => members("config").config().map(Response::Config),
        "wifi" => members("wifi").wifi().map(Response::Wifi),
        "cci_reg" => members("cci_reg").cci_reg().map(Response::CciReg),
        "cam_info" => members("cam_info").cam_info().map(Response::CamInfo),
        "get_fw" => members("get_fw").get_fw().map(Response::GetFw),
        "video_info" => members("video_info").video_info().map(Response::VideoInfo),
        "image_ready" => integer(value)
            .map(Response::ImageReady)
            .ok_or(ResponseError::Field {
                object: "image_ready",
                key: "length",
            }),
        _ => return None,
    })
}

/// A whole number, also one written with a fraction.
fn integer(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|number| number as i64))
}

/// The members of the object under a top-level key.
struct Members<'v> {
    object: &'static str,
    value: &'v Value,
}

impl Members<'_> {
    fn need<T>(&self, key: &'static str, value: Option<T>) -> Result<T, ResponseError> {
        let object = self.object;
        value.ok_or(ResponseError::Field { object, key })
    }

    fn number<T: TryFrom<i64>>(&self, key: &'static str) -> Result<T, ResponseError> {
        let number = self.value.get(key).and_then(integer);
        self.need(key, number.and_then(|number| number.try_into().ok()))
    }

    fn text(&self, key: &'static str) -> Result<String, ResponseError> {
        let text = self.value.get(key).and_then(Value::as_str);
        self.need(key, text.map(String::from))
    }

    fn parsed<T: std::str::FromStr>(&self, key: &'static str) -> Result<T, ResponseError> {
        let text = self.value.get(key).and_then(Value::as_str);
        self.need(key, text.and_then(|text| text.parse().ok()))
    }

    fn status(&self) -> Result<Status, ResponseError> {
        const KNOWN: [&str; 5] = ["Camera", "Model", "Version", "Time", "Date"];
        let members = self.need("Camera", self.value.as_object())?;
        let extra = members
            .iter()
            .filter(|(key, _)| !KNOWN.contains(&key.as_str()));
        Ok(Status {
            metadata: Metadata {
                camera: self.text("Camera")?.into(),
                model: Model(self.number("Model")?),
                version: self.text("Version")?.into(),
                time: self.text("Time")?.into(),
                date: self.text("Date")?.into(),
            },
            extra: extra
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
    }

    fn config(&self) -> Result<Config, ResponseError> {
        Ok(Config {
            agc_enabled: self.number::<i64>("agc_enabled")? > 0,
            emissivity: self.number("emissivity")?,
            gain_mode: GainMode::from_wire(self.number("gain_mode")?),
        })
    }

    fn wifi(&self) -> Result<Wifi, ResponseError> {
        Ok(Wifi {
            ap_ssid: self.text("ap_ssid")?,
            sta_ssid: self.text("sta_ssid")?,
            flags: WifiFlags(self.number("flags")?),
            ap_ip_addr: self.parsed("ap_ip_addr")?,
            sta_ip_addr: self.parsed("sta_ip_addr")?,
            sta_netmask: self.parsed("sta_netmask")?,
            cur_ip_addr: self.parsed("cur_ip_addr")?,
        })
    }

    fn cci_reg(&self) -> Result<CciReg, ResponseError> {
        let data = self.value.get("data");
        let data = data.map(|data| self.need("data", data.as_str()));
        Ok(CciReg {
            command: CciCommand(self.number("command")?),
            length: self.number("length")?,
            status: CciStatus(self.number("status")?),
            words: words_from_base64(data.transpose()?.unwrap_or_default())?,
        })
    }

    fn cam_info(&self) -> Result<CamInfo, ResponseError> {
        Ok(CamInfo {
            kind: InfoKind::from_wire(self.number("info_value")?),
            text: self.text("info_string")?,
        })
    }

    fn get_fw(&self) -> Result<GetFw, ResponseError> {
        Ok(GetFw {
            start: self.number("start")?,
            length: self.number("length")?,
        })
    }

    fn video_info(&self) -> Result<VideoInfo, ResponseError> {
        Ok(VideoInfo {
            end_date: self.text("end_date")?,
            end_time: self.text("end_time")?,
            num_frames: self.number("num_frames")?,
            start_date: self.text("start_date")?,
            start_time: self.text("start_time")?,
            version: self.number("version")?,
        })
    }
}
