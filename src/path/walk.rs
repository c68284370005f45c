//! Steps in a document: to children, to one child, along a chain, through a slice.

use std::ops::ControlFlow;

use serde_json::Value;

use super::PathError;
use super::ast::Step;
use crate::limits::Limits;

/// Walks a chain from the root and calls `each` with each selected value, until it breaks.
pub(super) fn chain<'v>(
    steps: &[Step],
    root: &'v Value,
    limits: &Limits,
    each: &mut impl FnMut(&'v Value) -> ControlFlow<()>,
) -> Result<(), PathError> {
    let mut left = limits.path_nodes;
    match walk(steps, root, &mut left, each) {
        ControlFlow::Break(Stop::Budget) => Err(PathError::NodeLimit { limit: limits.path_nodes }),
        ControlFlow::Break(Stop::Enough) | ControlFlow::Continue(()) => Ok(()),
    }
}

/// Why a walk stops early.
enum Stop {
    Budget,
    Enough,
}

/// Recursion is bounded by the number of wildcards, and that by the length of the path.
fn walk<'v>(
    steps: &[Step],
    start: &'v Value,
    left: &mut usize,
    each: &mut impl FnMut(&'v Value) -> ControlFlow<()>,
) -> ControlFlow<Stop> {
    let (mut node, mut steps) = (start, steps);
    while let Some((step, rest)) = steps.split_first() {
        spend(left)?;
        if let Step::Wildcard = step {
            return children(node).try_for_each(|child| walk(rest, child, left, each));
        }
        match child(node, step) {
            Some(child) => (node, steps) = (child, rest),
            None => return ControlFlow::Continue(()),
        }
    }
    spend(left)?;
    each(node).map_break(|()| Stop::Enough)
}

fn spend(left: &mut usize) -> ControlFlow<Stop> {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(Stop::Budget),
    }
}

/// Returns the children of a node, in document order; a leaf has none.
pub(super) enum Children<'v> {
    Elements(std::slice::Iter<'v, Value>),
    Members(serde_json::map::Values<'v>),
    None,
}

pub(super) fn children(node: &Value) -> Children<'_> {
    match node {
        Value::Array(elements) => Children::Elements(elements.iter()),
        Value::Object(members) => Children::Members(members.values()),
        _ => Children::None,
    }
}

impl<'v> Iterator for Children<'v> {
    type Item = &'v Value;

    fn next(&mut self) -> Option<&'v Value> {
        match self {
            Children::Elements(elements) => elements.next(),
            Children::Members(members) => members.next(),
            Children::None => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Children::Elements(elements) => elements.size_hint(),
            Children::Members(members) => members.size_hint(),
            Children::None => (0, Some(0)),
        }
    }
}

impl DoubleEndedIterator for Children<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Children::Elements(elements) => elements.next_back(),
            Children::Members(members) => members.next_back(),
            Children::None => None,
        }
    }
}

pub(super) fn child<'v>(node: &'v Value, step: &Step) -> Option<&'v Value> {
    match step {
        Step::Name(name) => node.as_object()?.get(name),
        Step::Index(index) => element(node, *index),
        Step::Wildcard => None,
    }
}

pub(super) fn element(node: &Value, index: i64) -> Option<&Value> {
    let elements = node.as_array()?;
    let index = if index < 0 {
        elements.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    elements.get(index)
}

/// RFC 9535 §2.3.4.2.2.
pub(super) fn slice<'v>(
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
