//! Templates of charts as a tree: Go's template language as far as Helm's charts use it, parsed with bounded depth.

use std::collections::BTreeMap;

/// What certainly stops Helm: the line of the template, and what is wrong there. Without words: only our own limits stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) line: u32,
    pub(crate) what: String,
}

impl Broken {
    pub(crate) fn new(line: u32, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Blocks and parentheses deeper than this are given up.
const DEPTH: usize = 60;

/// A part of a template, with the line it begins on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Text(String, u32),
    Print(Pipe, u32),
    If(Vec<(Pipe, Vec<Node>, u32)>, Vec<Node>),
    With(Pipe, Vec<Node>, Vec<Node>, u32),
    Range { pipe: Pipe, body: Vec<Node>, other: Vec<Node>, line: u32 },
    Template(String, Option<Pipe>, u32),
    Break,
    Continue,
}

/// `$a, $b := command | command`
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pipe {
    pub(crate) variables: Vec<String>,
    /// `:=` makes new variables, `=` sets known ones.
    pub(crate) declares: bool,
    pub(crate) commands: Vec<Vec<Term>>,
}

/// One word of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    /// `.a.b`; empty for the dot itself.
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    Function(String),
    Group(Box<Pipe>, Vec<String>),
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Nil,
}

/// The parsed file: what it writes itself, and the templates it defines.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct File {
    pub(crate) body: Vec<Node>,
    pub(crate) defines: BTreeMap<String, Vec<Node>>,
}

/// Parses a template file.
pub(crate) fn parse(text: &str) -> Result<File, Broken> {
    let pieces = split(text)?;
    let mut parser = Parser { pieces, at: 0, defines: BTreeMap::new(), depth: 0 };
    let body = parser.nodes(&[])?.0;
    Ok(File { body, defines: parser.defines })
}

/// Text between actions, or the inside of an action.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String, u32),
    Action(Vec<Token>, u32),
}

fn split(text: &str) -> Result<Vec<Piece>, Broken> {
    let mut out = Vec::new();
    let (mut rest, mut line, mut trim) = (text, 1u32, false);
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let trims_left = after.is_some_and(|after| after.starts_with("- ") || after.starts_with("-\n") || after.starts_with("-\t") || after.starts_with("-\r"));
        let mut shown = if trim { before.trim_start() } else { before };
        let start = line + lines(before.get(..before.len() - shown.len()).unwrap_or_default());
        if trims_left {
            shown = shown.trim_end();
        }
        if !shown.is_empty() {
            out.push(Piece::Text(shown.to_owned(), start));
        }
        line += lines(before);
        let Some(after) = after else { return Ok(out) };
        let inside = if trims_left { after.get(1..).unwrap_or_default() } else { after };
        let begun = line;
        let comment = inside.trim_start();
        if comment.starts_with("/*") {
            let Some((body, tail)) = comment.split_once("*/") else { return Err(Broken::new(begun, "unclosed comment")) };
            let tail = tail.trim_start();
            let (closed, trims) = match (tail.strip_prefix("-}}"), tail.strip_prefix("}}")) {
                (Some(tail), _) => (tail, true),
                (None, Some(tail)) => (tail, false),
                (None, None) => return Err(Broken::new(begun, "comment ends before closing delimiter")),
            };
            line += lines(after.get(..after.len() - closed.len()).unwrap_or(body));
            (rest, trim) = (closed, trims);
            continue;
        }
        let (tokens, tail, trims) = action(inside, begun)?;
        line += lines(after.get(..after.len() - tail.len()).unwrap_or_default());
        out.push(Piece::Action(tokens, begun));
        (rest, trim) = (tail, trims);
    }
}

fn lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// `.a.b` or `.`
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Word(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Pipe,
    Open,
    /// `)` and the fields behind it
    Close(Vec<String>),
    Declare,
    Assign,
    Comma,
}

/// The tokens of an action up to its end; also what follows, and whether white space there goes.
fn action(text: &str, line: u32) -> Result<(Vec<Token>, &str, bool), Broken> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        if let Some(tail) = rest.strip_prefix("}}") {
            return Ok((out, tail, false));
        }
        if let Some(tail) = rest.strip_prefix("-}}").filter(|_| spaced) {
            return Ok((out, tail, true));
        }
        let Some(first) = rest.chars().next() else { return Err(Broken::new(line, "unclosed action")) };
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        rest = match first {
            '|' => push(&mut out, Token::Pipe, after),
            '(' => push(&mut out, Token::Open, after),
            ')' => {
                let (fields, tail) = fields(after);
                push(&mut out, Token::Close(fields), tail)
            }
            ',' => push(&mut out, Token::Comma, after),
            '=' => push(&mut out, Token::Assign, after),
            ':' => match after.strip_prefix('=') {
                Some(tail) => push(&mut out, Token::Declare, tail),
                None => return Err(Broken::new(line, "expected :=")),
            },
            '"' => {
                let (value, tail) = quoted(after).ok_or_else(|| Broken::new(line, "unterminated quoted string"))?;
                push(&mut out, Token::Text(value), tail)
            }
            '`' => {
                let (value, tail) = after.split_once('`').ok_or_else(|| Broken::new(line, "unterminated raw quoted string"))?;
                push(&mut out, Token::Text(value.to_owned()), tail)
            }
            '.' if !after.starts_with(|letter: char| letter.is_ascii_digit()) => {
                let (fields, tail) = fields(rest);
                let tail = if fields.is_empty() { after } else { tail };
                push(&mut out, Token::Field(fields), tail)
            }
            '$' => {
                let end = after.find(|letter: char| !word_letter(letter)).unwrap_or(after.len());
                let (name, tail) = after.split_at(end);
                let (fields, tail) = fields(tail);
                push(&mut out, Token::Variable(name.to_owned(), fields), tail)
            }
            letter if letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.') => {
                let end = rest
                    .char_indices()
                    .find(|(at, letter)| !(letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_') || (*at == 0 && matches!(letter, '-' | '+'))))
                    .map_or(rest.len(), |(at, _)| at);
                let (number, tail) = rest.split_at(end);
                let token = match (number.parse::<i64>(), number.parse::<f64>()) {
                    (Ok(number), _) => Token::Integer(number),
                    (Err(_), Ok(number)) => Token::Float(number),
                    (Err(_), Err(_)) => return Err(Broken::new(line, format!("bad number {number}"))),
                };
                push(&mut out, token, tail)
            }
            letter if word_letter(letter) => {
                let end = rest.find(|letter: char| !word_letter(letter)).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                push(&mut out, Token::Word(word.to_owned()), tail)
            }
            other => return Err(Broken::new(line, format!("unexpected {other:?} in an action"))),
        };
    }
}

fn push<'text>(out: &mut Vec<Token>, token: Token, tail: &'text str) -> &'text str {
    out.push(token);
    tail
}

fn word_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// `.a.b` at the beginning of a text.
fn fields(text: &str) -> (Vec<String>, &str) {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|letter: char| !word_letter(letter)).unwrap_or(after.len());
        if end == 0 {
            break;
        }
        let (name, tail) = after.split_at(end);
        out.push(name.to_owned());
        rest = tail;
    }
    (out, rest)
}

/// What stands before the closing quote, with escapes read.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\n' => return None,
            '\\' => match letters.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

struct Parser {
    pieces: Vec<Piece>,
    at: usize,
    defines: BTreeMap<String, Vec<Node>>,
    depth: usize,
}

/// How a list of nodes ended: the word, what stands behind it, the line.
type End = Option<(String, Vec<Token>, u32)>;

impl Parser {
    /// Nodes up to one of these words, or to the end of the file where there are none.
    fn nodes(&mut self, until: &[&str]) -> Result<(Vec<Node>, End), Broken> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Broken::default());
        }
        let mut out = Vec::new();
        while let Some(piece) = self.pieces.get_mut(self.at).map(std::mem::take) {
            self.at += 1;
            let (tokens, line) = match piece {
                Piece::Text(text, line) => {
                    out.push(Node::Text(text, line));
                    continue;
                }
                Piece::Action(tokens, line) => (tokens, line),
            };
            let word = match tokens.first() {
                Some(Token::Word(word)) => word.as_str(),
                Some(_) | None => "",
            };
            let rest = || tokens.get(1..).unwrap_or_default();
            match word {
                "end" | "else" if until.contains(&word) => {
                    self.depth -= 1;
                    return Ok((out, Some((word.to_owned(), rest().to_vec(), line))));
                }
                "end" | "else" => return Err(Broken::new(line, format!("unexpected {{{{{word}}}}}"))),
                "if" => out.push(self.condition(rest(), line)?),
                "with" => {
                    let pipe = pipe(rest(), line)?;
                    let (body, other) = self.body_and_other("with", line)?;
                    out.push(Node::With(pipe, body, other, line));
                }
                "range" => {
                    let pipe = pipe(rest(), line)?;
                    let (body, other) = self.body_and_other("range", line)?;
                    out.push(Node::Range { pipe, body, other, line });
                }
                "define" | "block" => {
                    let Some(Token::Text(name)) = rest().first().cloned() else { return Err(Broken::new(line, format!("{word} without a name"))) };
                    let given = rest().get(1..).unwrap_or_default().to_vec();
                    let (body, end) = self.nodes(&["end"])?;
                    end.ok_or_else(|| Broken::new(line, format!("{word} {name:?} is never ended")))?;
                    self.defines.insert(name.clone(), body);
                    if word == "block" {
                        out.push(Node::Template(name, Some(pipe(&given, line)?), line));
                    }
                }
                "template" => {
                    let Some(Token::Text(name)) = rest().first().cloned() else { return Err(Broken::new(line, "template without a name")) };
                    let given = rest().get(1..).unwrap_or_default();
                    let given = if given.is_empty() { None } else { Some(pipe(given, line)?) };
                    out.push(Node::Template(name, given, line));
                }
                "break" if tokens.len() == 1 => out.push(Node::Break),
                "continue" if tokens.len() == 1 => out.push(Node::Continue),
                _ => out.push(Node::Print(pipe(&tokens, line)?, line)),
            }
        }
        self.depth -= 1;
        if until.is_empty() { Ok((out, None)) } else { Err(Broken::new(0, "unexpected EOF: a block is never ended")) }
    }

    fn condition(&mut self, first: &[Token], line: u32) -> Result<Node, Broken> {
        let mut branches = Vec::new();
        let (mut test, mut at) = (pipe(first, line)?, line);
        loop {
            let (body, end) = self.nodes(&["end", "else"])?;
            branches.push((test, body, at));
            match end {
                Some((word, rest, line)) if word == "else" => match rest.first() {
                    Some(Token::Word(word)) if word == "if" => (test, at) = (pipe(rest.get(1..).unwrap_or_default(), line)?, line),
                    Some(_) => return Err(Broken::new(line, "unexpected words after else")),
                    None => {
                        let (other, end) = self.nodes(&["end"])?;
                        end.ok_or_else(|| Broken::new(line, "if is never ended"))?;
                        return Ok(Node::If(branches, other));
                    }
                },
                Some(_) => return Ok(Node::If(branches, Vec::new())),
                None => return Err(Broken::new(line, "if is never ended")),
            }
        }
    }

    fn body_and_other(&mut self, word: &str, line: u32) -> Result<(Vec<Node>, Vec<Node>), Broken> {
        let (body, end) = self.nodes(&["end", "else"])?;
        match end {
            Some((kind, rest, at)) if kind == "else" => {
                if let (Some(Token::Word(next)), "with") = (rest.first(), word)
                    && next == "with"
                {
                    let pipe = pipe(rest.get(1..).unwrap_or_default(), at)?;
                    let (inner, other) = self.body_and_other(word, at)?;
                    return Ok((body, vec![Node::With(pipe, inner, other, at)]));
                }
                let (other, _) = self.nodes(&["end"])?;
                Ok((body, other))
            }
            Some(_) => Ok((body, Vec::new())),
            None => Err(Broken::new(line, format!("{word} is never ended"))),
        }
    }
}

impl Default for Piece {
    fn default() -> Self {
        Self::Text(String::new(), 0)
    }
}

fn pipe(tokens: &[Token], line: u32) -> Result<Pipe, Broken> {
    let mut at = 0;
    let found = pipe_at(tokens, &mut at, line, 0)?;
    if at < tokens.len() {
        return Err(Broken::new(line, "unexpected \")\""));
    }
    if found.commands.iter().any(Vec::is_empty) || found.commands.is_empty() {
        return Err(Broken::new(line, "missing value for command"));
    }
    Ok(found)
}

/// A pipe up to its end or to the parenthesis that closes it, which is left standing.
fn pipe_at(tokens: &[Token], at: &mut usize, line: u32, depth: usize) -> Result<Pipe, Broken> {
    if depth > DEPTH {
        return Err(Broken::default());
    }
    let mut out = Pipe::default();
    if let Some((variables, declares, used)) = declaration(tokens.get(*at..).unwrap_or_default()) {
        (out.variables, out.declares) = (variables, declares);
        *at += used;
    }
    let mut command = Vec::new();
    while let Some(token) = tokens.get(*at) {
        let term = match token {
            Token::Close(_) => break,
            Token::Pipe => {
                out.commands.push(std::mem::take(&mut command));
                *at += 1;
                continue;
            }
            Token::Open => {
                *at += 1;
                let inner = pipe_at(tokens, at, line, depth + 1)?;
                match tokens.get(*at) {
                    Some(Token::Close(fields)) => Term::Group(Box::new(inner), fields.clone()),
                    Some(_) | None => return Err(Broken::new(line, "unclosed left paren")),
                }
            }
            Token::Field(path) => Term::Field(path.clone()),
            Token::Variable(name, path) => Term::Variable(name.clone(), path.clone()),
            Token::Word(word) => match word.as_str() {
                "true" => Term::Bool(true),
                "false" => Term::Bool(false),
                "nil" => Term::Nil,
                _ => Term::Function(word.clone()),
            },
            Token::Text(text) => Term::Text(text.clone()),
            Token::Integer(number) => Term::Integer(*number),
            Token::Float(number) => Term::Float(*number),
            Token::Declare | Token::Assign | Token::Comma => return Err(Broken::new(line, "unexpected assignment in an operand")),
        };
        command.push(term);
        *at += 1;
    }
    out.commands.push(command);
    Ok(out)
}

/// `$a :=`, `$a, $b :=`, `$a =`: the names, whether they are new, how many tokens it took.
fn declaration(tokens: &[Token]) -> Option<(Vec<String>, bool, usize)> {
    match tokens {
        [Token::Variable(name, path), sign @ (Token::Declare | Token::Assign), ..] if path.is_empty() => Some((vec![name.clone()], *sign == Token::Declare, 2)),
        [Token::Variable(first, _), Token::Comma, Token::Variable(second, _), sign @ (Token::Declare | Token::Assign), ..] => {
            Some((vec![first.clone(), second.clone()], *sign == Token::Declare, 4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_refuses_is_refused_with_its_line() {
        let line = |text: &str| parse(text).err().map(|broken| broken.line);
        assert_eq!(line("a: 1\n{{ .Values.x }}\n"), None);
        assert_eq!(line("a: 1\n{{ if .Values.x }}\nb\n"), Some(0));
        assert_eq!(line("a\n{{ end }}"), Some(2));
        assert_eq!(line("a\n\n{{ .Values.x | }}"), Some(3));
        assert_eq!(line("{{ (.Values.x }}"), Some(1));
        assert_eq!(line("{{ \"x }}"), Some(1));
        assert_eq!(line("{{/* {{ not read }} */}}\n{{- $a := 1 -}}\n{{ define \"x\" }}{{ end }}"), None);
        assert_eq!(line("{{ .Values.a-b }}"), Some(1));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}", "{{ if true }}".repeat(5000), "{{ end }}".repeat(5000));
        assert!(parse(&deep).is_err_and(|broken| broken.what.is_empty()));
        assert!(parse(&format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000))).is_err_and(|broken| broken.what.is_empty()));
    }
}
