//! Syntax trees, walked without recursion so that no input can exhaust the stack.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tree_sitter::{Language, Node, ParseOptions, Parser, Tree, TreeCursor};

/// A grammar that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grammar {
    Python,
    /// TypeScript with JSX; it reads JavaScript as well.
    Script,
}

/// No file that a person writes takes longer; error recovery on garbage may.
const PATIENCE: Duration = Duration::from_millis(400);

/// Parses a text; `None` where the grammar gives up.
pub(crate) fn parse(grammar: Grammar, text: &str) -> Option<Tree> {
    thread_local! {
        static PYTHON: RefCell<Option<Parser>> = const { RefCell::new(None) };
        static SCRIPT: RefCell<Option<Parser>> = const { RefCell::new(None) };
    }
    let (slot, language): (_, Language) = match grammar {
        Grammar::Python => (&PYTHON, tree_sitter_python::LANGUAGE.into()),
        Grammar::Script => (&SCRIPT, tree_sitter_typescript::LANGUAGE_TSX.into()),
    };
    slot.with_borrow_mut(|slot| {
        if slot.is_none() {
            let mut parser = Parser::new();
            parser.set_language(&language).ok()?;
            *slot = Some(parser);
        }
        let parser = slot.as_mut()?;
        let (bytes, until) = (text.as_bytes(), Instant::now() + PATIENCE);
        let mut patience = |_: &tree_sitter::ParseState| if Instant::now() > until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let options = ParseOptions::new().progress_callback(&mut patience);
        let tree = parser.parse_with_options(&mut |offset, _| bytes.get(offset..).unwrap_or_default(), None, Some(options));
        if tree.is_none() {
            parser.reset();
        }
        tree
    })
}

/// All named nodes below a node, parents before children.
pub(crate) struct Preorder<'tree> {
    cursor: TreeCursor<'tree>,
    done: bool,
    started: bool,
    depth: usize,
}

pub(crate) fn preorder(node: Node<'_>) -> Preorder<'_> {
    Preorder { cursor: node.walk(), done: false, started: false, depth: 0 }
}

impl<'tree> Iterator for Preorder<'tree> {
    type Item = Node<'tree>;
    fn next(&mut self) -> Option<Node<'tree>> {
        loop {
            if self.done {
                return None;
            }
            if !self.started {
                self.started = true;
            } else if self.cursor.goto_first_child() {
                self.depth += 1;
            } else {
                loop {
                    if self.depth == 0 {
                        self.done = true;
                        return None;
                    }
                    if self.cursor.goto_next_sibling() {
                        break;
                    }
                    self.cursor.goto_parent();
                    self.depth -= 1;
                }
            }
            let node = self.cursor.node();
            if node.is_named() {
                return Some(node);
            }
        }
    }
}

/// The source of a node.
pub(crate) fn source<'text>(node: Node<'_>, text: &'text str) -> &'text str {
    text.get(node.byte_range()).unwrap_or_default()
}

/// The line a node begins on, counted from 1.
pub(crate) fn line(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().row).unwrap_or(u32::MAX).saturating_add(1)
}

/// The whole text of the line a node begins on.
pub(crate) fn line_of<'text>(node: Node<'_>, text: &'text str) -> &'text str {
    let start = text.get(..node.start_byte()).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim()
}

/// The named children of a node.
pub(crate) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}

/// The nearest ancestor of one of these kinds, within `limit` steps.
pub(crate) fn ancestor<'tree>(node: Node<'tree>, kinds: &[&str], limit: usize) -> Option<Node<'tree>> {
    let mut at = node;
    for _ in 0..limit {
        at = at.parent()?;
        if kinds.contains(&at.kind()) {
            return Some(at);
        }
    }
    None
}
