//! AWS clients against servers that answer wrongly, late or not at all.

use std::{net::SocketAddr, time::Duration};

use super::{
    testing::{Manner, nobody, plan, server},
    *,
};
use crate::{
    plan::{Action, RecordSet, RecordType},
    run::Outcome,
};

fn error_answer(status: u16, code: &str) -> Manner {
    let body = format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>because</Message></Error></ErrorResponse>"
    );
    Manner::answer(status, "content-type: text/xml\r\n", &body)
}

async fn world(address: SocketAddr) -> World {
    World::connect(&plan(address), Clock::real()).await.unwrap()
}

fn batch() -> Vec<(Action, RecordSet)> {
    let set = RecordSet {
        name: "shop.example.test.".into(),
        kind: RecordType::Cname,
        ttl: Some(60),
        values: vec!["acme.herokudns.test".into()],
        alias: None,
        weighted: None,
    };
    vec![(Action::Upsert, set)]
}

#[tokio::test]
async fn a_mutation_is_sent_once_and_a_lost_answer_is_in_doubt() {
    let cases = [
        (Manner::Close, true, TroubleKind::Unreachable),
        (Manner::Silent(Duration::from_secs(30)), true, TroubleKind::Unreachable),
        (Manner::answer(500, "", "oops"), true, TroubleKind::Garbled),
        (error_answer(500, "InternalFailure"), true, TroubleKind::Refused),
        (Manner::answer(200, "", "<html>\u{1b}[31m"), true, TroubleKind::Garbled),
        (Manner::Raw(b"\x00garbage\r\n\r\n".to_vec()), true, TroubleKind::Garbled),
        (error_answer(400, "PriorRequestNotComplete"), false, TroubleKind::Throttled),
        (error_answer(400, "Throttling"), false, TroubleKind::Throttled),
        (error_answer(403, "ExpiredToken"), false, TroubleKind::Credentials),
        (error_answer(403, "AccessDenied"), false, TroubleKind::Credentials),
        (error_answer(400, "InvalidChangeBatch"), false, TroubleKind::Refused),
        (error_answer(404, "NoSuchHostedZone"), false, TroubleKind::Refused),
        (Manner::answer(407, "", "proxy"), false, TroubleKind::Garbled),
    ];
    // One by one onto the heap: together these futures are larger than a test's stack.
    let runs = cases.into_iter().map(|(manner, in_doubt, kind)| async move {
        let (address, mut requests) = server(manner.clone()).await;
        let failure = world(address).await.route53().change("Z1", &batch(), "token").await.unwrap_err();
        assert_eq!((failure.in_doubt, failure.trouble.kind), (in_doubt, kind), "{manner:?}: {failure}");
        assert!(!failure.to_string().contains(['\u{1b}', '\0']), "{failure}");
        let request = requests.recv().await.unwrap();
        assert!(request.contains("<Comment>token</Comment>"), "{request}");
        assert!(request.starts_with("POST /2013-04-01/hostedzone/Z1/rrset"), "{request}");
        assert!(requests.try_recv().is_err(), "sent once: {manner:?}");
        let doubt = matches!(failure.outcome(), Outcome::InDoubt { .. });
        assert_eq!(doubt, in_doubt);
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn the_policies_of_a_session_are_those_of_its_role() {
    let caller = |arn: &str| Caller { account: "123456789012".into(), arn: arn.into() };
    let session = caller("arn:aws:sts::123456789012:assumed-role/cutover/ann");
    assert_eq!(session.role(), Some("cutover"));
    assert_eq!(session.principal().unwrap(), "arn:aws:iam::123456789012:role/cutover");
    let user = caller("arn:aws:iam::123456789012:user/team/ann");
    assert_eq!((user.role(), user.principal().unwrap()), (None, user.arn.clone()));
    for other in ["arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:federated-user/ann", "ann"] {
        assert_eq!(caller(other).principal().unwrap_err().kind, TroubleKind::Refused, "{other}");
    }
    let arn = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_cutover_0123456789abcdef";
    let answer = format!(
        "<GetRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetRoleResult><Role><Path>/</Path>\
         <RoleName>r</RoleName><RoleId>AROA</RoleId><Arn>{arn}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>\
         </GetRoleResult></GetRoleResponse>"
    );
    let (address, _requests) = server(Manner::answer(200, "content-type: text/xml\r\n", &answer)).await;
    assert_eq!(iam::Iam::new(world(address).await.aws()).role("r").await.unwrap(), arn);
}

#[tokio::test]
async fn a_refusal_without_words_is_a_refusal() {
    let (address, mut requests) = server(Manner::answer(403, "", "")).await;
    let failure = world(address).await.ecs().scale("acme", "web", 2).await.unwrap_err();
    assert_eq!((failure.in_doubt, failure.trouble.kind), (false, TroubleKind::Credentials), "{failure}");
    assert!(requests.recv().await.is_some() && requests.try_recv().is_err());
}

#[tokio::test]
async fn what_could_not_be_connected_had_no_effect() {
    let failure = world(nobody()).await.route53().change("Z1", &batch(), "token").await.unwrap_err();
    assert_eq!((failure.in_doubt, failure.trouble.kind), (false, TroubleKind::Unreachable), "{failure}");
    assert!(failure.trouble.reason.contains("refused"), "{failure}");
}

#[tokio::test]
async fn reads_are_tried_again() {
    let (address, mut requests) = server(Manner::answer(500, "", "oops")).await;
    let trouble = world(address).await.route53().sets("Z1", "shop.example.test.").await.unwrap_err();
    assert_eq!(trouble.call, "route53:ListResourceRecordSets");
    for _ in 0..3 {
        assert!(requests.recv().await.unwrap().starts_with("GET "));
    }
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn a_listing_that_does_not_end_is_not_believed() {
    let page = "<ListResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
        <ResourceRecordSets><ResourceRecordSet><Name>shop.example.test.</Name><Type>A</Type><SetIdentifier>a</SetIdentifier>\
        <Weight>1</Weight><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord>\
        </ResourceRecords></ResourceRecordSet></ResourceRecordSets><IsTruncated>true</IsTruncated>\
        <NextRecordName>shop.example.test.</NextRecordName><NextRecordType>A</NextRecordType>\
        <NextRecordIdentifier>a</NextRecordIdentifier><MaxItems>50</MaxItems></ListResourceRecordSetsResponse>";
    let (address, _requests) = server(Manner::answer(200, "content-type: text/xml\r\n", page)).await;
    let trouble = world(address).await.route53().sets("Z1", "shop.example.test.").await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Garbled);
}

#[tokio::test]
async fn a_change_that_stays_pending_is_in_doubt_when_patience_ends() {
    let (address, _requests) = server(Manner::answer(500, "", "oops")).await;
    let mut plan = plan(address);
    plan.aws.region = "eu-central-1".into();
    let world = World::connect(&plan, Clock::scaled(1000.0)).await.unwrap();
    let mut heard = Vec::new();
    let wait = world
        .route53()
        .in_sync("C1", Duration::from_secs(60), |waited, trouble| heard.push((waited, trouble.cloned())));
    let failure = wait.await.unwrap_err();
    assert!(failure.in_doubt);
    assert!(failure.trouble.reason.starts_with("accepted, but not INSYNC after 60 s: "), "{failure}");
    assert!(heard.iter().all(|(_, trouble)| trouble.is_some()));
}

#[tokio::test]
async fn a_sandbox_never_leaves_this_machine() {
    let mut plan = plan(nobody());
    for endpoint in [
        None,
        Some("https://route53.amazonaws.com"),
        Some("http://192.0.2.1:4566"),
        Some("http://127.0.0.1.example.com"),
    ] {
        plan.aws.endpoint = endpoint.map(str::to_owned);
        let error = World::connect(&plan, Clock::real()).await.unwrap_err();
        assert!(matches!(error, ConnectError::NotLoopback(_)), "{endpoint:?}");
    }
}

#[tokio::test]
async fn sandbox_credentials_do_not_expire() {
    assert_eq!(world(nobody()).await.aws().credentials_until().await, Ok(None));
}
