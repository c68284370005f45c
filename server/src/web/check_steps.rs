//! The steps of a test of a provider.

/// How much a step of the test matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    /// A sign-in may work all the same.
    Note,
    /// A sign-in or a logout would fail.
    Problem,
}

/// The steps of the test, each with what was found.
#[derive(Default)]
pub(crate) struct Steps(pub(crate) Vec<(Outcome, String)>);

impl Steps {
    pub(crate) fn good(&mut self, text: &str) {
        self.0.push((Outcome::Good, text.to_owned()));
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.0.push((Outcome::Note, text.to_owned()));
    }

    pub(crate) fn problem(&mut self, text: &str) {
        self.0.push((Outcome::Problem, text.to_owned()));
    }
}
