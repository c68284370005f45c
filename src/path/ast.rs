//! A compiled query: RFC 9535's abstract syntax, well-typed, with its regular expressions compiled.

use serde_json::Value;

use super::iregexp::Compiled;

#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) descendant: bool,
    pub(super) selectors: Vec<Selector>,
}

#[derive(Clone, Debug)]
pub(super) enum Selector {
    Name(String),
    Index(i64),
    Wildcard,
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(Test),
}

/// One step of a plain chain.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Name(String),
    Index(i64),
    Wildcard,
}

/// A logical expression.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Or(Vec<Test>),
    And(Vec<Test>),
    Not(Box<Test>),
    Exists(Nodes),
    Compare(Comparison, Operand, Operand),
    /// `match()` where `whole`, else `search()`.
    Regex {
        subject: Operand,
        pattern: Pattern,
        whole: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// NodesType: a query from the root or from the current node.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    pub(super) from_root: bool,
    pub(super) query: Query,
}

/// ValueType: a value or nothing.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Literal(Value),
    Singular { from_root: bool, steps: Vec<Step> },
    Length(Box<Operand>),
    Count(Nodes),
    Value(Nodes),
}

#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// A literal, compiled once; `None` if it is not an I-Regexp, which matches nothing.
    Fixed(Option<Compiled>),
    /// A pattern from the document.
    Dynamic(Operand),
}

impl Query {
    /// Returns the steps if every segment is one name, index or wildcard of the children.
    pub(super) fn as_chain(&self) -> Option<Vec<Step>> {
        let step = |segment: &Segment| match (segment.descendant, segment.selectors.as_slice()) {
            (false, [Selector::Name(name)]) => Some(Step::Name(name.clone())),
            (false, [Selector::Index(index)]) => Some(Step::Index(*index)),
            (false, [Selector::Wildcard]) => Some(Step::Wildcard),
            _ => None,
        };
        self.segments.iter().map(step).collect()
    }

    /// Returns the steps of a singular query (RFC 9535 §2.3.5.1): names and indices only.
    pub(super) fn as_singular(&self) -> Option<Vec<Step>> {
        self.as_chain().filter(|steps| !steps.iter().any(|step| matches!(step, Step::Wildcard)))
    }
}
