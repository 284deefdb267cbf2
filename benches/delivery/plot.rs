//! The plot: what a delivery costs, by thread, beside the bare loop; and how fast a backlog drains while it shrinks.

use std::fmt::Write;

use crate::report::{Measured, number};

const WIDTH: f64 = 760.0;
const PANEL: f64 = 300.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;
const PLOT_HEIGHT: f64 = 190.0;
/// Told apart by people who see no red or no green (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999",
];
const BARE: &str = "bare loop";

/// A bar: its name and its parts from the bottom.
type Bar = (String, Vec<(String, f64)>);

pub fn svg(all: &[Measured]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" font-family=\"sans-serif\" \
         font-size=\"12\" role=\"img\" aria-label=\"What a delivery costs, and how fast a backlog drains\">\n\
         <rect width=\"{WIDTH}\" height=\"{0}\" fill=\"#fff\"/>\n",
        2.0 * PANEL
    );
    cost(&mut svg, all, 0.0);
    drain(&mut svg, all, PANEL);
    svg.push_str("</svg>\n");
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>"
    );
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        svg,
        "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"#ccc\" fill=\"none\"/>"
    );
}

/// Title, frame and the scale at the left, from 0 to `top`.
fn panel(svg: &mut String, y: f64, title: &str, top: f64, right: f64) {
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{}\" font-weight=\"bold\" fill=\"#222\">{title}</text>",
        y + 24.0
    );
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let at = y + TOP + PLOT_HEIGHT * (1.0 - share);
        line(svg, (LEFT, at), (right, at));
        text(svg, LEFT - 6.0, at + 4.0, "end", &number(top * share));
    }
}

/// The next round number.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 10.0];
    let step = steps.iter().find(|step| **step * power >= value);
    step.unwrap_or(&10.0) * power
}

fn bars(all: &[Measured]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for measured in all.iter().filter(|one| ["w1", "w2"].contains(&one.key)) {
        let webhooks = if measured.key == "w1" {
            "1 webhook"
        } else {
            "5 webhooks"
        };
        bars.push((webhooks.to_owned(), measured.threads()));
        let bare = measured.median("limit: bare loop, CPU per 1,000 posts");
        bars.extend(bare.map(|cpu| (BARE.to_owned(), vec![(BARE.to_owned(), cpu)])));
    }
    bars
}

fn cost(svg: &mut String, all: &[Measured], y: f64) {
    let bars = bars(all);
    let whole = |bar: &Bar| bar.1.iter().map(|(_, cpu)| cpu).sum::<f64>();
    let top = round_up(bars.iter().map(whole).fold(0.0, f64::max));
    let right = 470.0;
    panel(
        svg,
        y,
        "CPU seconds for 1,000 deliveries, by thread",
        top,
        right,
    );
    if bars.is_empty() {
        text(svg, LEFT + 20.0, y + 120.0, "start", "not measured: w1, w2");
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in bars.iter().flat_map(|bar| &bar.1) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let colour = |name: &str| {
        let place = names.iter().position(|known| *known == name);
        COLOURS[place.unwrap_or(0) % COLOURS.len()]
    };
    let step = (right - LEFT) / bars.len() as f64;
    for (place, bar) in bars.iter().enumerate() {
        let x = LEFT + step * (place as f64 + 0.2);
        let mut base = y + TOP + PLOT_HEIGHT;
        text(svg, x + step * 0.3, base + 18.0, "middle", &bar.0);
        for (name, cpu) in &bar.1 {
            let height = cpu / top * PLOT_HEIGHT;
            base -= height;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{base:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{}\"/>",
                step * 0.6,
                colour(name)
            );
        }
        text(
            svg,
            x + step * 0.3,
            base - 5.0,
            "middle",
            &number(whole(bar)),
        );
    }
    for (place, name) in names.iter().enumerate() {
        let at = y + TOP + 8.0 + place as f64 * 20.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>",
            right + 16.0,
            at - 10.0,
            colour(name)
        );
        text(svg, right + 34.0, at, "start", name);
    }
}

fn drain(svg: &mut String, all: &[Measured], y: f64) {
    let curve = all.iter().find(|one| one.key == "w5").map(Measured::curve);
    let curve = curve.unwrap_or(&[]);
    let top = round_up(curve.iter().map(|(_, rate)| *rate).fold(0.0, f64::max));
    let most = curve
        .iter()
        .map(|(waiting, _)| *waiting)
        .fold(1.0, f64::max);
    let right = WIDTH - 24.0;
    panel(
        svg,
        y,
        "Deliveries a second while a backlog drains",
        top,
        right,
    );
    if curve.is_empty() {
        text(svg, LEFT + 20.0, y + 120.0, "start", "not measured: w5");
        return;
    }
    let bottom = y + TOP + PLOT_HEIGHT;
    let mut path = String::new();
    for (place, (waiting, rate)) in curve.iter().enumerate() {
        // From left to right as it goes: the whole backlog first.
        let x = LEFT + (right - LEFT) * (1.0 - waiting / most);
        let command = if place == 0 { 'M' } else { 'L' };
        let _ = write!(
            path,
            "{command}{x:.1} {:.1}",
            bottom - rate / top * PLOT_HEIGHT
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
        COLOURS[0]
    );
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let x = LEFT + (right - LEFT) * share;
        text(
            svg,
            x,
            bottom + 18.0,
            "middle",
            &number(most * (1.0 - share)),
        );
    }
    text(
        svg,
        (LEFT + right) / 2.0,
        bottom + 38.0,
        "middle",
        "deliveries that wait",
    );
}
