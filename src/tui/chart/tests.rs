use super::*;
use crate::tui::theme::Depth;

fn lines(chart: &Chart<'_>, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(area);
    chart.render(&mut buf, Theme::new(Depth::Mono, false), area);
    let row = |y| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>();
    (0..height).map(row).collect()
}

static UTC: TimeZone = TimeZone::UTC;

fn chart(series: impl Into<Vec<Series>>) -> Chart<'static> {
    Chart {
        series: series.into(),
        span: 600.0,
        until: "2026-03-08T02:04:00Z".parse().unwrap(),
        tz: &UTC,
        rules: Vec::new(),
        marks: &[],
        cross: None,
        blind: false,
        unit: Unit::Count,
        gutter: 0,
    }
}

const fn limit(value: f64) -> Rule {
    Rule { value, limit: true }
}

#[test]
fn a_gap_stays_a_gap() {
    let points = (0..10).filter(|i| !(3..7).contains(i)).map(|i| (f64::from(i) * 60.0, 5.0));
    let series = [Series { role: Role::New, dotted: false, runs: runs(points, 60.0) }];
    assert_eq!(series[0].runs.len(), 2);
    let drawn = lines(&chart(series), 24, 4);
    let line = drawn.iter().find(|line| line.contains('\u{2812}') || line.contains('\u{2809}') || line.contains('⠤'));
    let line = line.unwrap_or(&drawn[0]).clone();
    assert!(line.trim_end().trim_start_matches(|c: char| !('\u{2800}'..='\u{28ff}').contains(&c)).contains("    "));
}

#[test]
fn the_axis_ends_above_all_data_and_the_limit() {
    let series = [Series { role: Role::New, dotted: false, runs: vec![vec![(0.0, 70.0), (60.0, 90.0)]] }];
    let mut chart = chart(series);
    assert_eq!(chart.bounds(), (0.0, 100.0));
    chart.rules = vec![limit(180.0)];
    assert_eq!(chart.bounds(), (0.0, 200.0));
    chart.rules = vec![limit(2_000.0)];
    assert_eq!(chart.bounds(), (0.0, 100.0), "a far limit does not flatten the data");
    let drawn = lines(&chart, 60, 6);
    assert!(drawn[0].contains("↑ limit 2000"), "and is told all the same: {drawn:#?}");
}

#[test]
fn marks_and_limit_are_drawn() {
    let series = [Series { role: Role::New, dotted: false, runs: vec![vec![(0.0, 1.0), (600.0, 1.0)]] }];
    let mut chart = chart(series);
    chart.rules = vec![limit(4.0)];
    let marks = [(300.0, "6".to_owned())];
    chart.marks = &marks;
    let drawn = lines(&chart, 30, 6);
    assert!(drawn[..5].iter().any(|line| line.contains("╌╌╌╌")), "{drawn:#?}");
    assert!(drawn[0].contains('6'), "{drawn:#?}");
    assert!(drawn[5].contains("-10 m") && drawn[5].contains("02:00") && drawn[5].contains("now"), "{drawn:#?}");
}

#[test]
fn the_crosshair_goes_behind_the_line_and_tells_its_time() {
    let series = [Series { role: Role::New, dotted: false, runs: vec![vec![(0.0, 1.0), (600.0, 1.0)]] }];
    let mut chart = chart(series);
    chart.cross = Some(300.0);
    let drawn = lines(&chart, 40, 6);
    assert!(drawn[5].contains("01:59"), "{drawn:#?}");
    let column = |line: &String| line.chars().skip(4).position(|c| c == '│');
    let columns: Vec<_> = drawn[..5].iter().filter_map(column).collect();
    assert!(columns.len() == 4 && columns.windows(2).all(|pair| pair[0] == pair[1]), "{drawn:#?}");
}

#[test]
fn times_of_day_stand_at_round_minutes_of_the_zone() {
    let mut chart = chart([]);
    let kolkata = TimeZone::fixed(jiff::tz::Offset::from_seconds(19_800).unwrap());
    chart.tz = &kolkata;
    chart.span = 7_200.0;
    let ticks: Vec<_> = chart.ticks(40).into_iter().map(|(_, label)| label).collect();
    assert_eq!(ticks, ["06:00", "06:30", "07:00", "07:30"]);
}

proptest::proptest! {
    #[test]
    fn any_data_are_survived(
        values in proptest::collection::vec((-1e3f64..1e9, proptest::num::f64::ANY), 0..30),
        width in 0u16..60, height in 0u16..20,
    ) {
        let series = [Series { role: Role::Old, dotted: true, runs: runs(values.into_iter(), 60.0) }];
        lines(&chart(series), width.max(1), height.max(1));
    }
}
