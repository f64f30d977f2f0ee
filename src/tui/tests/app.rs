//! What the Heroku app looks like, beside the steps that change it.

use crate::{
    run::{HerokuSample, Sample},
    tui::fixture::Fixture,
};

#[test]
fn the_formation_the_release_and_the_calls_left_stand_beside_the_step() {
    let mut fixture = Fixture::new("production");
    fixture.to("freeze");
    fixture.ui.zoom = true;
    let mut sample = HerokuSample {
        at: fixture.now,
        formation: vec![("web".into(), 2, "Standard-2X".into()), ("worker".into(), 1, String::new())],
        maintenance: false,
        release: Some((231, "Deploy 5eed00e7".into())),
        remaining: Some(4_211),
    };
    fixture.snapshot.telemetry.take(Sample::Heroku(sample.clone()));
    let shown = fixture.text((160, 60));
    for wanted in ["web 2 x Standard-2X, worker 1", "maintenance off, v231 Deploy 5eed00e7", "4211 API calls left"] {
        assert!(shown.contains(wanted), "{wanted}\n{shown}");
    }
    sample.maintenance = true;
    fixture.snapshot.telemetry.take(Sample::Heroku(sample));
    assert!(fixture.text((160, 60)).contains("maintenance ON"));
    fixture.ui.zoom = false;
    assert!(fixture.text((160, 48)).contains("API 4211"), "and the budget always, beside the interlock");
    let mut other = Fixture::new("production");
    other.to("switch-shop");
    other.ui.zoom = true;
    other.snapshot.telemetry = fixture.snapshot.telemetry.clone();
    assert!(!other.text((160, 60)).contains("API calls left"), "only where it matters");
}
