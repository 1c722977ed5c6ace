//! Picture files: `.tjsn`, one image text, and `.tmjsn`, a recording.
//!
//! ```text
//! .tjsn   image
//! .tmjsn  image 0x03 image 0x03 .. {"video_info":{..}} [0x03]
//! ```
//!
//! The end of a recording is missing when power was lost; the images before it are good.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::image::{ImageError, ImageText};
use super::metadata::Metadata;
use super::packet::{ETX, HOST_LIMIT, STX};
use super::response::Response;

/// The version of the recordings described here.
const VERSION: u32 = 1;
const MS_PER_DAY: i64 = 86_400_000;

/// The text of a `.tjsn`, also one with the delimiters of a packet around it or white space after it.
///
/// # Errors
/// [`ImageError`].
pub fn read_tjsn(file: &[u8]) -> Result<ImageText<'_>, ImageError> {
    let text = file.trim_ascii();
    let text = text.strip_prefix(&[STX]).unwrap_or(text);
    let text = text.strip_suffix(&[ETX]).unwrap_or(text);
    ImageText::parse(text)
}

/// The end of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoInfo {
    /// Date of the last image, in the form of the metadata.
    pub end_date: String,
    /// Time of the last image.
    pub end_time: String,
    /// Images.
    pub num_frames: u64,
    /// Date of the first image.
    pub start_date: String,
    /// Time of the first image.
    pub start_time: String,
    /// 1.
    pub version: u32,
}

impl VideoInfo {
    /// From the first to the last image in milliseconds, if their times can be read. Midnight may lie between.
    pub fn duration_ms(&self) -> Option<u32> {
        let ms_of_day = |time: &str| {
            let time: super::metadata::TimeOfDay = time.parse().ok()?;
            Some(i64::from(time.ms_of_day()))
        };
        let span = ms_of_day(&self.end_time)? - ms_of_day(&self.start_time)?;
        u32::try_from(span.rem_euclid(MS_PER_DAY)).ok()
    }

    /// Appends the object under its key.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"video_info\":");
        serde_json::to_writer(&mut *out, self)
            .expect("strings and numbers because nothing else is here");
        out.push(b'}');
    }
}

/// Makes a recording: the bytes to append to the file for each image and at the end.
#[derive(Debug, Default)]
pub struct RecordingWriter {
    start: Option<(String, String)>,
    end: (String, String),
    num_frames: u64,
}

impl RecordingWriter {
    /// A recording of no images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an image text as it came, and its separator.
    pub fn image(&mut self, metadata: &Metadata<'_>, text: &[u8], out: &mut Vec<u8>) {
        let (date, time) = &mut self.end;
        date.clear();
        date.push_str(&metadata.date);
        time.clear();
        time.push_str(&metadata.time);
        self.start.get_or_insert_with(|| self.end.clone());
        self.num_frames += 1;
        out.extend_from_slice(text);
        out.push(ETX);
    }

    /// Images so far.
    pub fn num_frames(&self) -> u64 {
        self.num_frames
    }

    /// Appends the end, its separator included.
    pub fn finish(self, out: &mut Vec<u8>) -> VideoInfo {
        let (start_date, start_time) = self.start.unwrap_or_default();
        let (end_date, end_time) = self.end;
        let info = VideoInfo {
            end_date,
            end_time,
            num_frames: self.num_frames,
            start_date,
            start_time,
            version: VERSION,
        };
        info.write_json(out);
        out.push(ETX);
        info
    }
}

/// A piece of a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Record<'a> {
    /// The text of an image, whole: it can be taken apart.
    Image(&'a [u8]),
    /// The end.
    VideoInfo(VideoInfo),
    /// Neither: that many bytes are lost. Reading goes on after the next separator.
    Damaged {
        /// Bytes, separator not counted.
        bytes: u64,
    },
}

/// What a recording held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordingSummary {
    /// Whole images.
    pub images: u64,
    /// Records that were neither image nor end.
    pub damaged: u64,
    /// Bytes of a last record that was cut short.
    pub tail_bytes: u64,
    /// The end; `None` if the recording was cut short.
    pub video_info: Option<VideoInfo>,
}

impl RecordingSummary {
    /// Whether all of the recording is there.
    pub fn is_complete(&self) -> bool {
        let counted = |info: &VideoInfo| info.num_frames == self.images;
        self.damaged == 0 && self.tail_bytes == 0 && self.video_info.as_ref().is_some_and(counted)
    }
}

/// Reads a recording piece by piece, whatever its length.
///
/// Feed with [`RecordingReader::push`], call [`RecordingReader::next`] until it returns `None`, and so on; at the
/// end of the file call [`RecordingReader::end`] and `next` once more, for the last record needs no separator.
/// Memory is bounded by an image and the largest piece.
#[derive(Debug, Default)]
pub struct RecordingReader {
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    /// Bytes already dropped of a record that is longer than any image.
    dropped: u64,
    ended: bool,
    summary: RecordingSummary,
}

impl RecordingReader {
    /// A reader at the start of a recording.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The file has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next record, or `None` when more of the file is needed or nothing is left.
    #[expect(clippy::should_implement_trait, reason = "records borrow the buffer")]
    pub fn next(&mut self) -> Option<Record<'_>> {
        while let Some(len) = memchr::memchr(ETX, &self.buffer[self.scanned..]) {
            let record = self.start..self.scanned + len;
            (self.start, self.scanned) = (record.end + 1, record.end + 1);
            if self.dropped > 0 || !is_blank(&self.buffer[record.clone()]) {
                return Some(self.record(record));
            }
        }
        self.scanned = self.buffer.len();
        if self.ended {
            return self.last();
        }
        if self.scanned - self.start > HOST_LIMIT {
            self.dropped += (self.scanned - self.start) as u64;
            self.start = self.scanned;
        }
        None
    }

    /// What the recording held as far as it was read.
    pub fn summary(&self) -> &RecordingSummary {
        &self.summary
    }

    fn record(&mut self, range: Range<usize>) -> Record<'_> {
        let dropped = std::mem::take(&mut self.dropped);
        let record = classify(&self.buffer[range], dropped);
        match &record {
            Record::Image(_) => self.summary.images += 1,
            Record::VideoInfo(info) => self.summary.video_info = Some(info.clone()),
            Record::Damaged { .. } => self.summary.damaged += 1,
        }
        record
    }

    /// The record after the last separator. A damaged one is one that was cut short.
    fn last(&mut self) -> Option<Record<'_>> {
        let rest = self.start..self.buffer.len();
        self.start = self.buffer.len();
        if self.dropped == 0 && is_blank(&self.buffer[rest.clone()]) {
            return None;
        }
        if let Record::Damaged { bytes } = classify(&self.buffer[rest.clone()], self.dropped) {
            self.dropped = 0;
            self.summary.tail_bytes = bytes;
            return None;
        }
        Some(self.record(rest))
    }
}

fn is_blank(text: &[u8]) -> bool {
    text.trim_ascii().is_empty()
}

/// What a record is, `dropped` bytes of whose beginning are gone.
fn classify(text: &[u8], dropped: u64) -> Record<'_> {
    let bytes = dropped + text.len() as u64;
    if bytes > HOST_LIMIT as u64 {
        return Record::Damaged { bytes };
    }
    match Response::decode(text) {
        Ok(Response::Image(image)) if ImageText::parse(image).is_ok() => Record::Image(image),
        Ok(Response::VideoInfo(info)) => Record::VideoInfo(info),
        _ => Record::Damaged { bytes },
    }
}
