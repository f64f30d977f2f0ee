//! Durations, thresholds, names.

use std::time::Duration;

use proptest::prelude::*;

use crate::plan::{
    Threshold, Unit,
    scalar::{duration, nearest, quote, resolver, show, slug, threshold},
};

#[test]
fn durations_carry_units() {
    let good = [
        ("0s", 0),
        ("250ms", 250),
        ("90s", 90_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        (" 2 h ", 7_200_000),
        ("14d", 1_209_600_000),
    ];
    for (text, ms) in good {
        assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in ["", "5", "m", "5x", "1.5h", "-5m", "5m later", "99999999999999999999s", "1000d", "5 m 3"] {
        assert!(duration(text).is_err(), "{text}");
    }
    assert_eq!(duration("90").unwrap_err().help.as_deref(), Some("say the unit: `90s`, `90m` or `90h`"));
}

proptest! {
    #[test]
    fn shown_durations_read_back(ms in 0..400_u64 * 24 * 3_600_000) {
        let time = Duration::from_millis(ms);
        prop_assert_eq!(duration(&show(time)), Ok(time));
    }

    #[test]
    fn no_text_breaks_a_parser(text in any::<String>()) {
        let _ = (duration(&text), slug(&text), resolver(&text), quote(&text));
        for unit in [Unit::Count, Unit::PerSecond, Unit::Percent, Unit::Seconds, Unit::Bytes] {
            let _ = threshold(&text, unit);
        }
    }
}

#[test]
fn thresholds_are_read_in_the_unit_of_the_metric() {
    let good = [
        ("500", Unit::Count, 500.0),
        ("100 /s", Unit::PerSecond, 100.0),
        ("6000 /min", Unit::PerSecond, 100.0),
        ("2 %", Unit::Percent, 2.0),
        ("0.5%", Unit::Percent, 0.5),
        ("250 ms", Unit::Seconds, 0.25),
        ("1.5 s", Unit::Seconds, 1.5),
        ("1.5 GiB", Unit::Bytes, 1_610_612_736.0),
        ("500 MB", Unit::Bytes, 500e6),
    ];
    for (text, unit, value) in good {
        match threshold(text, unit) {
            Ok(Threshold::Absolute(read)) => assert!((read - value).abs() < 1e-9, "{text}: {read}"),
            other => panic!("{text}: {other:?}"),
        }
        for unit in [Unit::Count, Unit::PerSecond, Unit::Percent, Unit::Seconds, Unit::Bytes] {
            let own = good.iter().any(|(good, theirs, _)| *good == text && *theirs == unit);
            assert_eq!(threshold(text, unit).is_ok(), own, "{text} as {unit:?}");
        }
    }
    for text in ["3x baseline", "3 x baseline", "3× baseline", "3xbaseline"] {
        assert_eq!(threshold(text, Unit::Bytes), Ok(Threshold::Relative(3.0)), "{text}");
    }
    for text in ["0x baseline", "x baseline", "-2 %", "101 %", "1e3 %", "inf %", "NaN %", "1..2 %", ""] {
        assert!(threshold(text, Unit::Percent).is_err(), "{text}");
    }
}

#[test]
fn resolvers_may_be_named() {
    let read = |text: &str| resolver(text).map(|found| (found.name, found.address.to_string()));
    assert_eq!(read("1.1.1.1"), Ok(("1.1.1.1".into(), "1.1.1.1:53".into())));
    assert_eq!(read("office=10.0.0.2:5353"), Ok(("office".into(), "10.0.0.2:5353".into())));
    assert_eq!(read("six=[::1]:53"), Ok(("six".into(), "[::1]:53".into())));
    assert!(read("office=").is_err() && read("=1.1.1.1").is_err());
}

#[test]
fn only_near_names_are_suggested() {
    let known = ["switch-shop", "switch-api", "watch"];
    assert_eq!(nearest("swich-shop", known), Some("switch-shop"));
    assert_eq!(nearest("wtach", known), Some("watch"));
    assert_eq!(nearest("retire", known), None);
}

#[test]
fn quotes_are_short_and_harmless() {
    assert_eq!(quote("\u{1b}[31m\"it's\""), "`\\u{1b}[31m\"it's\"`");
    assert_eq!(quote(&"x".repeat(80)).chars().count(), 65);
}
