//! What a step means for customers and for the way back, said before it is armed.

use super::screens::armed;
use crate::{
    plan::Side,
    run::{Access, Change, Direction, Preview, What, conditions},
    tui::{fixture::Fixture, model::overridable},
};

/// Every size that screens are held at.
const SIZES: [(u16, u16); 3] = [(160, 48), (120, 40), (80, 24)];

/// A session that has come to a step, which fills the screen.
fn at(step: &str) -> Fixture {
    let mut fixture = Fixture::new("sandbox");
    fixture.to(step);
    fixture.ui.zoom = true;
    fixture
}

/// A text without frames and line breaks.
fn words(text: &str) -> String {
    text.replace(['│', '┃', '║'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn that_customers_are_kept_out_is_said_both_ways() {
    let page = "customers of Heroku see its maintenance page";
    let mut back = at("switch-api");
    back.person(What::RollbackStarted { reason: "why".into() });
    let preview = back.undo_of(&"unfreeze".into());
    back.engine(What::Previewed { step: "unfreeze".into(), direction: Direction::Back, preview });
    for size in SIZES {
        let (there, back) = (at("freeze").text(size), back.text(size));
        assert!(words(&there).contains(page), "{there}");
        assert!(words(&back).contains(page), "{back}");
        assert!(back.contains("undo of Maintenance page off"), "{back}");
        assert!(back.contains("gate: typed") && back.contains("then type its words"), "{back}");
        assert!(!words(&at("unfreeze").text(size)).contains(page));
    }
}

#[test]
fn a_gate_says_what_going_back_takes_after_it() {
    for size in SIZES {
        let before = at("lower-ttl").text(size);
        assert!(words(&before).contains("after this"), "{before}");
        let mut opens = at("open-writes");
        let access = |limit| Access::Limits { limits: [("acme_app".to_owned(), limit)].into() };
        let (side, database) = (Side::New, "acme".to_owned());
        let change = Change::WriteAccess { side, database, from: access(0), to: access(-1) };
        opens.preview("open-writes", Preview::single(change).parts);
        let opens = words(&opens.text(size));
        assert!(opens.contains("going back loses what is written on AWS from then on"), "{opens}");
    }
}

#[test]
fn the_point_of_no_return_is_said_before_it_in_its_words_and_after_it() {
    for size in SIZES {
        let before = at("retire-old-web").text(size);
        assert!(before.contains("NO WAY BACK AFTER THIS") && before.contains("gate: typed"), "{before}");
        assert!(words(&before).contains("NO WAY BACK to Heroku with R any more"), "{before}");
        assert!(!words(&before).contains("after this 0"), "{before}");
        let gate = armed("sandbox", "retire-old-web").text(size);
        assert!(gate.contains("type stop web acme-shop for good and [Enter]"), "{gate}");
        let after = at("unlock-deploys").text(size);
        assert!(words(&after).contains("no way back since step 24"), "{after}");
        assert!(!words(&after).contains("no return from") && !words(&after).contains("loses"), "{after}");
    }
}

#[test]
fn nobody_goes_past_a_condition_while_other_steps_come_before() {
    let fixture = at("lower-ttl");
    let (plan, state) = (&fixture.snapshot.plan, &fixture.snapshot.state);
    let all = conditions(plan, state, &"switch-shop".into(), Direction::Forward, fixture.now);
    assert!(all.iter().any(|condition| !condition.holds && condition.id.overridable()));
    assert!(overridable(&all).unwrap_err().starts_with("nobody goes past this: steps"));
}
