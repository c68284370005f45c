//! Contenders take turns, in another order each round; what counts are medians, and medians of the
//! ratios within a round, so that whatever else the machine does falls on all alike. The clock is the
//! thread's CPU time: it stands still while others have the processor.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Something that can be timed against others at the same items.
pub trait Contender {
    /// As in the tables.
    fn name(&self) -> &str;
    /// Whether it accepts a token: it must tell good from bad before it is timed.
    fn accepts(&mut self, token: &str) -> bool;
    /// Whether it judges claims, not a signature alone.
    fn judges_claims(&self) -> bool {
        true
    }
    /// It works on so many items at once.
    fn step(&self) -> usize {
        1
    }
    /// The time for `count` items from a place on, a multiple of [`step`](Self::step).
    fn time(&mut self, start: usize, count: usize) -> Duration;
}

/// Works on one item after another.
pub struct OneByOne<T, F> {
    pub name: &'static str,
    pub judges_claims: bool,
    pub items: Rc<Vec<T>>,
    pub item_of: fn(&str) -> T,
    pub accepts: F,
}

impl<T, F: FnMut(&T) -> bool> Contender for OneByOne<T, F> {
    fn name(&self) -> &str {
        self.name
    }

    fn accepts(&mut self, token: &str) -> bool {
        (self.accepts)(&(self.item_of)(token))
    }

    fn judges_claims(&self) -> bool {
        self.judges_claims
    }

    fn time(&mut self, start: usize, count: usize) -> Duration {
        let begin = cpu_time();
        for item in self.items.iter().cycle().skip(start % self.items.len()).take(count) {
            assert!((self.accepts)(black_box(item)));
        }
        cpu_time() - begin
    }
}

/// Works on a batch of tokens, all of which differ.
pub struct InBatches<F> {
    pub name: String,
    pub size: usize,
    pub tokens: Rc<Vec<String>>,
    /// How many it accepts.
    pub accepts: F,
}

impl<F: FnMut(&[&str]) -> usize> Contender for InBatches<F> {
    fn name(&self) -> &str {
        &self.name
    }

    /// One token among good ones: exactly those are accepted.
    fn accepts(&mut self, token: &str) -> bool {
        let mut batch: Vec<&str> = self.tokens.iter().take(self.size).map(String::as_str).collect();
        batch[self.size / 2] = token;
        let accepted = (self.accepts)(&batch);
        assert!(accepted + 1 >= self.size, "a bad token harmed another");
        accepted == self.size
    }

    fn step(&self) -> usize {
        self.size
    }

    fn time(&mut self, start: usize, count: usize) -> Duration {
        let tokens = self.tokens.iter().cycle().skip(start % self.tokens.len()).take(count);
        let tokens: Vec<&str> = tokens.map(String::as_str).collect();
        let begin = cpu_time();
        for batch in tokens.chunks_exact(self.size) {
            assert_eq!((self.accepts)(black_box(batch)), self.size);
        }
        cpu_time() - begin
    }
}

/// The CPU time of this thread; nobody here starts another.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("not negative")
}

/// How long and how often.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// About how long a contender's turn takes.
    pub turn: Duration,
}

/// A contender's nanoseconds per item, one number a round.
pub struct Row {
    pub name: String,
    pub samples: Vec<f64>,
}

impl Row {
    /// The median of the rounds.
    pub fn median(&self) -> f64 {
        median(self.samples.clone())
    }

    /// How many times as long this one takes as another: the median of the rounds' ratios.
    pub fn over(&self, other: &Row) -> f64 {
        median(self.samples.iter().zip(&other.samples).map(|(own, other)| own / other).collect())
    }
}

/// Lets the contenders take turns.
pub fn interleaved(contenders: &mut [Box<dyn Contender>], effort: Effort) -> Vec<Row> {
    let counts: Vec<usize> =
        contenders.iter_mut().map(|contender| items_per_turn(&mut **contender, effort.turn)).collect();
    let mut samples = vec![Vec::with_capacity(effort.rounds); contenders.len()];
    let mut places = vec![0; contenders.len()];
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    let mut random = 1_u32;
    for _ in 0..effort.rounds {
        shuffle(&mut order, &mut random);
        for &index in &order {
            let time = contenders[index].time(places[index], counts[index]);
            places[index] += counts[index];
            samples[index].push(time.as_nanos() as f64 / counts[index] as f64);
        }
    }
    let named = contenders.iter().zip(samples);
    named.map(|(contender, samples)| Row { name: contender.name().to_owned(), samples }).collect()
}

/// Fisher and Yates, by a linear congruence: nobody always follows the same one's warm caches.
fn shuffle(order: &mut [usize], random: &mut u32) {
    for last in (1..order.len()).rev() {
        *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        order.swap(last, (*random >> 8) as usize % (last + 1));
    }
}

/// Warms up, and finds how many items fill a turn.
fn items_per_turn(contender: &mut dyn Contender, turn: Duration) -> usize {
    let step = contender.step();
    let mut count = step;
    loop {
        let time = contender.time(0, count);
        if time >= turn / 2 {
            let wanted = count as f64 * turn.as_secs_f64() / time.as_secs_f64();
            return (wanted / step as f64).ceil() as usize * step;
        }
        count *= 2;
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 }
}
