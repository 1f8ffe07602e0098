//! What the README shows of the quickstart is what it prints.

#![allow(clippy::unwrap_used)] // it is a test

use std::process::Command;

const README: &str = include_str!("../../README.md");

#[test]
fn the_output_in_the_readme_is_its_own() {
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let real: Vec<_> = output.lines().map(without_numbers).collect();
    let (_, shown) = README.split_once("```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    assert_eq!(shown.lines().count(), 11);
    for line in shown.lines() {
        assert!(real.contains(&without_numbers(line)), "{line}\nis not in\n{output}");
    }
}

/// A line whose words that begin with a digit, times and counts, are all alike.
fn without_numbers(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match word.chars().next() {
        Some('0'..='9') => "N",
        _ if word.contains('…') => "TOKEN",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}
