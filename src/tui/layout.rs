//! Where everything stands, for every size of terminal.

use ratatui::layout::Rect;

use super::{keymap::View, pane::Pane, ui::Ui};

/// Smallest terminal that shows more than a sentence.
const SMALLEST: (u16, u16) = (72, 20);
/// From this size on, three columns.
const COLUMNS: (u16, u16) = (110, 32);

/// Areas of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The first line.
    pub(super) header: Rect,
    /// Under it, a line for each banner.
    pub(super) banners: Rect,
    /// Panes with their areas; neighbours share a border.
    pub(super) panes: Vec<(Pane, Rect)>,
    /// Panes that have one line each.
    pub(super) strips: Vec<(Pane, Rect)>,
    /// What one view fills; None in the cockpit.
    pub(super) view: Option<Rect>,
    /// The last line.
    pub(super) footer: Rect,
}

/// How many lines the panes would like inside their borders.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes {
    /// One a step.
    pub(super) steps: usize,
    /// All of the focused step, with its borders, in its column of [`middle`].
    pub(super) step: usize,
    /// Every resolver on a line of its own for each record, and at least one line for each resolver.
    pub(super) dns: (usize, usize),
    /// One a check, and a title.
    pub(super) checks: usize,
}

/// Whether a terminal shows more than a sentence.
pub(super) const fn fits(area: Rect) -> bool {
    area.width >= SMALLEST.0 && area.height >= SMALLEST.1
}

/// How many banners there is room for.
pub(super) const fn banner_room(area: Rect) -> usize {
    match area.height {
        0..32 => 1,
        32..44 => 2,
        _ => 3,
    }
}

/// Lays a frame out; None when the terminal is too small. Only where panes stand beside each other they are asked for
/// their wishes, which takes drawing them for once.
pub(super) fn layout(area: Rect, ui: &Ui, banners: usize, wishes: impl FnOnce() -> Wishes) -> Option<Layout> {
    if !fits(area) {
        return None;
    }
    let banner_lines = u16::try_from(banners.min(banner_room(area))).unwrap_or(0);
    let header = Rect { height: 1, ..area };
    let banner_area = Rect { y: area.y + 1, height: banner_lines, ..area };
    let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
    let top = 1 + banner_lines;
    let body = Rect { y: area.y + top, height: area.height - top - 1, ..area };
    let empty = Layout { header, banners: banner_area, panes: Vec::new(), strips: Vec::new(), view: None, footer };
    Some(match ui.view {
        View::Cockpit if ui.zoom => Layout { panes: vec![(ui.focus, body)], ..empty },
        View::Cockpit if area.width >= COLUMNS.0 && area.height >= COLUMNS.1 => {
            Layout { panes: columns(body, wishes(), ui.focus), ..empty }
        }
        View::Cockpit => one_column(body, ui.focus, empty),
        _ => Layout { view: Some(body), ..empty },
    })
}

/// Columns of the left and the right side.
fn sides(width: u16) -> (u16, u16) {
    ((width * 22 / 100).clamp(29, 44), (width * 29 / 100).clamp(40, 64))
}

/// Columns of the pane of the focused step on a terminal of this width.
pub(super) fn middle(width: u16) -> u16 {
    let (left, right) = sides(width);
    (width + 2).saturating_sub(left + right)
}

/// Three columns; the focused pane comes last, so that its border lies on top.
fn columns(body: Rect, wishes: Wishes, focus: Pane) -> Vec<(Pane, Rect)> {
    let (left, right) = sides(body.width);
    let column = |x: u16, width: u16| Rect { x: body.x + x, width, ..body };
    let left_area = column(0, left);
    let middle = column(left - 1, middle(body.width));
    let right_area = column(body.width - right, right);
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_add(2);
    // A change that is longer than its usual place takes room from the graphs: it must be seen whole to be armed.
    let usual = body.height * 47 / 100;
    let step_lines = u16::try_from(wishes.step).unwrap_or(u16::MAX).clamp(usual, body.height * 4 / 5);
    // Resolvers get a line for each record if the checks keep theirs.
    let (traffic, interlock) = (4, 5);
    let left_over = body.height.saturating_sub(traffic + interlock + lines(wishes.checks) - 3);
    let (list, grid) = (lines(wishes.dns.0), lines(wishes.dns.1));
    let dns = if list <= left_over { list } else { grid.min(left_over.max(10)) };
    let mut panes = stack(left_area, &[(Pane::Steps, lines(wishes.steps)), (Pane::Rollback, 6)], Pane::Log);
    panes.extend(stack(middle, &[(Pane::Step, step_lines)], Pane::Graphs));
    panes.extend(stack(
        right_area,
        &[(Pane::Dns, dns), (Pane::Traffic, traffic), (Pane::Interlock, interlock)],
        Pane::Checks,
    ));
    panes.sort_by_key(|(pane, _)| *pane == focus);
    panes
}

/// Panes of fixed height from the top, and one that takes the rest; each shares a border with the next. The first one
/// gives way when there is too little room.
fn stack(area: Rect, fixed: &[(Pane, u16)], last: Pane) -> Vec<(Pane, Rect)> {
    const LEAST: u16 = 5;
    let wanted: u16 = fixed.iter().map(|(_, height)| height - 1).sum();
    let lacking = (wanted + LEAST).saturating_sub(area.height);
    let mut y = area.y;
    let mut panes = Vec::new();
    for (index, (pane, height)) in fixed.iter().enumerate() {
        let height = if index == 0 { height.saturating_sub(lacking).max(LEAST) } else { *height };
        let height = height.min(area.bottom() - y);
        panes.push((*pane, Rect { y, height, ..area }));
        y += height.saturating_sub(1);
    }
    panes.push((last, Rect { y, height: area.bottom() - y, ..area }));
    panes
}

/// One column: the focused pane, and a line for each of the others.
fn one_column(body: Rect, focus: Pane, layout: Layout) -> Layout {
    let others: Vec<Pane> = Pane::ALL.into_iter().filter(|pane| *pane != focus).collect();
    let lines = u16::try_from(others.len()).unwrap_or(u16::MAX);
    let height = body.height.saturating_sub(lines);
    let strips = others.into_iter().zip(body.y + height..).map(|(pane, y)| (pane, Rect { y, height: 1, ..body }));
    Layout { panes: vec![(focus, Rect { height, ..body })], strips: strips.collect(), ..layout }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pane_has_its_place_at_every_size() {
        for (width, height) in [(160, 48), (120, 40), (110, 32), (80, 24), (72, 20), (300, 100), (200, 24), (80, 60)] {
            for focus in Pane::ALL {
                let mut ui = Ui::new();
                ui.focus = focus;
                let area = Rect::new(0, 0, width, height);
                let layout =
                    layout(area, &ui, 2, || Wishes { steps: 16, step: 12, dns: (18, 10), checks: 13 }).unwrap();
                for pane in Pane::ALL {
                    let places = layout.panes.iter().chain(&layout.strips).filter(|(p, _)| *p == pane);
                    let areas: Vec<_> = places.map(|(_, area)| *area).collect();
                    assert_eq!(areas.len(), 1, "{pane:?} at {width}x{height}");
                    assert_eq!(areas[0].intersection(area), areas[0], "{pane:?} at {width}x{height}");
                    assert!(areas[0].height > 0);
                }
            }
        }
    }

    #[test]
    fn a_small_terminal_has_no_layout() {
        assert_eq!(layout(Rect::new(0, 0, 60, 15), &Ui::new(), 0, Wishes::default), None);
        assert_eq!(layout(Rect::new(0, 0, 20, 5), &Ui::new(), 0, Wishes::default), None);
    }
}
