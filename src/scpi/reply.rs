//! Response messages: values joined by `,`, units by `;`, straight into one reusable buffer.

use std::io::Write;

use super::error::Error;

/// Builds the responses of one connection, message after message, in one buffer.
///
/// Call [`Reply::begin_unit`] before each unit, write its values, and [`Reply::end_message`] after the last one. A
/// unit that writes nothing leaves no trace, and a message whose units wrote nothing has no terminator.
#[derive(Debug, Default)]
pub struct Reply {
    out: Vec<u8>,
    message: usize,
    unit: usize,
    in_unit: bool,
    /// Part of the present message has been sent and removed from `out`.
    carried: bool,
}

impl Reply {
    /// An empty reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the response of the next unit.
    pub fn begin_unit(&mut self) {
        self.unit = self.out.len();
        self.in_unit = false;
    }

    /// Takes back what the present unit wrote: a failed query answers nothing.
    pub fn abandon_unit(&mut self) {
        self.out.truncate(self.unit);
        self.in_unit = false;
    }

    /// True when a unit of the present message has answered.
    pub fn answered(&self) -> bool {
        self.carried || self.out.len() > self.message
    }

    /// Ends the present message: appends `terminator` if any unit answered. Returns whether one did.
    pub fn end_message(&mut self, terminator: &[u8]) -> bool {
        let answered = self.answered();
        if answered {
            self.out.extend_from_slice(terminator);
        }
        self.message = self.out.len();
        self.carried = false;
        self.begin_unit();
        answered
    }

    /// The bytes of every message since the last [`Reply::clear`].
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Forgets what was written and keeps the memory, unless one large reply made it unreasonable.
    pub fn clear(&mut self) {
        const KEEP: usize = 64 * 1024;
        self.out.clear();
        self.out.shrink_to(KEEP);
        self.message = 0;
        self.carried = false;
        self.begin_unit();
    }

    /// What was written has been sent, up to the header of a block whose data follow; the message goes on.
    pub fn continue_after_sending(&mut self) {
        self.out.clear();
        self.message = 0;
        self.carried = true;
        self.begin_unit();
    }

    /// The buffer itself, for data that follow a [`Reply::block_header`] and for texts of another dialect.
    pub fn raw(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// An integer (NR1): `-12`.
    pub fn integer(&mut self, value: impl Into<i128>) -> &mut Self {
        let value: i128 = value.into();
        // i128 division is slow and hardly ever needed.
        match i64::try_from(value) {
            Ok(small) => write!(self.value(), "{small}"),
            Err(_) => write!(self.value(), "{value}"),
        }
        .expect("writing to a Vec because memory never fails to be written");
        self
    }

    /// A boolean: `1` or `0`.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.value().push(if value { b'1' } else { b'0' });
        self
    }

    /// A number in the shortest of NR1, NR2 and NR3 that reads back to the same `f64`. Infinities are `9.9E37` and
    /// `-9.9E37`, not-a-number is `9.91E37`.
    pub fn real(&mut self, value: f64) -> &mut Self {
        let mut digits = Scratch::default();
        write!(digits, "{value:E}")
            .expect("the shortest form of an f64 because it has at most 24 characters");
        put_real(self.value(), value, digits.text());
        self
    }

    /// As [`Reply::real`], with the digits that read back to the same `f32`.
    pub fn real32(&mut self, value: f32) -> &mut Self {
        let mut digits = Scratch::default();
        write!(digits, "{value:E}")
            .expect("the shortest form of an f32 because it has at most 16 characters");
        put_real(self.value(), f64::from(value), digits.text());
        self
    }

    /// Characters as they are: a word in its short form, a fixed text such as `1999.0`, an identity.
    pub fn word(&mut self, text: &str) -> &mut Self {
        self.value().extend_from_slice(text.as_bytes());
        self
    }

    /// A string in double quotes, inner quotes doubled.
    pub fn string(&mut self, text: &str) -> &mut Self {
        let out = self.value();
        out.push(b'"');
        for part in text.split_inclusive('"') {
            out.extend_from_slice(part.as_bytes());
            if part.ends_with('"') {
                out.push(b'"');
            }
        }
        out.push(b'"');
        self
    }

    /// An entry of the error queue: `number,"text"`.
    pub fn error(&mut self, error: &Error) -> &mut Self {
        write!(self.value(), "{error}")
            .expect("writing to a Vec because memory never fails to be written");
        self
    }

    /// A definite-length block: `#`, the count of length digits, the length, the bytes.
    pub fn block(&mut self, data: &[u8]) -> &mut Self {
        self.block_header(data.len() as u64);
        self.out.extend_from_slice(data);
        self
    }

    /// The start of a block whose `length` bytes (at most 999999999) the caller sends itself before anything else
    /// of this message.
    pub fn block_header(&mut self, length: u64) -> &mut Self {
        let digits = length.checked_ilog10().unwrap_or(0) + 1;
        write!(self.value(), "#{digits}{length}")
            .expect("writing to a Vec because memory never fails to be written");
        self
    }

    /// The buffer, after the separator that a further value needs.
    fn value(&mut self) -> &mut Vec<u8> {
        if self.in_unit {
            self.out.push(b',');
        } else if self.answered() {
            self.out.push(b';');
        }
        self.in_unit = true;
        &mut self.out
    }
}

/// Room for one formatted number.
#[derive(Default)]
struct Scratch {
    bytes: [u8; 32],
    len: usize,
}

impl Scratch {
    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

impl Write for Scratch {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let room = &mut self.bytes[self.len..];
        let n = data.len().min(room.len());
        room[..n].copy_from_slice(&data[..n]);
        self.len += n;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes `value`, whose shortest digits are in `scientific` (`-1.25E-3`), in the shorter of fixed and exponent form.
fn put_real(out: &mut Vec<u8>, value: f64, scientific: &[u8]) {
    if value.is_nan() {
        return out.extend_from_slice(b"9.91E37");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"9.9E37" } else { b"-9.9E37" });
    }
    if value == 0.0 {
        return out.push(b'0');
    }
    let (mantissa, exponent) = split_scientific(scientific);
    let mut scratch = Scratch::default();
    for &digit in mantissa.iter().filter(|b| b.is_ascii_digit()) {
        scratch.push(digit);
    }
    let digits = scratch.text();
    if value < 0.0 {
        out.push(b'-');
    }
    let count = digits.len() as i32;
    let fixed_length = match exponent {
        e if e < 0 => 1 - e + count,
        e if e + 1 >= count => e + 1,
        _ => count + 1,
    };
    // NR3 has a point in its mantissa and a signed exponent of at least two digits: `1.0E-07`.
    let float_length = count.max(2) + 1 + if exponent.abs() > 99 { 5 } else { 4 };
    if fixed_length <= float_length {
        put_fixed(out, digits, exponent);
    } else {
        put_exponent(out, digits, exponent);
    }
}

fn split_scientific(text: &[u8]) -> (&[u8], i32) {
    let at = text.iter().position(|&b| b == b'E').unwrap_or(text.len());
    let exponent = text.get(at + 1..).and_then(|e| std::str::from_utf8(e).ok());
    (
        &text[..at],
        exponent.and_then(|e| e.parse().ok()).unwrap_or(0),
    )
}

fn put_fixed(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        return out.extend_from_slice(digits);
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.extend_from_slice(digits);
        return out.resize(out.len() + whole - digits.len(), b'0');
    }
    out.extend_from_slice(&digits[..whole]);
    out.push(b'.');
    out.extend_from_slice(&digits[whole..]);
}

fn put_exponent(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    out.push(b'.');
    out.extend_from_slice(if digits.len() > 1 { &digits[1..] } else { b"0" });
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(out, "E{sign}{:02}", exponent.abs())
        .expect("writing to a Vec because memory never fails to be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(write: impl FnOnce(&mut Reply)) -> String {
        let mut reply = Reply::new();
        reply.begin_unit();
        write(&mut reply);
        String::from_utf8(reply.bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_take_their_shortest_form() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (1.25, "1.25"),
            (-1.25, "-1.25"),
            (0.00125, "0.00125"),
            (0.000125, "0.000125"),
            (0.0000125, "1.25E-05"),
            (1e6, "1000000"),
            (1e7, "1.0E+07"),
            (12345678.0, "12345678"),
            (1.5e300, "1.5E+300"),
            (5e-324, "5.0E-324"),
            (f64::INFINITY, "9.9E37"),
            (f64::NEG_INFINITY, "-9.9E37"),
            (f64::NAN, "9.91E37"),
        ];
        for (value, text) in cases {
            assert_eq!(one(|r| _ = r.real(value)), text);
        }
        assert_eq!(one(|r| _ = r.real32(0.1)), "0.1");
        assert_eq!(one(|r| _ = r.integer(-12)), "-12");
        assert_eq!(one(|r| _ = r.integer(u64::MAX)), "18446744073709551615");
        assert_eq!(one(|r| _ = r.boolean(true).boolean(false)), "1,0");
    }

    #[test]
    fn strings_and_blocks_frame_their_data() {
        assert_eq!(one(|r| _ = r.string("a\"b")), "\"a\"\"b\"");
        assert_eq!(one(|r| _ = r.string("")), "\"\"");
        assert_eq!(one(|r| _ = r.block(b"")), "#10");
        assert_eq!(one(|r| _ = r.block(b"hello")), "#15hello");
        assert_eq!(one(|r| _ = r.block_header(1024)), "#41024");
        assert_eq!(one(|r| _ = r.block_header(1000)), "#41000");
        assert_eq!(one(|r| _ = r.block_header(999)), "#3999");
    }

    #[test]
    fn units_that_answer_nothing_leave_no_separator() {
        let mut reply = Reply::new();
        reply.begin_unit();
        reply.begin_unit();
        reply.integer(1).word("MIN");
        reply.begin_unit();
        reply.integer(2);
        reply.abandon_unit();
        reply.begin_unit();
        reply.string("x");
        assert!(reply.end_message(b"\n"));
        reply.begin_unit();
        assert!(!reply.end_message(b"\n"));
        reply.begin_unit();
        reply.integer(3);
        assert!(reply.end_message(b""));
        assert_eq!(reply.bytes(), b"1,MIN;\"x\"\n3");
        reply.clear();
        assert!(reply.bytes().is_empty());
    }
}
