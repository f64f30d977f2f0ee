//! A line chart in braille: real axes, gaps as gaps, a limit, a baseline, and marks where acts happened.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    pen::Pen,
    theme::{Role, Theme},
};

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// How it is drawn.
    pub(super) role: Role,
    /// Every second dot only: tells the old side from the new without colour.
    pub(super) dotted: bool,
    /// Seconds from the left edge of the time shown, and value; ordered. Parts between gaps.
    pub(super) runs: Vec<Vec<(f64, f64)>>,
}

/// Everything on one chart. Times are seconds from the left edge.
pub(super) struct Chart<'a> {
    /// The lines, drawn in this order.
    pub(super) series: &'a [Series],
    /// How much time is shown, seconds.
    pub(super) span: f64,
    /// A threshold.
    pub(super) limit: Option<f64>,
    /// What was normal before.
    pub(super) baseline: Option<f64>,
    /// Where acts happened, in order: time, and a label of a character or two.
    pub(super) marks: &'a [(f64, String)],
    /// Labels under the left and right edge.
    pub(super) edges: (&'a str, &'a str),
    /// Nothing here is to be trusted: all of it is drawn dim.
    pub(super) blind: bool,
    /// How values are written.
    pub(super) label: &'a dyn Fn(f64) -> String,
}

/// The plotted area in cells, and the value at its top; its bottom is 0 or `low`.
struct Plot {
    area: Rect,
    low: f64,
    high: f64,
    span: f64,
}

impl Chart<'_> {
    /// Draws it; needs three lines and a dozen columns to be of any use.
    pub(super) fn render(&self, buf: &mut Buffer, theme: Theme, area: Rect) {
        if area.height < 2 || area.width < 8 {
            return;
        }
        let (low, high) = self.bounds();
        let labels = [high, f64::midpoint(low, high), low].map(self.label);
        let gutter = labels.iter().map(|label| super::text::width(label)).max().unwrap_or(0).min(8);
        let gutter_columns = u16::try_from(gutter + 1).unwrap_or(8);
        let plot_area = Rect {
            x: area.x + gutter_columns,
            width: area.width.saturating_sub(gutter_columns),
            height: area.height - 1,
            ..area
        };
        let plot = Plot { area: plot_area, low, high, span: self.span };
        axis(buf, theme, area, gutter, &labels);
        self.edges(buf, theme, area, &plot);
        self.rule(buf, theme, &plot, self.baseline, Role::Dim, theme.glyphs.base);
        self.rule(buf, theme, &plot, self.limit, if self.blind { Role::Dim } else { Role::Bad }, theme.glyphs.limit);
        for series in self.series {
            self.line(buf, theme, &plot, series);
        }
    }

    /// From 0 (or the lowest value below it) to a round number above everything that should be seen.
    fn bounds(&self) -> (f64, f64) {
        let values = || self.series.iter().flat_map(|s| s.runs.iter().flatten()).map(|point| point.1);
        let top = values().chain(self.baseline).fold(0.0, f64::max);
        let low = values().fold(0.0, f64::min);
        // A limit far above the data would flatten them; then its place is told at the top edge only.
        let limit = self.limit.filter(|limit| *limit <= top * 4.0 || top <= 0.0).unwrap_or(0.0);
        (low, round_up(top.max(limit) * 1.05))
    }

    /// The axis of time: both edges, and the marks of what happened in between.
    fn edges(&self, buf: &mut Buffer, theme: Theme, area: Rect, plot: &Plot) {
        let line = Rect { y: area.bottom() - 1, height: 1, x: plot.area.x, width: plot.area.width };
        let mut pen = Pen::new(buf, theme, line);
        pen.put(Role::Dim, self.edges.0).right(Role::Dim, self.edges.1);
        let last = usize::from(line.width).saturating_sub(super::text::width(self.edges.1) + 1);
        let mut taken = 0;
        for (at, label) in self.marks {
            let Some(column) = plot.column(*at).map(usize::from) else { continue };
            let mut marks = Pen::new(buf, theme, plot.area);
            for _ in 0..plot.area.height {
                marks.column(column).put(Role::Line, theme.glyphs.mark).line();
            }
            // Beside the edge's own word, not over it.
            let place = column.min(last.saturating_sub(super::text::width(label)));
            if place >= taken {
                Pen::new(buf, theme, line).column(place).put(Role::Focus, label);
                taken = place + super::text::width(label) + 1;
            }
        }
    }

    fn rule(&self, buf: &mut Buffer, theme: Theme, plot: &Plot, value: Option<f64>, role: Role, glyph: &str) {
        let Some(row) = value.and_then(|value| plot.row(value)) else { return };
        for x in plot.area.left()..plot.area.right() {
            buf[(x, plot.area.y + row)].set_symbol(glyph).set_style(theme.style(role));
        }
    }

    fn line(&self, buf: &mut Buffer, theme: Theme, plot: &Plot, series: &Series) {
        let role = if self.blind { Role::Dim } else { series.role };
        let mut dots = Dots::new(plot.area);
        for run in &series.runs {
            let points: Vec<_> = run.iter().filter_map(|point| plot.dot(*point)).collect();
            match points.as_slice() {
                [only] => dots.set(*only),
                points => points.windows(2).for_each(|pair| dots.stroke(pair[0], pair[1])),
            }
        }
        dots.render(buf, theme, role, series.dotted);
    }
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
}

impl Dots {
    fn new(area: Rect) -> Self {
        Self { area, cells: vec![0; usize::from(area.width) * usize::from(area.height)] }
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
            self.set((u16::try_from(x).unwrap_or(0), u16::try_from(y).unwrap_or(0)));
            if (x, y) == (end_x, end_y) {
                return;
            }
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
        // Of a dotted line every second column is left out: a pattern that braille can show.
        let mask = if dotted { 0x47 } else { 0xff };
        for (index, bits) in self.cells.iter().enumerate() {
            if *bits == 0 {
                continue;
            }
            let x = self.area.x + u16::try_from(index % usize::from(self.area.width)).unwrap_or(0);
            let y = self.area.y + u16::try_from(index / usize::from(self.area.width)).unwrap_or(0);
            let cell = &mut buf[(x, y)];
            let bits = if bits & mask == 0 { *bits } else { bits & mask };
            if theme.ascii() {
                cell.set_symbol(if dotted { "." } else { "*" });
            } else {
                let under = cell.symbol().chars().next().and_then(braille_bits).unwrap_or(0);
                cell.set_char(char::from_u32(0x2800 + u32::from(bits | under)).unwrap_or(' '));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Depth;

    fn lines(chart: &Chart<'_>, width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        chart.render(&mut buf, Theme::new(Depth::Mono, false), area);
        let row = |y| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>();
        (0..height).map(row).collect()
    }

    fn chart<'a>(series: &'a [Series], label: &'a dyn Fn(f64) -> String) -> Chart<'a> {
        Chart {
            series,
            span: 600.0,
            limit: None,
            baseline: None,
            marks: &[],
            edges: ("-10 m", "now"),
            blind: false,
            label,
        }
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let points = (0..10).filter(|i| !(3..7).contains(i)).map(|i| (f64::from(i) * 60.0, 5.0));
        let series = [Series { role: Role::New, dotted: false, runs: runs(points, 60.0) }];
        assert_eq!(series[0].runs.len(), 2);
        let drawn = lines(&chart(&series, &|value| format!("{value:.0}")), 24, 4);
        let line =
            drawn.iter().find(|line| line.contains('\u{2812}') || line.contains('\u{2809}') || line.contains('⠤'));
        let line = line.unwrap_or(&drawn[0]).clone();
        assert!(line.trim_end().trim_start_matches(|c: char| !('\u{2800}'..='\u{28ff}').contains(&c)).contains("    "));
    }

    #[test]
    fn the_axis_ends_above_all_data_and_the_limit() {
        let series = [Series { role: Role::New, dotted: false, runs: vec![vec![(0.0, 70.0), (60.0, 90.0)]] }];
        let label = |value: f64| format!("{value:.0}");
        let mut chart = chart(&series, &label);
        assert_eq!(chart.bounds(), (0.0, 100.0));
        chart.limit = Some(180.0);
        assert_eq!(chart.bounds(), (0.0, 200.0));
        chart.limit = Some(2_000.0);
        assert_eq!(chart.bounds(), (0.0, 100.0), "a far limit does not flatten the data");
    }

    #[test]
    fn marks_and_limit_are_drawn() {
        let series = [Series { role: Role::New, dotted: false, runs: vec![vec![(0.0, 1.0), (600.0, 1.0)]] }];
        let label = |value: f64| format!("{value:.0}");
        let mut chart = chart(&series, &label);
        chart.limit = Some(4.0);
        let marks = [(300.0, "6".to_owned())];
        chart.marks = &marks;
        let drawn = lines(&chart, 30, 6);
        assert!(drawn[..5].iter().any(|line| line.contains("╌╌╌╌")), "{drawn:#?}");
        assert!(drawn[5].contains('6') && drawn[5].contains("-10 m") && drawn[5].contains("now"), "{drawn:#?}");
    }

    proptest::proptest! {
        #[test]
        fn any_data_are_survived(
            values in proptest::collection::vec((-1e3f64..1e9, proptest::num::f64::ANY), 0..30),
            width in 0u16..60, height in 0u16..20,
        ) {
            let series = [Series { role: Role::Old, dotted: true, runs: runs(values.into_iter(), 60.0) }];
            lines(&chart(&series, &|value| format!("{value}")), width.max(1), height.max(1));
        }
    }
}
