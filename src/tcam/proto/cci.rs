//! The Lepton's command and control interface: registers of u16 words, reached through `get_lep_cci`/`set_lep_cci`.
//!
//! A command word is protection bit 0x4000 (modules OEM and RAD), module, id and kind (0 get, 1 set, 2 run). In JSON
//! the words are base64 of little-endian bytes; values of 32 bits have their low word first. A wrong write can hang
//! the Lepton.

use base64_simd::STANDARD;

/// The most words of one exchange. Above it a camera returns stale data, far above it nothing at all.
pub const MAX_WORDS: usize = 512;

/// A command word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CciCommand(pub u16);

/// What a command word asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CciKind {
    /// Read words.
    Get,
    /// Write words.
    Set,
    /// Do something.
    Run,
    /// Not defined by the Lepton.
    Invalid,
}

impl CciCommand {
    /// AGC enable.
    pub const AGC_ENABLE: Self = Self(0x0100);
    /// Ping.
    pub const PING: Self = Self(0x0202);
    /// Uptime in milliseconds.
    pub const UPTIME: Self = Self(0x020C);
    /// Housing temperature.
    pub const HOUSING_TEMPERATURE: Self = Self(0x0210);
    /// Focal plane array temperature.
    pub const FPA_TEMPERATURE: Self = Self(0x0214);
    /// Flat-field correction.
    pub const RUN_FFC: Self = Self(0x0242);
    /// Gain mode.
    pub const GAIN_MODE: Self = Self(0x0248);
    /// Part number of the Lepton.
    pub const PART_NUMBER: Self = Self(0x481C);
    /// Radiometry enable.
    pub const RADIOMETRY_ENABLE: Self = Self(0x4E10);
    /// Emissivity and what else is corrected for: see [`super::flux::FluxLinear`].
    pub const FLUX_LINEAR: Self = Self(0x4EBC);
    /// TLinear enable.
    pub const TLINEAR_ENABLE: Self = Self(0x4EC0);
    /// TLinear resolution.
    pub const TLINEAR_RESOLUTION: Self = Self(0x4EC4);
    /// TLinear automatic resolution.
    pub const TLINEAR_AUTO_RESOLUTION: Self = Self(0x4EC8);
    /// Spot area: row1, col1, row2, col2.
    pub const SPOT_ROI: Self = Self(0x4ECC);
    /// Spot mean, max, min, population.
    pub const SPOT_VALUES: Self = Self(0x4ED0);

    /// What it asks for.
    pub fn kind(self) -> CciKind {
        match self.0 & 3 {
            0 => CciKind::Get,
            1 => CciKind::Set,
            2 => CciKind::Run,
            _ => CciKind::Invalid,
        }
    }

    /// The same register's command to read it.
    pub fn get(self) -> Self {
        Self(self.0 & !3)
    }

    /// The same register's command to write it.
    pub fn set(self) -> Self {
        Self(self.0 & !3 | 1)
    }

    /// What is known of the register.
    pub fn register(self) -> Option<&'static Register> {
        REGISTERS
            .iter()
            .find(|register| register.command.get() == self.get())
    }
}

/// What is known of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// The command that reads or runs it.
    pub command: CciCommand,
    /// Words to exchange; 0 for commands to run.
    pub words: u16,
    /// Whether it can be written.
    pub writable: bool,
    /// Meaning and unit.
    pub meaning: &'static str,
}

const fn register(command: u16, words: u16, writable: bool, meaning: &'static str) -> Register {
    let command = CciCommand(command);
    Register {
        command,
        words,
        writable,
        meaning,
    }
}

/// The registers that matter to this camera. What it needs left alone says so.
pub const REGISTERS: [Register; 21] = [
    register(0x0100, 2, true, "AGC enable"),
    register(
        0x0148,
        2,
        true,
        "AGC calculation enable; the camera needs 1",
    ),
    register(0x0202, 0, false, "ping"),
    register(0x0208, 4, false, "serial number"),
    register(0x020C, 2, false, "uptime in ms"),
    // One word by the SDK, but the firmware reads two.
    register(0x0210, 2, false, "housing temperature in 0.01 K"),
    register(0x0214, 2, false, "focal plane array temperature in 0.01 K"),
    register(0x0218, 2, true, "telemetry enable; the camera needs 1"),
    register(
        0x021C,
        2,
        true,
        "telemetry location, 0 header 1 footer; the camera needs 1",
    ),
    register(0x0242, 0, false, "flat-field correction"),
    register(0x0248, 2, true, "gain mode, 0 high 1 low 2 auto"),
    register(0x481C, 16, false, "part number, ASCII"),
    register(
        0x4842,
        0,
        false,
        "restart of the Lepton; the camera does not recover from it",
    ),
    register(0x4854, 2, true, "GPIO mode; the camera needs 5"),
    register(0x4E10, 2, true, "radiometry enable"),
    register(0x4EBC, 8, true, "flux linear parameters"),
    register(0x4EC0, 2, true, "TLinear enable"),
    register(
        0x4EC4,
        2,
        true,
        "TLinear resolution, 0 for 0.1 K, 1 for 0.01 K",
    ),
    register(
        0x4EC8,
        2,
        true,
        "TLinear automatic resolution; the camera needs 1",
    ),
    register(0x4ECC, 4, true, "spot area: row1, col1, row2, col2"),
    register(0x4ED0, 4, false, "spot mean, max, min, population"),
];

/// The status word of an answer: 6 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CciStatus(pub u16);

impl CciStatus {
    /// Booted, not busy, no error.
    pub const OK: Self = Self(6);

    /// An idle Lepton's answer with an error code, 0 for none.
    pub fn with_error(code: i8) -> Self {
        Self(Self::OK.0 | u16::from(code as u8) << 8)
    }

    /// A command is being run.
    pub fn busy(self) -> bool {
        self.0 & 1 != 0
    }

    /// Started from its own memory, as it should.
    pub fn boot_mode(self) -> bool {
        self.0 & 2 != 0
    }

    /// Has started.
    pub fn booted(self) -> bool {
        self.0 & 4 != 0
    }

    /// The Lepton's error code: 0 or negative.
    pub fn error_code(self) -> i8 {
        (self.0 >> 8) as u8 as i8
    }

    /// Whether the exchange succeeded.
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`CciError::Status`].
    pub fn check(self) -> Result<(), CciError> {
        match self.is_ok() {
            true => Ok(()),
            false => Err(CciError::Status {
                status: self.0,
                code: self.error_code(),
                meaning: self.meaning(),
            }),
        }
    }

    /// The error code in words.
    pub fn meaning(self) -> &'static str {
        match self.error_code() {
            0 if !self.booted() => "the Lepton has not started",
            0 if self.busy() => "the Lepton is busy",
            0 => "no error",
            -1 => "general error",
            -2 => "not ready",
            -3 => "range error",
            -4 => "checksum error",
            -5 => "bad argument",
            -6 => "wrong data size",
            -7 => "undefined function",
            -8 => "function not supported",
            -9 => "data out of range",
            -11 => "not allowed in this state",
            -15 | -16 | -18 => "error of the one-time memory",
            -26..=-20 => "I2C error between camera and Lepton",
            _ => "unknown error",
        }
    }
}

/// Why an exchange with the Lepton is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CciError {
    /// The Lepton refused.
    #[error("the Lepton answered status {status:#06x}: {meaning} ({code})")]
    Status {
        /// Whole status word.
        status: u16,
        /// Its error code.
        code: i8,
        /// The code in words.
        meaning: &'static str,
    },
    /// Words that are not base64 of whole words.
    #[error("the register data is not base64 of whole 16-bit words")]
    Data,
    /// More words than the camera can exchange.
    #[error("{got} words do not fit an exchange of at most {MAX_WORDS}")]
    TooLong {
        /// Words asked for.
        got: usize,
    },
}

/// Words of base64 of little-endian bytes.
///
/// # Errors
/// [`CciError::TooLong`] above [`MAX_WORDS`], [`CciError::Data`] if it is not base64 of whole words.
pub fn words_from_base64(text: &str) -> Result<Vec<u16>, CciError> {
    // Asked for more than it can exchange, firmware 3.2 returns stale data, which is no use.
    if text.len() > STANDARD.encoded_length(MAX_WORDS * 2) {
        let got = STANDARD.estimated_decoded_length(text.len()) / 2;
        return Err(CciError::TooLong { got });
    }
    let bytes = STANDARD
        .decode_to_vec(text.as_bytes())
        .map_err(|_| CciError::Data)?;
    let (pairs, rest) = bytes.as_chunks();
    match (pairs.len(), rest) {
        (0..=MAX_WORDS, []) => Ok(pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect()),
        (got, []) => Err(CciError::TooLong { got }),
        _ => Err(CciError::Data),
    }
}

/// Words as base64 of little-endian bytes.
pub fn words_to_base64(words: &[u16]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    STANDARD.encode_to_string(bytes)
}
