//! What of a frame can be drawn without the rest of it.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Painted, Scene, View, above, banner, cover, footer, guide, header, laid_out, outline};
use crate::tui::layout::fits;

/// The lines of a frame that go on with time, where all others stay as they are for as long as nothing happens; None: it is
/// no such frame.
pub(in crate::tui) fn ticking(scene: &Scene<'_>, screen: Rect) -> Option<Vec<Rect>> {
    if scene.ui.view != View::Journal || scene.ui.overlay.is_some() || scene.lost.is_some() {
        return None;
    }
    let layout = laid_out(scene, banner::banners(scene).len(), above(scene, screen))?;
    let guide = guide::area(scene, screen).map(|(area, _)| area);
    Some([layout.header, layout.banners, layout.footer].into_iter().chain(guide).collect())
}

/// Draws these lines.
pub(in crate::tui) fn tick(scene: &Scene<'_>, buf: &mut Buffer) {
    let banners = banner::banners(scene);
    let guide = guide::area(scene, buf.area);
    let Some(layout) = laid_out(scene, banners.len(), above(scene, buf.area)) else { return };
    header::render(scene, layout.header, buf);
    banner::render(scene, &banners, layout.banners, buf);
    footer::render(scene, layout.footer, buf);
    if let Some((area, advice)) = &guide {
        guide::render(scene, *area, advice, buf);
    }
}

/// Whether what lies below a box looks the same with it and without, the last line apart.
pub(in crate::tui) fn lasts(scene: &Scene<'_>, screen: Rect) -> bool {
    let plain = scene.ui.view == View::Cockpit && scene.lost.is_none();
    plain && fits(screen) && guide::area(scene, screen).is_none()
}

/// Draws what does not last anew: the last line, and what lies over the screen, if anything does.
pub(in crate::tui) fn over(scene: &Scene<'_>, buf: &mut Buffer, painted: &mut Painted) {
    let line = Rect { y: buf.area.bottom().saturating_sub(1), height: 1, ..buf.area };
    outline::clear(line, buf);
    footer::render(scene, line, buf);
    cover(scene, buf, painted);
}
