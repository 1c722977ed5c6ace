//! Settings of the thermal camera, its clock, and the registers of its Lepton.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::super::{Handler, Row, Waiting};
use super::{COLUMN, LINE, integer, thermal_row};
use crate::scpi::{Args, Error, Kind, Limit, Param, Range, Unit};
use crate::server::context::Context;
use crate::tcam::TcamError;
use crate::tcam::proto::cci::MAX_WORDS;
use crate::tcam::proto::command::{SetConfig, SetTime};
use crate::tcam::proto::metadata::Date;
use crate::tcam::proto::response::Config;
use crate::tcam::proto::{CciCommand, GainMode, Metadata, SpotArea};

const GAINS: &[&str] = &["HIGH", "LOW", "AUTO"];
/// Percent.
const EMISSIVITY: (f64, f64, f64) = (1.0, 100.0, 98.0);
const EMISSIVITY_KIND: Kind = Kind::Integer {
    range: Range::Fixed {
        min: EMISSIVITY.0,
        max: EMISSIVITY.1,
        default: EMISSIVITY.2,
    },
    unit: Some(Unit::PERCENT),
};
const REGISTER: Param = Param::new("command", integer(65535.0));

pub(super) const ROWS: &[Row] = &[
    thermal_row(
        "THERmal:CONFigure",
        &[
            Param::new("agc", Kind::Bool),
            Param::new("emissivity", EMISSIVITY_KIND),
            Param::new("gain", Kind::Choice(GAINS)),
        ],
        "AGC, emissivity in percent and gain mode at once",
        Handler::Later(configure),
    ),
    thermal_row(
        "THERmal:CONFigure?",
        &[],
        "AGC, emissivity in percent and gain mode",
        Handler::Later(configuration),
    ),
    thermal_row(
        "THERmal:CONFigure:AGC",
        &[Param::new("state", Kind::Bool)],
        "AGC: images for display, without temperatures",
        Handler::Later(set_agc),
    ),
    thermal_row(
        "THERmal:CONFigure:AGC?",
        &[],
        "whether AGC is on",
        Handler::Later(agc),
    ),
    thermal_row(
        "THERmal:CONFigure:EMISsivity",
        &[Param::new("emissivity", EMISSIVITY_KIND)],
        "emissivity of the scene in percent",
        Handler::Later(set_emissivity),
    ),
    thermal_row(
        "THERmal:CONFigure:EMISsivity?",
        &[Param::optional("limit", Kind::MinMaxDef)],
        "emissivity in percent",
        Handler::Later(emissivity),
    ),
    thermal_row(
        "THERmal:CONFigure:GAIN",
        &[Param::new("mode", Kind::Choice(GAINS))],
        "HIGH: to 140 degrees Celsius in steps of 0.01 K; LOW: to 450 in steps of 0.1 K; AUTO: as the scene needs",
        Handler::Later(set_gain),
    ),
    thermal_row(
        "THERmal:CONFigure:GAIN?",
        &[],
        "gain mode",
        Handler::Later(gain),
    ),
    thermal_row(
        "THERmal:SPOT",
        &[
            Param::new("c1", COLUMN),
            Param::new("c2", COLUMN),
            Param::new("r1", LINE),
            Param::new("r2", LINE),
        ],
        "area of the spot meter: first and last column, first and last row; at least 2 x 2",
        Handler::Later(set_spot),
    ),
    thermal_row(
        "THERmal:SPOT?",
        &[],
        "area of the spot meter: c1,c2,r1,r2",
        Handler::Later(spot),
    ),
    thermal_row(
        "THERmal:TIME",
        &[Param::optional("time", Kind::Text { max: 40 })],
        "set the camera's clock, ISO 8601; the station's UTC unless given",
        Handler::Later(set_time),
    ),
    thermal_row(
        "THERmal:TIME?",
        &[],
        "the camera's clock, ISO 8601, in whatever zone it was set",
        Handler::Later(time),
    ),
    thermal_row(
        "THERmal:CCI:READ?",
        &[REGISTER, Param::new("words", integer(MAX_WORDS as f64))],
        "register of the Lepton: status (6 is good), then the words; 0 words run a command",
        Handler::Later(read_register),
    ),
    thermal_row(
        "THERmal:CCI:WRITe",
        &[
            REGISTER,
            Param::new("words", Kind::Block { max: MAX_WORDS * 2 }),
        ],
        "write little-endian u16 words to a register of the Lepton; for experts, a wrong one hangs it",
        Handler::Later(write_register),
    ),
];

fn change<'a>(context: &'a Context, config: SetConfig) -> Waiting<'a> {
    Box::pin(async move { Ok(context.thermal()?.set_config(config).await?) })
}

fn configure<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    let config = SetConfig {
        agc_enabled: Some(args.bool(0)),
        emissivity: Some(args.integer(1) as u8),
        gain_mode: Some(GainMode::from_wire(args.choice(2) as i32)),
    };
    change(context, config)
}

fn set_agc<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    let config = SetConfig {
        agc_enabled: Some(args.bool(0)),
        ..SetConfig::default()
    };
    change(context, config)
}

fn set_emissivity<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    let config = SetConfig {
        emissivity: Some(args.integer(0) as u8),
        ..SetConfig::default()
    };
    change(context, config)
}

fn set_gain<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    let config = SetConfig {
        gain_mode: Some(GainMode::from_wire(args.choice(0) as i32)),
        ..SetConfig::default()
    };
    change(context, config)
}

async fn config(context: &Context) -> Result<Config, Error> {
    Ok(context.thermal()?.get_config().await?)
}

fn gain_word(config: &Config) -> &'static str {
    let index = usize::try_from(config.gain_mode.to_wire()).ok();
    index
        .and_then(|index| GAINS.get(index).copied())
        .unwrap_or("UNKN")
}

fn configuration<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let config = config(context).await?;
        let reply = &mut context.reply;
        reply.boolean(config.agc_enabled).integer(config.emissivity);
        reply.word(gain_word(&config));
        Ok(())
    })
}

fn agc<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let config = config(context).await?;
        context.reply.boolean(config.agc_enabled);
        Ok(())
    })
}

fn emissivity<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let percent = match args.optional_limit(0) {
            Some(Limit::Min) => EMISSIVITY.0,
            Some(Limit::Max) => EMISSIVITY.1,
            Some(Limit::Default) => EMISSIVITY.2,
            None => config(context).await?.emissivity.into(),
        };
        context.reply.real(percent);
        Ok(())
    })
}

fn gain<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let config = config(context).await?;
        context.reply.word(gain_word(&config));
        Ok(())
    })
}

fn set_spot<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let [c1, c2, r1, r2] = [0, 1, 2, 3].map(|index| args.integer(index) as u16);
        // The camera would make it larger without a word.
        if c2 <= c1 || r2 <= r1 {
            return Err(Error::new(-222).with("THER:SPOT needs c1 < c2 and r1 < r2"));
        }
        let area = SpotArea::from_words([r1, c1, r2, c2]);
        Ok(context.thermal()?.set_spotmeter(area).await?)
    })
}

fn spot<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let thermal = context.thermal()?;
        let register = thermal.cci_read(CciCommand::SPOT_ROI, 4).await?;
        register.status.check().map_err(TcamError::from)?;
        let words = <[u16; 4]>::try_from(register.words).map_err(|words| {
            Error::new(-240).with(format!("{} words instead of 4", words.len()))
        })?;
        let area = SpotArea::from_words(words);
        for value in [area.col1, area.col2, area.row1, area.row2] {
            context.reply.integer(value);
        }
        Ok(())
    })
}

fn set_time<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let time = match args.optional_text(0) {
            Some(text) => civil(text)?,
            None => utc(context.services.clock.utc()),
        };
        let time = camera_time(time)?;
        Ok(context.thermal()?.set_time(time).await?)
    })
}

fn utc(timestamp: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(timestamp)
}

/// With a zone it is brought to UTC; without, it is taken as it stands.
fn civil(text: &str) -> Result<DateTime, Error> {
    let zoned = text.parse::<Timestamp>().map(utc);
    let zoned = zoned.or_else(|_| text.parse::<Zoned>().map(|zoned| utc(zoned.timestamp())));
    zoned.or_else(|_| text.parse()).map_err(|_| {
        Error::new(-224).with("THER:TIME takes ISO 8601, such as 2026-11-20T08:00:00 or with Z")
    })
}

fn camera_time(time: DateTime) -> Result<SetTime, Error> {
    let year = u8::try_from(time.year() - Date::UNSET_YEAR)
        .map_err(|_| Error::new(-222).with("THER:TIME 1970..2225"))?;
    Ok(SetTime {
        sec: time.second() as u8,
        min: time.minute() as u8,
        hour: time.hour() as u8,
        dow: time.weekday().to_sunday_one_offset() as u8,
        day: time.day() as u8,
        mon: time.month() as u8,
        year,
    })
}

fn time<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let status = context.thermal()?.get_status().await?;
        let text = clock_text(&status.metadata).ok_or_else(|| {
            let metadata = &status.metadata;
            Error::new(-240).with(format!("{} {}", metadata.date, metadata.time))
        })?;
        context.reply.string(&text);
        Ok(())
    })
}

fn clock_text(metadata: &Metadata<'_>) -> Option<String> {
    let (date, time) = (metadata.calendar_date()?, metadata.time_of_day()?);
    Some(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
        date.year, date.month, date.day, time.hour, time.minute, time.second, time.millisecond
    ))
}

fn read_register<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let command = CciCommand(args.integer(0) as u16);
        let thermal = context.thermal()?;
        let register = thermal.cci_read(command, args.integer(1) as u16).await?;
        context.reply.integer(register.status.0);
        for word in register.words {
            context.reply.integer(word);
        }
        Ok(())
    })
}

fn write_register<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let command = CciCommand(args.integer(0) as u16);
        let (pairs, rest) = args.block(1).as_chunks();
        if !rest.is_empty() {
            return Err(Error::new(-220).with("THER:CCI:WRIT takes whole words of 16 bits"));
        }
        let words = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
        let register = context.thermal()?.cci_write(command, words).await?;
        Ok(register.status.check().map_err(TcamError::from)?)
    })
}
