//! A terminal in which no cockpit can be laid out: where it is, what nobody may overlook, and what to do.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Scene, banner, header, text};

pub(super) fn render(scene: &Scene<'_>, banners: &[banner::Banner], buf: &mut Buffer) {
    let area = buf.area;
    let (width, height) = (area.width, area.height);
    let whole = format!(
        "This terminal has {width} columns and {height} lines; the cockpit needs 72 by 20. Make it larger, or press q to detach: the run goes on."
    );
    let lines = |words: &str| text::wrap(words, usize::from(width)).len();
    // Where it would leave no room for what stands, it is said in fewer words.
    let brief = lines(&whole) + 2 > usize::from(height);
    let words = if brief { format!("72x20 needed, this is {width}x{height}; q detaches") } else { whole };
    let lines = lines(&words);
    let free = area.height.saturating_sub(u16::try_from(lines).unwrap_or(u16::MAX));
    let (head, alarms) = (free.min(1), free.saturating_sub(2).min(u16::try_from(banners.len()).unwrap_or(u16::MAX)));
    let line = |y: u16, height: u16| Rect { y, height, ..area };
    if head > 0 {
        header::render(scene, line(0, 1), buf);
    }
    banner::brief(scene, banners, line(head, alarms), buf);
    let mut top = head + alarms;
    if free > top {
        let index = scene.target.index;
        let Some(step) = scene.plan().steps.get(index) else { return };
        let standing = scene.standing(&step.id, scene.phase(&step.id));
        let mut pen = Pen::new(buf, scene.theme, line(top, 1));
        pen.put(Role::Dim, &format!(" {} ", index + 1)).put(Role::Strong, standing).gap(1).put(Role::Text, &step.title);
        top += 1;
    }
    Pen::new(buf, scene.theme, line(top, area.height - top)).wrapped(Role::Text, &words);
}
