//! Commands as the camera reads them.

use outpost::tcam::proto::command::{
    CciRead, CciWrite, Command, FwSegment, FwUpdateRequest, Rejection, SetTime,
};
use outpost::tcam::proto::wifi::Ipv4;
use outpost::tcam::proto::{CamInfo, CciCommand, GainMode, Name, Response, SetWifi, SpotArea};

use crate::support::*;

fn parse(text: &str) -> Result<Command, Rejection> {
    Command::parse(text.as_bytes())
}

#[test]
fn commands_as_tolerantly_as_the_camera() {
    let spot = |r1, c1, r2, c2| Command::SetSpotmeter(SpotArea::from_words([r1, c1, r2, c2]));
    let time = Command::SetTime(SetTime {
        sec: 0,
        min: 59,
        hour: 23,
        dow: 7,
        day: 31,
        mon: 12,
        year: 56,
    });
    let cases = [
        (r#"{"cmd":"get_status"}"#, Command::GetStatus),
        (" \t\r\n { \"cmd\" :\n\"get_image\" } ", Command::GetImage),
        ("\u{feff}{\"cmd\":\"get_config\"}", Command::GetConfig),
        (r#"{"CMD":"stream_off"} trailing {{{"#, Command::StreamOff),
        (
            r#"{"cmd":"run_ffc","args":5,"more":[1,{"a":null}]}"#,
            Command::RunFfc,
        ),
        (r#"{"cmd":"get_wifi","cmd":"get_image"}"#, Command::GetWifi),
        (
            r#"{"cmd":"set_time","args":{"sec":null,"min":59.9,"hour":23,"dow":7,"day":31,"mon":12,"year":56}}"#,
            time,
        ),
        (
            r#"{"Cmd":"set_config","ARGS":{"AGC_Enabled":7,"unknown":1}}"#,
            config(Some(true), None, None),
        ),
        (
            r#"{"cmd":"set_config","args":{"agc_enabled":0,"emissivity":0,"gain_mode":3}}"#,
            config(Some(false), Some(1), Some(GainMode::Auto)),
        ),
        (
            r#"{"cmd":"set_config","args":{"agc_enabled":-1,"emissivity":1e300,"gain_mode":1.99}}"#,
            config(Some(false), Some(100), Some(GainMode::Low)),
        ),
        (
            r#"{"cmd":"set_config","args":{"gain_mode":-5}}"#,
            config(None, None, Some(GainMode::Unknown(-5))),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":10,"c1":20,"r2":10,"c2":20}}"#,
            spot(10, 20, 11, 21),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":-4,"c1":-9999999999,"r2":500,"c2":1e9}}"#,
            spot(0, 0, 119, 159),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":200,"c1":200,"r2":0,"c2":0}}"#,
            spot(118, 158, 119, 159),
        ),
        (r#"{"cmd":"stream_on"}"#, stream(0, 0)),
        (r#"{"cmd":"stream_on","args":null}"#, stream(0, 0)),
        (
            r#"{"cmd":"stream_on","args":{"delay_msec":-1,"num_frames":-20}}"#,
            stream(0, 0),
        ),
        (
            r#"{"cmd":"stream_on","args":{"num_frames":3,"delay_msec":99999999999}}"#,
            stream(i32::MAX as u32, 3),
        ),
        (
            r#"{"cmd":"get_lep_cci","args":{"command":20172,"length":600}}"#,
            Command::GetLepCci(CciRead {
                command: CciCommand(0x4ECC),
                length: 600,
            }),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":257,"length":1,"data":"AQACAA=="}}"#,
            Command::SetLepCci(CciWrite {
                command: CciCommand(0x0101),
                words: vec![1],
            }),
        ),
        (
            r#"{"cmd":"set_wifi","args":{"sta_ip_addr":"300.0.1.2"}}"#,
            Command::SetWifi(SetWifi {
                sta_ip_addr: Some(Ipv4([44, 0, 1, 2])),
                ..SetWifi::default()
            }),
        ),
        (
            r#"{"cmd":"fw_update_request","args":{"length":1000000,"version":"3.3"}}"#,
            Command::FwUpdateRequest(FwUpdateRequest {
                length: 1_000_000,
                version: "3.3".into(),
            }),
        ),
        (
            r#"{"cmd":"fw_segment","args":{"start":8192,"length":3,"data":"AQID"}}"#,
            Command::FwSegment(FwSegment {
                start: 8192,
                data: vec![1, 2, 3],
            }),
        ),
    ];
    for (text, command) in cases {
        assert_eq!(parse(text), Ok(command), "{text}");
    }
}

#[test]
fn commands_refused_with_the_cameras_own_texts() {
    let not_json = (3, "Couldn't convert json string");
    let not_command = (2, "Json string wasn't command");
    let unknown = (2, "Unknown command in json string");
    let unsupported = (2, "Unsupported command in json string");
    let long = "x".repeat(33);
    let wifi = |args: &str| format!(r#"{{"cmd":"set_wifi","args":{{{args}}}}}"#);
    let cases = [
        ("".into(), not_json),
        ("   ".into(), not_json),
        ("hello".into(), not_json),
        (r#"{"cmd":"get_status""#.into(), not_json),
        (r#"{"cmd":/* no */"get_status"}"#.into(), not_json),
        ("[".repeat(100_000), not_json),
        ("5".into(), not_command),
        ("null".into(), not_command),
        ("[\"cmd\"]".into(), not_command),
        ("{}".into(), not_command),
        (r#"{"cmd":7}"#.into(), not_command),
        (r#"{"cmd":{"cmd":"get_status"}}"#.into(), not_command),
        (r#"{"cmd":"GET_STATUS"}"#.into(), unknown),
        (r#"{"cmd":"get_fs"}"#.into(), unknown),
        (r#"{"cmd":""}"#.into(), unknown),
        (r#"{"cmd":"take_picture"}"#.into(), unsupported),
        (r#"{"cmd":"get_file","args":{}}"#.into(), unsupported),
        (r#"{"cmd":"dump_screen"}"#.into(), unsupported),
        (
            r#"{"cmd":"set_time","args":{"sec":0}}"#.into(),
            (0, "set_time failed"),
        ),
        (r#"{"cmd":"set_config"}"#.into(), (0, "set_config failed")),
        (
            r#"{"cmd":"set_config","args":{"agc":1}}"#.into(),
            (0, "set_config failed"),
        ),
        (
            r#"{"cmd":"set_spotmeter","args":{"r1":1,"c1":1,"r2":2}}"#.into(),
            (0, "set_spotmeter failed"),
        ),
        (
            r#"{"cmd":"get_lep_cci","args":{"command":1}}"#.into(),
            (0, "get_lep_cci failed"),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":1,"length":513,"data":""}}"#.into(),
            (0, "set_lep_cci failed"),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":1,"length":-1,"data":"AQA="}}"#.into(),
            (0, "set_lep_cci failed"),
        ),
        (
            r#"{"cmd":"set_lep_cci","args":{"command":1,"length":1,"data":"!!!!"}}"#.into(),
            (0, "set_lep_cci failed"),
        ),
        (
            r#"{"cmd":"fw_update_request","args":{"length":1}}"#.into(),
            (0, "fw_update_request failed"),
        ),
        (wifi(""), (0, "set_wifi failed")),
        (wifi(r#""ap_ssid":"""#), (0, "set_wifi failed")),
        (
            wifi(&format!(r#""sta_ssid":"{long}""#)),
            (0, "set_wifi failed"),
        ),
        (wifi(r#""ap_pw":"1234567""#), (0, "set_wifi failed")),
        (wifi(r#""sta_pw":12345678"#), (0, "set_wifi failed")),
        (
            wifi(r#""flags":1,"sta_netmask":"1.2.3""#),
            (0, "set_wifi failed"),
        ),
        (
            wifi(r#""flags":1,"ap_ip_addr":"1.2.3.4.5""#),
            (0, "set_wifi failed"),
        ),
    ];
    for (text, (value, info)) in cases {
        let rejection = parse(&text).expect_err(&text);
        let mut out = Vec::new();
        Response::CamInfo(CamInfo::from(&rejection)).write_json(&mut out);
        let expected =
            format!("{{\"cam_info\":{{\"info_value\":{value},\"info_string\":\"{info}\"}}}}");
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
    }
}

#[test]
fn invalid_utf8_is_content_within_strings_and_noise_outside() {
    let mut text = br#"{"cmd":"get_status","note":"?"}"#.to_vec();
    let at = text.iter().position(|&byte| byte == b'?').unwrap();
    text[at] = 0xff;
    assert_eq!(Command::parse(&text), Ok(Command::GetStatus));
    text[0] = 0xff;
    assert_eq!(Command::parse(&text), Err(Rejection::NotJson));
}

#[test]
fn requests_are_ascii_whatever_they_hold() {
    let command = Command::SetWifi(SetWifi {
        ap_ssid: Some("Büro \"1\"\u{1f321}\n".into()),
        ..SetWifi::default()
    });
    let mut text = Vec::new();
    command.write_json(&mut text);
    let expected = r#"{"cmd": "set_wifi", "args": {"ap_ssid": "B\u00fcro \"1\"\ud83c\udf21\n"}}"#;
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    assert_eq!(parse(expected), Ok(command));
}

#[test]
fn names_and_what_they_say() {
    for name in [
        "get_status",
        "get_image",
        "set_time",
        "get_config",
        "set_config",
        "set_spotmeter",
        "stream_on",
        "stream_off",
        "run_ffc",
        "get_lep_cci",
        "set_lep_cci",
        "get_wifi",
        "set_wifi",
        "fw_update_request",
        "fw_segment",
    ] {
        let parsed = Name::parse(name).unwrap();
        assert_eq!(parsed.to_string(), name);
        let network_only = name.contains("wifi") || name.starts_with("fw_");
        assert_eq!(parsed.is_network_only(), network_only, "{name}");
    }
}
