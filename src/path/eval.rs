//! Walks a compiled query (RFC 9535 §2). Every node visited, in nested queries too, is paid for
//! out of one budget, so a path costs a bounded time whatever the document.

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::PathError;
use super::ast::{Comparison, Nodes, Operand, Pattern, Query, Selector, Step, Test};
use super::iregexp;
use crate::limits::Limits;

/// What compiling a pattern out of the document costs, in nodes.
const PATTERN_COST: usize = 1_000;

type Evaluated<T> = Result<T, PathError>;

pub(super) fn chain<'v>(steps: &[Step], root: &'v Value, limits: &Limits) -> Evaluated<Vec<&'v Value>> {
    let walk = Walk::new(root, limits);
    let mut selected = Vec::new();
    walk.chain(steps, root, &mut selected)?;
    Ok(selected)
}

pub(super) fn query<'v>(query: &Query, root: &'v Value, limits: &Limits) -> Evaluated<Vec<&'v Value>> {
    Walk::new(root, limits).query(query, root)
}

struct Walk<'v> {
    root: &'v Value,
    left: Cell<usize>,
    limit: usize,
}

/// A ValueType at run time: a node, a computed value, or nothing.
enum Operated<'v> {
    Node(&'v Value),
    Number(usize),
    Nothing,
}

impl<'v> Walk<'v> {
    fn new(root: &'v Value, limits: &Limits) -> Self {
        Self { root, left: Cell::new(limits.path_nodes), limit: limits.path_nodes }
    }

    fn pay(&self, nodes: usize) -> Evaluated<()> {
        let left = self.left.get().checked_sub(nodes).ok_or(PathError::NodeLimit { limit: self.limit })?;
        self.left.set(left);
        Ok(())
    }

    /// Recursion is bounded by the number of steps, and that by the length of the path.
    fn chain(&self, steps: &[Step], node: &'v Value, selected: &mut Vec<&'v Value>) -> Evaluated<()> {
        self.pay(1)?;
        let Some((step, rest)) = steps.split_first() else {
            selected.push(node);
            return Ok(());
        };
        match step {
            Step::Wildcard => {
                for child in children(node) {
                    self.chain(rest, child, selected)?;
                }
                Ok(())
            }
            step => match child(node, step) {
                Some(child) => self.chain(rest, child, selected),
                None => Ok(()),
            },
        }
    }

    fn query(&self, query: &Query, start: &'v Value) -> Evaluated<Vec<&'v Value>> {
        let mut nodes = vec![start];
        self.pay(1)?;
        for segment in &query.segments {
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

    /// The node and all its descendants, in document order, without recursion.
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
            let first = waiting.len();
            waiting.extend(children(node));
            waiting[first..].reverse();
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
                self.pay(1 + subject.len() / 64)?;
                match pattern {
                    Pattern::Fixed(regex) => Ok(regex.as_ref().is_some_and(|regex| regex.is_match(subject))),
                    Pattern::Dynamic(pattern) => {
                        let pattern = self.operand(pattern, current)?;
                        let Some(Value::String(pattern)) = pattern.node() else { return Ok(false) };
                        self.pay(PATTERN_COST + pattern.len())?;
                        Ok(iregexp::compile(pattern, *whole).is_some_and(|regex| regex.is_match(subject)))
                    }
                }
            }
        }
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

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    let elements = node.as_array().map(|elements| elements.iter());
    let members = node.as_object().map(|members| members.values());
    elements.into_iter().flatten().chain(members.into_iter().flatten())
}

fn child<'v>(node: &'v Value, step: &Step) -> Option<&'v Value> {
    match step {
        Step::Name(name) => node.as_object()?.get(name),
        Step::Index(index) => element(node, *index),
        Step::Wildcard => None,
    }
}

fn element(node: &Value, index: i64) -> Option<&Value> {
    let elements = node.as_array()?;
    let index = if index < 0 {
        elements.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    elements.get(index)
}

/// RFC 9535 §2.3.4.2.2.
fn slice<'v>(
    elements: &'v [Value],
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    selected: &mut Vec<&'v Value>,
) {
    let len = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let normal = |index: i64| if index >= 0 { index } else { len.saturating_add(index) };
    let at = |index: i64| usize::try_from(index).ok().and_then(|index| elements.get(index));
    if step > 0 {
        let (mut index, upper) =
            (normal(start.unwrap_or(0)).clamp(0, len), normal(end.unwrap_or(len)).clamp(0, len));
        while index < upper {
            selected.extend(at(index));
            index = index.saturating_add(step);
        }
    } else if step < 0 {
        let lower = end.map_or(-1, |end| normal(end).clamp(-1, len - 1));
        let mut index = normal(start.unwrap_or(len - 1)).clamp(-1, len - 1);
        while index > lower {
            selected.extend(at(index));
            index = index.saturating_add(step);
        }
    }
}
