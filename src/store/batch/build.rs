//! The files of a batch.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, tz::TimeZone};
use md5::{Digest, Md5};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Batch, BatchError, csv, yaml};
use crate::store::readings::StoreHandle;

/// Rows read at a time: few enough that a reading never waits long for the database, nor memory grows.
const PAGE_ROWS: u32 = 500;
/// The format's version, as the older tool states it.
const VERSION: &str = "1.3 Dec 2020";

/// How batches are made.
#[derive(Debug, Clone)]
pub struct BatchSettings {
    /// Folder of the files that wait for their upload.
    pub pending_dir: PathBuf,
    /// `LIVE`, `TEST` or `PASS`, passed through.
    pub batch_mode: String,
    /// Kind of data, passed through.
    pub batch_type: String,
    /// Rows in one batch at most.
    pub max_rows: u32,
    /// Batches that wait for their upload at most; it bounds the disk they take.
    pub max_waiting: u32,
}

/// Makes the files of a batch and fills in `zip_size` and `zip_md5`; the files are on the disk when this returns.
///
/// Reads the rows through `handle`, a page at a time, so memory does not grow with the batch. `device_id` is the
/// gateway key. Both files may be read by their owner alone, as they hold that key.
///
/// # Errors
/// The database, the disk, or rows that are gone.
pub fn build(
    handle: &StoreHandle,
    batch: &mut Batch,
    settings: &BatchSettings,
    device_id: &str,
) -> Result<(), BatchError> {
    let folder = &settings.pending_dir;
    let file_error = |path: &Path| {
        let path = path.to_path_buf();
        move |source| BatchError::File { path, source }
    };
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    let path = folder.join(batch.zip_name());
    let part = folder.join(format!(".{}.part", batch.zip_name()));
    write_zip(handle, batch, settings, device_id, &part)?;
    let (size, md5) = measure(&part).map_err(file_error(&part))?;
    fs::rename(&part, &path).map_err(file_error(&path))?;
    batch.zip_size = Some(size);
    batch.zip_md5 = Some(md5);
    let form: String = request_form(batch, settings, device_id).iter().fold(
        String::new(),
        |mut text, (key, value)| {
            match value.parse::<u64>() {
                // The size is a number in the older tool's file too.
                Ok(_) if *key == "zip_size" => text.push_str(&format!("{key}: {value}\n")),
                _ => yaml::push_entry(&mut text, key, value),
            }
            text
        },
    );
    let path = folder.join(batch.yaml_name());
    write_synced(&path, form.as_bytes(), 0o600).map_err(file_error(&path))?;
    sync_folder(folder).map_err(file_error(folder))
}

/// Whether the zip file is there in its full size.
pub fn is_built(batch: &Batch, folder: &Path) -> bool {
    let wanted = batch.zip_size.and_then(|size| u64::try_from(size).ok());
    let found = fs::metadata(folder.join(batch.zip_name())).map(|data| data.len());
    wanted.is_some() && wanted == found.ok()
}

/// The seven fields that announce a batch, in alphabetical order.
pub(in crate::store) fn request_form(
    batch: &Batch,
    settings: &BatchSettings,
    key: &str,
) -> [(&'static str, String); 7] {
    [
        ("batch_mode", settings.batch_mode.clone()),
        ("batch_type", settings.batch_type.clone()),
        (
            "filelist",
            format!("{},{}", batch.csv_name(), batch.yaml_name()),
        ),
        ("key", key.to_owned()),
        ("source_ref", batch.source_ref.clone()),
        ("zip_md5", batch.zip_md5.clone().unwrap_or_default()),
        ("zip_size", batch.zip_size.unwrap_or_default().to_string()),
    ]
}

fn write_zip(
    handle: &StoreHandle,
    batch: &Batch,
    settings: &BatchSettings,
    device_id: &str,
    path: &Path,
) -> Result<(), BatchError> {
    let zip_error = |source| BatchError::Zip {
        path: path.to_path_buf(),
        source,
    };
    let io_error = |source| BatchError::File {
        path: path.to_path_buf(),
        source,
    };
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip_time(batch.created_ms))
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(create(path, 0o600).map_err(io_error)?);
    zip.start_file(batch.csv_name(), options)
        .map_err(zip_error)?;
    zip.write_all(csv::heading().as_bytes()).map_err(io_error)?;
    let mut found = 0;
    let mut after = batch.first_rdg.saturating_sub(1);
    let mut text = String::new();
    loop {
        let (gadget, last) = (batch.gadget_id.clone(), batch.last_rdg);
        let rows = handle.call_blocking(move |database| {
            database.rows(gadget.as_deref(), after, last, PAGE_ROWS)
        })?;
        let Some(end) = rows.last() else { break };
        after = end.rdg_no;
        found += rows.len() as i64;
        text.clear();
        rows.iter().for_each(|row| csv::push_row(&mut text, row));
        zip.write_all(text.as_bytes()).map_err(io_error)?;
    }
    if found != batch.n_rows {
        return Err(BatchError::RowsMissing {
            source_ref: batch.source_ref.clone(),
            expected: batch.n_rows,
            found,
        });
    }
    zip.start_file(batch.yaml_name(), options)
        .map_err(zip_error)?;
    zip.write_all(metadata(batch, settings, device_id).as_bytes())
        .map_err(io_error)?;
    let file = zip.finish().map_err(zip_error)?;
    file.sync_all().map_err(io_error)
}

/// What the rows are, for the receiver.
fn metadata(batch: &Batch, settings: &BatchSettings, device_id: &str) -> String {
    let mut text = String::new();
    let created = Timestamp::from_millisecond(batch.created_ms).unwrap_or_default();
    let stamp = created.strftime("%Y-%m-%d_%H:%M").to_string();
    yaml::push_entry(&mut text, "batch_mode", &settings.batch_mode);
    yaml::push_entry(&mut text, "batch_type", &settings.batch_type);
    yaml::push_entry(&mut text, "device_id", device_id);
    text.push_str("filelist:\n");
    yaml::push_item(&mut text, &batch.csv_name());
    yaml::push_item(&mut text, &batch.yaml_name());
    let gadget = batch.gadget_id.as_deref().unwrap_or_default();
    yaml::push_entry(&mut text, "gadget_id", gadget);
    text.push_str(&format!("reading_from: {}\n", batch.first_rdg));
    text.push_str(&format!("reading_to: {}\n", batch.last_rdg));
    yaml::push_entry(&mut text, "source", "Raspberry PI");
    yaml::push_entry(&mut text, "source_ref", &batch.source_ref);
    yaml::push_entry(&mut text, "timestamp", &stamp);
    yaml::push_entry(&mut text, "version", VERSION);
    text
}

/// When the batch was chosen, in the archive's resolution: a rebuild gives the same bytes.
fn zip_time(ms: i64) -> zip::DateTime {
    let utc = Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_zoned(TimeZone::UTC);
    let small = |part: i8| u8::try_from(part).unwrap_or_default();
    zip::DateTime::from_date_and_time(
        u16::try_from(utc.year()).unwrap_or_default(),
        small(utc.month()),
        small(utc.day()),
        small(utc.hour()),
        small(utc.minute()),
        small(utc.second()),
    )
    .unwrap_or_default()
}

/// Size in bytes and MD5 of a file.
fn measure(path: &Path) -> io::Result<(i64, String)> {
    let mut file = File::open(path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0_i64;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        size += n as i64;
        digest.update(&buffer[..n]);
    }
    let md5 = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((size, md5))
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    // A left-over of a killed run may have another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// Puts a small file in place, whole and on the disk.
pub(in crate::store) fn write_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = create(&part, mode)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
        _ => Ok(()),
    }
}

/// Brings a folder's names to the disk.
pub(in crate::store) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
