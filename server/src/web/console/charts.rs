//! Charts of the last hour, drawn as SVG from the recorded events.

use maud::{Markup, html};

use crate::store::{EventCount, EventKind};

/// The minutes that a chart shows.
pub(crate) const MINUTES: u32 = 60;
/// The height of a chart, in its own units; a minute is ten wide.
const HEIGHT: u64 = 80;

/// Returns the charts of sign-ins, refusals and logouts. `now`: seconds since 1970.
pub(crate) fn all(counts: &[EventCount], now: i64) -> Markup {
    html! {
        div.charts {
            (chart("Sign-ins", "sign-ins", &series(counts, &[EventKind::SignIn], now)))
            (chart("Refusals", "refusals", &series(counts, &[EventKind::Refusal, EventKind::AccessRefusal], now)))
            (chart("Logouts", "logouts", &series(counts, &[EventKind::Logout], now)))
        }
    }
}

/// Returns the counts of each minute, the present one last.
fn series(counts: &[EventCount], kinds: &[EventKind], now: i64) -> Vec<u64> {
    let first = now.div_euclid(60) - i64::from(MINUTES) + 1;
    let mut series = vec![0; MINUTES as usize];
    for count in counts.iter().filter(|count| kinds.contains(&count.kind)) {
        let minute = usize::try_from(count.minute.div_euclid(60) - first).ok();
        if let Some(place) = minute.and_then(|minute| series.get_mut(minute)) {
            *place += count.count;
        }
    }
    series
}

fn chart(title: &str, class: &str, series: &[u64]) -> Markup {
    let (total, most) = (series.iter().sum::<u64>(), series.iter().copied().max().unwrap_or_default());
    let width = series.len() * 10;
    html! {
        figure.chart.(class) {
            figcaption { span { (title) } span.muted { (total) " in the last hour" } }
            svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (title) ": " (total) " in the last hour, at most " (most) " in a minute" } {
                @for (minute, count) in series.iter().enumerate().filter(|(_, count)| **count > 0) {
                    // At least two units, so that one event shows beside many.
                    @let height = (count * HEIGHT / most).max(2);
                    rect.bar x=(minute * 10 + 1) y=(HEIGHT - height) width="8" height=(height) {}
                }
            }
            div.axis aria-hidden="true" { span { "60 min ago" } span { "at most " (most) " a minute" } span { "now" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_minute_is_the_last_bar() {
        let count = |minute, kind, count| EventCount { minute, kind, count };
        let counts = [
            count(3_600, EventKind::SignIn, 2),
            count(7_140, EventKind::SignIn, 1),
            count(7_200, EventKind::SignIn, 4),
            count(7_200, EventKind::Logout, 8),
        ];
        let series = series(&counts, &[EventKind::SignIn], 7_230);
        // The first count is an hour and half a minute old.
        assert_eq!((series.len(), series.iter().sum::<u64>()), (60, 5));
        assert_eq!(series[58..], [1, 4]);
        let markup = chart("Sign-ins", "sign-ins", &series).into_string();
        assert!(markup.contains(r#"<rect class="bar" x="591" y="0" width="8" height="80">"#), "{markup}");
        assert!(chart("Sign-ins", "sign-ins", &[0; 60]).into_string().contains("0 in the last hour"));
    }
}
