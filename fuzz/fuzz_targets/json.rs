//! Our object parse beside serde_json and an independent look for duplicate members, in both
//! directions: what must be refused is, for its reason, and nothing else.
#![no_main]

use std::collections::HashSet;
use std::fmt;

use claimgate::json::{self, JsonError};
use claimgate::limits::Limits;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What a text holds, every member kept.
enum Tree {
    Leaf,
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn children(&self) -> Vec<&Tree> {
        match self {
            Tree::Leaf => Vec::new(),
            Tree::Array(elements) => elements.iter().collect(),
            Tree::Object(members) => members.iter().map(|(_, value)| value).collect(),
        }
    }

    fn depth(&self) -> usize {
        let below = self.children().into_iter().map(Tree::depth).max().unwrap_or(0);
        if matches!(self, Tree::Leaf) { 0 } else { 1 + below }
    }

    fn items(&self) -> usize {
        self.children().into_iter().map(|child| 1 + child.items()).sum()
    }

    fn names_twice(&self) -> bool {
        let here = match self {
            Tree::Object(members) => {
                members.iter().map(|(name, _)| name).collect::<HashSet<_>>().len() < members.len()
            }
            _ => false,
        };
        here || self.children().into_iter().any(Tree::names_twice)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Tree::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}

fuzz_target!(|text: &[u8]| {
    // Small limits, so that they are reached.
    let limits = Limits { json_depth: 6, json_items: 40, ..Limits::DEFAULT };
    let ours = json::parse_object(text, &limits);
    let Ok(tree) = serde_json::from_slice::<Tree>(text) else {
        assert!(ours.is_err(), "not JSON, but accepted");
        return;
    };
    let mut reasons = Vec::new();
    if tree.names_twice() {
        reasons.push("a member twice");
    }
    if tree.depth() > limits.json_depth {
        reasons.push("depth");
    }
    if tree.items() > limits.json_items {
        reasons.push("items");
    }
    if !matches!(tree, Tree::Object(_)) {
        reasons.push("no object");
    }
    match ours {
        Ok(object) => {
            assert!(reasons.is_empty(), "accepted despite {reasons:?}");
            match serde_json::from_slice::<Value>(text) {
                Ok(reference) => assert_eq!(Value::Object(object), reference),
                // With its feature `raw_value`, serde_json reads a member of this name as its own.
                Err(_) => assert!(String::from_utf8_lossy(text).contains("$serde_json::private::")),
            }
        }
        Err(reason) => {
            let named = match &reason {
                JsonError::DuplicateMember { .. } => "a member twice",
                JsonError::TooDeep => "depth",
                JsonError::TooManyItems => "items",
                JsonError::NotAnObject { .. } => "no object",
                _ => panic!("{reason:?}, although it is JSON"),
            };
            assert!(reasons.contains(&named), "{reason:?}, expected one of {reasons:?}");
        }
    }
});
