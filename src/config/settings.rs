//! The configuration as the station uses it: every field checked, every path and address resolved.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::values::TCAM_PORT;
pub use super::values::{BitscopeUrl, HostPort, Msp1000Address, Trust};

/// The whole configuration. [`Config::default`] holds the built-in defaults.
///
/// Empty values of the file are resolved: listeners without a `bind` of their own have that of SCPI, empty paths the
/// place they stand for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What was asked for: `auto`, a profile's name, or a path. The profile itself is `Loaded::board`.
    pub board: String,
    /// Log filter, as `tracing` takes it.
    pub log: String,
    /// Folders.
    pub storage: Storage,
    /// The SCPI and FE-PyCam2 listeners.
    pub scpi: Scpi,
    /// The HTTP listener.
    pub http: Http,
    /// mDNS announcement.
    pub discovery: Discovery,
    /// Raspberry Pi HQ camera.
    pub camera: Camera,
    /// tCam-Mini thermal camera.
    pub tcam: Tcam,
    /// OPC-N3 particle counter.
    pub opc: Opc,
    /// MSP1000 spectrometer.
    pub msp1000: Msp1000,
    /// BitScope Micro oscilloscope.
    pub bitscope: Bitscope,
    /// Upload of readings.
    pub tinycloud: Tinycloud,
}

/// `[storage]`: folders, all absolute.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// RAM disk.
    pub ramdisk: PathBuf,
    /// Image folder; `<ramdisk>/Captures` unless configured.
    pub images: PathBuf,
    /// SD-card folder; only reported (`SRV:PATH:SDDIR?`).
    pub sdcard: PathBuf,
    /// Folder of everything that lasts.
    pub data: PathBuf,
    /// Captures are refused beyond this many MB; 0 = all the file system offers.
    pub ramdisk_limit_mb: u64,
}

/// `[scpi]`: ports 5025 and 5060.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scpi {
    /// Address to listen on.
    pub bind: IpAddr,
    /// SCPI raw port; 0 = any free one.
    pub port: u16,
    /// FE-PyCam2 port; 0 = any free one.
    pub legacy_port: u16,
    /// Pause that ends an unterminated message, in ms (0..200).
    pub legacy_settle_ms: u32,
    /// Whether `SRV:CLOSE` ends the service rather than the connection.
    pub legacy_close_stops_service: bool,
    /// Connections per port (1..1024).
    pub max_clients: usize,
}

/// `[http]`: port 8080.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address to listen on; that of SCPI unless configured.
    pub bind: IpAddr,
    /// Port; 0 = any free one.
    pub port: u16,
}

/// `[discovery]`: mDNS announcement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// Whether to announce the station.
    pub enabled: bool,
    /// Instance name; empty = `Outpost <serial>`.
    pub name: String,
    /// Announce on the loopback interface alone.
    pub loopback_only: bool,
}

/// `[camera]`: the HQ camera.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Whether the camera is used.
    pub enabled: bool,
    /// Where frames come from.
    pub backend: CameraBackend,
    /// Folder of the replay backend (`replay.toml` and `*.bin`); set whenever the backend is [`CameraBackend::Replay`].
    #[serde(deserialize_with = "empty_is_none")]
    pub replay: Option<PathBuf>,
    /// Frames per second at start.
    pub fps: f64,
    /// Analogue gain at start (1.0..22.26).
    pub analogue_gain: f64,
    /// File formats of a picture; at least one, none twice.
    pub formats: Vec<ImageFormat>,
    /// A capture that delivers nothing for this long, plus 5 frame durations, restarts the camera; seconds.
    pub hang_timeout_s: f64,
    /// Whether the simulated camera keeps the frame rate.
    pub sim_paced: bool,
    /// Seed of the simulated camera's noise.
    pub sim_seed: u64,
}

/// `camera.backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraBackend {
    /// What the board's camera pipeline calls for.
    Auto,
    /// libcamera.
    Libcamera,
    /// Simulated IMX477.
    Sim,
    /// Recorded frames.
    Replay,
}

/// A file format of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// Pickled NumPy array, as FE-PyCam2 writes it.
    Raw,
    /// NumPy array.
    Npy,
    /// FITS.
    Fits,
    /// TIFF.
    Tiff,
    /// Digital negative.
    Dng,
    /// PNG.
    Png,
}

impl ImageFormat {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Raw,
        Self::Npy,
        Self::Fits,
        Self::Tiff,
        Self::Dng,
        Self::Png,
    ];

    /// The name in configuration and SCPI, and the file extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Npy => "npy",
            Self::Fits => "fits",
            Self::Tiff => "tiff",
            Self::Dng => "dng",
            Self::Png => "png",
        }
    }
}

/// `[tcam]`: thermal camera, port 5001.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcam {
    /// Whether the thermal camera is used.
    pub enabled: bool,
    /// How it is reached.
    pub link: TcamLink,
    /// Serial port of the commands; the profile's unless configured, `None` where the board has none.
    #[serde(deserialize_with = "empty_is_none")]
    pub uart: Option<PathBuf>,
    /// spidev node of the images; as `uart`.
    #[serde(deserialize_with = "empty_is_none")]
    pub spi: Option<PathBuf>,
    /// SPI mode 0..3.
    pub spi_mode: u8,
    /// SPI clock in Hz.
    pub spi_hz: u32,
    /// Address for the network link; set whenever the link is [`TcamLink::Network`].
    #[serde(deserialize_with = "tcam_host")]
    pub host: Option<HostPort>,
    /// Automatic gain control.
    pub agc: bool,
    /// Emissivity in percent (1..100).
    pub emissivity: u8,
    /// Gain mode of the Lepton.
    pub gain_mode: GainMode,
    /// Address to listen on; that of SCPI unless configured.
    pub bind: IpAddr,
    /// Port; 0 = any free one.
    pub serve_port: u16,
}

/// `tcam.link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TcamLink {
    /// Hardware on a board with the buses for it, the simulator on the simulated board.
    Auto,
    /// UART and SPI.
    Hardware,
    /// TCP.
    Network,
    /// Simulator.
    Sim,
}

/// `tcam.gain_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GainMode {
    /// Small range, fine steps.
    High,
    /// Large range, coarse steps.
    Low,
    /// The camera chooses by the scene.
    Auto,
}

/// `[opc]`: particle counter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opc {
    /// Whether the particle counter is used.
    pub enabled: bool,
    /// How it is reached.
    pub link: OpcLink,
    /// Serial port of the USB-ISS bridge; `None` = found by its USB id.
    #[serde(deserialize_with = "empty_is_none")]
    pub tty: Option<PathBuf>,
    /// Whether readings are logged from the start.
    pub logging: bool,
    /// Seconds between logged readings.
    pub interval_s: f64,
    /// So many readings in a row without one particle restart the counter; 0 = never.
    pub restart_after_zeros: u32,
    /// Id of the instrument at Tinycloud and in the table.
    pub gadget_id: String,
    /// SQLite file; `<data>/readings.db` unless configured.
    pub database: PathBuf,
    /// Table name, a plain SQL identifier.
    pub table: String,
}

/// `opc.link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpcLink {
    /// USB-ISS, the simulator on the simulated board.
    Auto,
    /// USB-ISS bridge.
    UsbIss,
    /// SPI of the header.
    Spi,
    /// Simulator.
    Sim,
}

/// `[msp1000]`: spectrometer, port 8000.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Msp1000 {
    /// Whether the spectrometer is used.
    pub enabled: bool,
    /// Where it is.
    #[serde(deserialize_with = "parsed")]
    pub address: Msp1000Address,
    /// How its certificate is trusted.
    #[serde(deserialize_with = "parsed")]
    pub pin: Trust,
    /// Whether its UDP announcements are listened for.
    pub listen_discovery: ListenDiscovery,
    /// UDP port of the announcements, those heard and those made.
    pub discovery_port: u16,
    /// Whether Outpost announces itself as a spectrometer.
    pub announce: bool,
    /// A controller idle for this long loses control; seconds, 0 = never.
    pub control_idle_s: u32,
    /// Address to listen on; that of SCPI unless configured.
    pub bind: IpAddr,
    /// Port; 0 = any free one.
    pub serve_port: u16,
}

/// `msp1000.listen_discovery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenDiscovery {
    /// Always.
    On,
    /// Never.
    Off,
    /// Only during a scan.
    OnDemand,
}

/// `[bitscope]`: oscilloscope, port 15500 (UDP).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bitscope {
    /// Whether the oscilloscope is used.
    pub enabled: bool,
    /// Where it is.
    #[serde(deserialize_with = "parsed")]
    pub url: BitscopeUrl,
    /// Address to listen on; that of SCPI unless configured.
    pub bind: IpAddr,
    /// Port; 0 = any free one.
    pub serve_port: u16,
}

/// `[tinycloud]`: batches and upload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tinycloud {
    /// Whether batches are made and uploaded.
    pub enabled: bool,
    /// Base URL of the service; not empty when enabled.
    pub api: String,
    /// File of the gateway key; `<data>/gateway_key.txt` unless configured.
    pub gateway_key_file: PathBuf,
    /// Seconds between batches.
    pub batch_interval_s: u32,
    /// Kind of data, passed through.
    pub batch_type: String,
    /// `LIVE`, `TEST` or `PASS`, passed through.
    pub batch_mode: BatchMode,
    /// Folder of batches that wait; `<data>/batches/pending` unless configured.
    pub pending_dir: PathBuf,
    /// Folder of batches that were uploaded; `<data>/batches/uploaded` unless configured.
    pub uploaded_dir: PathBuf,
    /// Whether an uploaded batch is deleted.
    pub delete_batch_on_upload: bool,
    /// Whether readings are deleted once they are in a batch.
    pub delete_reading_on_zip: bool,
    /// Most rows of one batch.
    pub max_rows: u32,
    /// Protocol of the transfer.
    pub scp: ScpProtocol,
    /// Seconds between upload attempts.
    pub upload_interval_s: u32,
    /// Readings older than this many days are deleted once uploaded; 0 = kept.
    pub retention_days: u32,
    /// PEM file of certificate authorities; `None` = the built-in ones.
    #[serde(deserialize_with = "empty_is_none")]
    pub ca_file: Option<PathBuf>,
    /// Whether an `http://` address off this machine is allowed.
    pub allow_http: bool,
}

/// `tinycloud.batch_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BatchMode {
    /// `LIVE`.
    Live,
    /// `TEST`.
    Test,
    /// `PASS`.
    Pass,
}

/// `tinycloud.scp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScpProtocol {
    /// The old SCP protocol (`scp -O`).
    Legacy,
    /// SFTP, the default of OpenSSH since 9.0.
    Sftp,
}

fn empty_is_none<'de, D: Deserializer<'de>>(input: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(input)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

fn tcam_host<'de, D: Deserializer<'de>>(input: D) -> Result<Option<HostPort>, D::Error> {
    let text = String::deserialize(input)?;
    if text.is_empty() {
        return Ok(None);
    }
    HostPort::parse(&text, Some(TCAM_PORT))
        .map(Some)
        .map_err(serde::de::Error::custom)
}

fn parsed<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    String::deserialize(input)?
        .parse()
        .map_err(serde::de::Error::custom)
}
