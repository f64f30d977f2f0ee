//! Seats: who may take which, whose is kept, and who counts as a second person.

use super::{at, decide::Table, plan};
use crate::plan::GateLevel;
use crate::run::{
    Actor, Ask, May, Operator, Origin, Refusal, Report, Request, Seat, What, phase::Direction, tests::decide::lower,
};

fn person(conn: u64, uid: u32) -> Operator {
    Operator::new(conn, format!("op{conn}"), uid)
}

fn attach(table: &mut Table, who: &Operator, seat: Seat) -> Seat {
    let events = table.submit(Actor::Operator(who.clone()), Ask::Report(Report::Attached(seat))).unwrap();
    let [What::Attached { seat }] = events.as_slice() else { panic!("{events:?}") };
    *seat
}

fn sit(table: &mut Table, who: &Operator, take: bool) -> Result<Vec<What>, Refusal> {
    table.submit(Actor::Operator(who.clone()), Ask::Person(Request::Sit { seat: Seat::Driver, take }))
}

#[test]
fn nobody_takes_a_seat_that_the_plan_does_not_give_them() {
    let mut table = Table::new(plan());
    let looks = Operator { may: May { drive: false, confirm: false }, ..person(2, 2) };
    let confirms = Operator { may: May { drive: false, confirm: true }, ..person(3, 3) };
    assert_eq!(attach(&mut table, &looks, Seat::Driver), Seat::Viewer);
    assert_eq!(attach(&mut table, &confirms, Seat::Driver), Seat::Confirmer);
    for who in [&looks, &confirms] {
        let refusal = sit(&mut table, who, true).unwrap_err();
        assert!(refusal.0.contains("[access]"), "{refusal}");
    }
    assert_eq!(table.state.driver().unwrap().conn, 1);
}

#[test]
fn the_seat_of_a_driver_who_is_gone_is_kept_for_a_while() {
    let mut table = Table::new(plan());
    let other = person(2, 2);
    assert_eq!(attach(&mut table, &other, Seat::Confirmer), Seat::Confirmer);
    table.submit(Actor::Operator(person(1, 1)), Ask::Report(Report::Detached)).unwrap();
    table.now += 30;
    // Nobody else gets it unasked, and asking must be explicit; whoever drove comes back to it.
    assert!(sit(&mut table, &other, false).unwrap_err().0.contains("take over explicitly"));
    assert_eq!(attach(&mut table, &person(3, 3), Seat::Driver), Seat::Confirmer);
    assert_eq!(attach(&mut table, &person(4, 1), Seat::Driver), Seat::Driver);
    // Gone again, and for longer than a gate stays open: it is anybody's.
    table.submit(Actor::Operator(person(4, 1)), Ask::Report(Report::Detached)).unwrap();
    table.now += 121;
    assert!(sit(&mut table, &other, false).is_ok());
    assert_eq!(table.state.away, None);
}

#[test]
fn a_driver_who_is_gone_can_be_replaced_at_once_by_taking_over() {
    let mut table = Table::new(plan());
    table.submit(Actor::Operator(person(1, 1)), Ask::Report(Report::Detached)).unwrap();
    attach(&mut table, &person(2, 2), Seat::Viewer);
    let events = sit(&mut table, &person(2, 2), true).unwrap();
    assert_eq!(events, [What::SeatTaken { seat: Seat::Driver }]);
}

#[test]
fn a_dead_engine_does_not_give_the_seat_away() {
    let mut table = Table::new(plan());
    table.report(Report::Started { pid: 2, host: "h".into(), version: "v".into() });
    assert_eq!(table.state.kept_for(at(table.now)).unwrap().operator.conn, 1);
    assert_eq!(attach(&mut table, &person(2, 2), Seat::Driver), Seat::Confirmer);
}

#[test]
fn only_another_login_is_a_second_person_and_a_claim_never_is_one() {
    let mut plan = plan();
    plan.steps[0].gate = GateLevel::Two;
    let mut table = Table::new(plan);
    table.arm("lower", Direction::Forward, &lower());
    table.now += 5;
    table.confirm(Some("ttl shop.example.test")).unwrap();
    // The other has as long from here on as the driver had to type.
    table.now += 119;
    let sudo = Origin { sudo_uid: Some(1), ..Origin::default() };
    let one_and_the_same = [
        Operator { name: "op1 (claims bob)".into(), ..person(2, 1) },
        Operator { login: Some(1), ..person(3, 0) },
        Operator { origin: sudo, ..person(4, 0) },
    ];
    let seen = table.state.gate.as_ref().unwrap().evidence.clone();
    let confirm = |table: &mut Table, who: &Operator| {
        let request = Request::Confirm { gate: 1, seen: seen.clone(), typed: None };
        table.submit(Actor::Operator(who.clone()), Ask::Person(request))
    };
    for who in &one_and_the_same {
        attach(&mut table, who, Seat::Confirmer);
        assert!(confirm(&mut table, who).unwrap_err().0.contains("another login"), "{who:?}");
    }
    let other = Operator { login: Some(7), ..person(5, 7) };
    attach(&mut table, &other, Seat::Confirmer);
    assert_eq!(confirm(&mut table, &other).unwrap(), [What::Consented { second: Some(other.clone()) }]);
}

#[test]
fn evidence_has_four_words_and_a_difference_shows_in_them() {
    use crate::run::Evidence;
    let words = |hex: &str| Evidence(hex.into()).words();
    assert_eq!(words("000000ff"), "acorn acorn acorn acorn");
    assert_eq!(words("ffffff00"), "zebra zebra zebra zebra");
    assert_ne!(words("c630b44c"), words("c630b54c"));
    assert_eq!(words(""), "");
}
