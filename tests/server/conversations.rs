//! What people say, the call that answers it, and whether schemas, texts and replies agree: `tests/conversations/sentences.json`.

use crate::lines::{Lines, root, text_of};
use crate::shape::misfits;
use crate::shop::Shop;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn sentences() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("tests/conversations/sentences.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn serve(shop: &Shop) -> (Lines, Vec<Value>) {
    let mut server = Lines::of(shop.program(&["serve", "--root", &shop.workspace()]), tempfile::tempdir().unwrap());
    server.open("2025-11-25");
    let tools = server.result("tools/list", json!({}))["tools"].as_array().unwrap().clone();
    (server, tools)
}

#[test]
fn every_sentence_has_a_call_that_the_server_takes_and_answers() {
    let shop = Shop::new();
    let (mut server, tools) = serve(&shop);
    let schemas: BTreeMap<&str, &Value> = tools.iter().map(|tool| (tool["name"].as_str().unwrap(), &tool["inputSchema"])).collect();
    let service = server.call("analyze_project", json!({}))["structuredContent"]["services"][0]["name"].as_str().unwrap().to_owned();
    let sentences = sentences();
    assert!(sentences.len() >= 25, "{}", sentences.len());
    let mut called = BTreeSet::new();
    for sentence in &sentences {
        let (say, tool) = (sentence["say"].as_str().unwrap(), sentence["tool"].as_str().unwrap());
        let arguments = sentence["arguments"].to_string().replace("{workspace}", &shop.workspace()).replace("{service}", &service);
        let arguments: Value = serde_json::from_str(&arguments).unwrap();
        let wrong = misfits(schemas[tool], &arguments, tool);
        assert!(wrong.is_empty(), "{say}: {wrong:?}");
        let answer = server.call(tool, arguments);
        let text = text_of(&answer);
        for refusal in ["BAD_ARGUMENT", "NAME_INVALID", "SERVICE_UNKNOWN", "VALUE_SOURCE_INVALID", "INTERNAL", "NOT_SUPPORTED"] {
            assert!(!text.contains(refusal), "{say}: {text}");
        }
        // A failure says what to do next, so that the conversation goes on.
        assert!(answer["isError"] != true || text.contains("→"), "{say}: {text}");
        for word in sentence["answer"].as_array().into_iter().flatten() {
            assert!(text.contains(word.as_str().unwrap()), "{say}: {word} is not in: {text}");
        }
        called.insert(tool.to_owned());
    }
    let all: BTreeSet<String> = schemas.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(called, all, "every tool is asked for by somebody");
}

/// A word as a reader matches it: small, without its ending.
fn stem(word: &str) -> String {
    let word = word.to_lowercase();
    let ending =
        ["ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "y"].into_iter().find(|ending| word.ends_with(ending) && word.len() >= ending.len() + 3);
    word[..word.len() - ending.map_or(0, str::len)].to_owned()
}

fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).map(stem).collect()
}

/// What a model reads of a tool before it chooses.
fn told(tool: &Value) -> Vec<String> {
    let mut text = format!("{} {} {1}", tool["name"].as_str().unwrap(), tool["description"].as_str().unwrap());
    text.push_str(tool["annotations"]["title"].as_str().unwrap());
    for (name, argument) in tool["inputSchema"]["properties"].as_object().unwrap() {
        text.push_str(&format!(" {name} {} {} {}", argument["description"], argument["enum"], argument["items"]["enum"]));
    }
    for name in tool["outputSchema"]["properties"].as_object().unwrap().keys() {
        text.push_str(&format!(" {name}"));
    }
    words(&text)
}

/// The tools by how well their texts fit a sentence (BM25), best first: what retrieval in clients with many tools does.
fn ranked<'a>(say: &str, tools: &'a [(String, Vec<String>)]) -> Vec<&'a str> {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap());
    let mean = tools.iter().map(|(_, words)| count(words.len())).sum::<f64>() / count(tools.len());
    let score = |text: &[String]| -> f64 {
        let asked: BTreeSet<String> = words(say).into_iter().collect();
        asked
            .iter()
            .map(|word| {
                let (here, everywhere) =
                    (count(text.iter().filter(|known| *known == word).count()), count(tools.iter().filter(|(_, text)| text.contains(word)).count()));
                let rare = (1.0 + (count(tools.len()) - everywhere + 0.5) / (everywhere + 0.5)).ln();
                rare * here * 2.2 / (here + 1.2 * (0.25 + 0.75 * count(text.len()) / mean))
            })
            .sum()
    };
    let mut scored: Vec<_> = tools.iter().map(|(name, text)| (score(text), name.as_str())).collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0));
    scored.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn tools_are_described_in_the_words_that_people_use() {
    let shop = Shop::new();
    let (_server, tools) = serve(&shop);
    let tools: Vec<(String, Vec<String>)> = tools.iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), told(tool))).collect();
    let (mut first, mut all) = (0, 0);
    for sentence in sentences() {
        let (say, tool) = (sentence["say"].as_str().unwrap(), sentence["tool"].as_str().unwrap());
        let order = ranked(say, &tools);
        let place = order.iter().position(|name| *name == tool).unwrap();
        assert!(place < 3, "{say}: {tool} comes {}th, after {:?}", place + 1, &order[..place]);
        first += usize::from(place == 0);
        all += 1;
    }
    assert!(first * 4 >= all * 3, "only {first} of {all} sentences find their tool at once");
}

#[test]
fn every_tool_of_the_sentences_is_in_the_documents() {
    let readme = std::fs::read_to_string(root().join("docs/contract.md")).unwrap();
    for sentence in sentences() {
        let tool = sentence["tool"].as_str().unwrap();
        for argument in sentence["arguments"].as_object().unwrap().keys() {
            assert!(readme.contains(&format!("`{tool}`")) && readme.contains(&format!("`{argument}`")), "{tool} {argument} is not in the contract");
        }
    }
}
