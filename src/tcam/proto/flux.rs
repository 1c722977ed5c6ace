//! Flux linear parameters: what the Lepton corrects the scene for, in telemetry and as register 0x4EBC.

use super::temperature::CentiKelvin;

/// The scale of emissivity, transmission and reflection words: 8192 is 100 %.
pub const FULL_SCALE: u16 = 8192;

/// What the Lepton corrects the scene for. Emissivity, transmission and reflection: 8192 is 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FluxLinear {
    /// Emissivity of the scene.
    pub emissivity: u16,
    /// Temperature of what the scene reflects.
    pub background: CentiKelvin,
    /// Transmission of the atmosphere.
    pub atmosphere_transmission: u16,
    /// Temperature of the atmosphere.
    pub atmosphere: CentiKelvin,
    /// Transmission of the window.
    pub window_transmission: u16,
    /// Reflection of the window.
    pub window_reflection: u16,
    /// Temperature of the window.
    pub window: CentiKelvin,
    /// Temperature of what the window reflects.
    pub window_reflected: CentiKelvin,
}

impl Default for FluxLinear {
    fn default() -> Self {
        let room = CentiKelvin(29_515);
        Self {
            emissivity: FULL_SCALE,
            background: room,
            atmosphere_transmission: FULL_SCALE,
            atmosphere: room,
            window_transmission: FULL_SCALE,
            window_reflection: 0,
            window: room,
            window_reflected: room,
        }
    }
}

impl FluxLinear {
    /// Emissivity in percent, rounded to the nearest.
    pub fn emissivity_percent(&self) -> u8 {
        let percent = (u32::from(self.emissivity) * 100 + 4096) / 8192;
        percent.min(u8::MAX.into()) as u8
    }

    /// The word that the camera writes for a percentage: floor(percent * 8192 / 100).
    pub fn emissivity_word(percent: u8) -> u16 {
        (u32::from(percent) * 8192 / 100) as u16
    }

    /// As register 0x4EBC has it: emissivity, background, window transmission and temperature, atmosphere
    /// transmission and temperature, window reflection and reflected temperature.
    pub fn cci_words(&self) -> [u16; 8] {
        [
            self.emissivity,
            self.background.0,
            self.window_transmission,
            self.window.0,
            self.atmosphere_transmission,
            self.atmosphere.0,
            self.window_reflection,
            self.window_reflected.0,
        ]
    }

    /// From the words of register 0x4EBC.
    pub fn from_cci_words(words: [u16; 8]) -> Self {
        Self {
            emissivity: words[0],
            background: CentiKelvin(words[1]),
            window_transmission: words[2],
            window: CentiKelvin(words[3]),
            atmosphere_transmission: words[4],
            atmosphere: CentiKelvin(words[5]),
            window_reflection: words[6],
            window_reflected: CentiKelvin(words[7]),
        }
    }
}
