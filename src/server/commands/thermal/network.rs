//! The camera's own network, of use on the network link alone: on UART and SPI these commands would restart it.

use super::super::{Handler, Row, Waiting};
use super::thermal_row;
use crate::scpi::{Args, Error, Kind, Param};
use crate::server::context::Context;
use crate::tcam::proto::SetWifi;
use crate::tcam::proto::wifi::{Ipv4, WifiFlags};

const NAME: Param = Param::new("ssid", Kind::Text { max: 32 });
const PASSWORD: Param = Param::new("password", Kind::Text { max: 63 });
const ADDRESS: Param = Param::optional("address", Kind::Text { max: 15 });
const NETMASK: Param = Param::optional("netmask", Kind::Text { max: 15 });

pub(super) const ROWS: &[Row] = &[
    thermal_row(
        "THERmal:WIFI?",
        &[],
        "the camera's network settings, as JSON; network link only",
        Handler::Later(wifi),
    ),
    thermal_row(
        "THERmal:WIFI:ACCesspoint",
        &[NAME, PASSWORD],
        "make the camera an access point of this name; network link only, the camera leaves the network",
        Handler::Later(access_point),
    ),
    thermal_row(
        "THERmal:WIFI:CLIent",
        &[NAME, PASSWORD, ADDRESS, NETMASK],
        "make the camera join a network, with an address of its own or by DHCP; network link only",
        Handler::Later(client),
    ),
    thermal_row(
        "THERmal:WIFI:ADDRess",
        &[ADDRESS, NETMASK],
        "give the camera a fixed address, or none for DHCP; network link only",
        Handler::Later(address),
    ),
];

fn wifi<'a>(context: &'a mut Context, _: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let wifi = context.thermal()?.get_wifi().await?;
        context.json(&serde_json::json!({
            "ap_ssid": wifi.ap_ssid,
            "sta_ssid": wifi.sta_ssid,
            "flags": wifi.flags.0,
            "ap_ip_addr": wifi.ap_ip_addr.to_string(),
            "sta_ip_addr": wifi.sta_ip_addr.to_string(),
            "sta_netmask": wifi.sta_netmask.to_string(),
            "cur_ip_addr": wifi.cur_ip_addr.to_string(),
        }))
    })
}

fn access_point<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let wifi = SetWifi {
            ap_ssid: Some(args.text(0).into()),
            ap_pw: Some(args.text(1).into()),
            flags: Some(WifiFlags::ACCESS_POINT),
            ..SetWifi::default()
        };
        set(context, wifi).await
    })
}

fn client<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let wifi = SetWifi {
            sta_ssid: Some(args.text(0).into()),
            sta_pw: Some(args.text(1).into()),
            ..addresses(args, 2)?
        };
        set(context, wifi).await
    })
}

fn address<'a>(context: &'a mut Context, args: &'a Args<'_>) -> Waiting<'a> {
    Box::pin(async {
        let wifi = addresses(args, 0)?;
        set(context, wifi).await
    })
}

/// A fixed address and its mask from the argument at `first` on, or DHCP.
fn addresses(args: &Args<'_>, first: usize) -> Result<SetWifi, Error> {
    let parse = |text: &str| {
        let address: Result<Ipv4, _> = text.parse();
        address.map_err(|error| Error::new(-224).with(error.to_string()))
    };
    match (args.optional_text(first), args.optional_text(first + 1)) {
        (None, _) => Ok(SetWifi {
            flags: Some(WifiFlags::STATION),
            ..SetWifi::default()
        }),
        (Some(_), None) => Err(Error::new(-109).with("the netmask of the address")),
        (Some(address), Some(netmask)) => Ok(SetWifi {
            flags: Some(WifiFlags::STATION_STATIC),
            sta_ip_addr: Some(parse(address)?),
            sta_netmask: Some(parse(netmask)?),
            ..SetWifi::default()
        }),
    }
}

async fn set(context: &Context, wifi: SetWifi) -> Result<(), Error> {
    wifi.check()
        .map_err(|error| Error::new(-224).with(error.to_string()))?;
    Ok(context.thermal()?.set_wifi(wifi).await?)
}
