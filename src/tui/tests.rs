//! Whole screens and whole keyboards.

use super::{
    fixture::Fixture,
    keymap::View,
    theme::{Depth, Theme},
};

const SIZES: [(u16, u16); 7] = [(160, 48), (120, 40), (80, 24), (300, 100), (72, 20), (60, 15), (20, 5)];

#[test]
fn every_view_is_drawn_at_every_size() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("switch-api");
    for view in View::ALL {
        fixture.ui.view = view;
        for size in SIZES {
            for ascii in [false, true] {
                let (buf, _) = fixture.draw(Theme::new(Depth::Mono, ascii), size);
                let text = super::fixture::text_of(&buf);
                assert!(!text.trim().is_empty());
                assert!(!ascii || text.is_ascii(), "{view:?} at {size:?}:\n{text}");
            }
        }
    }
}
