//! The path of a setting within a document, for errors.

use std::fmt;

/// The path of a setting: member names and list indices from 0, such as `team[1].regex`.
///
/// ```
/// use claimgate::identity::SettingPath;
///
/// let rule = SettingPath::of("team").index(1);
/// assert_eq!(rule.name("regex").to_string(), "team[1].regex");
/// let whole = SettingPath::of("identity").join(&rule);
/// assert_eq!((whole.to_string().as_str(), whole.steps().len()), ("identity.team[1]", 3));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingPath(Vec<Step>);

/// One step of a [`SettingPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of a table.
    Name(String),
    /// An element of a list, from 0.
    Index(usize),
}

impl SettingPath {
    /// Returns the path of a member of the document itself.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::default().name(name)
    }

    /// Returns the path of a member of this table.
    #[must_use]
    pub fn name(&self, name: &str) -> Self {
        self.with(Step::Name(name.to_owned()))
    }

    /// Returns the path of an element of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// Returns the path of a setting whose own path begins at this one.
    #[must_use]
    pub fn join(&self, below: &SettingPath) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    /// Returns the steps, outermost first.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

/// Writes names that are not bare TOML keys in quotes.
impl fmt::Display for SettingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_bare = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) => {
                    f.write_str(if position == 0 { "" } else { "." })?;
                    if is_bare(name) { f.write_str(name)? } else { write!(f, "{name:?}")? }
                }
            }
        }
        Ok(())
    }
}
