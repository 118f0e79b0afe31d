//! Evaluates a template as far as that is possible without a cluster: what cannot be known is a marked text, what certainly fails is said.

use super::functions;
use super::template::{Broken, Node, Pipe, Term, parse};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Stands in rendered text for a value that only a cluster, chance or the clock knows.
pub(crate) const UNKNOWN: &str = "landfall-cannot-know";

/// More than this is written by no chart that a person reads.
const OUTPUT: usize = 256 * 1024;
const STEPS: usize = 100_000;
/// Blocks, templates and parentheses within each other.
const DEPTH: usize = 150;

/// What every cluster of these years serves: `.Capabilities.APIVersions.Has`.
const EVERYWHERE: &[&str] = &["v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "autoscaling/v2", "policy/v1", "rbac.authorization.k8s.io/v1"];

/// Why an evaluation ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Helm stops here as well.
    Broken(Broken),
    /// The author demands a value (`required`, `fail`).
    Demanded,
    /// Not read any further: a feature, a limit, or a decision that is not known here.
    Unclear,
    Break,
    Continue,
}

/// Templates by name, and what is true for all of them.
#[derive(Debug)]
pub(crate) struct Library<'all> {
    pub(crate) defines: BTreeMap<&'all str, &'all [Node]>,
    /// Templates may be missing that a dependency brings.
    pub(crate) partial: bool,
}

/// Rendered text, and for each of its lines the line of the template that wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) lines: Vec<u32>,
}

impl Output {
    fn push(&mut self, text: &str, line: u32, follows: bool) {
        let mut at = line;
        for (index, part) in text.split('\n').enumerate() {
            if index > 0 {
                self.text.push('\n');
                self.lines.push(at + u32::from(follows));
                at += u32::from(follows);
            }
            let blank = self.text.rsplit('\n').next().unwrap_or_default().trim().is_empty();
            self.text.push_str(part);
            match self.lines.last_mut() {
                Some(last) if blank && !part.trim().is_empty() => *last = at,
                Some(_) => {}
                None => self.lines.push(at),
            }
        }
    }
}

/// One evaluation.
pub(crate) struct Evaluation<'all> {
    library: &'all Library<'all>,
    steps: usize,
    written: usize,
    depth: usize,
    /// A map of the values was changed on the way: what is missing may have been set.
    changed: bool,
}

/// The dot, the root, and the variables in scope.
struct Scope {
    root: Json,
    dot: Json,
    variables: Vec<(String, Json)>,
}

impl Scope {
    fn new(dot: Json) -> Self {
        Self { root: dot.clone(), dot, variables: Vec::new() }
    }
}

/// Renders a file's own nodes with this as the dot.
pub(crate) fn render(library: &Library<'_>, body: &[Node], data: &Json) -> Result<Output, Stop> {
    let mut evaluation = Evaluation { library, steps: 0, written: 0, depth: 0, changed: false };
    let mut out = Output::default();
    evaluation.nodes(body, &mut Scope::new(data.clone()), &mut out)?;
    Ok(out)
}

impl Evaluation<'_> {
    /// One level deeper. After an error nothing is evaluated any more, so only what ends well counts back; a loop's own ends set it back themselves.
    fn enter(&mut self) -> Result<(), Stop> {
        self.depth += 1;
        if self.depth > DEPTH { Err(Stop::Unclear) } else { Ok(()) }
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.steps += 1;
        if self.steps > STEPS || self.written > OUTPUT { Err(Stop::Unclear) } else { Ok(()) }
    }

    fn write(&mut self, out: &mut Output, text: &str, line: u32, follows: bool) -> Result<(), Stop> {
        self.written += text.len();
        if self.written > OUTPUT {
            return Err(Stop::Unclear);
        }
        out.push(text, line, follows);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], scope: &mut Scope, out: &mut Output) -> Result<(), Stop> {
        let visible = scope.variables.len();
        self.enter()?;
        for node in nodes {
            self.step()?;
            match node {
                Node::Text(text, line) => self.write(out, text, *line, true)?,
                Node::Print(pipe, line) => {
                    let value = self.pipe(pipe, scope, *line)?;
                    if pipe.variables.is_empty() {
                        self.write(out, &functions::show(&value), *line, false)?;
                    }
                }
                Node::If(branches, other) => self.branches(branches, other, scope, out)?,
                Node::With(pipe, body, other, line) => {
                    let (value, kept) = (self.pipe(pipe, scope, *line)?, scope.variables.len());
                    if truth(&value)? {
                        let before = std::mem::replace(&mut scope.dot, value);
                        let done = self.nodes(body, scope, out);
                        scope.dot = before;
                        done?;
                    } else {
                        self.nodes(other, scope, out)?;
                    }
                    scope.variables.truncate(kept.saturating_sub(pipe.variables.len()));
                }
                Node::Range { pipe, body, other, line } => self.range(pipe, body, other, *line, scope, out)?,
                Node::Template(name, given, line) => {
                    let dot = match given {
                        Some(pipe) => self.pipe(pipe, scope, *line)?,
                        None => Json::Null,
                    };
                    let text = self.include(name, dot, *line)?;
                    self.write(out, &text, *line, false)?;
                }
                Node::Break => return Err(Stop::Break),
                Node::Continue => return Err(Stop::Continue),
            }
        }
        scope.variables.truncate(visible);
        self.depth -= 1;
        Ok(())
    }

    fn branches(&mut self, branches: &[(Pipe, Vec<Node>, u32)], other: &[Node], scope: &mut Scope, out: &mut Output) -> Result<(), Stop> {
        let kept = scope.variables.len();
        for (test, body, line) in branches {
            let value = self.pipe(test, scope, *line)?;
            if truth(&value)? {
                let done = self.nodes(body, scope, out);
                scope.variables.truncate(kept);
                return done;
            }
        }
        let done = self.nodes(other, scope, out);
        scope.variables.truncate(kept);
        done
    }

    fn range(&mut self, pipe: &Pipe, body: &[Node], other: &[Node], line: u32, scope: &mut Scope, out: &mut Output) -> Result<(), Stop> {
        let value = self.commands(pipe, scope, line)?;
        let items: Vec<(Json, Json)> = match value {
            Json::Array(list) => list.into_iter().enumerate().map(|(index, item)| (Json::from(index), item)).collect(),
            Json::Object(map) => {
                let mut pairs: Vec<(String, Json)> = map.into_iter().collect();
                pairs.sort_by(|left, right| left.0.cmp(&right.0));
                pairs.into_iter().map(|(key, item)| (Json::String(key), item)).collect()
            }
            Json::Null => Vec::new(),
            Json::Number(number) => (0..number.as_u64().unwrap_or(0).min(1000)).map(|at| (Json::from(at), Json::from(at))).collect(),
            _ => return Err(Stop::Unclear),
        };
        if items.is_empty() {
            return self.nodes(other, scope, out);
        }
        let (kept, before, level) = (scope.variables.len(), scope.dot.clone(), self.depth);
        let mut done = Ok(());
        for (key, item) in items {
            self.step()?;
            match pipe.variables.as_slice() {
                [only] => scope.variables.push((only.clone(), item.clone())),
                [first, second, ..] => scope.variables.extend([(first.clone(), key), (second.clone(), item.clone())]),
                [] => {}
            }
            scope.dot = item;
            done = self.nodes(body, scope, out);
            scope.variables.truncate(kept);
            self.depth = level;
            match done {
                Err(Stop::Continue) => done = Ok(()),
                Err(Stop::Break) => {
                    done = Ok(());
                    break;
                }
                Err(_) => break,
                Ok(()) => {}
            }
        }
        scope.dot = before;
        done
    }

    /// The text that a named template gives for this dot.
    pub(crate) fn include(&mut self, name: &str, dot: Json, line: u32) -> Result<String, Stop> {
        let Some(body) = self.library.defines.get(name).copied() else {
            return Err(if self.library.partial { Stop::Unclear } else { Stop::Broken(Broken::new(line, format!("no template {name:?}"))) });
        };
        let mut out = Output::default();
        match self.nodes(body, &mut Scope::new(dot), &mut out) {
            Ok(()) => Ok(out.text),
            // The line is one of another file: what is shown is where it was asked for.
            Err(Stop::Broken(broken)) => Err(Stop::Broken(Broken::new(line, broken.what))),
            Err(other) => Err(other),
        }
    }

    fn tpl(&mut self, text: &str, dot: Json, line: u32) -> Result<String, Stop> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let file = parse(text).map_err(|broken| if broken.what.is_empty() { Stop::Unclear } else { Stop::Broken(Broken::new(line, broken.what)) })?;
        let mut out = Output::default();
        self.nodes(&file.body, &mut Scope::new(dot), &mut out).map(|()| out.text)
    }

    fn pipe(&mut self, pipe: &Pipe, scope: &mut Scope, line: u32) -> Result<Json, Stop> {
        let value = self.commands(pipe, scope, line)?;
        if let Some(name) = pipe.variables.last() {
            if pipe.declares {
                scope.variables.push((name.clone(), value.clone()));
            } else if let Some((_, known)) = scope.variables.iter_mut().rfind(|(known, _)| known == name) {
                *known = value.clone();
            }
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, scope: &mut Scope, line: u32) -> Result<Json, Stop> {
        let mut before: Option<Json> = None;
        self.enter()?;
        for command in &pipe.commands {
            before = Some(self.command(command, before, scope, line)?);
        }
        self.depth -= 1;
        Ok(before.unwrap_or(Json::Null))
    }

    fn command(&mut self, words: &[Term], piped: Option<Json>, scope: &mut Scope, line: u32) -> Result<Json, Stop> {
        self.step()?;
        let (Some(first), given) = (words.first(), words.get(1..).unwrap_or_default()) else { return Err(Stop::Unclear) };
        let Term::Function(name) = first else {
            if let (Term::Field(path) | Term::Variable(_, path), [Term::Text(wanted)]) = (first, given)
                && path.last().is_some_and(|name| name == "Has")
                && EVERYWHERE.iter().any(|group| wanted.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
            {
                return Ok(Json::Bool(true));
            }
            let value = self.term(first, scope, line)?;
            // A method of what only a cluster knows.
            return if (given.is_empty() && piped.is_none()) || unknown(&value) { Ok(value) } else { Err(Stop::Unclear) };
        };
        // These decide before they look at everything.
        if matches!(name.as_str(), "and" | "or") {
            return self.logic(name == "and", given, piped, scope, line);
        }
        let mut values = Vec::with_capacity(given.len() + 1);
        for term in given {
            values.push(self.term(term, scope, line)?);
        }
        values.extend(piped);
        match (name.as_str(), values.as_slice()) {
            ("include", [Json::String(template), dot]) => self.include(template, dot.clone(), line).map(Json::String),
            ("tpl", [Json::String(text), dot]) => self.tpl(text, dot.clone(), line).map(Json::String),
            ("required", [_, value]) => {
                if matches!(value, Json::Null) || *value == Json::String(String::new()) {
                    Err(Stop::Demanded)
                } else {
                    Ok(value.clone())
                }
            }
            ("fail", _) => Err(Stop::Demanded),
            ("set" | "unset", [Json::Object(map), Json::String(key), ..]) => {
                let mut map = map.clone();
                match values.get(2) {
                    Some(value) if name == "set" => drop(map.insert(key.clone(), value.clone())),
                    Some(_) | None => drop(map.remove(key)),
                }
                let value = Json::Object(map);
                match given.first() {
                    Some(Term::Variable(name, path)) if path.is_empty() && !name.is_empty() => {
                        if let Some((_, known)) = scope.variables.iter_mut().rfind(|(known, _)| known == name) {
                            *known = value.clone();
                        }
                    }
                    _ => self.changed = true,
                }
                Ok(value)
            }
            _ => {
                self.changed |= name.starts_with("merge") || name.starts_with("mustMerge");
                functions::call(name, &values).ok_or(Stop::Unclear)
            }
        }
    }

    fn logic(&mut self, all: bool, given: &[Term], piped: Option<Json>, scope: &mut Scope, line: u32) -> Result<Json, Stop> {
        let mut last = Json::Null;
        for term in given {
            last = self.term(term, scope, line)?;
            if truth(&last)? != all {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    fn term(&mut self, term: &Term, scope: &mut Scope, line: u32) -> Result<Json, Stop> {
        match term {
            Term::Field(path) => self.walk(&scope.dot, path, line),
            Term::Variable(name, path) => {
                let known = scope.variables.iter().rfind(|(known, _)| known == name).map(|(_, value)| value);
                let value = if name.is_empty() { Some(&scope.root) } else { known };
                self.walk(value.ok_or_else(|| Stop::Broken(Broken::new(line, format!("undefined variable ${name}"))))?, path, line)
            }
            Term::Function(_) => self.command(std::slice::from_ref(term), None, scope, line),
            Term::Group(pipe, path) => {
                let value = self.pipe(pipe, scope, line)?;
                self.walk(&value, path, line)
            }
            Term::Text(text) => Ok(Json::String(text.clone())),
            Term::Integer(number) => Ok(Json::from(*number)),
            Term::Float(number) => Ok(Json::from(*number)),
            Term::Bool(value) => Ok(Json::Bool(*value)),
            Term::Nil => Ok(Json::Null),
        }
    }

    /// `.a.b`: a missing key is nothing, and nothing has no fields.
    fn walk(&self, from: &Json, path: &[String], line: u32) -> Result<Json, Stop> {
        let mut at = from;
        for name in path {
            at = match at {
                Json::Object(map) => map.get(name).unwrap_or(&Json::Null),
                Json::Null if self.changed => return Err(Stop::Unclear),
                Json::Null => return Err(Stop::Broken(Broken::new(line, format!("nil pointer evaluating interface {{}}.{name}")))),
                other if unknown(other) => other,
                Json::Array(_) | Json::Bool(_) | Json::Number(_) | Json::String(_) => return Err(Stop::Unclear),
            };
        }
        Ok(at.clone())
    }
}

/// True for a text in which something stands that is not known here.
pub(crate) fn unknown(value: &Json) -> bool {
    value.as_str().is_some_and(|text| text.contains(UNKNOWN))
}

/// What counts as true in a template; not decided for what is not known.
fn truth(value: &Json) -> Result<bool, Stop> {
    if unknown(value) {
        return Err(Stop::Unclear);
    }
    Ok(functions::truth(value))
}

/// Values laid over values, as Helm does: maps are merged, everything else replaced, `null` removes.
pub(crate) fn overlay(base: &mut Map<String, Json>, over: &Map<String, Json>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Json::Object(below)), Json::Object(above)) => overlay(below, above),
            (_, Json::Null) => drop(base.remove(key)),
            (_, value) => drop(base.insert(key.clone(), value.clone())),
        }
    }
}
