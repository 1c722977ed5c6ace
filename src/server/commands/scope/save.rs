//! Captures as files and pictures.

use std::rc::Rc;

use super::super::Waiting;
use crate::bitscope::FileFormat;
use crate::scpi::{Args, Error};
use crate::server::commands::files::check_stem;
use crate::server::context::Context;
use crate::store::{NewFile, StoreError, disk_size};

const FORMATS: [FileFormat; 3] = [FileFormat::Csv, FileFormat::Npy, FileFormat::Png];

pub(super) fn save<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let (name, format) = (args.text(0), FORMATS[args.choice(1)]);
        check_stem("a capture", name)?;
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
