//! Evaluation of a compiled query (RFC 9535 §2). Every node visited, in nested queries too, is charged to
//! one budget, so that a path costs a bounded time for every document.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Number, Value};

use super::PathError;
use super::ast::{Comparison, Nodes, Operand, Pattern, Query, Segment, Selector, Test};
use super::iregexp;
use super::walk::{child, children, element, slice};
use crate::limits::Limits;

/// The cost of compiling a pattern from the document, in nodes.
const PATTERN_COST: usize = 10_000;
/// The number of patterns from the document that one evaluation keeps; a document rarely has two.
const PATTERNS_KEPT: usize = 4;

type Evaluated<T> = Result<T, PathError>;

pub(super) fn query<'v>(query: &Query, root: &'v Value, limits: &Limits) -> Evaluated<Vec<&'v Value>> {
    Walk::new(root, limits).query(query, root)
}

struct Walk<'v> {
    root: &'v Value,
    left: Cell<usize>,
    limit: usize,
    /// The compiled patterns from the document, with their kind of match.
    patterns: RefCell<Vec<Compiled>>,
}

struct Compiled {
    pattern: String,
    whole: bool,
    /// `None` if it is not an I-Regexp.
    regex: Option<Regex>,
}

/// A ValueType at run time: a node, a computed value, or nothing.
enum Operated<'v> {
    Node(&'v Value),
    Number(usize),
    Nothing,
}

impl<'v> Walk<'v> {
    fn new(root: &'v Value, limits: &Limits) -> Self {
        Self {
            root,
            left: Cell::new(limits.path_nodes),
            limit: limits.path_nodes,
            patterns: RefCell::default(),
        }
    }

    fn pay(&self, nodes: usize) -> Evaluated<()> {
        let left = self.left.get().checked_sub(nodes).ok_or(PathError::NodeLimit { limit: self.limit })?;
        self.left.set(left);
        Ok(())
    }

    fn query(&self, query: &Query, start: &'v Value) -> Evaluated<Vec<&'v Value>> {
        self.pay(1)?;
        // Names and indices at the beginning lead from one node to one node: no lists yet.
        let (mut node, mut segments) = (start, query.segments.as_slice());
        while let [Segment { descendant: false, selectors }, rest @ ..] = segments {
            let child = match selectors.as_slice() {
                [Selector::Name(name)] => node.as_object().and_then(|members| members.get(name)),
                [Selector::Index(index)] => element(node, *index),
                _ => break,
            };
            self.pay(1)?;
            let Some(child) = child else { return Ok(Vec::new()) };
            (node, segments) = (child, rest);
        }
        let mut nodes = vec![node];
        for segment in segments {
            let mut selected = Vec::new();
            for node in nodes {
                if segment.descendant {
                    self.descend(&segment.selectors, node, &mut selected)?;
                } else {
                    self.select(&segment.selectors, node, &mut selected)?;
                }
            }
            nodes = selected;
        }
        Ok(nodes)
    }

    /// Collects the node and all its descendants, in document order, without recursion.
    fn descend(
        &self,
        selectors: &[Selector],
        node: &'v Value,
        selected: &mut Vec<&'v Value>,
    ) -> Evaluated<()> {
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            self.pay(1)?;
            self.select(selectors, node, selected)?;
            waiting.extend(children(node).rev());
        }
        Ok(())
    }

    fn select(
        &self,
        selectors: &[Selector],
        node: &'v Value,
        selected: &mut Vec<&'v Value>,
    ) -> Evaluated<()> {
        for selector in selectors {
            let before = selected.len();
            match selector {
                Selector::Name(name) => selected.extend(node.as_object().and_then(|object| object.get(name))),
                Selector::Index(index) => selected.extend(element(node, *index)),
                Selector::Wildcard => selected.extend(children(node)),
                Selector::Slice { start, end, step } => {
                    if let Value::Array(elements) = node {
                        slice(elements, *start, *end, *step, selected);
                    }
                }
                Selector::Filter(test) => {
                    for child in children(node) {
                        self.pay(1)?;
                        if self.holds(test, child)? {
                            selected.push(child);
                        }
                    }
                }
            }
            self.pay(1 + selected.len() - before)?;
        }
        Ok(())
    }

    fn holds(&self, test: &Test, current: &'v Value) -> Evaluated<bool> {
        match test {
            Test::Or(tests) => {
                for test in tests {
                    if self.holds(test, current)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Test::And(tests) => {
                for test in tests {
                    if !self.holds(test, current)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Test::Not(test) => Ok(!self.holds(test, current)?),
            Test::Exists(nodes) => Ok(!self.nodes(nodes, current)?.is_empty()),
            Test::Compare(operator, left, right) => self.compare(*operator, left, right, current),
            Test::Regex { subject, pattern, whole } => {
                let subject = self.operand(subject, current)?;
                let Some(Value::String(subject)) = subject.node() else { return Ok(false) };
                match pattern {
                    Pattern::Fixed(None) => Ok(false),
                    Pattern::Fixed(Some(pattern)) => {
                        self.pay(pattern.cost(subject))?;
                        Ok(pattern.regex.is_match(subject))
                    }
                    Pattern::Dynamic(pattern) => {
                        self.pay(1 + subject.len() / 64)?;
                        let pattern = self.operand(pattern, current)?;
                        let Some(Value::String(pattern)) = pattern.node() else { return Ok(false) };
                        self.matches(pattern, *whole, subject)
                    }
                }
            }
        }
    }

    /// Matches by a pattern from the document, which is compiled, and charged, at its first use.
    fn matches(&self, pattern: &str, whole: bool, subject: &str) -> Evaluated<bool> {
        self.pay(1 + pattern.len() / 64 + subject.len() / 16)?;
        let mut kept = self.patterns.borrow_mut();
        let known = kept.iter().position(|known| known.whole == whole && known.pattern == pattern);
        let at = match known {
            Some(at) => at,
            None => {
                self.pay(PATTERN_COST + pattern.len())?;
                kept.truncate(PATTERNS_KEPT - 1);
                let regex = iregexp::compile_foreign(pattern, whole);
                kept.push(Compiled { pattern: pattern.to_owned(), whole, regex });
                kept.len() - 1
            }
        };
        Ok(kept[at].regex.as_ref().is_some_and(|regex| regex.is_match(subject)))
    }

    fn nodes(&self, nodes: &Nodes, current: &'v Value) -> Evaluated<Vec<&'v Value>> {
        self.query(&nodes.query, if nodes.from_root { self.root } else { current })
    }

    fn operand<'o>(&self, operand: &'o Operand, current: &'v Value) -> Evaluated<Operated<'o>>
    where
        'v: 'o,
    {
        self.pay(1)?;
        Ok(match operand {
            Operand::Literal(value) => Operated::Node(value),
            Operand::Singular { from_root, steps } => {
                self.pay(steps.len())?;
                let start = if *from_root { self.root } else { current };
                match steps.iter().try_fold(start, child) {
                    Some(node) => Operated::Node(node),
                    None => Operated::Nothing,
                }
            }
            Operand::Length(operand) => match self.operand(operand, current)?.node() {
                Some(Value::String(text)) => {
                    self.pay(text.len() / 64)?;
                    Operated::Number(text.chars().count())
                }
                Some(Value::Array(elements)) => Operated::Number(elements.len()),
                Some(Value::Object(members)) => Operated::Number(members.len()),
                _ => Operated::Nothing,
            },
            Operand::Count(nodes) => Operated::Number(self.nodes(nodes, current)?.len()),
            Operand::Value(nodes) => match self.nodes(nodes, current)?.as_slice() {
                [node] => Operated::Node(node),
                _ => Operated::Nothing,
            },
        })
    }

    fn compare(
        &self,
        operator: Comparison,
        left: &Operand,
        right: &Operand,
        current: &'v Value,
    ) -> Evaluated<bool> {
        let (left, right) = (self.operand(left, current)?, self.operand(right, current)?);
        Ok(match operator {
            Comparison::Equal => self.equal(&left, &right)?,
            Comparison::NotEqual => !self.equal(&left, &right)?,
            Comparison::Less => order(&left, &right) == Some(Ordering::Less),
            Comparison::Greater => order(&left, &right) == Some(Ordering::Greater),
            Comparison::LessOrEqual => {
                order(&left, &right) == Some(Ordering::Less) || self.equal(&left, &right)?
            }
            Comparison::GreaterOrEqual => {
                order(&left, &right) == Some(Ordering::Greater) || self.equal(&left, &right)?
            }
        })
    }

    fn equal(&self, left: &Operated<'_>, right: &Operated<'_>) -> Evaluated<bool> {
        match (left, right) {
            (Operated::Nothing, Operated::Nothing) => Ok(true),
            (Operated::Node(left), Operated::Node(right)) => self.equal_values(left, right),
            _ => Ok(order(left, right) == Some(Ordering::Equal)),
        }
    }

    fn equal_values(&self, left: &Value, right: &Value) -> Evaluated<bool> {
        self.pay(1)?;
        match (left, right) {
            (Value::Number(left), Value::Number(right)) => {
                Ok(order_numbers(left, right) == Some(Ordering::Equal))
            }
            (Value::Array(left), Value::Array(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right) {
                    if !self.equal_values(left, right)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Object(left), Value::Object(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (name, value) in left {
                    match right.get(name) {
                        Some(other) if self.equal_values(value, other)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            _ => Ok(left == right),
        }
    }
}

impl<'v> Operated<'v> {
    fn node(&self) -> Option<&'v Value> {
        match self {
            Operated::Node(node) => Some(node),
            _ => None,
        }
    }

    fn number(&self) -> Option<Number> {
        match self {
            Operated::Node(Value::Number(number)) => Some(number.clone()),
            Operated::Number(number) => Some((*number).into()),
            _ => None,
        }
    }
}

/// RFC 9535 §2.3.5.2.2: only numbers and strings have an order.
fn order(left: &Operated<'_>, right: &Operated<'_>) -> Option<Ordering> {
    match (left.node(), right.node()) {
        (Some(Value::String(left)), Some(Value::String(right))) => Some(left.cmp(right)),
        _ => order_numbers(&left.number()?, &right.number()?),
    }
}

fn order_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
