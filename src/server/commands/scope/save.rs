//! Captures as files and pictures.

use std::rc::Rc;

use super::super::Waiting;
use crate::bitscope::FileFormat;
use crate::camera::PREFIX_LIMIT;
use crate::scpi::{Args, Error};
use crate::server::context::Context;
use crate::store::{NewFile, StoreError, disk_size};

const FORMATS: [FileFormat; 3] = [FileFormat::Csv, FileFormat::Npy, FileFormat::Png];

pub(super) fn save<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (name, format) = (args.text(0), FORMATS[args.choice(1)]);
        check_name(name)?;
        let acquisition = context.acquisition()?;
        let services = Rc::clone(&context.services);
        let file = format!("{name}.{}", format.extension());
        let path = services.ramdisk.images().join(file);
        let disk = services.ramdisk.clone();
        let write = move || {
            let _room = disk.reserve(disk_size(acquisition.size_limit(format)))?;
            let encoded = acquisition.encode(format);
            let content = encoded.map_err(|error| {
                StoreError::from_io(&path, std::io::Error::other(error.to_string()))
            })?;
            NewFile::store(&path, &content)
        };
        Ok(services.pool.run(write).await??)
    })
}

pub(super) fn plot<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let acquisition = context.acquisition()?;
        let draw = move || acquisition.encode(FileFormat::Png);
        let file = context.services.pool.run(draw).await?;
        let file = file.map_err(|error| Error::new(-310).with(error.to_string()))?;
        context.reply.block(&file);
        Ok(())
    })
}

/// As the prefix of a capture (hq-camera.md 4): it becomes a file name that every client can handle.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+=#,".contains(c);
    let fits = (1..=PREFIX_LIMIT).contains(&name.len());
    match fits && !name.starts_with('.') && name.chars().all(plain) {
        true => Ok(()),
        false => Err(Error::new(-257).with(format!(
            "a capture's name has 1 to {PREFIX_LIMIT} letters, digits and ._-+=#, and no dot first"
        ))),
    }
}
