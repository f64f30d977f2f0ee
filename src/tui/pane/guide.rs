//! The guide's two lines at the bottom of the screen.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Scene, text};
use crate::tui::guide::{Advice, Guide, LINES, advise};

/// The lines that the guide takes from the screen; none where the rest would not have enough.
pub(super) fn area(scene: &Scene<'_>, screen: Rect) -> Option<(Rect, Advice)> {
    const LEAST: u16 = 22;
    let advice = advise(scene).filter(|_| screen.height >= LEAST)?;
    Some((Rect { y: screen.bottom() - LINES, height: LINES, ..screen }, advice))
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, advice: &Advice, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, scene.theme, area);
    let columns = pen.width();
    pen.put(Role::InfoFill, &format!(" GUIDE  {}", advice.next)).lay(Role::InfoFill, 0, columns).line();
    let hides = if scene.ui.guide == Guide::Offered { "i takes it " } else { "i hides the guide " };
    pen.gap(1).cell(Role::Dim, "why", 7);
    let room = pen.left().saturating_sub(text::width(hides) + 2);
    // A sentence is told whole before a key that the help tells too.
    if text::width(&advice.why) > room {
        pen.put(Role::Text, &advice.why);
        return;
    }
    pen.cell(Role::Text, &advice.why, room).right(Role::Dim, hides);
}
