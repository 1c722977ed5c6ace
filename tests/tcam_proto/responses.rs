//! Responses, and which command they answer.

use outpost::tcam::proto::command::{CciRead, Command};
use outpost::tcam::proto::response::{CciReg, Config, GetFw, ResponseError, Status};
use outpost::tcam::proto::wifi::{Ipv4, WifiFlags};
use outpost::tcam::proto::{
    Answer, CamInfo, CciCommand, CciStatus, InfoKind, Model, Name, Response, SetWifi, Wifi, cci,
};

use crate::support::*;

#[test]
fn responses_in_any_order_with_more_keys() {
    let text = br#"{"extra":1,"status":{"Charge":"OFF","Date":"1/1/-30","Time":"0:00:03.12","Version":"1.0",
        "Model":2,"Camera":"tCam","Battery":3.9}}"#;
    let Ok(Response::Status(status)) = Response::decode(text) else {
        panic!("a status");
    };
    assert_eq!(status.metadata.camera, "tCam");
    assert_eq!(status.metadata.model, Model(2));
    assert_eq!(status.extra["Battery"], 3.9);
    let mut out = Vec::new();
    Response::Status(status).write_json(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"status\":{\"Camera\":\"tCam\",\"Model\":2,\"Version\":\"1.0\",\"Time\":\"0:00:03.12\",\
         \"Date\":\"1/1/-30\",\"Battery\":3.9,\"Charge\":\"OFF\"}}"
    );

    for (text, expected) in [
        ("{\"image_ready\" : 51988}", Response::ImageReady(51_988)),
        ("{\"image_ready\":-4}", Response::ImageReady(-4)),
        (
            "{\"get_fw\":{\"length\":8192,\"start\":16384}}",
            Response::GetFw(GetFw {
                start: 16_384,
                length: 8192,
            }),
        ),
        (
            "{\"filesystem_list\":{\"dir_name\":\"/\",\"name_list\":\"\"}}",
            Response::Other {
                key: "filesystem_list".into(),
            },
        ),
        (
            "{\"cam_info\":{\"info_string\":\"later\",\"info_value\":9}}",
            Response::CamInfo(CamInfo::new(InfoKind::Other(9), "later")),
        ),
    ] {
        assert_eq!(
            Response::decode(text.as_bytes()).unwrap(),
            expected,
            "{text}"
        );
    }
    // An image is known by any of its keys, and is not read here.
    for text in [
        "{\"metadata\":oops",
        " { \"radiometric\":",
        "{\"a\":1,\"telemetry\":2}",
    ] {
        let response = Response::decode(text.as_bytes()).unwrap();
        assert_eq!(response, Response::Image(text.as_bytes()));
    }
}

#[test]
fn responses_that_are_none() {
    for text in ["", "null", "[]", "5", "{\"status\"", "\u{1}", "{\"a\":1} x"] {
        let error = Response::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ResponseError::NotJson(_)), "{text}");
    }
    let error = Response::decode(b"{\"cam_info\":\xff}").unwrap_err();
    assert!(matches!(error, ResponseError::NotJson(_)));
    assert!(matches!(Response::decode(b"{}"), Err(ResponseError::Empty)));
    for (text, object, key) in [
        ("{\"image_ready\":\"51988\"}", "image_ready", "length"),
        ("{\"image_ready\":null}", "image_ready", "length"),
        ("{\"status\":5}", "status", "Camera"),
        (
            "{\"config\":{\"agc_enabled\":1,\"emissivity\":900}}",
            "config",
            "emissivity",
        ),
        (
            "{\"cam_info\":{\"info_value\":1}}",
            "cam_info",
            "info_string",
        ),
        ("{\"cci_reg\":{\"command\":70000}}", "cci_reg", "command"),
        (
            "{\"cci_reg\":{\"command\":1,\"length\":1,\"status\":6,\"data\":7}}",
            "cci_reg",
            "data",
        ),
    ] {
        match Response::decode(text.as_bytes()) {
            Err(ResponseError::Field { object: o, key: k }) => assert_eq!((o, k), (object, key)),
            other => panic!("{text}: {other:?}"),
        }
    }
    for data in ["AQ==", "????", "A"] {
        let text =
            format!(r#"{{"cci_reg":{{"command":1,"length":1,"status":6,"data":"{data}"}}}}"#);
        let error = Response::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ResponseError::Cci(cci::CciError::Data)));
    }
    let long = cci::words_to_base64(&[7; 513]);
    let error = cci::words_from_base64(&long).unwrap_err();
    assert!(matches!(error, cci::CciError::TooLong { .. }), "{error}");
    assert_eq!(
        cci::words_from_base64(&cci::words_to_base64(&[7; 512])).unwrap(),
        [7; 512]
    );
}

#[test]
fn answers_belong_to_their_command_by_kind_and_name() {
    let info = |kind, text: &str| Response::CamInfo(CamInfo::new(kind, text));
    let read = |command| {
        Command::GetLepCci(CciRead {
            command: CciCommand(command),
            length: 4,
        })
    };
    let reg = |command| {
        Response::CciReg(CciReg {
            command: CciCommand(command),
            length: 0,
            status: CciStatus(63_750),
            words: Vec::new(),
        })
    };
    use Answer::*;
    use InfoKind::*;
    let settings = config(Some(true), None, None);
    for (response, command, answer) in [
        (
            info(InfoKind::Success, "run_ffc success"),
            &Command::RunFfc,
            Answer::Success,
        ),
        (info(Failed, "run_ffc failed"), &Command::RunFfc, Refused),
        (
            info(InfoKind::Success, "set_config success"),
            &Command::RunFfc,
            Unrelated,
        ),
        (
            info(InfoKind::Success, "set_config success"),
            &settings,
            Answer::Success,
        ),
        (info(Failed, "set_config failed"), &settings, Refused),
        (
            info(NotImplemented, "Unknown command in json string"),
            &settings,
            Refused,
        ),
        (
            info(InfoKind::NotJson, "Couldn't convert json string"),
            &settings,
            Refused,
        ),
        (info(Internal, CamInfo::SPI_SETUP), &settings, Unrelated),
        (
            info(FirmwareUpdate, "Firmware update success"),
            &settings,
            Unrelated,
        ),
        (
            info(
                Failed,
                "Could not restart network with the new configuration",
            ),
            &Command::SetWifi(SetWifi::default()),
            Refused,
        ),
        (
            info(
                Failed,
                "Could not restart network with the new configuration",
            ),
            &settings,
            Unrelated,
        ),
        (reg(0x4ECC), &read(0x4ECC), Answer::Success),
        (reg(0x4ECC), &read(0x4ED0), Unrelated),
        (
            Response::Config(Config::default()),
            &Command::GetConfig,
            Answer::Success,
        ),
        (
            Response::Config(Config::default()),
            &Command::GetStatus,
            Unrelated,
        ),
        (
            Response::Status(Status::default()),
            &Command::GetStatus,
            Answer::Success,
        ),
        (
            Response::Wifi(Wifi::factory("x")),
            &Command::GetWifi,
            Answer::Success,
        ),
        (Response::Image(b"{}"), &Command::GetStatus, Unrelated),
        (Response::ImageReady(1), &Command::GetImage, Unrelated),
    ] {
        assert_eq!(
            response.answers(command),
            answer,
            "{response:?} {command:?}"
        );
    }
    assert!(CamInfo::new(Internal, CamInfo::SPI_RESTART).is_fatal());
    assert!(CamInfo::new(Internal, CamInfo::SPI_RESTART).is_unsolicited());
    assert!(!CamInfo::ack(Name::RunFfc).is_unsolicited());
}

#[test]
fn network_settings_as_they_are_told() {
    let mut wifi = Wifi::factory("tCam-Mini-51A0");
    let change = SetWifi {
        ap_ssid: Some("kiln".into()),
        ap_pw: Some("secret-secret".into()),
        flags: Some(WifiFlags(0xff)),
        sta_ip_addr: Some(Ipv4([10, 0, 0, 1])),
        ..SetWifi::default()
    };
    change.apply(&mut wifi);
    assert_eq!(
        wifi.flags,
        WifiFlags(0x9f),
        "state bits are not for setting"
    );
    let mut text = Vec::new();
    Response::Wifi(wifi).write_json(&mut text);
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with(r#"{"wifi":{"ap_ssid":"kiln","sta_ssid":"","flags":159,"#));
    assert!(text.contains(r#""sta_ip_addr":"10.0.0.1""#));
    assert!(!text.contains("secret"));
}
