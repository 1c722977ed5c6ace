//! Every call of the vendor's python driver: the text it sends, and what a camera answers.

use outpost::tcam::proto::command::{CciRead, CciWrite, Command, SetConfig, SetTime, StreamOn};
use outpost::tcam::proto::wifi::{Ipv4, SetWifi, WifiFlags};
use outpost::tcam::proto::{
    Announcement, Answer, CciCommand, Framer, GainMode, Response, SpotArea, packet,
};

use super::{json, own, read, text};

/// The python driver's calls as commands, in the order of the session.
fn calls() -> Vec<(&'static str, Command)> {
    let config = |agc_enabled, emissivity, gain_mode| {
        Command::SetConfig(SetConfig {
            agc_enabled,
            emissivity,
            gain_mode,
        })
    };
    let stream = |delay_msec, num_frames| {
        Command::StreamOn(StreamOn {
            delay_msec,
            num_frames,
        })
    };
    let spot = CciCommand(0x4ECD);
    let write = |words: [u16; 4]| {
        Command::SetLepCci(CciWrite {
            command: spot,
            words: words.into(),
        })
    };
    let station = SetWifi {
        sta_ssid: Some("STA_SSID".into()),
        sta_pw: Some("STA_PASSWORD".into()),
        flags: Some(WifiFlags::STATION),
        ..SetWifi::default()
    };
    let fixed = SetWifi {
        flags: Some(WifiFlags::STATION_STATIC),
        sta_ip_addr: Some(Ipv4([10, 0, 1, 73])),
        sta_netmask: Some(Ipv4([255, 255, 255, 0])),
        ..SetWifi::default()
    };
    vec![
        ("get_status()", Command::GetStatus),
        (
            "set_time(9, 45, 0, 1, 7, 8, 52)",
            Command::SetTime(SetTime {
                sec: 0,
                min: 45,
                hour: 9,
                dow: 1,
                day: 7,
                mon: 8,
                year: 52,
            }),
        ),
        ("get_config()", Command::GetConfig),
        (
            "set_config()",
            config(Some(true), Some(98), Some(GainMode::Auto)),
        ),
        (
            "set_config(0, 96, 0)",
            config(Some(false), Some(96), Some(GainMode::High)),
        ),
        ("set_config_agc(0)", config(Some(false), None, None)),
        ("set_config_emissivity(96)", config(None, Some(96), None)),
        (
            "set_config_gain_mode(2)",
            config(None, None, Some(GainMode::Auto)),
        ),
        ("set_spotmeter()", Command::SetSpotmeter(SpotArea::CENTER)),
        (
            "get_lep_cci()",
            Command::GetLepCci(CciRead {
                command: CciCommand(0x4ECC),
                length: 4,
            }),
        ),
        (
            "set_lep_cci(0x4ECD, [20, 20, 21, 21])",
            write([20, 20, 21, 21]),
        ),
        (
            "set_lep_cci(0x4ECD, 8 packed bytes of [59, 79, 60, 80])",
            write([59, 79, 60, 80]),
        ),
        ("run_ffc()", Command::RunFfc),
        ("get_image()", Command::GetImage),
        ("start_stream(num_frames=1)", stream(0, 1)),
        (
            "start_stream(delay_msec=500, num_frames=2) / request only",
            stream(500, 2),
        ),
        ("stop_stream()", Command::StreamOff),
        ("get_wifi()", Command::GetWifi),
        (
            "set_wifi_ap(\"AP_SSID\", \"AP_PASSWORD\")",
            Command::SetWifi(SetWifi {
                ap_ssid: Some("AP_SSID".into()),
                ap_pw: Some("AP_PASSWORD".into()),
                flags: Some(WifiFlags::ACCESS_POINT),
                ..SetWifi::default()
            }),
        ),
        (
            "set_wifi_sta(\"STA_SSID\", \"STA_PASSWORD\")",
            Command::SetWifi(station.clone()),
        ),
        (
            "set_wifi_sta(\"STA_SSID\", \"STA_PASSWORD\", True, \"10.0.1.73\", \"255.255.255.0\")",
            Command::SetWifi(SetWifi {
                sta_ssid: station.sta_ssid,
                sta_pw: station.sta_pw,
                ..fixed.clone()
            }),
        ),
        (
            "set_static_ip()",
            Command::SetWifi(SetWifi {
                flags: Some(WifiFlags::STATION),
                ..SetWifi::default()
            }),
        ),
        (
            "set_static_ip(True, \"10.0.1.73\", \"255.255.255.0\")",
            Command::SetWifi(fixed.clone()),
        ),
        (
            "set_wifi() with all defaults (deprecated)",
            Command::SetWifi(SetWifi {
                ap_ssid: Some("ApSSID".into()),
                ap_pw: Some("ApPassword".into()),
                ap_ip_addr: Some(Ipv4([192, 168, 4, 1])),
                flags: Some(WifiFlags::STATION_STATIC),
                sta_ssid: Some("AHomeNetwork".into()),
                sta_pw: Some("anotherpassword".into()),
                sta_ip_addr: Some(Ipv4([192, 168, 0, 2])),
                sta_netmask: Some(Ipv4([255, 255, 255, 0])),
            }),
        ),
    ]
}

#[test]
fn every_call_of_the_python_driver() {
    let session = json(&own("driver_session.json"));
    let session = session.as_array().unwrap();
    let calls = calls();
    assert_eq!(session.len(), calls.len());
    for (recorded, (call, command)) in session.iter().zip(calls) {
        assert_eq!(text(&recorded["call"]), call);
        let request = text(&recorded["request_text"]);
        let mut packet = Vec::new();
        command.write_packet(&mut packet);
        let mut framed = Vec::new();
        packet::encode(request.as_bytes(), &mut framed);
        assert_eq!(
            String::from_utf8_lossy(&packet),
            String::from_utf8_lossy(&framed)
        );
        assert_eq!(
            Command::parse(request.as_bytes()),
            Ok(command.clone()),
            "{call}"
        );

        let response = &recorded["response_text"];
        let response = response.as_str().or_else(|| response[0].as_str());
        let Some(response) = response else { continue };
        let decoded = Response::decode(response.as_bytes()).unwrap();
        assert_eq!(decoded.answers(&command), Answer::Success, "{call}");
        let mut again = Vec::new();
        decoded.write_json(&mut again);
        assert_eq!(String::from_utf8(again).unwrap(), response, "{call}");
    }
}

#[test]
fn a_recorded_session_through_the_framer() {
    let mut wire = Vec::new();
    let session = json(&own("driver_session.json"));
    let mut texts = Vec::new();
    for recorded in session.as_array().unwrap() {
        if let Some(response) = recorded["response_text"].as_str() {
            packet::encode(response.as_bytes(), &mut wire);
            texts.push(response.as_bytes().to_vec());
        }
    }
    let image = read(&own("spi_synth_extreme.spi.bin"));
    let image = Announcement::new(51_989).unwrap().packet(&image).unwrap();
    wire.extend_from_slice(image);
    texts.push(image[1..image.len() - 1].to_vec());
    // The camera writes at most 1280 bytes at once.
    for step in [1, 7, 256, 1280, wire.len()] {
        let mut framer = Framer::host();
        let mut got = Vec::new();
        for piece in wire.chunks(step) {
            framer.push(piece);
            while let Some(packet) = framer.next() {
                got.push(packet.text().to_vec());
            }
        }
        assert!(got == texts, "in pieces of {step}");
        assert_eq!(framer.counters().junk_bytes, 0);
    }
}
