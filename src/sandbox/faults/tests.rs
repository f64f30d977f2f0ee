//! Which fault hits what, and when.

use super::*;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn faults(text: &str) -> Faults {
    let scenario = super::super::scenario::Scenario::parse("test", text).unwrap();
    Faults::new(&scenario.faults, START)
}

fn at(seconds: u64) -> Timestamp {
    later(START, Duration::from_secs(seconds))
}

#[test]
fn a_timed_fault_begins_and_ends() {
    let faults = faults("[[fault]]\nat = '5m'\nfor = '1m'\nkind = 'http-errors'\nside = 'new'\nrate = 0.2");
    let rates = [299, 300, 359, 360].map(|second| faults.error_rate(Side::New, at(second)));
    assert_eq!(rates, [0.0, 0.2, 0.2, 0.0]);
    assert!(faults.error_rate(Side::Old, at(300)).abs() < f64::EPSILON);
}

#[test]
fn an_event_sets_a_fault_off_once() {
    let faults = faults("[[fault]]\non = 'route53.change'\nafter = '10s'\nfor = '5s'\nkind = 'expired-credentials'");
    assert_eq!(faults.before("sts", "GetCallerIdentity", at(100)), None);
    faults.fire(Trigger::Route53Change, at(100));
    faults.fire(Trigger::Route53Change, at(112));
    let met = [109, 110, 114, 115].map(|second| faults.before("sts", "GetCallerIdentity", at(second)).is_some());
    assert_eq!(met, [false, true, true, false]);
}

#[test]
fn a_share_is_shed_evenly_and_times_limits_the_hits() {
    let some = faults("[[fault]]\nkind = 'throttle'\nservice = 'route53'\nshare = 0.75");
    let hits = (0..100).filter(|_| some.before("route53", "GetChange", at(1)).is_some()).count();
    assert_eq!(hits, 75);
    let acts =
        faults("[[fault]]\nkind = 'throttle'\nservice = 'heroku'\noperation = 'PATCH /apps/a'\nshare = 1.0\ntimes = 1");
    let met = ["GET /apps/a", "PATCH /apps/a", "PATCH /apps/a"].map(|what| acts.before("heroku", what, at(1)));
    assert_eq!(met, [None, Some(Obstacle::Throttled(None)), None], "an act alone is turned away");
    let twice = faults("[[fault]]\nkind = 'close'\nservice = 'ecs'\ntimes = 2");
    let met = [(); 3].map(|()| twice.before("ecs", "UpdateService", at(1)));
    assert_eq!(met, [Some(Obstacle::Closed), Some(Obstacle::Closed), None]);
}

#[test]
fn mistakes_in_faults_are_refused_by_name() {
    let wrong = [
        ("kind = 'close'\nservice = 's3'", "no service \"s3\""),
        ("kind = 'close'\nservice = 'ecs'\ntims = 1", "unknown field `tims`"),
        ("kind = 'gremlins'", "unknown variant `gremlins`"),
        ("kind = 'throttle'\nservice = 'ecs'\nshare = 80", "not a share"),
        ("at = '1m'\non = 'ecs.update'\nkind = 'expired-credentials'", "either `at` or `on`"),
        ("after = '1m'\nkind = 'expired-credentials'", "`after` needs `on`"),
        ("at = '90'\nkind = 'expired-credentials'", "not a duration"),
    ];
    for (text, expected) in wrong {
        let error = super::super::scenario::Scenario::parse("test", &format!("[[fault]]\n{text}")).unwrap_err();
        let told = std::error::Error::source(&error).unwrap().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_lost_answer_hits_only_its_operation() {
    let faults = faults(
        "[[fault]]\nkind = 'lose-answer'\nservice = 'route53'\noperation = 'ChangeResourceRecordSets'\ntimes = 1",
    );
    assert!(!faults.loses_answer("route53", "GetChange", at(1)));
    assert!(faults.loses_answer("route53", "ChangeResourceRecordSets", at(1)));
    assert!(!faults.loses_answer("route53", "ChangeResourceRecordSets", at(1)));
}
