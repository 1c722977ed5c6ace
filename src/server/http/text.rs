//! Text inside other text: HTML, addresses, and the name by which a client reached the station.

use std::fmt::Write;

/// Text between tags or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A file's name as a segment of a path (RFC 3986).
pub(super) fn percent_encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// What such a segment stands for; `None` for what nobody would have written.
pub(super) fn percent_decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The host of a `Host` header without its port, if it is one that can be shown and typed.
pub(super) fn host_name(header: &str) -> Option<&str> {
    let name = match header.strip_prefix('[') {
        Some(rest) => &header[..rest.find(']')? + 2],
        None => header.split(':').next()?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    (!name.is_empty() && name.len() <= 253 && name.chars().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escape("<script>alert('a' & \"b\")</script>"),
            "&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;"
        );
    }

    #[test]
    fn names_survive_an_address() {
        for (name, encoded) in [
            ("a_ss=1000_0000.raw", "a_ss%3D1000_0000.raw"),
            ("ü 1%.png", "%C3%BC%201%25.png"),
            ("?#/\\", "%3F%23%2F%5C"),
        ] {
            assert_eq!(percent_encode(name), encoded);
            assert_eq!(percent_decode(encoded).as_deref(), Some(name));
        }
        for broken in ["%", "%1", "%zz", "%+1", "%ff"] {
            assert_eq!(percent_decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_host_is_taken_only_if_it_is_one() {
        for (header, host) in [
            ("192.168.1.5:8080", Some("192.168.1.5")),
            ("outpost-1.local", Some("outpost-1.local")),
            ("[fe80::1]:8080", Some("[fe80::1]")),
            ("[fe80::1", None),
            ("a b", None),
            ("<b>", None),
            ("$(reboot)", None),
            ("", None),
        ] {
            assert_eq!(host_name(header), host, "{header}");
        }
    }
}
