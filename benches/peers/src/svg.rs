//! One bar chart, drawn by hand: a panel for each piece of work, a linear scale for each panel.

use std::fmt::Write as _;

use crate::Outcome;
use crate::environment::Environment;
use crate::report::duration;

const WIDTH: usize = 860;
const LABELS: usize = 270;
const BARS: usize = 470;
const LINE: usize = 20;
const OWN: &str = "#0b6e4f";
const PEER: &str = "#7a869a";
const RAW: &str = "#c2c9d4";

pub fn draw(environment: &Environment, outcomes: &[Outcome]) -> String {
    let mut y = 64;
    let mut panels = String::new();
    for outcome in outcomes {
        y += 34;
        let title = match outcome.bytes {
            Some(bytes) => format!("{}, {bytes} bytes", outcome.title),
            None => outcome.title.clone(),
        };
        text(&mut panels, 16, y, "font-weight='600'", &title);
        y += 10;
        let longest = outcome.rows.iter().map(|row| row.median()).fold(0.0, f64::max);
        for row in &outcome.rows {
            y += LINE;
            let length = (row.median() / longest * BARS as f64).max(1.0);
            let colour = match row.name.as_str() {
                name if name.starts_with("Claimgate") => OWN,
                name if name.starts_with("raw ") => RAW,
                _ => PEER,
            };
            text(&mut panels, LABELS - 8, y, "text-anchor='end'", &row.name);
            write!(
                panels,
                "<rect x='{LABELS}' y='{}' width='{length:.1}' height='14' fill='{colour}'/>",
                y - 11
            )
            .expect("a string takes everything");
            text(&mut panels, LABELS + length as usize + 6, y, "", &duration(row.median()));
        }
    }
    let height = y + 24;
    let subtitle = format!("{}, {}; median time each, shorter is better", environment.date, environment.cpu);
    let mut head = String::new();
    text(&mut head, 16, 30, "font-size='18' font-weight='600'", "Claimgate and its peers");
    text(&mut head, 16, 52, "", &subtitle);
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' \
         font-family='system-ui, sans-serif' font-size='13' fill='#1c2430' role='img' aria-labelledby='title desc'>\
         <title id='title'>Claimgate and its peers: time to verify a token or evaluate a claim path</title>\
         <desc id='desc'>Horizontal bars, a group for each kind of token and path. Green: Claimgate; grey: its peers; \
         light grey: the bare cryptography. The same numbers stand as tables in peers.md.</desc>\
         <rect width='{WIDTH}' height='{height}' fill='#ffffff'/>{head}{panels}</svg>\n"
    )
}

fn text(into: &mut String, x: usize, y: usize, attributes: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    write!(into, "<text x='{x}' y='{y}' {attributes}>{content}</text>").expect("a string takes everything");
}
