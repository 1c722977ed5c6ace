//! The registers: names, addresses, widths, numbers; and strings of commands that write them.

/// A register of the device, by the vendor's name. Source: VM01B and the client's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Register {
    TriggerLogic,
    TriggerMask,
    SpockOption,
    SampleAddress,
    SampleCounter,
    EepromData,
    EepromAddress,
    ClockScale,
    DumpRepeat,
    DumpSend,
    DumpSkip,
    DumpCount,
    DumpMode,
    TraceOption,
    TraceMode,
    TraceDelay,
    TraceIntro,
    TraceOutro,
    Timeout,
    ClockTicks,
    DumpChan,
    BufferMode,
    TriggerIntro,
    TriggerOutro,
    StreamIdent,
    AnalogEnable,
    DigitalEnable,
    SnoopEnable,
    Prelude,
    StampIdent,
    TriggerTime,
    TriggerValue,
    Cmd,
    Mode,
    Option,
    Size,
    Index,
    Address,
    Clock,
    Modulo,
    Level,
    Offset,
    Mask,
    Ratio,
    Mark,
    Space,
    ConverterLo,
    ConverterHi,
    TriggerLevel,
    LogicControl,
    Rest,
    KitchenSinkA,
    KitchenSinkB,
    Rise,
    Fall,
    Control,
    Map0,
    Map1,
    Map2,
    Map3,
    Map4,
    Map5,
    Map6,
    Map7,
}

struct Spec {
    register: Register,
    name: &'static str,
    address: u8,
    bytes: u8,
    fraction: u8,
    signed: bool,
}

const fn plain(register: Register, name: &'static str, address: u8, bytes: u8) -> Spec {
    fixed(register, name, address, bytes, 0)
}

const fn fixed(
    register: Register,
    name: &'static str,
    address: u8,
    bytes: u8,
    fraction: u8,
) -> Spec {
    Spec {
        register,
        name,
        address,
        bytes,
        fraction,
        signed: false,
    }
}

const fn signed(
    register: Register,
    name: &'static str,
    address: u8,
    bytes: u8,
    fraction: u8,
) -> Spec {
    Spec {
        register,
        name,
        address,
        bytes,
        fraction,
        signed: true,
    }
}

/// In the order of [`Register`].
const SPECS: [Spec; 64] = {
    use Register as R;
    [
        plain(R::TriggerLogic, "TriggerLogic", 0x05, 1),
        plain(R::TriggerMask, "TriggerMask", 0x06, 1),
        plain(R::SpockOption, "SpockOption", 0x07, 1),
        plain(R::SampleAddress, "SampleAddress", 0x08, 3),
        plain(R::SampleCounter, "SampleCounter", 0x0b, 3),
        plain(R::EepromData, "EepromData", 0x10, 1),
        plain(R::EepromAddress, "EepromAddress", 0x11, 1),
        plain(R::ClockScale, "ClockScale", 0x14, 2),
        plain(R::DumpRepeat, "DumpRepeat", 0x16, 2),
        plain(R::DumpSend, "DumpSend", 0x18, 2),
        plain(R::DumpSkip, "DumpSkip", 0x1a, 2),
        plain(R::DumpCount, "DumpCount", 0x1c, 2),
        plain(R::DumpMode, "DumpMode", 0x1e, 1),
        plain(R::TraceOption, "TraceOption", 0x20, 1),
        plain(R::TraceMode, "TraceMode", 0x21, 1),
        plain(R::TraceDelay, "TraceDelay", 0x22, 4),
        plain(R::TraceIntro, "TraceIntro", 0x26, 2),
        plain(R::TraceOutro, "TraceOutro", 0x2a, 2),
        plain(R::Timeout, "Timeout", 0x2c, 2),
        plain(R::ClockTicks, "ClockTicks", 0x2e, 2),
        plain(R::DumpChan, "DumpChan", 0x30, 1),
        plain(R::BufferMode, "BufferMode", 0x31, 1),
        plain(R::TriggerIntro, "TriggerIntro", 0x32, 2),
        plain(R::TriggerOutro, "TriggerOutro", 0x34, 2),
        plain(R::StreamIdent, "StreamIdent", 0x36, 1),
        plain(R::AnalogEnable, "AnalogEnable", 0x37, 1),
        plain(R::DigitalEnable, "DigitalEnable", 0x38, 1),
        plain(R::SnoopEnable, "SnoopEnable", 0x39, 1),
        plain(R::Prelude, "Prelude", 0x3a, 2),
        plain(R::StampIdent, "StampIdent", 0x3c, 1),
        plain(R::TriggerTime, "TriggerTime", 0x40, 4),
        signed(R::TriggerValue, "TriggerValue", 0x44, 2, 0),
        plain(R::Cmd, "Cmd", 0x46, 1),
        plain(R::Mode, "Mode", 0x47, 1),
        plain(R::Option, "Option", 0x48, 2),
        plain(R::Size, "Size", 0x4a, 2),
        plain(R::Index, "Index", 0x4c, 2),
        plain(R::Address, "Address", 0x4e, 2),
        plain(R::Clock, "Clock", 0x50, 2),
        plain(R::Modulo, "Modulo", 0x52, 2),
        fixed(R::Level, "Level", 0x54, 2, 16),
        signed(R::Offset, "Offset", 0x56, 2, 16),
        plain(R::Mask, "Mask", 0x58, 2),
        fixed(R::Ratio, "Ratio", 0x5a, 4, 16),
        plain(R::Mark, "Mark", 0x5e, 2),
        plain(R::Space, "Space", 0x60, 2),
        fixed(R::ConverterLo, "ConverterLo", 0x64, 2, 16),
        fixed(R::ConverterHi, "ConverterHi", 0x66, 2, 16),
        fixed(R::TriggerLevel, "TriggerLevel", 0x68, 2, 16),
        plain(R::LogicControl, "LogicControl", 0x74, 1),
        plain(R::Rest, "Rest", 0x78, 2),
        plain(R::KitchenSinkA, "KitchenSinkA", 0x7b, 1),
        plain(R::KitchenSinkB, "KitchenSinkB", 0x7c, 1),
        plain(R::Rise, "Rise", 0x82, 2),
        plain(R::Fall, "Fall", 0x84, 2),
        plain(R::Control, "Control", 0x86, 1),
        plain(R::Map0, "Map0", 0x94, 1),
        plain(R::Map1, "Map1", 0x95, 1),
        plain(R::Map2, "Map2", 0x96, 1),
        plain(R::Map3, "Map3", 0x97, 1),
        plain(R::Map4, "Map4", 0x98, 1),
        plain(R::Map5, "Map5", 0x99, 1),
        plain(R::Map6, "Map6", 0x9a, 1),
        plain(R::Map7, "Map7", 0x9b, 1),
    ]
};

/// Registers with the raw values that they get.
pub type Writes = Vec<(Register, u32)>;

impl Register {
    /// All of them, by address.
    pub fn all() -> impl Iterator<Item = Self> {
        SPECS.iter().map(|spec| spec.register)
    }

    /// The register of that name, upper or lower case.
    pub fn find(name: &str) -> Option<Self> {
        let found = SPECS
            .iter()
            .find(|spec| spec.name.eq_ignore_ascii_case(name));
        found.map(|spec| spec.register)
    }

    /// The vendor's name.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Address of its lowest byte.
    pub fn address(self) -> u8 {
        self.spec().address
    }

    /// How many bytes it has, 1 to 4, the lowest first.
    pub fn bytes(self) -> u8 {
        self.spec().bytes
    }

    /// The raw value of a number: times 2^fraction, rounded to the nearest (half to even), clipped to the range. Not a
    /// number counts as 0.
    pub fn encode(self, value: f64) -> u32 {
        let spec = self.spec();
        let scaled = (value * f64::from(1u32 << spec.fraction)).round_ties_even();
        let bits = 8 * u32::from(spec.bytes);
        let mask = u32::MAX >> (32 - bits);
        if spec.signed {
            let half = f64::from(1u32 << (bits - 1));
            return (scaled.clamp(-half, half - 1.0) as i32 as u32) & mask;
        }
        scaled.clamp(0.0, f64::from(mask)) as u32
    }

    /// The number that a raw value stands for.
    pub fn decode(self, raw: u32) -> f64 {
        let spec = self.spec();
        let bits = 8 * u32::from(spec.bytes);
        let raw = raw & (u32::MAX >> (32 - bits));
        let number = match spec.signed {
            true => f64::from(((raw << (32 - bits)) as i32) >> (32 - bits)),
            false => f64::from(raw),
        };
        number / f64::from(1u32 << spec.fraction)
    }

    fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }
}

/// Appends the commands that write these registers, as compactly as the client does: in order of address, `z` from one
/// byte to the next, `n` across gaps of at most 3, digits only where R0 does not hold the byte yet. It ends with `s`.
pub fn write_string(writes: &[(Register, u32)], out: &mut Vec<u8>) {
    let mut sorted: heapless::Vec<(Register, u32), { SPECS.len() }> = heapless::Vec::new();
    // A register may be written twice; more different ones than there are there cannot be.
    for write in writes {
        match sorted.iter_mut().find(|(register, _)| *register == write.0) {
            Some(earlier) => *earlier = *write,
            None => drop(sorted.push(*write)),
        }
    }
    sorted.sort_unstable_by_key(|(register, _)| register.address());
    // R0 and R1 of the device, once known.
    let mut held: Option<(u8, u8)> = None;
    for (register, raw) in &sorted {
        let bytes = raw.to_le_bytes();
        for (offset, byte) in (0..register.bytes()).zip(bytes) {
            let address = register.address() + offset;
            let mut data = address;
            match held {
                Some((value, last)) if address <= last.saturating_add(4) => {
                    out.push(b'z');
                    out.extend((last + 1..address).map(|_| b'n'));
                    data = value;
                }
                last => {
                    out.extend(last.map(|_| b'z'));
                    digits(address, out);
                    out.push(b'@');
                }
            }
            match byte {
                _ if byte == data => {}
                0 => out.push(b'['),
                _ => digits(byte, out),
            }
            held = Some((byte, address));
        }
    }
    if held.is_some() {
        out.push(b's');
    }
}

/// Appends two hexadecimal digits: they replace all of R0.
pub fn digits(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (index, spec) in SPECS.iter().enumerate() {
            assert_eq!(spec.register as usize, index);
            assert_eq!(format!("{:?}", spec.register), spec.name);
        }
        assert!(SPECS.is_sorted_by_key(|spec| spec.address));
    }

    #[test]
    fn numbers_round_to_even_and_clip() {
        assert_eq!(Register::Level.encode(1.0), 0xffff);
        assert_eq!(Register::Level.encode(0.5), 0x8000);
        assert_eq!(Register::Offset.encode(-0.25), 0xc000);
        assert_eq!(Register::Offset.encode(0.7), 0x7fff);
        assert_eq!(Register::ClockTicks.encode(2.5), 2);
        assert_eq!(Register::ClockTicks.encode(3.5), 4);
        assert_eq!(Register::ClockTicks.encode(-3.0), 0);
        assert_eq!(Register::TraceDelay.encode(1e12), u32::MAX);
        assert_eq!(Register::Ratio.encode(1.5), 0x18000);
        assert_eq!(Register::TriggerLevel.encode(f64::NAN), 0);
        assert_eq!(Register::Offset.decode(0xc000), -0.25);
        assert_eq!(Register::Ratio.decode(0x18000), 1.5);
        assert_eq!(Register::TriggerValue.decode(0xffff), -1.0);
        assert_eq!(Register::find("triggervalue"), Some(Register::TriggerValue));
    }

    #[test]
    fn strings_are_the_clients() {
        let string = |writes: &[(Register, u32)]| {
            let mut out = Vec::new();
            write_string(writes, &mut out);
            String::from_utf8(out).unwrap()
        };
        use Register as R;
        assert_eq!(
            string(&[
                (R::ClockTicks, 4660),
                (R::TraceDelay, 305_419_896),
                (R::TriggerLogic, 90)
            ]),
            "05@5az22@78z56z34z12z2e@34z12s"
        );
        assert_eq!(
            string(&[(R::Cmd, 0), (R::Mode, 0), (R::Ratio, 32768)]),
            "46@[zz5a@[z80z[zs"
        );
        assert_eq!(
            string(&[(R::TriggerLogic, 1), (R::TriggerLogic, 5)]),
            "05@s"
        );
        assert_eq!(string(&[]), "");
    }
}
