//! Compilation of a query: jsonpath-rust parses, this module checks that the result is well-typed (RFC 9535
//! §2.4.3) and builds the form that `eval` evaluates.

use std::cell::Cell;

use jsonpath_rust::parser::model as jp;
use jsonpath_rust::parser::parse_json_path;
use serde_json::Value;

use super::ast::{Comparison, Nodes, Operand, Pattern, Query, Segment, Selector, Step, Test};
use super::numbers::StandIns;
use super::{PathError, iregexp, syntax};
use crate::limits::Limits;

/// Most regular expressions of one path. Each takes a few MiB at most.
const PATTERNS: usize = 16;

pub(super) fn compile(text: &str, limits: &Limits) -> Result<Query, PathError> {
    if nesting(text) > limits.path_depth {
        return Err(PathError::TooDeep { limit: limits.path_depth });
    }
    let (rewritten, stand_ins) = StandIns::insert(text);
    let parsed = parse_json_path(&rewritten).map_err(|error| {
        // The text as it was written has its error at another place.
        let error = parse_json_path(text).err().unwrap_or(error);
        PathError::Syntax { reason: syntax::explain(text, &error.to_string()) }
    })?;
    Compiler { stand_ins, patterns: Cell::new(0) }.query(&parsed.segments)
}

/// Returns the nesting depth of brackets and parentheses outside quoted strings, on which the parser recurses.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut quote, mut escaped) = (0_usize, 0, None, false);
    for character in text.chars() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | '[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, ')' | ']') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    deepest
}

/// Compiles the parts of one path.
struct Compiler {
    stand_ins: StandIns,
    /// The number of regular expressions so far.
    patterns: Cell<usize>,
}

impl Compiler {
    fn query(&self, segments: &[jp::Segment]) -> Result<Query, PathError> {
        let segments = segments.iter().map(|segment| match segment {
            jp::Segment::Descendant(inner) => {
                Ok(Segment { descendant: true, selectors: self.selectors(inner)? })
            }
            child => Ok(Segment { descendant: false, selectors: self.selectors(child)? }),
        });
        Ok(Query { segments: segments.collect::<Result<_, PathError>>()? })
    }

    fn selectors(&self, segment: &jp::Segment) -> Result<Vec<Selector>, PathError> {
        match segment {
            jp::Segment::Selector(one) => Ok(vec![self.selector(one)?]),
            jp::Segment::Selectors(many) => many.iter().map(|one| self.selector(one)).collect(),
            jp::Segment::Descendant(_) => {
                Err(PathError::Syntax { reason: "a descendant segment inside another".to_owned() })
            }
        }
    }

    fn selector(&self, selector: &jp::Selector) -> Result<Selector, PathError> {
        Ok(match selector {
            jp::Selector::Name(name) => Selector::Name(name.clone()),
            jp::Selector::Wildcard => Selector::Wildcard,
            jp::Selector::Index(index) => Selector::Index(*index),
            jp::Selector::Slice(start, end, step) => {
                Selector::Slice { start: *start, end: *end, step: step.unwrap_or(1) }
            }
            jp::Selector::Filter(filter) => Selector::Filter(self.logical(filter)?),
        })
    }

    fn logical(&self, filter: &jp::Filter) -> Result<Test, PathError> {
        Ok(match filter {
            jp::Filter::Or(tests) => {
                Test::Or(tests.iter().map(|one| self.logical(one)).collect::<Result<_, _>>()?)
            }
            jp::Filter::And(tests) => {
                Test::And(tests.iter().map(|one| self.logical(one)).collect::<Result<_, _>>()?)
            }
            jp::Filter::Atom(jp::FilterAtom::Filter { expr, not }) => negated(self.logical(expr)?, *not),
            jp::Filter::Atom(jp::FilterAtom::Test { expr, not }) => negated(self.test(expr)?, *not),
            jp::Filter::Atom(jp::FilterAtom::Comparison(comparison)) => self.compare(comparison)?,
        })
    }

    fn test(&self, test: &jp::Test) -> Result<Test, PathError> {
        match test {
            jp::Test::RelQuery(segments) => {
                Ok(Test::Exists(Nodes { from_root: false, query: self.query(segments)? }))
            }
            jp::Test::AbsQuery(jp) => {
                Ok(Test::Exists(Nodes { from_root: true, query: self.query(&jp.segments)? }))
            }
            jp::Test::Function(function) => match function.as_ref() {
                jp::TestFunction::Match(subject, pattern) => self.regex(subject, pattern, true),
                jp::TestFunction::Search(subject, pattern) => self.regex(subject, pattern, false),
                jp::TestFunction::Custom(..) => Err(UNKNOWN_FUNCTION),
                _ => Err(PathError::IllTyped { reason: "length(), count() and value() must be compared" }),
            },
        }
    }

    fn regex(&self, subject: &jp::FnArg, pattern: &jp::FnArg, whole: bool) -> Result<Test, PathError> {
        self.patterns.set(self.patterns.get() + 1);
        if self.patterns.get() > PATTERNS {
            return Err(PathError::TooManyPatterns { limit: PATTERNS });
        }
        let pattern = match self.value_argument(pattern)? {
            Operand::Literal(Value::String(text)) => Pattern::Fixed(iregexp::Compiled::new(&text, whole)),
            Operand::Literal(_) => Pattern::Fixed(None),
            operand => Pattern::Dynamic(operand),
        };
        Ok(Test::Regex { subject: self.value_argument(subject)?, pattern, whole })
    }

    fn compare(&self, comparison: &jp::Comparison) -> Result<Test, PathError> {
        let operator = match comparison {
            jp::Comparison::Eq(..) => Comparison::Equal,
            jp::Comparison::Ne(..) => Comparison::NotEqual,
            jp::Comparison::Gt(..) => Comparison::Greater,
            jp::Comparison::Gte(..) => Comparison::GreaterOrEqual,
            jp::Comparison::Lt(..) => Comparison::Less,
            jp::Comparison::Lte(..) => Comparison::LessOrEqual,
        };
        let (left, right) = comparison.vals();
        Ok(Test::Compare(operator, self.comparable(left)?, self.comparable(right)?))
    }

    fn comparable(&self, comparable: &jp::Comparable) -> Result<Operand, PathError> {
        match comparable {
            jp::Comparable::Literal(value) => Ok(Operand::Literal(self.literal(value))),
            jp::Comparable::Function(function) => self.value_function(function),
            jp::Comparable::SingularQuery(singular) => {
                let (from_root, segments) = match singular {
                    jp::SingularQuery::Root(segments) => (true, segments),
                    jp::SingularQuery::Current(segments) => (false, segments),
                };
                let step = |segment: &jp::SingularQuerySegment| match segment {
                    jp::SingularQuerySegment::Index(index) => Step::Index(*index),
                    jp::SingularQuerySegment::Name(name) => Step::Name(name.clone()),
                };
                Ok(Operand::Singular { from_root, steps: segments.iter().map(step).collect() })
            }
        }
    }

    /// A function whose result is a value; the others cannot be compared or passed on.
    fn value_function(&self, function: &jp::TestFunction) -> Result<Operand, PathError> {
        match function {
            jp::TestFunction::Length(argument) => {
                Ok(Operand::Length(Box::new(self.value_argument(argument)?)))
            }
            jp::TestFunction::Count(argument) => Ok(Operand::Count(self.nodes_argument(argument)?)),
            jp::TestFunction::Value(argument) => Ok(Operand::Value(self.nodes_argument(argument)?)),
            jp::TestFunction::Match(..) | jp::TestFunction::Search(..) => {
                Err(PathError::IllTyped { reason: "match() and search() have no value to compare" })
            }
            jp::TestFunction::Custom(..) => Err(UNKNOWN_FUNCTION),
        }
    }

    /// An argument of ValueType: a literal, a singular query, or a function with a value.
    fn value_argument(&self, argument: &jp::FnArg) -> Result<Operand, PathError> {
        const NOT_A_VALUE: PathError = PathError::IllTyped {
            reason: "an argument that must be a value is a list of nodes or a condition",
        };
        match argument {
            jp::FnArg::Literal(value) => Ok(Operand::Literal(self.literal(value))),
            jp::FnArg::Filter(_) => Err(NOT_A_VALUE),
            jp::FnArg::Test(test) => match test.as_ref() {
                jp::Test::Function(function) => self.value_function(function),
                query => {
                    let nodes = self.nodes(query)?;
                    let steps = nodes.query.as_singular().ok_or(NOT_A_VALUE)?;
                    Ok(Operand::Singular { from_root: nodes.from_root, steps })
                }
            },
        }
    }

    /// An argument of NodesType: a query.
    fn nodes_argument(&self, argument: &jp::FnArg) -> Result<Nodes, PathError> {
        match argument {
            jp::FnArg::Test(test) => self.nodes(test),
            _ => Err(NOT_NODES),
        }
    }

    fn nodes(&self, test: &jp::Test) -> Result<Nodes, PathError> {
        match test {
            jp::Test::RelQuery(segments) => Ok(Nodes { from_root: false, query: self.query(segments)? }),
            jp::Test::AbsQuery(jp) => Ok(Nodes { from_root: true, query: self.query(&jp.segments)? }),
            jp::Test::Function(_) => Err(NOT_NODES),
        }
    }

    fn literal(&self, literal: &jp::Literal) -> Value {
        match literal {
            jp::Literal::Int(number) => (*number).into(),
            jp::Literal::Float(number) => self.stand_ins.value(*number),
            jp::Literal::String(text) => text.as_str().into(),
            jp::Literal::Bool(truth) => (*truth).into(),
            jp::Literal::Null => Value::Null,
        }
    }
}

fn negated(test: Test, not: bool) -> Test {
    if not { Test::Not(Box::new(test)) } else { test }
}

const UNKNOWN_FUNCTION: PathError = PathError::IllTyped { reason: "an unknown function" };

const NOT_NODES: PathError =
    PathError::IllTyped { reason: "an argument that must be a query is something else" };
