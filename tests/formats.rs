//! Picture files: bytes that must never change, decoders that must read them back, pictures that must be refused.

use std::io::Cursor;
use std::path::Path;

use outpost::raw::formats::{npy, pickle, write};
use outpost::raw::{BayerOrder, Format, FormatError, Mode, Picture, Shape, Tags, Window};

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hq-camera");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn tags() -> Tags {
    Tags {
        exposure_us: 12345,
        analogue_gain: 2.1,
        frame_duration_us: 100_000,
        black_level: 256,
        white_level: 4095,
        bayer: BayerOrder::Gbrg,
        window: Window {
            x: 8,
            y: 4,
            w: 6,
            h: 4,
        },
        colour_gains: Some((2.0, 1.6)),
        sensor_timestamp_ns: 123_456_789_012_345,
        captured: "2026-11-20T09:08:07.123456Z".parse().unwrap(),
        board_serial: "10000000abcdef01".into(),
        camera_model: "imx477".into(),
        software: "outpost 0.1.0".into(),
    }
}

fn picture<'a>(columns: usize, data: &'a [u16], mode: Mode, tags: &'a Tags) -> Picture<'a> {
    Picture {
        rows: data.len() / columns,
        columns,
        data,
        mode,
        tags,
    }
}

fn file(format: Format, picture: &Picture<'_>) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(format, picture, &mut out).unwrap();
    let shape = Shape {
        rows: picture.rows,
        columns: picture.columns,
    };
    let file = out.into_inner();
    assert!(file.len() as u64 <= format.size_bound(&shape), "{format}");
    file
}

/// Every bit of a 16-bit value, unlike in both bytes and in rows.
fn values(count: usize) -> Vec<u16> {
    (0..count)
        .map(|i| (i as u16).wrapping_mul(40503) ^ 0x00ff)
        .collect()
}

fn npy_values(file: &[u8]) -> Vec<u16> {
    file[128..]
        .chunks_exact(2)
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect()
}

/// Arrays recorded with numpy come out as numpy and the portable pickle wrote them.
#[test]
fn raw_and_npy_are_the_recorded_bytes() {
    let tags = tags();
    for (name, columns, mode) in [
        ("raw_centre_32x16", 48, Mode::PackedBytes),
        ("unpack_offset", 58, Mode::Pixels),
        ("bin2_scene", 16, Mode::Binned(2)),
    ] {
        let npy = vector(&format!("{name}.npy"));
        let data = npy_values(&npy);
        let picture = picture(columns, &data, mode, &tags);
        assert!(file(Format::Npy, &picture) == npy, "{name}");
        let portable = vector(&format!("{name}.portable.raw"));
        assert!(file(Format::Raw, &picture) == portable, "{name}");
    }
    for name in [
        "unpack_min_window",
        "raw_full",
        "bin4_black_overflow.correct",
    ] {
        let npy = vector(&format!("{name}.npy"));
        let data = npy_values(&npy);
        let columns = match name {
            "unpack_min_window" => 2,
            "raw_full" => 96,
            _ => 4,
        };
        let picture = picture(columns, &data, Mode::Pixels, &tags);
        assert!(file(Format::Npy, &picture) == npy, "{name}");
    }
}

/// Stored pictures outlive releases: revert the change, not the test.
#[test]
fn frozen_headers_of_a_full_frame() {
    let pickled = pickle::header(3040, 6084).unwrap();
    assert_eq!(
        pickled.escape_ascii().to_string(),
        "\\x80\\x03cnumpy.core.multiarray\\n_reconstruct\\ncnumpy\\nndarray\\nK\\x00\\x85C\\x01b\\x87R(K\\x01\
         J\\xe0\\x0b\\x00\\x00J\\xc4\\x17\\x00\\x00\\x86cnumpy\\ndtype\\nX\\x02\\x00\\x00\\x00u2\\x89\\x88\\x87R(K\\x03\
         X\\x01\\x00\\x00\\x00<NNNJ\\xff\\xff\\xff\\xffJ\\xff\\xff\\xff\\xffK\\x00tb\\x89B\\x00o4\\x02"
    );
    assert_eq!(pickled.len() + pickle::TRAILER.len(), 134);
    assert_eq!(pickle::header(1 << 20, 1 << 20), None);
    assert_eq!(pickle::header(usize::MAX, 2), None);
    assert_eq!(
        npy::header(3040, 4056).escape_ascii().to_string(),
        format!(
            "\\x93NUMPY\\x01\\x00v\\x00{{\\'descr\\': \\'<u2\\', \\'fortran_order\\': False, \
             \\'shape\\': (3040, 4056), }}{}\\n",
            " ".repeat(52)
        )
    );
}

#[test]
fn a_fits_file_is_cards_and_offset_big_endian_values() {
    let tags = tags();
    let data = [0, 1, 0x7fff, 0x8000, 0xffff, 256];
    let fits = file(Format::Fits, &picture(3, &data, Mode::Pixels, &tags));
    assert_eq!(fits.len(), 2 * 2880);
    let cards: Vec<&str> = fits[..2880]
        .chunks(80)
        .map(|card| std::str::from_utf8(card).unwrap().trim_end())
        .take_while(|card| !card.is_empty())
        .collect();
    assert_eq!(
        cards,
        [
            "SIMPLE  =                    T / FITS 4.0",
            "BITPIX  =                   16 / bits of a stored value",
            "NAXIS   =                    2",
            "NAXIS1  =                    3 / columns",
            "NAXIS2  =                    2 / rows",
            "BSCALE  =                    1 / value = stored * BSCALE + BZERO",
            "BZERO   =                32768 / unsigned 16-bit values",
            "ROWORDER= 'TOP-DOWN'           / first row is the top of the picture",
            "DATE-OBS= '2026-11-20T09:08:07.123456' / time of capture",
            "TIMESYS = 'UTC     '           / time scale of DATE-OBS",
            "EXPTIME =             0.012345 / [s] exposure time",
            "GAIN    =               2.1000 / analogue gain, factor",
            "FRAMEDUR=             0.100000 / [s] frame duration",
            "SENSTIME=      123456789012345 / [ns] monotonic clock",
            "BLKLEVEL=                  256 / [adu] black level",
            "SATURATE=                 4095 / [adu] white level",
            "XBINNING=                    1 / pixels summed, columns",
            "YBINNING=                    1 / pixels summed, rows",
            "XORGSUBF=                    8 / first column in binned pixels",
            "YORGSUBF=                    4 / first row in binned pixels",
            "BAYERPAT= 'GBRG    '           / color filters, first two rows",
            "XBAYROFF=                    0",
            "YBAYROFF=                    0",
            "INSTRUME= 'imx477  '           / camera",
            "BOARDSER= '10000000abcdef01'   / serial number of the board",
            "CREATOR = 'outpost 0.1.0'",
            "END",
        ]
    );
    let stored: Vec<i16> = fits[2880..]
        .chunks(2)
        .map(|b| i16::from_be_bytes([b[0], b[1]]))
        .collect();
    assert_eq!(stored[..6], [-32768, -32767, -1, 0, 32767, -32512]);
    assert!(stored[6..].iter().all(|&v| v == 0));
}

#[test]
fn a_fits_file_of_sums_has_levels_of_sums_and_no_colors() {
    let tags = Tags {
        board_serial: "it's \u{fc}n".repeat(30),
        analogue_gain: f32::NAN,
        ..tags()
    };
    let data = values(1440 * 2);
    let fits = file(Format::Fits, &picture(1440, &data, Mode::Binned(2), &tags));
    assert_eq!(fits.len(), 2880 + 2 * 2880, "full blocks are not padded");
    let header = std::str::from_utf8(&fits[..2880]).unwrap();
    for card in [
        "BLKLEVEL=                 4096 ",
        "SATURATE=                65520 ",
        "XBINNING=                    4 ",
        "YORGSUBF=                    1 ",
        "BOARDSER= 'it''s ?nit''s ?n",
    ] {
        assert!(header.contains(card), "{card}");
    }
    assert!(!header.contains("BAYER") && !header.contains("GAIN"));
    let serial = header.find("BOARDSER").unwrap();
    let card = &header[serial..serial + 80];
    assert_eq!(card.matches('\'').count() % 2, 0, "{card}");
}

#[test]
fn png_decodes_to_the_same_values() {
    let tags = tags();
    let data = values(62 * 46);
    let encoded = file(Format::Png, &picture(62, &data, Mode::Pixels, &tags));
    let mut reader = png::Decoder::new(Cursor::new(encoded)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((info.width, info.height), (62, 46));
    assert_eq!(info.bit_depth, png::BitDepth::Sixteen);
    assert_eq!(info.color_type, png::ColorType::Grayscale);
    let decoded: Vec<u16> = bytes
        .chunks(2)
        .map(|b| u16::from_be_bytes([b[0], b[1]]))
        .collect();
    assert!(decoded == data);
    let texts = &reader.info().uncompressed_latin1_text;
    let text = |keyword: &str| &texts.iter().find(|t| t.keyword == keyword).unwrap().text;
    assert_eq!(text("Software"), "outpost 0.1.0");
    assert_eq!(text("Creation Time"), "Fri, 20 Nov 2026 09:08:07 +0000");
    let description: serde_json::Value = serde_json::from_str(text("Description")).unwrap();
    assert_eq!(
        description,
        serde_json::json!({
            "camera_model": "imx477",
            "board_serial": "10000000abcdef01",
            "captured": "2026-11-20T09:08:07.123456Z",
            "sensor_timestamp_ns": 123_456_789_012_345_u64,
            "exposure_us": 12345,
            "frame_duration_us": 100_000,
            "analogue_gain": 2.1,
            "window": [8, 4, 6, 4],
            "binning": 1,
            "bayer_order": "GBRG",
            "black_level": 256,
            "white_level": 4095,
        })
    );
}

/// The compressor's worst case: no byte it expects, none repeated.
#[test]
fn png_stays_within_its_bound_on_noise() {
    let tags = tags();
    let mut state = 1u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let columns = 2000;
    for (low, span) in [(0, 256), (60, 100)] {
        let mut data: Vec<u16> = Vec::new();
        for i in 0..columns * 100 {
            let delta = [(); 2].map(|()| low + (u32::from(byte()) % span) as u8);
            let above = if i < columns { 0 } else { data[i - columns] }.to_be_bytes();
            let value = [0, 1].map(|k| above[k].wrapping_add(delta[k]));
            data.push(u16::from_be_bytes(value));
        }
        let noise = file(Format::Png, &picture(columns, &data, Mode::Pixels, &tags));
        assert!(noise.len() > 2 * data.len(), "not the worst case");
    }
}

#[test]
fn tiff_decodes_to_the_same_values() {
    use tiff::tags::Tag;
    let tags = tags();
    let data = values(62 * 46);
    let encoded = file(Format::Tiff, &picture(62, &data, Mode::Binned(1), &tags));
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(encoded)).unwrap();
    assert_eq!(decoder.dimensions().unwrap(), (62, 46));
    assert_eq!(decoder.colortype().unwrap(), tiff::ColorType::Gray(16));
    let tiff::decoder::DecodingResult::U16(decoded) = decoder.read_image().unwrap() else {
        panic!("not 16 bit")
    };
    assert!(decoded == data);
    let mut number = |tag| decoder.get_tag_u32(tag).unwrap();
    assert_eq!(number(Tag::MinSampleValue), 1024);
    assert_eq!(number(Tag::MaxSampleValue), 16380);
    let mut text = |tag| decoder.get_tag_ascii_string(tag).unwrap();
    assert_eq!(text(Tag::Software), "outpost 0.1.0");
    assert_eq!(text(Tag::Model), "imx477");
    assert_eq!(text(Tag::DateTime), "2026:11:20 09:08:07");
    let description: serde_json::Value =
        serde_json::from_str(&text(Tag::ImageDescription)).unwrap();
    assert_eq!(description["binning"], 2);
    assert_eq!(description["bayer_order"], serde_json::Value::Null);
}

/// One directory entry: type, count, and the four bytes of value or offset.
fn entry(file: &[u8], directory: usize, wanted: u16) -> Option<(u16, u32, [u8; 4])> {
    let u16_at = |at: usize| u16::from_le_bytes([file[at], file[at + 1]]);
    (0..usize::from(u16_at(directory)))
        .map(|i| directory + 2 + 12 * i)
        .find(|&at| u16_at(at) == wanted)
        .map(|at| {
            let count = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap());
            let value = file[at + 8..at + 12].try_into().unwrap();
            (u16_at(at + 2), count, value)
        })
}

#[test]
fn a_dng_file_has_the_tags_that_converters_need() {
    let tags = tags();
    let data = values(6 * 4);
    let dng = file(Format::Dng, &picture(6, &data, Mode::Pixels, &tags));
    assert_eq!(&dng[..4], b"II*\0");
    let u32_at = |at: usize| u32::from_le_bytes(dng[at..at + 4].try_into().unwrap());
    let main = u32_at(4) as usize;
    let tag = |wanted| entry(&dng, main, wanted).unwrap_or_else(|| panic!("no tag {wanted}"));
    let short = |wanted| {
        let (kind, count, value) = tag(wanted);
        assert_eq!((kind, count), (3, 1), "{wanted}");
        u16::from_le_bytes([value[0], value[1]])
    };
    let longs = |wanted: u16, expected_kind: u16| -> Vec<u32> {
        let (kind, count, value) = tag(wanted);
        assert_eq!(kind, expected_kind, "{wanted}");
        let at = u32::from_le_bytes(value) as usize;
        (0..2 * count as usize)
            .map(|i| u32_at(at + 4 * i))
            .collect()
    };
    assert_eq!(short(262), 32803);
    assert_eq!(short(258), 16);
    assert_eq!(short(50714), 256);
    assert_eq!(short(50717), 4095);
    assert_eq!(short(50778), 21);
    assert_eq!(tag(33421), (3, 2, [2, 0, 2, 0]));
    assert_eq!(tag(33422), (1, 4, [1, 2, 0, 1]), "GBRG");
    assert_eq!(tag(50706), (1, 4, [1, 4, 0, 0]));
    assert_eq!(tag(50707), (1, 4, [1, 1, 0, 0]));
    assert_eq!(tag(50721).1, 9);
    assert_eq!(longs(50728, 5), [5000, 10000, 10000, 10000, 6250, 10000]);
    let (_, _, strip) = tag(273);
    let strip = u32::from_le_bytes(strip) as usize;
    let stored: Vec<u16> = dng[strip..strip + 48]
        .chunks(2)
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect();
    assert_eq!(stored, data);
    let exif = u32::from_le_bytes(tag(34665).2) as usize;
    let (kind, _, at) = entry(&dng, exif, 33434).unwrap();
    let at = u32::from_le_bytes(at) as usize;
    assert_eq!((kind, u32_at(at), u32_at(at + 4)), (5, 12345, 1_000_000));
    assert_eq!(entry(&dng, exif, 34855), Some((3, 1, [210, 0, 0, 0])));
}

#[test]
fn what_a_format_cannot_hold_is_refused_before_writing() {
    let tags = tags();
    let data = values(24);
    let refused = |format: Format, picture: &Picture<'_>| {
        let mut out = Cursor::new(Vec::new());
        let error = write(format, picture, &mut out).unwrap_err();
        assert!(out.into_inner().is_empty(), "{format}: {error}");
        error
    };
    for format in Format::ALL {
        let packed = picture(6, &data, Mode::PackedBytes, &tags);
        if format.holds_pixels() {
            let error = refused(format, &packed);
            assert!(matches!(error, FormatError::NeedsPixels(f) if f == format));
        } else {
            file(format, &packed);
        }
        let short = Picture {
            rows: 5,
            ..picture(6, &data, Mode::Pixels, &tags)
        };
        assert!(matches!(
            refused(format, &short),
            FormatError::Size { got: 24, .. }
        ));
        let empty = Picture {
            rows: 0,
            ..picture(6, &[], Mode::Pixels, &tags)
        };
        assert!(matches!(refused(format, &empty), FormatError::Size { .. }));
    }
    let binned = picture(6, &data, Mode::Binned(1), &tags);
    assert!(matches!(
        refused(Format::Dng, &binned),
        FormatError::BinnedDng
    ));
}

/// A destination that fails reports its own error, so that a full disk can be told from a bug.
#[test]
fn a_full_disk_shows_as_such() {
    struct Full(Cursor<Vec<u8>>);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.0.position() + bytes.len() as u64 > 300 {
                true => Err(std::io::ErrorKind::StorageFull.into()),
                false => self.0.write(bytes),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl std::io::Seek for Full {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    let (tags, data) = (tags(), values(4000));
    for format in Format::ALL {
        let picture = picture(40, &data, Mode::Pixels, &tags);
        let error = write(format, &picture, &mut Full(Cursor::new(Vec::new()))).unwrap_err();
        assert!(
            matches!(&error, FormatError::Io(e) if e.kind() == std::io::ErrorKind::StorageFull),
            "{format}: {error}"
        );
    }
}

#[test]
fn names_are_those_of_the_configuration() {
    for (name, format) in ["raw", "npy", "fits", "tiff", "dng", "png"]
        .into_iter()
        .zip(Format::ALL)
    {
        assert_eq!(name.parse::<Format>().unwrap(), format);
        assert_eq!(format.to_string(), name);
        assert_eq!(format.extension(), name);
    }
    for name in ["RAW", "", "jpeg", "tif"] {
        assert!(matches!(
            name.parse::<Format>(),
            Err(FormatError::UnknownFormat)
        ));
    }
}

#[test]
fn size_bounds_survive_impossible_shapes() {
    let shape = Shape {
        rows: usize::MAX,
        columns: usize::MAX,
    };
    for format in Format::ALL {
        assert!(format.size_bound(&shape) > u64::MAX / 2, "{format}");
    }
}
