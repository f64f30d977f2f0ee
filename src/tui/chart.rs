//! A line chart in braille: real axes, gaps as gaps, limits, a baseline, marks where acts happened, and a crosshair.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    pen::Pen,
    text,
    theme::{Role, Theme},
};
use crate::plan::Unit;

/// Labels of values are cut to so many columns.
const WIDEST_LABEL: usize = 8;

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// How it is drawn.
    pub(super) role: Role,
    /// Every fourth dot is left out: tells the old side from the new without colour.
    pub(super) dotted: bool,
    /// Seconds from the left edge of the time shown, and value; ordered. Parts between gaps.
    pub(super) runs: Vec<Vec<(f64, f64)>>,
}

/// A horizontal line: a threshold, or what was normal before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Where.
    pub(super) value: f64,
    /// A threshold, and not what was normal.
    pub(super) limit: bool,
}

impl Rule {
    const fn name(self) -> &'static str {
        if self.limit { "limit" } else { "normal" }
    }
}

/// Everything on one chart. Times are seconds from the left edge.
pub(super) struct Chart<'a> {
    /// The lines, drawn in this order.
    pub(super) series: Vec<Series>,
    /// How much time is shown, seconds.
    pub(super) span: f64,
    /// The time at the right edge.
    pub(super) until: Timestamp,
    /// The zone of the times on the axis.
    pub(super) tz: &'a TimeZone,
    /// Horizontal lines.
    pub(super) rules: Vec<Rule>,
    /// Where acts happened, in order: time, and a label of a character or two.
    pub(super) marks: &'a [(f64, String)],
    /// Where values are read.
    pub(super) cross: Option<f64>,
    /// Nothing here is to be trusted: all of it is drawn dim.
    pub(super) blind: bool,
    /// Of the values.
    pub(super) unit: Unit,
    /// Least columns of the labels on the left, so that charts above each other align in time.
    pub(super) gutter: usize,
}

/// The plotted area in cells, and the value at its top; its bottom is 0 or `low`.
struct Plot {
    area: Rect,
    low: f64,
    high: f64,
    span: f64,
}

impl Chart<'_> {
    /// Columns that the labels of the values need.
    pub(super) fn labels_width(&self) -> usize {
        self.labels().iter().map(|label| text::width(label)).max().unwrap_or(0).min(WIDEST_LABEL)
    }

    fn labels(&self) -> [String; 3] {
        let (low, high) = self.bounds();
        [high, f64::midpoint(low, high), low].map(|value| text::axis(self.unit, value))
    }

    /// Draws it; needs three lines and a dozen columns to be of any use.
    pub(super) fn render(&self, buf: &mut Buffer, theme: Theme, area: Rect) {
        if area.height < 2 || area.width < 8 {
            return;
        }
        let (low, high) = self.bounds();
        let gutter = self.labels_width().max(self.gutter.min(WIDEST_LABEL));
        let gutter_columns = u16::try_from(gutter + 1).unwrap_or(8);
        let plot_area = Rect {
            x: area.x + gutter_columns,
            width: area.width.saturating_sub(gutter_columns),
            height: area.height - 1,
            ..area
        };
        let plot = Plot { area: plot_area, low, high, span: self.span };
        axis(buf, theme, area, gutter, &self.labels());
        self.times(buf, theme, area, &plot);
        self.marks(buf, theme, &plot);
        for rule in &self.rules {
            self.rule(buf, theme, &plot, *rule);
        }
        for series in &self.series {
            self.line(buf, theme, &plot, series);
        }
        for rule in &self.rules {
            self.rule_label(buf, theme, &plot, *rule);
            if let Some(words) = self.above(theme, &plot, *rule) {
                Pen::new(buf, theme, plot.area).right(Role::Dim, &words);
            }
        }
        self.crosshair(buf, theme, area, &plot);
        self.mark_labels(buf, theme, &plot);
    }

    /// From 0 (or the lowest value below it) to a round number above everything that should be seen.
    fn bounds(&self) -> (f64, f64) {
        let values = || self.series.iter().flat_map(|s| s.runs.iter().flatten()).map(|point| point.1);
        let normal = self.rules.iter().filter(|rule| !rule.limit).map(|rule| rule.value);
        let top = values().chain(normal).fold(0.0, f64::max);
        let low = values().fold(0.0, f64::min);
        // A limit far above the data would flatten them; then its place is told at the top edge only.
        let limits = self.rules.iter().filter(|rule| rule.limit).map(|rule| rule.value);
        let limit = limits.filter(|limit| *limit <= top * 4.0 || top <= 0.0).fold(0.0, f64::max);
        (low, round_up(top.max(limit) * 1.05))
    }

    /// The axis of time: how long, the time of day at round steps, and now.
    fn times(&self, buf: &mut Buffer, theme: Theme, area: Rect, plot: &Plot) {
        let line = Rect { y: area.bottom() - 1, height: 1, x: plot.area.x, width: plot.area.width };
        let left = format!("-{}", text::brief(Duration::from_secs_f64(self.span)));
        let mut pen = Pen::new(buf, theme, line);
        pen.put(Role::Dim, &left).right(Role::Dim, "now");
        let last = usize::from(line.width).saturating_sub(4);
        let mut taken = text::width(&left) + 1;
        let crossed = self.cross_label(plot);
        for (at, label) in self.ticks(usize::from(line.width)) {
            let Some(column) = plot.column(at).map(usize::from) else { continue };
            let place = column.saturating_sub(text::width(&label) / 2);
            let clear = |(from, cross): &(usize, String)| {
                place + text::width(&label) < *from || place > from + text::width(cross)
            };
            if !crossed.as_ref().is_none_or(clear) {
                continue;
            }
            if place >= taken && place + text::width(&label) <= last {
                pen.column(place).put(Role::Dim, &label);
                taken = place + text::width(&label) + 2;
            }
        }
    }

    /// Round times of day, far enough apart to be written.
    fn ticks(&self, columns: usize) -> Vec<(f64, String)> {
        const STEPS: [i64; 12] = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];
        let apart = self.span * 9.0 / f64::from(u16::try_from(columns.max(1)).unwrap_or(u16::MAX));
        let step = STEPS.into_iter().find(|step| whole(*step) >= apart).unwrap_or(86_400);
        let until = self.until.as_second();
        let offset = i64::from(self.tz.to_offset(self.until).seconds());
        let first = (until + offset).div_euclid(step) * step - offset;
        let back = (0..64).map(|number| first - number * step);
        let mut ticks: Vec<_> = back
            .map(|at| (self.span - whole(until - at), at))
            .take_while(|(across, _)| *across >= 0.0)
            .filter_map(|(across, at)| Some((across, text::minute(Timestamp::from_second(at).ok()?, self.tz))))
            .collect();
        ticks.reverse();
        ticks
    }

    fn marks(&self, buf: &mut Buffer, theme: Theme, plot: &Plot) {
        for column in self.marks.iter().filter_map(|(at, _)| plot.column(*at)) {
            let mut marks = Pen::new(buf, theme, plot.area);
            for _ in 0..plot.area.height {
                marks.column(usize::from(column)).put(Role::Line, theme.glyphs.mark).line();
            }
        }
    }

    /// At the top of each mark, over the lines, where there is room beside the one before.
    fn mark_labels(&self, buf: &mut Buffer, theme: Theme, plot: &Plot) {
        // What is told of limits above the top edge stands on the right of the same line.
        let above = self.rules.iter().filter_map(|rule| self.above(theme, plot, *rule));
        let told = above.map(|words| text::width(&words) + 1).max().unwrap_or(0);
        let width = usize::from(plot.area.width).saturating_sub(told);
        let mut taken = 0;
        for (at, label) in self.marks {
            let Some(column) = plot.column(*at).map(usize::from) else { continue };
            let place = column.min(width.saturating_sub(text::width(label)));
            if place >= taken && place + text::width(label) <= width {
                Pen::new(buf, theme, plot.area).column(place).put(Role::Focus, label);
                taken = place + text::width(label) + 1;
            }
        }
    }

    fn rule(&self, buf: &mut Buffer, theme: Theme, plot: &Plot, rule: Rule) {
        let glyphs = theme.glyphs;
        let (glyph, role) = if rule.limit { (glyphs.limit, Role::Bad) } else { (glyphs.base, Role::Dim) };
        let role = if self.blind { Role::Dim } else { role };
        let Some(row) = plot.row(rule.value) else { return };
        for x in plot.area.left()..plot.area.right() {
            buf[(x, plot.area.y + row)].set_symbol(glyph).set_style(theme.style(role));
        }
    }

    /// What is told at the top edge of a rule above it, so that nobody takes it for none; None: it is on the chart.
    fn above(&self, theme: Theme, plot: &Plot, rule: Rule) -> Option<String> {
        let glyph = theme.glyphs.up;
        let told = || format!("{glyph} {} {}", rule.name(), text::value(self.unit, rule.value));
        let fits = |words: &String| text::width(words) * 2 <= usize::from(plot.area.width);
        let above = plot.row(rule.value).is_none();
        above.then(|| Some(told()).filter(fits).unwrap_or_else(|| glyph.to_owned()))
    }

    /// What a rule is, beside it, where no data are in the way.
    fn rule_label(&self, buf: &mut Buffer, theme: Theme, plot: &Plot, rule: Rule) {
        let words = format!("{} {}", rule.name(), text::value(self.unit, rule.value));
        let (columns, width) = (text::width(&words), usize::from(plot.area.width));
        let Some(row) = plot.row(rule.value).filter(|_| columns * 3 <= width) else { return };
        let line = Rect { y: plot.area.y + row, height: 1, ..plot.area };
        let free = |from: usize| {
            let cells = (from..from + columns).filter_map(|column| u16::try_from(column).ok());
            cells.into_iter().all(|column| {
                let symbol = buf[(line.x + column, line.y)].symbol();
                symbol == theme.glyphs.limit || symbol == theme.glyphs.base
            })
        };
        let place = [1, width.saturating_sub(columns + 1)].into_iter().find(|from| free(*from));
        if let Some(place) = place {
            let role = if self.blind || !rule.limit { Role::Dim } else { Role::Bad };
            Pen::new(buf, theme, line).column(place).put(role, &words);
        }
    }

    fn line(&self, buf: &mut Buffer, theme: Theme, plot: &Plot, series: &Series) {
        let role = if self.blind { Role::Dim } else { series.role };
        let mut dots = Dots::new(plot.area, if series.dotted { 4 } else { 0 });
        for run in &series.runs {
            let points: Vec<_> = run.iter().filter_map(|point| plot.dot(*point)).collect();
            match points.as_slice() {
                [only] => dots.set(*only),
                points => points.windows(2).for_each(|pair| dots.stroke(pair[0], pair[1])),
            }
        }
        dots.render(buf, theme, role, series.dotted);
    }

    /// The line along which values are read; it goes behind what is drawn already.
    fn crosshair(&self, buf: &mut Buffer, theme: Theme, area: Rect, plot: &Plot) {
        let Some(column) = self.cross.and_then(|at| plot.column(at)) else { return };
        let style = theme.style(Role::Focus);
        for y in plot.area.top()..plot.area.bottom() {
            let cell = &mut buf[(plot.area.x + column, y)];
            // Behind data and words alike: only what is empty or a line of its own gives way.
            let glyphs = theme.glyphs;
            if [" ", glyphs.mark, glyphs.limit, glyphs.base].contains(&cell.symbol()) {
                cell.set_symbol(glyphs.axis);
            }
            cell.set_style(style);
        }
        let Some((place, label)) = self.cross_label(plot) else { return };
        let line = Rect { x: plot.area.x, width: plot.area.width, y: area.bottom() - 1, height: 1 };
        Pen::new(buf, theme, line).column(place).put(Role::Focus, &label);
    }

    /// The time of day at the crosshair, and the column where it begins: beside `now`, not over it.
    fn cross_label(&self, plot: &Plot) -> Option<(usize, String)> {
        let at = self.cross?;
        let column = usize::from(plot.column(at)?);
        let seconds = i64::try_from(Duration::from_secs_f64((self.span - at).max(0.0)).as_secs()).ok()?;
        let label = format!(" {} ", text::minute(self.until - SignedDuration::from_secs(seconds), self.tz));
        let last = usize::from(plot.area.width).saturating_sub(text::width(&label) + 3);
        Some((column.saturating_sub(3).min(last), label))
    }
}

/// Seconds as they are plotted.
#[expect(clippy::cast_precision_loss, reason = "a span of days is far below 2^52 seconds")]
const fn whole(seconds: i64) -> f64 {
    seconds as f64
}

/// Labels at top, middle and bottom, and the vertical axis.
fn axis(buf: &mut Buffer, theme: Theme, area: Rect, gutter: usize, labels: &[String; 3]) {
    let lines = usize::from(area.height - 1);
    let mut pen = Pen::new(buf, theme, area);
    for line in 0..lines {
        let label = match line {
            0 => Some(&labels[0]),
            line if line + 1 == lines => Some(&labels[2]),
            line if lines >= 5 && lines % 2 == 1 && line == lines / 2 => Some(&labels[1]),
            _ => None,
        };
        let tick = if label.is_some() { theme.glyphs.tick } else { theme.glyphs.axis };
        pen.cell_right(Role::Dim, label.map_or("", String::as_str), gutter).put(Role::Line, tick).line();
    }
}

impl Plot {
    /// Fraction of the time shown, None outside of it.
    fn across(&self, at: f64) -> Option<f64> {
        (0.0..=self.span).contains(&at).then(|| at / self.span.max(1e-9))
    }

    fn up(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low).max(1e-12)).clamp(0.0, 1.0)
    }

    fn column(&self, at: f64) -> Option<u16> {
        Some(scaled(self.across(at)?, self.area.width))
    }

    /// The line of a value from the top; a value above the top is not shown.
    fn row(&self, value: f64) -> Option<u16> {
        (value <= self.high).then(|| scaled(1.0 - self.up(value), self.area.height))
    }

    fn dot(&self, (at, value): (f64, f64)) -> Option<(u16, u16)> {
        let across = self.across(at)?;
        Some((scaled(across, self.area.width * 2), scaled(1.0 - self.up(value), self.area.height * 4)))
    }
}

/// A fraction of so many places, from 0 to the last.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..places")]
fn scaled(fraction: f64, places: u16) -> u16 {
    let last = places.saturating_sub(1);
    ((fraction * f64::from(last)).round() as u16).min(last)
}

/// The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten; 1 for nothing.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|round| *round >= value * 0.999_999).unwrap_or(value)
}

/// Two by four dots a cell.
struct Dots {
    area: Rect,
    cells: Vec<u8>,
    /// Along a stroke one dot in so many is left out; 0: none is.
    gap: u32,
    /// Dots gone so far.
    gone: u32,
}

impl Dots {
    fn new(area: Rect, gap: u32) -> Self {
        let cells = vec![0; usize::from(area.width) * usize::from(area.height)];
        Self { area, cells, gap, gone: 0 }
    }

    fn set(&mut self, (x, y): (u16, u16)) {
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let index = usize::from(y / 4) * usize::from(self.area.width) + usize::from(x / 2);
        if let Some(cell) = self.cells.get_mut(index) {
            *cell |= BITS[usize::from(x % 2)][usize::from(y % 4)];
        }
    }

    /// A straight line (Bresenham's).
    fn stroke(&mut self, from: (u16, u16), to: (u16, u16)) {
        let (mut x, mut y) = (i32::from(from.0), i32::from(from.1));
        let (end_x, end_y) = (i32::from(to.0), i32::from(to.1));
        let (dx, dy) = ((end_x - x).abs(), -(end_y - y).abs());
        let (step_x, step_y) = ((end_x - x).signum(), (end_y - y).signum());
        let mut error = dx + dy;
        loop {
            if self.gap == 0 || self.gone % self.gap + 1 < self.gap {
                self.set((u16::try_from(x).unwrap_or(0), u16::try_from(y).unwrap_or(0)));
            }
            if (x, y) == (end_x, end_y) {
                return;
            }
            self.gone = self.gone.wrapping_add(1);
            let twice = 2 * error;
            if twice >= dy {
                error += dy;
                x += step_x;
            }
            if twice <= dx {
                error += dx;
                y += step_y;
            }
        }
    }

    fn render(&self, buf: &mut Buffer, theme: Theme, role: Role, dotted: bool) {
        let style = theme.style(role);
        for (index, bits) in self.cells.iter().enumerate() {
            if *bits == 0 {
                continue;
            }
            let x = self.area.x + u16::try_from(index % usize::from(self.area.width)).unwrap_or(0);
            let y = self.area.y + u16::try_from(index / usize::from(self.area.width)).unwrap_or(0);
            let cell = &mut buf[(x, y)];
            if theme.ascii() {
                cell.set_symbol(if dotted { "." } else { "*" });
            } else {
                let under = cell.symbol().chars().next().and_then(braille_bits).unwrap_or(0);
                cell.set_char(char::from_u32(0x2800 + u32::from(*bits | under)).unwrap_or(' '));
            }
            cell.set_style(style);
        }
    }
}

fn braille_bits(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(0x2800)?).ok()
}

/// Cuts data into runs: a gap is a distance of more than one and a half periods.
pub(super) fn runs(points: impl Iterator<Item = (f64, f64)>, period: f64) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    for point in points {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| point.0 - last.0 <= period * 1.5) => run.push(point),
            _ => runs.push(vec![point]),
        }
    }
    runs
}
